/* families.c - the table of what is counted by a name. */
#include "base/families.h"

#define OUTCOMES(of, whose) \
    [RECIPIENTS_DELIVERED] = {"ringpost_" of "_delivered_total", EXPOSITION_COUNTER, \
                              "Recipients " whose " delivered"}, \
    [RECIPIENTS_DEFERRED] = {"ringpost_" of "_deferred_total", EXPOSITION_COUNTER, \
                             "Attempts for recipients " whose " that failed for now"}, \
    [RECIPIENTS_BOUNCED] = {"ringpost_" of "_bounced_total", EXPOSITION_COUNTER, \
                            "Recipients " whose " refused for good"}, \
    [RECIPIENTS_EXPIRED] = {"ringpost_" of "_expired_total", EXPOSITION_COUNTER, \
                            "Recipients " whose " given up because they were too old"}

static const struct family_value of_sites[] = {
    OUTCOMES("site", "of a provider or MX set"),
    [RECIPIENTS_WAITING] = {"ringpost_site_waiting", EXPOSITION_GAUGE,
                            "Recipients in line for a provider or MX set"},
};

static const struct family_value of_classes[] = {
    OUTCOMES("class", "by the class of the reply or failure"),
};

static const struct family_value of_tenants[] = {
    OUTCOMES("tenant", "of a tenant"),
    [RECIPIENTS_WAITING] = {"ringpost_tenant_waiting", EXPOSITION_GAUGE,
                            "Unfinished recipients of a tenant"},
    [RECIPIENTS_CANCELLED] = {"ringpost_tenant_cancelled_total", EXPOSITION_COUNTER,
                              "Recipients of a tenant taken back by an operator"},
    [RECIPIENTS_ACCEPTED] = {"ringpost_tenant_accepted_total", EXPOSITION_COUNTER,
                             "Recipients of a tenant accepted, those of notifications included"},
    [RECIPIENTS_THROTTLED] = {"ringpost_tenant_throttled", EXPOSITION_GAUGE,
                              "Recipients of a tenant that wait for its rates"},
    [RECIPIENTS_RECOVERED] =
        {"ringpost_tenant_recovered_total", EXPOSITION_COUNTER,
         "Recipients of a tenant that were unfinished at the start, or when it "
         "got a name of its own"},
    [RECIPIENTS_NAMED] =
        {"ringpost_tenant_named_total", EXPOSITION_COUNTER,
         "Recipients in 'other' that were unfinished when their tenant got a name"},
};

static const struct family_carry tenants_carry = {RECIPIENTS_WAITING, RECIPIENTS_RECOVERED,
                                                  RECIPIENTS_NAMED};

static const struct family_value of_received[] = {
    OUTCOMES("received", "of a tenant that it did not submit"),
    [RECIPIENTS_WAITING] = {"ringpost_received_waiting", EXPOSITION_GAUGE,
                            "Unfinished recipients of a tenant that it did not submit"},
    [RECIPIENTS_CANCELLED] = {"ringpost_received_cancelled_total", EXPOSITION_COUNTER,
                              "Recipients of a tenant that it did not submit taken back by an "
                              "operator"},
    [RECIPIENTS_ACCEPTED] = {"ringpost_received_accepted_total", EXPOSITION_COUNTER,
                             "Recipients of a tenant that it did not submit accepted"},
    [RECIPIENTS_RECOVERED] = {"ringpost_received_recovered_total", EXPOSITION_COUNTER,
                              "Recipients of a tenant that it did not submit that were "
                              "unfinished at the start, or when it got a name of its own"},
    [RECIPIENTS_NAMED] = {"ringpost_received_named_total", EXPOSITION_COUNTER,
                          "Recipients in 'other' that their tenant did not submit and that were "
                          "unfinished when it got a name"},
};

static const struct family_value of_sources[] = {
    [SOURCE_OPENED] = {"ringpost_source_connections_opened_total", EXPOSITION_COUNTER,
                       "Connections begun from a source"},
    [SOURCE_OPEN] = {"ringpost_source_connections", EXPOSITION_GAUGE,
                     "Connections from a source now"},
};

struct family family_sites = FAMILY(family_sites, "site", of_sites, NULL);
struct family family_classes = FAMILY(family_classes, "class", of_classes, NULL);
struct family family_tenants = FAMILY(family_tenants, "tenant", of_tenants, &tenants_carry);
struct family family_received = FAMILY(family_received, "tenant", of_received, &tenants_carry);
struct family family_sources = FAMILY(family_sources, "source", of_sources, NULL);

static struct family *const families[] = {&family_sites, &family_classes, &family_tenants,
                                          &family_received, &family_sources};

void families_tell(struct exposition *exposition, int64_t now_ms)
{
    for (size_t i = 0; i < ARRAY_LEN(families); i++)
        family_tell(families[i], exposition, now_ms);
}
