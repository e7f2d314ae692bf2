/* tls_count.c - from the event of an attempt to a row. */
#include "reporting/tls_count.h"

#include <string.h>

#include "event/json_text.h"

/* Most attempts are of connections that were there, with a success that was counted. */
bool tls_count_may(struct bytes line)
{
    static const struct bytes no_tls = BYTES("\"result\":null,\"reason\"");
    static const struct bytes no_connect = BYTES("\"connect_ms\":null");
    static const struct bytes success = BYTES("\"result\":\"success\",\"reason\"");

    if (bytes_find_bytes(line, no_tls, 0) < line.len)
        return false;
    return bytes_find_bytes(line, no_connect, 0) == line.len ||
           bytes_find_bytes(line, success, 0) == line.len;
}

/* The demand says; with none, what was found wrong while one was looked for. */
static struct bytes type_of(struct bytes source, struct bytes result)
{
    if (bytes_equal(source, BYTES("dane")) || bytes_starts_nocase(result, BYTES("tlsa-")) ||
        bytes_starts_nocase(result, BYTES("dane-")) ||
        bytes_starts_nocase(result, BYTES("dnssec-")))
        return BYTES("tlsa");
    if (bytes_equal(source, BYTES("mta-sts")) || bytes_starts_nocase(result, BYTES("sts-")))
        return BYTES("sts");
    return BYTES("no-policy-found");
}

static bool take_domain(struct bytes recipient, struct tls_count *out)
{
    size_t at = recipient.len;

    while (at > 0 && recipient.ptr[at - 1] != '@')
        at--;
    struct bytes domain = bytes_slice(recipient, at, recipient.len);

    if (at == 0 || domain.len == 0 || domain.len > TALLY_DOMAIN_MAX || domain.ptr[0] == '[' ||
        bytes_has_8bit(domain))
        return false;
    for (size_t i = 0; i < domain.len; i++)
        out->domain_text[i] = (char)byte_lower(domain.ptr[i]);
    out->domain = bytes_range(out->domain_text, domain.len);
    return true;
}

static uint64_t mix(uint64_t hash, struct bytes text)
{
    return (hash ^ bytes_hash(text)) * UINT64_C(0x9e3779b97f4a7c15);
}

/* An attempt is told by its message, its time and its host; of another domain it is another one,
 * for each domain has a report of its own. */
static bool was_seen(struct tls_count_seen *seen, const json_t *event,
                     const struct tls_count *count)
{
    const json_t *egress = json_object_get(event, "egress");
    uint64_t hash = mix(1, json_text_at(event, "id"));

    hash = mix(hash, json_text_at(json_object_get(event, "attempt"), "time"));
    hash = mix(hash, json_text_at(egress, "mx_host"));
    hash = mix(hash, json_text_at(egress, "mx_ip"));
    hash = mix(hash, count->domain) | 1;
    uint64_t *place = &seen->hashes[(hash >> 8) % TLS_COUNT_SEEN];
    bool was = *place == hash;

    *place = hash;
    return was;
}

bool tls_count_take(const json_t *event, struct tls_count_seen *seen, struct tls_count *out)
{
    const json_t *tls = json_object_get(event, "tls"), *egress = json_object_get(event, "egress");
    const json_t *times = json_object_get(json_object_get(event, "attempt"), "times");
    struct bytes result = json_text_at(tls, "result"), host = json_text_at(egress, "mx_host");
    bool is_good = bytes_equal(result, BYTES("success"));
    bool has_connected = json_is_integer(json_object_get(times, "connect_ms"));
    bool is_refused = bytes_equal(json_text_at(tls, "policy"), BYTES("refuse"));

    *out = (struct tls_count){0};
    /* In plain on a connection that was there: its failure was counted when it began. */
    if (result.len == 0 || (!has_connected && !is_refused && (is_good || host.len == 0)) ||
        !take_domain(json_text_at(event, "recipient"), out))
        return false;
    bool is_reused =
        !has_connected && !is_refused && json_is_integer(json_object_get(times, "envelope_ms"));
    if (is_reused || was_seen(seen, event, out))
        return false;
    struct bytes *columns = out->row.columns;

    columns[TLS_POLICY_TYPE] = type_of(json_text_at(tls, "source"), result);
    bool is_dane = bytes_equal(columns[TLS_POLICY_TYPE], BYTES("tlsa"));
    columns[TLS_POLICY_DOMAIN] = is_dane && host.len > 0 ? host : out->domain;
    columns[TLS_RESULT] = result;
    out->row.count = 1;
    if (is_dane)
        columns[TLS_MX_HOST] = host;
    if (is_good)
        return true;
    columns[TLS_SOURCE_IP] = json_text_at(egress, "source_ip");
    columns[TLS_MX_HOST] = host;
    columns[TLS_MX_IP] = json_text_at(egress, "mx_ip");
    columns[TLS_REASON] = bytes_slice(json_text_at(tls, "reason"), 0, TLS_COUNT_TEXT_MAX);
    return true;
}
