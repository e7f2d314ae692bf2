/*
 * header.h - the header section of a message as it arrives, field by field (RFC 5322 section 2.2).
 *
 * A header_scan is fed content in any pieces, with what the relay must look at or take out told
 * field by field. Fields longer than HEADER_FIELD_KEPT are passed on whole but only their start is
 * looked at. Bodies are passed through untouched. Bounded memory.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"

enum { HEADER_FIELD_KEPT = 2048, HEADER_NAME_MAX = 77 };

enum header_field {
    HEADER_OTHER, HEADER_RECEIVED, HEADER_MESSAGE_ID, HEADER_DATE, HEADER_FROM,
    HEADER_RETURN_PATH, HEADER_BCC, HEADER_RESENT_BCC,
};

struct header_scan {
    /* What a submission needs to know, valid any time, complete once in_body. */
    unsigned received_count;   /* loop detection, RFC 5321 section 6.3 */
    bool has_message_id, has_date, has_from;
    bool in_body;              /* the empty line was seen (or a line that is no field) */
    bool missing_separator;    /* the body began without an empty line: one must be put in */
    bool has_8bit;             /* in the header section: needs SMTPUTF8 */
    size_t message_id_len;
    char message_id[512];      /* value of Message-ID, trimmed, without NUL; cut when longer */
    uint64_t header_size;      /* bytes of the header section, with the empty line */
    /* private */
    uint8_t state;
    bool dropping;
    uint8_t field;
    size_t kept_len;
    uint8_t kept[HEADER_FIELD_KEPT];
};

/* drop_bcc: take Bcc and Resent-Bcc out as well as Return-Path (submission, RFC 6409 section 8). */
void header_scan_init(struct header_scan *scan, bool drop_bcc);
/*
 * Feeds content; appends what is to be stored to `out`. False when `out` is full, with *input
 * advanced past what was taken: drain `out` and call again. Once in_body, the caller may bypass
 * the scan and store bytes directly.
 */
must_use bool header_scan_feed(struct header_scan *scan, struct bytes *input, struct buf *out);
/* End of content inside the header section: flushes what is held back (a message may have no
 * body). */
must_use bool header_scan_finish(struct header_scan *scan, struct buf *out);

/* What a Received field says (RFC 5321 section 4.4, RFC 3848 "with" types). */
struct received {
    struct bytes ehlo;      /* what the client said it is */
    struct bytes peer;      /* its address, "192.0.2.1" or "2001:db8::1" */
    struct bytes by;        /* our host name */
    struct bytes with;      /* "ESMTP", "SMTP", "UTF8SMTP" ... */
    struct bytes id;
    struct bytes for_path;  /* only with a single recipient; else empty */
    int64_t wall_ms;
};
/* Folded below 78 columns where the words allow, ends in CRLF. */
must_use bool received_format(const struct received *received, struct buf *out);
