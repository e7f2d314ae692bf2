/*
 * domain_show.h - a domain's records as a table, as a zone file, as JSON.
 */
#pragma once

#include "directory/domain_records.h"
#include "relay/cli/cli.h"
#include "relay/cli/domain_reach.h"

enum domain_form { DOMAIN_TABLE, DOMAIN_ZONE, DOMAIN_JSON };

/* What was found of a record; NULL where nobody looked. */
struct domain_found {
    enum domain_record_finding finding;
    struct bytes shown;
    const char *failure; /* DNS did not answer: why; else NULL */
};

/* What is found of a domain beside its records. */
struct domain_tls {
    enum domain_record_finding finding; /* of the certificates that who sends to us is shown */
    char why[512];                      /* what is wrong, or for whom they are */
};

/* {"domain", "state", "records": [{"purpose", "name", "type", "value"}...]}; with `found` each
 * record has "result" and "found" too, `tls` is {"tls": {"result", "why"}}, and `reach` is
 * {"hosts": [{"host", "address", "result", "why"}...], "policy": {"result", "why", "value"}}, whose
 * value is a text to publish. NULL: nobody looked. */
void domain_show(enum domain_form form, const struct domain_row *domain, size_t count,
                 const struct domain_record *records, const struct domain_found *found,
                 const struct domain_tls *tls, const struct domain_reach *reach);
