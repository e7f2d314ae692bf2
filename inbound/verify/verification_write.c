/* verification_write.c - the Authentication-Results field of a message. */
#include <stdio.h>

#include "auth/results.h"
#include "inbound/verify/verification_private.h"

enum { SIGNATURE_TEXT_MAX = 8 }; /* octets of b= in header.b (RFC 6008 section 4) */

static void write_spf(struct results *results, const struct verification *v)
{
    const struct spf_result *spf = spf_result(v->spf);
    const struct spf_result *helo = spf_result(v->helo);

    if (v->mail_from.len > 0) {
        results_method(results, "spf", spf_verdict_name(spf->verdict));
        results_property(results, "smtp", "mailfrom", v->mail_from);
    }
    results_method(results, "spf", spf_verdict_name(helo->verdict));
    results_property(results, "smtp", "helo", v->helo_name);
}

/* The front of b= without its folds tells signatures of one domain and selector apart. */
static void write_signature_text(struct results *results, struct bytes text)
{
    uint8_t front[SIGNATURE_TEXT_MAX];
    size_t len = 0;

    for (size_t i = 0; i < text.len && len < sizeof(front); i++)
        if (text.ptr[i] > ' ' && text.ptr[i] < 127)
            front[len++] = text.ptr[i];
    results_property(results, "header", "b", bytes_range(front, len));
}

static void write_dkim(struct results *results, const struct verification *v)
{
    size_t count = dkim_verifier_count(v->dkim);

    if (count == 0)
        results_method(results, "dkim", dkim_result_name(DKIM_NONE));
    for (size_t i = 0; i < MIN(count, (size_t)DKIM_SIGNATURES_MAX); i++) {
        const struct dkim_verdict *verdict = dkim_verifier_verdict(v->dkim, i);

        results_method(results, "dkim", dkim_result_name(verdict->result));
        results_reason(results, verification_dkim_reason(v, i));
        results_property(results, "header", "d", verdict->domain);
        results_property(results, "header", "s", verdict->selector);
        results_property(results, "header", "a", verdict->algorithm);
        write_signature_text(results, verdict->signature_text);
    }
}

/* RFC 8617 section 10.1. */
static void write_arc(struct results *results, const struct verification *v)
{
    const struct arc_verdict *arc = arc_verifier_verdict(v->arc);
    char text[ADDRESS_TEXT_MAX];

    results_method(results, "arc", arc_status_name(arc->status));
    if (arc->status == ARC_NONE)
        return;
    snprintf(text, sizeof(text), "i=%u", arc->count);
    results_comment(results, text);
    if (arc->status == ARC_FAIL)
        results_reason(results, arc->reason);
    if (v->client.any.sa_family != AF_UNSPEC)
        results_property(results, "smtp", "remote-ip",
                         bytes_range(text, address_format(&v->client, text)));
    if (arc->status != ARC_PASS)
        return;
    snprintf(text, sizeof(text), "%u", arc->oldest_pass);
    results_property(results, "header", "oldest-pass", bytes_of(text));
}

static void write_dmarc(struct results *results, const struct verification *v)
{
    const struct dmarc *dmarc = &v->dmarc;
    char facts[64];

    results_method(results, "dmarc", dmarc_result_name(dmarc->result));
    if (dmarc->has_policy) {
        snprintf(facts, sizeof(facts), "%s=%s dis=%s", dmarc->policy_tag,
                 dmarc_policy_name(dmarc->policy), dmarc_policy_name(dmarc->disposition));
        results_comment(results, facts);
    }
    if (dmarc->result != DMARC_PASS)
        results_reason(results, bytes_of(dmarc->why));
    if (v->authors.domain_count > 0)
        results_property(results, "header", "from", author_domain(&v->authors, 0));
}

static void write_iprev(struct results *results, const struct verification *v)
{
    char address[ADDRESS_TEXT_MAX];

    results_method(results, "iprev", iprev_verdict_name(v->iprev.verdict));
    if (v->iprev.verdict == IPREV_NONE)
        return;
    if (v->iprev.verdict == IPREV_PASS)
        results_comment(results, "the name leads back");
    results_property(results, "policy", "iprev",
                     bytes_range(address, address_format(&v->client, address)));
}

bool verification_write(const struct verification *v, struct bytes id, struct buf *out)
{
    struct results results;

    results_begin(&results, id, out);
    write_spf(&results, v);
    write_dkim(&results, v);
    write_arc(&results, v);
    write_dmarc(&results, v);
    write_iprev(&results, v);
    return results_end(&results);
}
