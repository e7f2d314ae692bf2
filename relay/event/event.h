/*
 * event.h - the customer-visible record of one fact about one recipient, and its two forms.
 *
 * Binary: inside spool records (shard, position and node are known there). JSON: on the wire, in
 * the event files, on Kafka. Every JSON object has every key, null where unknown. `schema` grows
 * when a key changes meaning; new keys do not change it.
 *
 * Pure functions over bytes; any thread.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"

enum {
    EVENT_SCHEMA = 1,
    EVENT_ENCODED_MAX = 20480,
    EVENT_JSON_MAX = 6 * EVENT_ENCODED_MAX + 4096, /* every byte may become an escape of six */
};

enum event_kind {
    EVENT_ACCEPTED,   /* durable, one a recipient */
    EVENT_REJECTED,   /* refused at submission: no message came of it */
    EVENT_DELIVERED,  /* final */
    EVENT_DEFERRED,   /* will be tried again at next_attempt */
    EVENT_BOUNCED,    /* final: a permanent failure; but not where it is_late */
    EVENT_EXPIRED,    /* final: max_age passed */
    EVENT_CANCELLED,  /* final: an operator or tenant took it back */
    EVENT_SUPPRESSED, /* final: on a suppression list */
    EVENT_DELAYED,    /* a delay notice was sent */
    EVENT_COMPLAINED, /* a recipient did, by a feedback report; is_late */
    EVENT_OPENED,
    EVENT_CLICKED,
    EVENT_UNSUBSCRIBED,
    EVENT_RECEIVED, /* from the world: what was checked; stands beside a message's events */
    EVENT_DAMAGED,  /* a record of the spool does not read back; stands beside a message's events */
    /* An operator's commands, one each; they stand beside a message's events too. */
    EVENT_RETRIED,   /* recipients were made due now */
    EVENT_SUSPENDED, /* a rule holds recipients back */
    EVENT_RESUMED,   /* that rule was taken away, or its time was over */
    EVENT_THROTTLED, /* accepted, and waits for its tenant's rates until about next_attempt */
    EVENT_CHANGED,   /* the directory was: one of an audited change */
    EVENT_FILED,     /* final: delivered, into an account of ours */
    EVENT_FORWARDED, /* a copy is in the spool for addresses elsewhere; its end is yet to come */
    EVENT_REPORTED,  /* a DMARC or TLS report came: what others saw of mail, or of TLS */
    EVENT_KIND_COUNT
};

/* A message's name. Text form: "<node:4 hex><shard:2 hex>-<serial:13 hex>", 20 characters. */
struct message_id {
    uint64_t value; /* shard << 56 | serial; serial = microseconds since 2020-01-01, made unique */
};
enum { MESSAGE_ID_TEXT_LEN = 20, MESSAGE_ID_TEXT_MAX = 24 };
enum { MESSAGE_ID_SHARDS_MAX = 256 }; /* the shards of a spool: an id has a byte for them */
#define MESSAGE_ID_SERIAL_MAX ((1ULL << 52) - 1) /* 13 hex digits: until the year 2162 */
/* The node's own 16 bits, set once at start from state_dir/node. */
void event_set_node(uint16_t node);
uint16_t event_node(void);
static inline unsigned message_id_shard(struct message_id id)
{
    return (unsigned)(id.value >> 56);
}
static inline bool message_id_is_valid(struct message_id id)
{
    return id.value != 0 && (id.value & ((1ULL << 56) - 1)) <= MESSAGE_ID_SERIAL_MAX;
}
/* NUL-terminated. */
void message_id_format(struct message_id id, char out[static MESSAGE_ID_TEXT_MAX]);
/* The text form and nothing else, lower case; false also for a message of another node. */
must_use bool message_id_parse(struct bytes text, struct message_id *id_out);

/* Milliseconds of each phase of an attempt; -1: did not happen or is not known. */
struct attempt_times {
    int32_t wait_ms, dns_ms, connect_ms, tls_ms, envelope_ms, content_ms;
};

enum event_answer { EVENT_UNKNOWN, EVENT_NO, EVENT_YES };

