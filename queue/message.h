/*
 * message.h - an accepted (or about to be accepted) message, whole, in memory.
 *
 * Whoever makes one (a submission session, the DSN writer) takes it from message_create(), fills
 * the envelope from the message's own arena, and gives it to shard_commit(). Once durable it is
 * immutable and shared by reference count: the shard keeps one reference while it stays resident,
 * each attempt another. A deferred message is normally not in memory at all: a stub of it is
 * (stub.h), and shard_load() brings it back.
 *
 * Thread: the engine that owns its shard.
 */
#pragma once

#include "base/arena.h"
#include "base/list.h"
#include "event/event.h"
#include "smtp/command.h"

/* Who is served first of those that wait for the same. On disk: never renumbered. */
enum mail_class { MAIL_NORMAL, MAIL_HIGH, MAIL_BULK };
#define MAIL_CLASSES (MAIL_BULK + 1) /* no enum: gcc warns where one is compared with another */

const char *mail_class_name(enum mail_class class); /* "normal" */

/* What the sender asks of TLS on the way of a message (RFC 8689). On disk: never renumbered. */
enum mail_tls {
    MAIL_TLS_ANY,      /* nothing: the receiver's policies and our own */
    MAIL_TLS_REQUIRED, /* REQUIRETLS: over verified TLS to who promises the same, or not at all */
    MAIL_TLS_OPTIONAL, /* "TLS-Required: No": whatever the receiver's policies say */
};
#define MAIL_TLS_COUNT (MAIL_TLS_OPTIONAL + 1)

const char *mail_tls_name(enum mail_tls tls); /* "required" */

struct recipient {
    struct bytes address; /* as given: "local@domain" */
    struct bytes domain;  /* normalised for routing; "[192.0.2.1]" for a literal */
    struct bytes orcpt;   /* "rfc822;xtext" as given; empty when not */
    uint8_t notify;       /* SMTP_NOTIFY_* bits, 0: not given */
};

/* A piece of content in a segment. */
struct extent {
    uint32_t segment; /* sequence number */
    uint32_t offset;  /* of the first content byte */
    uint32_t len;
    uint32_t checksum; /* low half of its record's; 0: not known. Readers check the whole one */
};

enum {
    CONTENT_CHUNK_MAX = 128 * 1024, /* content up to here is one record, written with the accept */
    MESSAGE_RECIPIENTS_MAX = 100000,
};

struct content {
    uint64_t size;       /* all of it */
    struct bytes memory; /* whole content when resident, else ptr NULL */
    size_t extent_count;
    struct extent *extents; /* where it stands once written, in order of the content: a piece may
                               have been moved to a later segment than the ones behind it */
};

/* The oldest segment that holds a piece; there is one. */
uint32_t content_first_segment(const struct content *content);

struct segment;

/* Bytes of a message's records in the spool. */
struct record_lengths {
    uint32_t accept;
    uint32_t content; /* UINT32_MAX: that many or more */
};

struct message {
    unsigned references;
    struct arena arena;   /* owns everything below */
    size_t counted_bytes; /* of it while resident: message_memory() when that began */
    struct message_id id; /* set by shard_commit */
    int64_t accepted_ms;  /* wall; set by shard_commit */
    /* envelope */
    struct bytes reverse_path; /* empty: the null path */
    struct bytes envid;        /* xtext as given */
    enum smtp_ret ret;
    enum smtp_body body;
    bool smtputf8;         /* was given with MAIL */
    bool needs_smtputf8;   /* an address or a header field is not ASCII */
    bool has_ascii_header; /* if so, it is an address; false: a header field, or not known */
    bool is_dsn;           /* we wrote it: its failure is told nobody */
    bool is_throttled;     /* to be accepted, and to wait for its tenant's rates: TAIL_THROTTLED */
    size_t recipient_count;
    struct recipient *recipients;
    /* where it came from, for events and Received */
    struct bytes client_ip, client_ehlo, service;
    struct bytes tenant, campaign, tags;
    enum mail_class class;
    enum mail_tls tls;     /* message_ask_tls() sets it */
    uint64_t credential;   /* of the tenant's that it was given with; 0: none */
    int64_t not_before_ms; /* wall: nothing is tried before; 0: at once */
    struct bytes tail;     /* entries for others than the spool: tail_add() */
    struct bytes header_message_id;
    /* what is sent: prefix then content */
    struct bytes prefix; /* header fields we add: Received, Message-ID, Date; DKIM later */
    struct content content;
    /* the shard's */
    struct record_lengths lengths; /* while resident: its stub has the pointer in their place */
    uint32_t keeper_count;         /* recipients of a resident message that are not scheduled */
    struct segment *pinned; /* the oldest that it may be read from: not reclaimed before its end */
    struct list_node arriving; /* linked while its content is written and it is not accepted */
    void *read_buffer;         /* a loaded message's bytes */
    size_t read_buffer_size;
};

/* NULL when memory ran dry: 452 4.3.0. One reference, the caller's. */
/* Whether a message of that service was submitted. Else it came from the world, or was made here of
 * such: forwarded, answered, a notification. That is "received" where the two are told apart; it is
 * not held to the rates of its tenant, who sends what it submits. */
static inline bool service_is_received(struct bytes service)
{
    return service.len > 0 && !bytes_equal(service, BYTES("submission"));
}

struct message *message_create(void);
struct message *message_keep(struct message *message);
void message_release(struct message **message);
/* Before it is committed, once: here and in its tail. False: no memory. */
must_use bool message_ask_tls(struct message *message, enum mail_tls tls);
/* Where it is to stand in line: a bounce that asks for REQUIRETLS is not lost for the want of it,
 * and so goes as any other (RFC 8689 section 5). */
static inline enum mail_tls mail_tls_of_flow(enum mail_tls tls, struct bytes reverse_path)
{
    return tls == MAIL_TLS_REQUIRED && reverse_path.len == 0 ? MAIL_TLS_ANY : tls;
}
/* Bytes that it takes of the process, itself included: of its arena what that holds, not what was
 * used of it. */
size_t message_memory(const struct message *message);
