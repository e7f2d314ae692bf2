/*
 * mail_parts.h - the parts of a message (RFC 2046), decoded, for those who read reports.
 *
 * The tree is flattened: leaves in their order, containers left out. A message in the message
 * (message/rfc822 and its kin) is one part with its bytes as they stand, and is not looked into.
 * Built on GMime, so it allocates and takes time with the size of the message: never on an engine.
 * Any thread, one at a time for each struct.
 */
#pragma once

#include "base/arena.h"

enum {
    MAIL_PARTS_MAX = 64,
    MAIL_PARTS_DEPTH_MAX = 8,
};

struct mail_part {
    struct bytes type;    /* "text/plain", in lower case */
    struct bytes content; /* transfer encoding undone, lines end as they came */
};

struct mail_parts {
    struct arena arena;      /* what the parts lie in */
    struct bytes type;       /* of the whole message, in lower case */
    struct bytes report;     /* its report-type parameter (RFC 6522), in lower case; or empty */
    struct bytes failed_for; /* X-Failed-Recipients of its header, without its folds; or empty */
    size_t count;
    bool is_cut; /* there were more parts, or deeper ones */
    struct mail_part parts[MAIL_PARTS_MAX];
};

/* True: *out is to be freed, and message may go. False: out of memory, or it is no message. */
must_use bool mail_parts_read(struct bytes message, struct mail_parts *out);
/* The first part of that type, NULL if there is none. */
const struct mail_part *mail_parts_find(const struct mail_parts *parts, const char *type);
void mail_parts_free(struct mail_parts *parts);
