/*
 * report_uri.h - where reports are asked for: the URIs of rua= (RFC 9990 section 3.5 and RFC 7489
 * section 6.3 before it, RFC 8460 section 3).
 *
 * Texts come from strangers' DNS: a URI of another scheme, or one that is none, is passed over, and
 * the first REPORT_URIS_MAX count. Pure, any thread.
 */
#pragma once

#include "base/bytes.h"

enum { REPORT_URIS_MAX = 8, REPORT_URI_MAX = 512 };

struct report_uri {
    bool is_post;              /* https; else mailto */
    size_t len;                /* of the text */
    char text[REPORT_URI_MAX]; /* the address, or the URL; NUL-terminated */
    uint64_t size_max;         /* octets that are taken; UINT64_MAX: not said */
};

struct report_uris {
    size_t count;
    struct report_uri uris[REPORT_URIS_MAX];
};

/* Of a list with commas. `may_post`: https is taken as well. */
void report_uris_read(struct bytes list, bool may_post, struct report_uris *out);
/* rua= of a record of TLSRPT, "v=TLSRPTv1; rua=..."; false: it is none. */
must_use bool report_tls_record(struct bytes text, struct bytes *rua_out);
/* What stands behind the @ of a mailto. */
struct bytes report_uri_domain(const struct report_uri *uri);
