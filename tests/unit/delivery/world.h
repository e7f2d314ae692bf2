/*
 * world.h - what delivery stands on, made small: a shard in memory, MX sets from a table.
 *
 * Implements the functions of shard.h, mx.h and resolver.h that delivery calls, by linking, and
 * records what delivery does as facts (support/chat.h). Everything completes later, as the real
 * ones do. Programs with one source file include world.c.
 */
#pragma once

#include "delivery/line/delivery.h"
#include "delivery/line/egress.h"

struct world_message {
    const char *from; /* reverse-path, "" for the null one */
    const char *to;   /* addresses separated by commas */
    const char *content;
    size_t content_len; /* 0: of the string */
    const char *prefix;
    const char *envid;
    const char *tenant; /* NULL: none */
    enum mail_class class;
    enum mail_tls tls;
    const char *orcpt; /* of every recipient */
    unsigned notify;   /* of every recipient */
    enum smtp_ret ret;
    bool is_8bit, is_utf8;
    bool is_on_disk;    /* has to be loaded */
    bool is_large;      /* even then its content has to be read piece by piece */
    bool is_unreadable; /* loading fails with -EBADMSG */
    bool is_damaged;    /* its content: loading fails, but not of the envelope alone */
    bool is_known_damaged;
    unsigned found_age_s; /* not 0: the start found it, so old by the wall clock */
};

struct world {
    struct engine *engine;
    struct smtp_clients *clients;
    struct delivery *delivery;
    struct flows *flows;
    struct egress_table *egresses; /* made by world_start() unless set; then who set it frees it */
    struct shard *shard;
    struct delivery_settings settings;
    struct source sources[4];
    struct tls_context *tls; /* set before world_start(); NULL: TLS is not spoken */
    struct retry_rule retry;
    struct egress_rule egress;
    struct buf *facts;         /* may be NULL */
    uint16_t port;             /* of hosts that name none */
    int64_t ages_sure_from_ms; /* of delivery_setup */
    bool delivers_dsns;        /* else they are only recorded */
    bool is_adopted;
    unsigned load_error;   /* the next load fails with it */
    bool load_errors_stay; /* all do */
    unsigned read_error;   /* so does reading content */
    bool has_no_space;     /* commits wait */
    bool is_full;          /* new mail would be refused */
    int64_t hold_ms;       /* not-before of what is submitted from now on; 0: none */
    size_t outcome_room;   /* recipients; as much as anybody asks for at first */
    size_t outcomes_max;   /* a commit with more is too large; 0: none is */
    struct message *last_dsn;
    struct arena arena; /* of texts in the settings */
    struct list mx;
    struct list lookups;
    bool lookups_wait; /* until world_answer_lookups() */
    bool has_stopped;
    size_t let_go_count; /* calls of shard_let_go() */
};

/* Settings may be changed until world_start(). */
void world_init(struct world *world, struct engine *engine, struct buf *facts);
void world_start(struct world *world);
/* "a.example mx1.a.example/127.0.0.1,127.0.0.2:2600 mx2.a.example/::1", or a word instead of the
 * hosts: nxdomain, null, no-address, loop, unroutable, failed. A domain without a line has one
 * host, mx.DOMAIN at 127.0.0.1. Preferences count up; "=" before a host: as the one before.
 * "dnssec" before the hosts: DNSSEC vouches for them. */
bool world_mx(struct world *world, struct bytes line);
struct message_id world_submit(struct world *world, const struct world_message *message);
/* Those that waited; and later ones are answered at once again. */
void world_answer_lookups(struct world *world);
/* As delivery_status(), whose counts must agree with what a walk over everything finds. */
void world_status(const struct world *world, struct delivery_status *out);
/* Recipients that are not final yet. */
size_t world_unfinished(const struct world *world);
/* The n-th recipient of a message; NULL when it is finished. */
struct pending *world_pending(struct world *world, struct message_id id, size_t number);
/* Makes every scheduled recipient due. */
void world_retry_all(struct world *world);
/* Stops delivery and frees everything; false if it does not end within real seconds. */
bool world_free(struct world *world);
