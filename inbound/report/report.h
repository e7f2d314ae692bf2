/*
 * report.h - what a machine tells of mail of ours: a bounce, a complaint, a DMARC aggregate report
 * or a TLS report, from a message or from the bare XML or JSON of the last two.
 *
 * Reading allocates and takes time with the size of the report: not for an engine. Any thread, one
 * at a time for each struct.
 */
#pragma once

#include "inbound/report/bounce.h"
#include "inbound/report/complaint.h"

#include <jansson.h>

enum {
    REPORT_SIZE_MAX = 32 << 20,     /* of the message */
    REPORT_UNPACKED_MAX = 16 << 20, /* of what is packed in it */
};

enum report_kind {
    REPORT_BOUNCE,
    REPORT_COMPLAINT,
    REPORT_DMARC,
    REPORT_TLS,
};

struct report {
    enum report_kind kind;
    struct mail_parts parts; /* what the texts below lie in */
    union {
        struct bounce bounce;
        struct complaint complaint;
        json_t *facts; /* REPORT_DMARC: aggregate.h, REPORT_TLS: tls_report.h */
    };
};

const char *report_kind_name(enum report_kind kind); /* "bounce", ... */
/* True: *out is to be freed, and `message` may go. False, with a sentence in *why_out: it is none
 * of the four, or it is damaged. */
must_use bool report_read(struct bytes message, struct report *out, const char **why_out);
/* The whole report as one object, as docs/reports.md names its members; NULL without memory. */
must_use json_t *report_json(const struct report *report);
void report_free(struct report *report);
