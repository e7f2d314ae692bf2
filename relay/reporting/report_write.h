/*
 * report_write.h - the reports themselves: a DMARC aggregate report (RFC 9990; readers of RFC 7489
 * know what they need in it), a TLS report (RFC 8460), and the mail that brings one.
 *
 * Written from a tally, with texts of strangers escaped. Any thread; allocates.
 */
#pragma once

#include <jansson.h>

#include "base/buf.h"
#include "reporting/tally.h"

enum {
    REPORT_TEXT_MAX = 16 << 20, /* of a report before it is packed */
    REPORT_PACKED_MAX = 8 << 20,
    REPORT_MAIL_MAX = 12 << 20,
    REPORT_NAME_MAX = 700,
    REPORT_ID_MAX = 400,
};

/* Who reports. */
struct report_author {
    const char *organization, *email;
    const char *contact;  /* NULL: none */
    const char *hostname; /* whose receiver, or sender, it is */
};

/* Of the same report always the same. */
void report_id(const struct report_author *author, const struct tally_report *report,
               char out[static REPORT_ID_MAX]);
/* "mx.example.net!shop.example!1795737600!1795823999.xml.gz" */
void report_file_name(const struct report_author *author, const struct tally_report *report,
                      char out[static REPORT_NAME_MAX]);

/* Appends. False: the tally does not read, or it is too long. */
must_use bool report_write_dmarc(struct tally *tally, const struct tally_report *report,
                                 const struct report_author *author, struct buf *out);

/* Adds what is known of a policy, "policy-string" and "mx-host", to it. */
struct report_describe {
    void *context;
    void (*tell)(void *context, struct bytes domain, const char *type, struct bytes policy_domain,
                 json_t *policy);
};
must_use bool report_write_tls(struct tally *tally, const struct tally_report *report,
                               const struct report_author *author,
                               const struct report_describe *describe, struct buf *out);

/* gzip (RFC 1952). */
must_use bool report_pack(struct bytes text, struct buf *out);
/* The whole message with `packed` attached. */
must_use bool report_write_mail(const struct tally_report *report,
                                const struct report_author *author, const char *to,
                                struct bytes packed, int64_t wall_ms, struct buf *out);
