/*
 * tls_report.h - what an SMTP TLS report says: RFC 8460's JSON, checked and with its own names.
 *
 * Members that are not known are left out; a policy-type that is not known reads as "other". Any
 * thread; not for an engine.
 */
#pragma once

#include <jansson.h>

#include "base/bytes.h"

enum {
    TLS_REPORT_POLICIES_MAX = 10000,
    TLS_REPORT_FAILURES_MAX = 10000, /* of a policy */
};

/* NULL, with a sentence in *why_out: it is no such report. */
must_use json_t *tls_report_read(struct bytes json, const char **why_out);
