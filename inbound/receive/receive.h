/*
 * receive.h - the inbound service: mail from the world for hosted domains (RFC 5321).
 *
 * Recipients are looked up at RCPT (directory/recipient_lookup.h); anything else would be relaying
 * and is refused. SPF and iprev ask from MAIL on, keys of signatures from the end of the header,
 * and bodies are hashed while they arrive (inbound/verify). Between the end of data and the commit
 * the results are awaited, and what they mean is decided (decision.h). 250 comes when content and
 * record are durable; filing begins from the spool, as any delivery does.
 *
 * Thread: one object an engine, the engine's thread.
 */
#pragma once

#include <stdatomic.h>

#include "auth/srs/srs.h"
#include "directory/snapshot_feed.h"
#include "dns/resolver.h"
#include "inbound/archives/archive_reader.h"
#include "inbound/receive/attachments.h"
#include "inbound/receive/decision.h"
#include "inbound/receive/mailbox_room.h"
#include "inbound/rspamd/rspamd.h"
#include "queue/shard.h"
#include "smtpd/smtp_server.h"

enum {
    RECEIVE_RECEIVED_DEFAULT = 50,
    RECEIVE_UNKNOWN_DEFAULT = 10, /* recipients */
};

enum {
    DOOR_LISTS_MAX = 16,
    DOOR_ZONE_MAX = 100, /* octets of a list's name */
    DOOR_TIMEOUT_MS = 5000,
};

struct door_list {
    const char *zone;
    int action; /* enum decision_action */
};

/* What is asked of a client before it is greeted (door.h). */
struct door_rules {
    int64_t greet_delay_ms; /* before the greeting: who talks meanwhile goes */
    unsigned timeout_ms;    /* of lists and name; 0: default */
    int iprev;              /* enum decision_action: of an address without a name; tag: told only */
    size_t list_count;
    const struct door_list *lists;
};

struct receive_settings {
    const char *hostname;
    struct tls_context *tls; /* of this engine; NULL: no listener speaks TLS */
    struct service_limits sessions;
    struct smtp_limits smtp;
    unsigned received_max; /* more Received fields than this is a loop: 554 5.4.6; 0: default */
    /* Mail for postmaster and abuse where nobody is named so; NULL: none. */
    const char *postmaster;
    unsigned unknown_max;              /* unknown recipients of a session, then 421; 0: default */
    unsigned verify_timeout_ms;        /* all checks of a message; 0: 20 s */
    unsigned sessions_per_network_max; /* a /24 of IPv4, a /48 of IPv6; 0: no limit */
    int64_t greylist_ms;               /* how long who is new is put off (greylist.h); 0: not */
    size_t proxy_count;
    const struct network *proxies; /* clients that speak the PROXY protocol */
    struct rspamd_settings rspamd;
    struct door_rules door;
    struct attachment_rules attachments;
    struct decision_rules rules;
};

/* One a listener of this service; lives as long as sessions use it. */
struct receive_listener {
    const char *name; /* "inbound" */
    enum smtp_tls tls;
};

struct receive_setup {
    struct engine *engine;
    struct shard *shard;
    struct resolver *resolver;
    struct resolver *lists; /* for lists of addresses, with a cache of its own */
    struct snapshot_reader *reader;
    struct archive_reader *archives; /* shared by all engines */
    _Atomic int *load;               /* where the listener looks for the number of sessions */
    const struct srs_keys *srs;      /* of senders that we rewrote; NULL: none comes back */
    mailbox_room_fn *room;           /* NULL: there always is */
    void *room_context;
    const uint8_t *return_key; /* of signed return paths (directory/return_path.h); NULL: none */
};

struct receive;

/* Copies both; what they point to outlives it but for strings. */
struct receive *receive_create(const struct receive_setup *setup,
                               const struct receive_settings *settings);
/* New sessions use these; sessions that run keep theirs but for what is in lists, which live until
 * the next call. */
void receive_configure(struct receive *receive, const struct receive_settings *settings);
/* Takes over an accepted connection. `listener` must outlive its sessions. */
void receive_accept(struct receive *receive, int fd, const struct receive_listener *listener);
/* As submission_stop() and the others say. */
void receive_stop(struct receive *receive, int64_t deadline_ms, void (*stopped)(void *context),
                  void *context);
void receive_abort(struct receive *receive);
void receive_free(struct receive **receive);
unsigned receive_sessions(const struct receive *receive);