struct event {
    /* where it stands in the spool: fixed when written, the same on every redelivery */
    uint32_t shard;
    uint64_t position; /* segment sequence << 32 | offset */
    uint32_t part;     /* within the record: the n-th recipient of an accept record */

    enum event_kind kind;
    uint32_t seq;                        /* of its message, without gaps, from 0; where counted */
    struct message_id id;                /* value 0 on rejected, and where it is not readable */
    int64_t time_ms;                     /* wall, this event */
    int64_t accepted_ms;                 /* wall; 0 unknown */
    int64_t attempt_ms;                  /* wall, start of the attempt; 0 none */
    int64_t next_attempt_ms;             /* wall; 0 none */
    int64_t connected_ms;                /* wall, of the session below; 0 unknown */
    struct bytes recipient;              /* as given at RCPT; empty: null */
    struct bytes sender;                 /* reverse-path; ptr NULL: unknown, empty: the null path */
    struct bytes message_header_id;      /* RFC 5322 Message-ID */
    struct bytes tenant, campaign, tags; /* tags: JSON array text; empty: null */
    struct bytes metadata;               /* JSON object text; empty: null */
    uint32_t account;   /* of an accepted one: whose rates it counts to, or 0; in memory only */
    struct bytes claim; /* of an accepted one, as intake/claims.h encodes it; in memory only */
    bool is_copy;       /* of an accepted one: its recipient was not named; in memory only */
    bool is_received;   /* of an outcome: nobody submitted it, or it is such a copy; not in JSON */
    struct bytes client_ip, client_ehlo, service; /* accepted and rejected: who submitted, where */
    struct bytes session;                         /* ... in which session, as in the log */
    /* accepted: "signed", or why not; d= and "selector,selector" of the signatures */
    struct bytes dkim_result, dkim_domain, dkim_selectors;
    struct bytes envid, orcpt;
    uint64_t size;    /* of the content; 0 unknown */
    uint32_t attempt; /* 1 for the first; 0 none */
    struct attempt_times times;
    /* egress */
    struct bytes pool, source, source_ip, site, mx_host, mx_ip;
    /* TLS of the delivery; empty: none */
    struct bytes tls_version, tls_cipher, tls_policy, tls_source, tls_result, tls_reason;
    uint8_t tls_verified; /* enum event_answer */
    /* reply: of the peer, or ours with reply_is_ours */
    bool reply_is_ours;
    uint16_t reply_code;    /* 0: none */
    uint8_t enhanced_class; /* 0: none */
    uint16_t enhanced_subject, enhanced_detail;
    struct bytes reply_text;
    struct bytes class;  /* e.g. "invalid-recipient", "connection" */
    struct bytes rule;   /* the rule that decided, e.g. "reply-5xx", "retry.max_age" */
    struct bytes checks; /* of a received message (event_checks.h); empty: null */
    bool is_late;        /* bounced, complained: told by a report that came back; is not counted */
};

const char *event_kind_name(enum event_kind kind); /* "accepted" */
must_use bool event_kind_parse(struct bytes name, enum event_kind *kind_out);
bool event_kind_is_final(enum event_kind kind); /* ends its recipient */
/* False: stands beside a message's events, even where it names the message; has no seq. */
bool event_kind_is_counted(enum event_kind kind);

/* Binary form; unknown fields of a later version are skipped when read. Slices of a decoded event
 * point into `encoded`. shard, position and part are not part of it: the reader sets them. Each
 * text has a maximum far above what mail produces (event_text.h) and is cut there, between
 * characters, so that encoding fails only where `out` has no room for EVENT_ENCODED_MAX. */
must_use bool event_encode(const struct event *event, struct buf *out);
must_use bool event_decode(struct bytes encoded, struct event *out);

/* One JSON object and a newline. Text that is not UTF-8 is shown with U+FFFD in place of each bad
 * byte, and so is NUL, which many readers refuse. event_id is "<node>-<shard>-<position>-<part>".
 * False (nothing appended) only where `out` has no room for EVENT_JSON_MAX. docs/events.md names
 * every key. */
must_use bool event_json(const struct event *event, struct buf *out);
