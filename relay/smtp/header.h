/*
 * header.h - the header section of a message as it arrives, field by field (RFC 5322 section 2.2).
 *
 * A header_scan is fed content in any pieces. Which fields are counted, taken out or captured says
 * a table (header_table.h). Values are passed on as they come, of any length. Bodies are passed
 * through untouched. Bounded memory. Only CRLF ends a line here.
 *
 * What an mbox file puts before a message, a first line "From somebody date" (also with ">" before
 * it), is stored as the field X-Mailbox-Line, as Postfix does: taken for the end of the header
 * section it would turn all fields behind it, Bcc among them, into text that every recipient reads.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "smtp/header_table.h"

enum {
    HEADER_FIELD_KEPT = 998, /* bytes held back: a name, spaces, colon; a line's maximum, RFC 5322
                                section 2.1.1. A line without a colon in these is no field */
    HEADER_NAME_MAX = HEADER_FIELD_KEPT - 1,
    HEADER_SEPARATOR_LEN = 2,
    HEADER_MAILBOX_LEN = 16,  /* "X-Mailbox-Line: " */
    HEADER_MAILBOX_COUNT = 8, /* so many first lines; one more is no field */
    /* More bytes than came in that a scan may store. */
    HEADER_GROWTH_MAX = HEADER_SEPARATOR_LEN + HEADER_MAILBOX_COUNT * HEADER_MAILBOX_LEN,
};

/*
 * The value of a field: unfolded (RFC 5322 section 2.2.3), trimmed, runs of white space as one
 * space. Bytes that could end a value are left out: NUL, and a CR or LF that ends no line.
 */
struct header_value {
    struct bytes text; /* lives as long as the scan's `captured` */
    bool is_cut;       /* it goes on: longer than its row allows */
    bool is_altered;   /* such bytes were left out */
};

struct header_capture {
    uint16_t len;
    bool is_cut, is_altered;
};

struct header_scan {
    /* Valid any time, complete once in_body. */
    bool in_body;           /* the empty line was seen (or a line that is no field) */
    bool missing_separator; /* the body began without an empty line: one was put in */
    bool has_8bit;          /* in the header section as stored: needs SMTPUTF8 */
    uint64_t header_size;   /* bytes of the header section as stored, with the empty line */
    /* private */
    const struct header_table *table;
    uint8_t *captured; /* table->capture_size bytes of the owner's */
    uint32_t counts[HEADER_RULES_MAX];
    struct header_capture captures[HEADER_CAPTURES_MAX];
    uint8_t state;
    bool has_field;      /* a continuation line has something to continue */
    bool has_real_field; /* one that is no mailbox line */
    uint8_t mailbox_count;
    bool dropping;   /* that field is not passed on */
    bool capturing;  /* that field's value, into: */
    uint8_t capture; /* of captures */
    uint16_t capture_max;
    uint32_t capture_at; /* of captured */
    bool space_pending;  /* white space inside that value */
    bool cr_pending;     /* its last byte was a CR: an LF makes it the end of a line */
    uint16_t kept_len;   /* undecided bytes, behind the place for what may be put before them */
    uint16_t name_len;   /* of these, the field name */
    uint16_t send_start; /* decided bytes of kept on their way out; end 0: none */
    uint16_t send_end;
    uint8_t kept[HEADER_MAILBOX_LEN + HEADER_FIELD_KEPT];
};

/* `captured` has table->capture_size bytes (NULL: the table captures nothing). Both outlive the
 * scan. */
void header_scan_init(struct header_scan *scan, const struct header_table *table,
                      uint8_t *captured);
/*
 * Feeds content; appends what is to be stored to `out`. False when `out` is full, with *input
 * advanced past what was taken: drain `out` and call again. Once in_body, the caller may bypass
 * the scan and store bytes directly.
 */
must_use bool header_scan_feed(struct header_scan *scan, struct bytes *input, struct buf *out);
/* End of content: sends what is held back; false when `out` is full: drain it and call again. A
 * message may have no body: then in_body stays false and no empty line is put in. */
must_use bool header_scan_finish(struct header_scan *scan, struct buf *out);
/* How many fields of that row there were so far. */
uint32_t header_scan_count(const struct header_scan *scan, unsigned row);
/* Occurrence 0, 1... of a row that captures so many. False: there was none so far. Of a field that
 * is still arriving it is what came; whole once in_body or header_scan_finish(). */
must_use bool header_scan_value(const struct header_scan *scan, unsigned row, unsigned occurrence,
                                struct header_value *value_out);

/* What a Received field says (RFC 5321 section 4.4, RFC 3848 "with" types). */
struct received {
    struct bytes ehlo; /* what the client said it is */
    struct bytes peer; /* its address, "192.0.2.1" or "2001:db8::1" */
    struct bytes by;   /* our host name */
    struct bytes with; /* "ESMTP", "SMTP", "UTF8SMTP" ... */
    struct bytes id;
    struct bytes for_path; /* only with a single recipient; else empty */
    struct bytes tls; /* the cipher suite as the IANA calls it (RFC 8314 section 4.3); or empty */
    int64_t wall_ms;
};
/* Folded below 78 columns where the words allow, ends in CRLF. What could end the clause or open a
 * comment in `ehlo` becomes "?"; the other members are ours or were validated. Empty members are
 * left out. for_path may come with or without its brackets. False (nothing appended) when `out`
 * is full. */
must_use bool received_format(const struct received *received, struct buf *out);
