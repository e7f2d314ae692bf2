/* dmarc_count.c - from the checks of an event to a row. */
#include "reporting/dmarc_count.h"

#include <stdio.h>
#include <string.h>

#include "event/json_text.h"

enum { SIGNATURES_MAX = 10 };

struct bytes dmarc_count_word(struct bytes text, const char *key)
{
    struct bytes name = bytes_of(key);

    while (text.len > 0) {
        size_t end = bytes_find(text, ' ', 0);
        struct bytes word = bytes_slice(text, 0, end);

        if (word.len > name.len && word.ptr[name.len] == '=' &&
            bytes_equal(bytes_slice(word, 0, name.len), name))
            return bytes_slice(word, name.len + 1, word.len);
        text = bytes_slice(text, end + 1, text.len);
    }
    return BYTES_NONE;
}

static const json_t *check_of(const json_t *checks, const char *name)
{
    for (size_t i = 0; i < json_array_size(checks); i++) {
        const json_t *line = json_array_get(checks, i);

        if (bytes_equal(json_text_at(line, "check"), bytes_of(name)))
            return line;
    }
    return NULL;
}

/* A type of RFC 9990's, and what we call it. */
static struct bytes reason_of(struct bytes override, bool is_testing)
{
    if (bytes_equal(override, BYTES("trusted_forwarder")))
        return BYTES("trusted_forwarder");
    if (bytes_equal(override, BYTES("monitor")))
        return BYTES("local_policy monitor");
    if (bytes_equal(override, BYTES("arc")))
        return BYTES("local_policy arc=pass");
    if (override.len > 0)
        return BYTES("local_policy exempt");
    return is_testing ? BYTES("policy_test_mode") : BYTES_NONE;
}

/* Their results in order, their selectors as a list beside them. */
static json_t *dkim_auth(const json_t *checks, struct bytes selectors)
{
    json_t *all = json_array();

    for (size_t i = 0; i < json_array_size(checks); i++) {
        const json_t *line = json_array_get(checks, i);
        struct bytes selector = BYTES_NONE, domain = json_text_at(line, "detail"),
                     result = json_text_at(line, "result");

        if (!bytes_equal(json_text_at(line, "check"), BYTES("dkim")))
            continue;
        if (!bytes_take_until(&selectors, ',', &selector)) {
            selector = selectors;
            selectors = BYTES_NONE;
        }
        if (domain.len > 0 && json_array_size(all) < SIGNATURES_MAX)
            (void)!json_array_append_new(all,
                                         json_pack("[s%,s%,s%]", domain.ptr, domain.len,
                                                   selector.len > 0 ? (const char *)selector.ptr
                                                                    : "",
                                                   selector.len, result.ptr, result.len));
    }
    return all;
}

static bool put_auth(const json_t *checks, struct bytes selectors, struct dmarc_count *out)
{
    const json_t *spf = check_of(checks, "spf");
    struct bytes domain = json_text_at(spf, "detail"), result = json_text_at(spf, "result");
    json_t *auth = json_pack("{s:o,s:[s%,s%]}", "dkim", dkim_auth(checks, selectors), "spf",
                             domain.len > 0 ? (const char *)domain.ptr : "", domain.len,
                             result.len > 0 ? (const char *)result.ptr : "none",
                             result.len > 0 ? result.len : 4);
    size_t len = auth != NULL ? json_dumpb(auth, out->auth, sizeof(out->auth), JSON_COMPACT) : 0;

    json_decref(auth);
    if (len == 0 || len > sizeof(out->auth))
        return false;
    out->row.columns[DMARC_AUTH] = bytes_range(out->auth, len);
    return true;
}

/* Copied in lower case; what is too long is none. */
static struct bytes put_domain(struct bytes domain, char out[static TALLY_DOMAIN_MAX + 1])
{
    if (domain.len > TALLY_DOMAIN_MAX)
        return BYTES_NONE;
    for (size_t i = 0; i < domain.len; i++)
        out[i] = (char)byte_lower(domain.ptr[i]);
    return bytes_range(out, domain.len);
}

static struct bytes domain_of(struct bytes address)
{
    size_t at = address.len;

    while (at > 0 && address.ptr[at - 1] != '@')
        at--;
    return at > 0 ? bytes_slice(address, at, address.len) : BYTES_NONE;
}

static bool was_put_off(const json_t *event)
{
    const json_t *code = json_object_get(json_object_get(event, "reply"), "code");

    return json_integer_value(code) >= 400 && json_integer_value(code) < 500;
}

bool dmarc_count_take(const json_t *event, struct dmarc_count *out)
{
    const json_t *checks = json_object_get(event, "checks");
    const json_t *dmarc = check_of(checks, "dmarc"), *record = check_of(checks, "dmarc-record");
    struct bytes said = json_text_at(record, "detail"), found = json_text_at(dmarc, "detail");
    struct bytes weight = json_text_at(dmarc, "weight");
    struct bytes override = dmarc_count_word(found, "override");
    struct bytes policy = said;

    *out = (struct dmarc_count){.domain = dmarc_count_word(said, "domain")};
    if (out->domain.len == 0 || was_put_off(event))
        return false;
    if (bytes_equal(json_text_at(dmarc, "result"), BYTES("temperror")))
        return false;
    /* What was published stands before what came of it. */
    policy.len = MIN(bytes_find_bytes(said, BYTES(" dkim="), 0), sizeof(out->policy_text) - 1);
    memcpy(out->policy_text, policy.ptr, policy.len);
    out->policy = bytes_range(out->policy_text, policy.len);
    struct bytes *columns = out->row.columns;

    columns[DMARC_SOURCE_IP] = json_text_at(json_object_get(event, "client"), "ip");
    columns[DMARC_DISPOSITION] = bytes_equal(weight, BYTES("refuse")) ? BYTES("reject")
                                 : bytes_equal(weight, BYTES("tag"))  ? BYTES("quarantine")
                                                                      : BYTES("none");
    columns[DMARC_DKIM] = dmarc_count_word(said, "dkim");
    columns[DMARC_SPF] = dmarc_count_word(said, "spf");
    columns[DMARC_REASON] =
        reason_of(override, bytes_equal(dmarc_count_word(said, "softened"), BYTES("y")));
    columns[DMARC_HEADER_FROM] =
        put_domain(bytes_slice(found, 0, bytes_find(found, ' ', 0)), out->header_from);
    columns[DMARC_ENVELOPE_FROM] =
        put_domain(domain_of(json_text_at(event, "sender")), out->envelope_from);
    out->row.count = 1;
    return columns[DMARC_SOURCE_IP].len > 0 &&
           put_auth(checks, dmarc_count_word(said, "selectors"), out);
}
