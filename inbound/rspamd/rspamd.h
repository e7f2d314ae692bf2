/*
 * rspamd.h - what rspamd says of a message: its scan by POST /checkv2, over few connections that
 * are kept.
 *
 *   ask --> WAITING --connection--> ASKED --answer, failure, deadline--> done()
 *
 * A connection that was idle and is gone when it is used is no failure: the question goes by
 * another, once. Everything has one deadline, the time in line included. What is no answer of
 * rspamd's is told as a reason: what follows is for who asked.
 *
 * Thread: one object an engine, the engine's thread. done() is never called from inside
 * rspamd_ask().
 */
#pragma once

#include "io/address.h"
#include "io/engine.h"

struct rspamd;
struct rspamd_connection;

enum { RSPAMD_TIMEOUT_MS = 10000, RSPAMD_CONNECTIONS = 10, RSPAMD_CONTENT_MAX = 512 * 1024 };

struct rspamd_settings {
    struct address address;   /* zeroed: nobody is asked */
    unsigned timeout_ms;      /* 0: RSPAMD_TIMEOUT_MS */
    unsigned connections_max; /* of an engine; 0: RSPAMD_CONNECTIONS */
};

/* In the order of what they weigh. */
enum rspamd_action {
    RSPAMD_NO_ACTION,
    RSPAMD_GREYLIST,
    RSPAMD_ADD_HEADER,
    RSPAMD_REWRITE_SUBJECT,
    RSPAMD_SOFT_REJECT,
    RSPAMD_REJECT,
};
const char *rspamd_action_name(enum rspamd_action action); /* "add header" */

struct rspamd_answer {
    enum rspamd_action action;
    double score, required;
};

/* One who asks; zeroed but for these three before the first use. */
struct rspamd_question {
    struct bytes fields;  /* "IP: 192.0.2.1\r\n..."; until done() */
    struct bytes content; /* at most RSPAMD_CONTENT_MAX; until done() */
    /* `answer` NULL: there is none, and `why` says why, a static string. */
    void (*done)(struct rspamd_question *question, const struct rspamd_answer *answer,
                 const char *why);
    /* private */
    bool is_asked;
    bool was_asked_again;
    struct list_node node;
    struct rspamd *rspamd;
    struct rspamd_connection *connection;
    struct timeout deadline;
};

/* `gone` is told after a connection went. */
struct rspamd *rspamd_create(struct engine *engine, const struct rspamd_settings *settings,
                             void (*gone)(void *context), void *context);
void rspamd_configure(struct rspamd *rspamd, const struct rspamd_settings *settings);
bool rspamd_is_on(const struct rspamd *rspamd);
void rspamd_ask(struct rspamd *rspamd, struct rspamd_question *question);
/* done() will not be called. Nothing where it is not asked. */
void rspamd_cancel(struct rspamd_question *question);
/* No connection is kept from now on. */
void rspamd_stop(struct rspamd *rspamd);
bool rspamd_is_idle(const struct rspamd *rspamd); /* there is no connection */
void rspamd_free(struct rspamd **rspamd);         /* idle */

/* "http://127.0.0.1:11333", an address of IP and no name. */
must_use bool rspamd_parse_url(struct bytes text, struct address *out);
/* The answer in a body of JSON; false: it is none. Pure. */
must_use bool rspamd_parse(struct bytes json, struct rspamd_answer *out);
