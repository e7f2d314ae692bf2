/*
 * dsn_part.h - the recipients' fields and the returned text of a notification. Private to dsn.c.
 */
#pragma once

#include <stdio.h>

#include "delivery/outcome/dsn.h"

struct dsn_part {
    char boundary[40];
    bool is_utf8;    /* RFC 6533 forms */
    bool is_8bit;    /* it goes out with bytes above 127 */
    bool is_whole;   /* else its header section only */
    bool is_encoded; /* what is returned: it has lines longer than SMTP takes */
    bool ends_in_crlf;
    struct bytes prefix;  /* what is returned: the fields we added ... */
    struct bytes content; /* ... and what we were given */
};

void dsn_part_init(struct dsn_part *part, const struct dsn_request *request, bool is_failure);

/* "<a@b.example>: host mx.b.example said: 550 5.1.1 ..." */
bool dsn_put_reason(const struct dsn_recipient *recipient, const struct dsn_part *part,
                    struct buf *out);
/* Original-Envelope-Id, if there is one (RFC 3464 section 2.2.1). */
bool dsn_put_envelope_id(const struct message *message, const struct dsn_part *part,
                         struct buf *out);
/* The per-recipient fields of RFC 3464 section 2.3. */
bool dsn_put_recipient(const struct dsn_recipient *recipient, const struct dsn_part *part,
                       struct buf *out);
