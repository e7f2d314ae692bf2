/*
 * accept_record.h - the promise on disk: an ACCEPT record's payload. docs/spool.md draws it.
 *
 * Version 2 is written. Version 1, of segments of format 1, is read: it has no class, not-before,
 * credential or tail. What a message will have to carry next goes into the tail (tail.h),
 * which is copied by whoever does not know its tags; a field that must be understood takes a new
 * version.
 *
 * Pure functions over bytes; any thread.
 */
#pragma once

#include "queue/record.h"

/* What a compacted copy carries of each recipient. */
struct recipient_state {
    bool is_final;
    uint8_t flags; /* pending_stored_flags() */
    uint16_t attempts;
    int64_t due_ms; /* wall; 0: at once */
};

/* A decoded accept record: slices of the payload. What its version does not have is as of a message
 * that is nothing special. */
struct accept {
    struct message_id id;
    int64_t accepted_ms;
    uint32_t recipient_count;
    uint32_t next_seq; /* seq of the next event; the accepted events are 0..recipient_count-1 */
    bool is_moved;
    enum smtp_ret ret;
    enum smtp_body body;
    bool smtputf8, needs_smtputf8, has_ascii_header, is_dsn;
    enum mail_class class;
    enum mail_tls tls;     /* as the tail says */
    int64_t not_before_ms; /* wall; 0: at once */
    uint64_t credential;   /* 0: none */
    uint64_t content_size;
    uint32_t inline_len;   /* bytes of the CONTENT records right before it in its batch; 0: none */
    uint32_t extent_count; /* else: where the content stands */
    struct bytes reverse_path, envid, client_ip, client_ehlo, service, tenant, campaign, tags;
    struct bytes header_message_id, prefix;
    struct bytes tail;                /* tail.h; checked */
    struct bytes extents, recipients; /* undecoded, see accept_next_*() */
};

/* Length of the payload of `message`; 0: too large, as a whole or its tail.
 * With inline_len its extents stay out. */
size_t accept_encoded_len(const struct message *message, uint32_t inline_len, bool is_moved);
/* Writes exactly that many bytes. states: one a recipient, NULL unless moved. */
void accept_encode(const struct message *message, uint32_t inline_len, uint32_t next_seq,
                   const struct recipient_state *states, uint8_t *out);
/* False as well for a version that is not known: ask record_is_known() first. */
must_use bool accept_decode(const struct record *record, struct accept *out);
/* Takes one off accept->extents, accept->recipients; false at the end or on nonsense. state_out
 * (may be NULL) is a fresh recipient's when the record is not a moved one. */
must_use bool accept_next_extent(struct accept *accept, struct extent *out);
must_use bool accept_next_recipient(struct accept *accept, struct recipient *out,
                                    struct recipient_state *state_out);
