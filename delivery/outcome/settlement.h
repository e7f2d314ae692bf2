/*
 * settlement.h - what the files of this folder share of a settlement. Private to them.
 */
#pragma once

#include <string.h>

#include "delivery/outcome/dsn.h"
#include "delivery/outcome/outcome.h"
#include "delivery/outcome/state.h"

struct settled {
    struct pending *pending;
    const struct attempt_facts *facts; /* the settlement's, or of where it was moved from */
    struct judgement judgement;
    enum event_kind kind;
    int64_t next_attempt_ms; /* monotonic; 0: none */
    int64_t retry_end_ms;    /* monotonic */
};

struct settlement {
    struct commit commit;
    struct content_read read;
    struct arena arena;
    struct outcomes *outcomes;
    struct shard *shard;
    struct message *message;
    struct attempt_facts facts;
    size_t count, count_max;
    struct settled *recipients;
    size_t behind_count; /* outcomes that follow those of the commit */
    struct bytes head;   /* of content that is not in memory */
    bool is_reading;
    struct list_node in_gatherings; /* waits there for other failures of its message */
    int64_t ripe_ms;                /* monotonic: no longer than this */
    struct message *failure;        /* notifications; ours until committed */
    struct message *notice;
    struct message **answers; /* to the sender, beside these: outcome_answer.c */
    size_t answer_count;
    struct message **made; /* all of them, as the commit has them */
    size_t made_count;
    size_t notice_bytes; /* of both */
    /* notice_sign.h */
    struct signing *signing;
    size_t signed_count; /* of those that are made */
    void (*signed_all)(struct settlement *s);
};

/* To the shard, with the notifications it causes. Frees the settlement once it is durable. */
void settlement_give(struct settlement *s);
/* outcome_answer.c: of an event's `checks`, which answers there are; once they are durable, told;
 * not to be any more. */
struct bytes settlement_say_answers(struct settlement *s);
void settlement_tell_answers(const struct settlement *s);
void settlement_drop_answers(struct settlement *s);
/* A copy that lives as long as the settlement. */
const struct attempt_facts *settlement_keep_facts(struct settlement *s,
                                                  const struct attempt_facts *facts);
/* Copies a recipient with what was decided of it; `facts` were kept. */
void settlement_move(struct settlement *to, const struct settled *r,
                     const struct attempt_facts *facts);

/* A failure of ours for want of TLS: what is too old then is told that, in place of its age. */
static inline bool is_for_tls(const struct judgement *judgement)
{
    return judgement->is_ours && strcmp(judgement->class, CLASS_TLS) == 0;
}

/* Which RCPT a recipient was; NULL when the message cannot be read. */
const struct recipient *settled_recipient(const struct settlement *s, const struct settled *r);
/* Monotonic; its not-before where that is later. */
int64_t settled_accepted_ms(const struct settlement *s, const struct settled *r);

/* What, if anything, the sender is to be told of this recipient. */
bool settled_wants_notice(const struct settlement *s, const struct settled *r,
                          enum dsn_action *action_out);
bool settlement_has_notice(const struct settlement *s);
/* The notification of failures, or of everything else; NULL when nobody is to be told. */
struct message *settlement_write_notice(struct settlement *s, bool of_failure);
