/*
 * webhook_private.h - a webhook from inside.
 *
 *   webhook.c           begin, take, requests, end
 *   webhook_ground.c    what all share: requests, and memory for batches
 *   webhook_batch.c     batches that are over
 *   webhook_answer.c    what is done about answers and failures
 *   webhook_token.c     OAuth 2.0 client credentials (RFC 6749 section 4.4)
 *   webhook_settings.c  settings kept, compared, checked
 *
 * Private to relay/webhook.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/list.h"
#include "webhook/http_client.h"
#include "webhook/http_pool.h"
#include "webhook/webhook.h"
#include "webhook/webhook_key.h"

/* An array of objects that grows until it is told. */
struct webhook_batch {
    struct buf body;
    unsigned count;       /* objects */
    uint64_t first, last; /* tickets; where count > 0 */
    int64_t began_ms;     /* monotonic, of the first event */
    bool is_full;         /* there was one event too many */
};

/* What all webhooks share. */
struct webhook_ground {
    struct http_pool *pool;
    struct buf object;   /* of one event */
    uint64_t held;       /* bytes of all batches */
    struct list starved; /* that wait until it is less */
};

enum webhook_doing {
    WEBHOOK_IDLE,    /* nothing is under way */
    WEBHOOK_ASKING,  /* for a token */
    WEBHOOK_TELLING, /* the batch `sending` */
};

struct webhook {
    struct sink *sink;
    struct webhook_settings settings; /* in `memory` */
    struct arena memory;
    unsigned events_max; /* of a batch; smaller after a 413 */
    struct webhook_batch filling, sending;
    unsigned again; /* events of the batch that failed, which is made once more; 0: none */
    enum webhook_doing doing;
    int64_t asked_ms; /* monotonic, of the request */
    int64_t begin_ms; /* monotonic: no request before */
    int64_t pause_ms; /* of the next failure */
    bool is_retried;  /* at once, with a new token */
    char *token;      /* NULL: none */
    int64_t token_end_ms;
    struct buf form; /* asked for it with */
    /* between begin and end */
    struct webhook_ground *ground;
    struct list_node starved;
    struct webhook_key *key; /* NULL: not needed yet */
    struct http_client *client;
};

/* --- webhook_ground.c --- */

extern const struct sink_ground webhook_ground;
/* Is there room for more of anybody's? Else it waits. */
must_use bool webhook_has_memory(struct webhook *webhook);

/* --- webhook_batch.c --- */

void webhook_batch_clear(struct webhook *webhook, struct webhook_batch *batch);
/* Everything that was taken is forgotten. */
void webhook_forget(struct webhook *webhook);
/* The same, and it is read again; what is tried already becomes the same batch. */
void webhook_take_back(struct webhook *webhook);

/* --- webhook_answer.c --- */

void webhook_take_answer(struct webhook *webhook, const struct http_answer *answer);
/* Something went wrong: told, and tried again after a while. */
void webhook_fail(struct webhook *webhook, enum sink_problem problem, const char *text,
                  int64_t wait_s_min);

/* --- webhook_token.c --- */

bool webhook_needs_token(const struct webhook *webhook);
void webhook_ask_token(struct webhook *webhook);
/* False: a sentence in `why`. */
must_use bool webhook_take_token(struct webhook *webhook, struct bytes answer,
                                 char why[static HTTP_TEXT_MAX]);
void webhook_drop_token(struct webhook *webhook);

/* --- webhook_settings.c --- */

struct webhook_settings webhook_settings_copy(const struct webhook_settings *settings,
                                              struct arena *memory);
bool webhook_settings_are_same(const struct webhook_settings *a, const struct webhook_settings *b);
