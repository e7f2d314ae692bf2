/* modules: mta_sts dns base */
/*
 * fuzz_mta_sts.c - what a domain says of its TLS: the first byte says as what the rest is read, the
 * text of a policy, its TXT record or a TLSA record.
 */
#include <stdint.h>
#include <string.h>

#include "auth/mta_sts/policy.h"
#include "auth/mta_sts/record.h"
#include "dns/tlsa.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

static void read_policy(struct bytes text)
{
    struct mta_sts_policy policy;
    const char *why = NULL;
    struct bytes line;

    if (!mta_sts_policy_parse(text, &policy, &why)) {
        check(why != NULL);
        return;
    }
    check(why == NULL);
    check(policy.max_age_s <= MTA_STS_MAX_AGE_S_MAX);
    check(policy.mode == MTA_STS_NONE || policy.mx_count > 0);
    check(mta_sts_mode_name(policy.mode) != NULL);
    check(!mta_sts_policy_allows(&policy, BYTES_NONE));
    while (mta_sts_line_take(&text, &line)) { /* a host that an mx names is one of its hosts */
        check(line.len > 0);
        if (bytes_equal(bytes_slice(line, 0, 3), BYTES("mx:")) &&
            bytes_find(line, '*', 0) == line.len)
            check(mta_sts_policy_allows(&policy, bytes_trim(bytes_slice(line, 3, line.len))));
    }
}

static void read_record(struct bytes text)
{
    struct bytes id;

    if (!mta_sts_record_parse(text, &id))
        return;
    check(mta_sts_record_is_one(text));
    check(id.len > 0 && id.len <= MTA_STS_ID_MAX);
    check(id.ptr >= text.ptr && id.ptr + id.len <= text.ptr + text.len);
}

static void read_tlsa(struct bytes rdata)
{
    struct tlsa_record record;

    if (tlsa_parse(rdata, &record) != NULL)
        return;
    check(record.usage == TLSA_DANE_TA || record.usage == TLSA_DANE_EE);
    check(record.selector <= 1 && record.matching <= 2);
    check(record.association.len > 0 && record.association.len <= TLSA_ASSOCIATION_MAX);
    check(record.association.ptr + record.association.len == rdata.ptr + rdata.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    if (len == 0)
        return 0;
    struct bytes rest = bytes_range(input + 1, len - 1);

    if (input[0] == 'p')
        read_policy(rest);
    else if (input[0] == 'r')
        read_record(rest);
    else
        read_tlsa(rest);
    return 0;
}
