/* verify_json.c - a verification as one JSON object. */
#include <string.h>

#include "relay/cli/verify_print.h"

enum { FIELD_MAX = 64 * 1024 };

static json_t *text_or_null(struct bytes text)
{
    return text.len > 0 ? json_text(text) : json_null();
}

static json_t *spf_json(const struct spf_result *spf)
{
    return json_pack("{s:s,s:o,s:o}", "result", spf_verdict_name(spf->verdict), "domain",
                     text_or_null(spf->domain), "explanation",
                     text_or_null(spf->verdict == SPF_FAIL ? spf->explanation : BYTES_NONE));
}

static json_t *dkim_json(const struct verification *verification)
{
    json_t *list = json_array();

    check(list != NULL);
    for (size_t i = 0; i < verification_dkim_count(verification); i++) {
        const struct dkim_verdict *verdict = verification_dkim(verification, i);
        json_t *one =
            json_pack("{s:s,s:o,s:o,s:o,s:o}", "result", dkim_result_name(verdict->result),
                      "domain", text_or_null(verdict->domain), "selector",
                      text_or_null(verdict->selector), "algorithm",
                      text_or_null(verdict->algorithm), "reason",
                      text_or_null(verification_dkim_reason(verification, i)));

        json_array_append_new(list, one);
    }
    return list;
}

static json_t *dmarc_json(const struct dmarc *dmarc)
{
    struct bytes domain = bytes_range(dmarc->domain.text, dmarc->domain.len);

    return json_pack("{s:s,s:s?,s:o,s:s}", "result", dmarc_result_name(dmarc->result), "policy",
                     dmarc->has_policy ? dmarc_policy_name(dmarc->policy) : NULL, "domain",
                     text_or_null(dmarc->has_policy ? domain : BYTES_NONE), "disposition",
                     dmarc_policy_name(dmarc->disposition));
}

/* The chain is told as the number of its sets. */
static json_t *arc_json(const struct arc_verdict *arc)
{
    return json_pack("{s:s,s:i}", "result", arc_status_name(arc->status), "chain", (int)arc->count);
}

/* Of an address that is confirmed. */
static json_t *iprev_json(const struct iprev_check *iprev)
{
    return json_pack("{s:s,s:o}", "result", iprev_verdict_name(iprev->verdict), "name",
                     text_or_null(iprev->verdict == IPREV_PASS ? iprev->name : BYTES_NONE));
}

/* The field's body on one line. */
static json_t *field_json(const struct verification *verification, struct bytes id)
{
    struct buf field, line;

    buf_init(&field, FIELD_MAX);
    buf_init(&line, FIELD_MAX);
    bool is_whole = verification_write(verification, id, &field);

    check(is_whole); /* by its bounds: a line a signature, and few more */
    struct bytes rest = buf_bytes(&field);

    check(bytes_take_nocase(&rest, BYTES("Authentication-Results: ")));
    for (size_t i = 0; i < rest.len; i++) {
        uint8_t c = rest.ptr[i];

        if (c == '\r' || c == '\n')
            continue;
        is_whole = buf_append_byte(&line, c == '\t' ? ' ' : c);
        check(is_whole);
    }
    json_t *text = json_text(buf_bytes(&line));

    buf_free(&field);
    buf_free(&line);
    return text;
}

void verify_print_json(const struct verification *verification, struct bytes id)
{
    json_t *helo =
        json_pack("{s:s}", "result", spf_verdict_name(verification_helo(verification)->verdict));

    cli_print_json(json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "spf",
                             spf_json(verification_spf(verification)), "helo", helo, "dkim",
                             dkim_json(verification), "dmarc",
                             dmarc_json(verification_dmarc(verification)), "arc",
                             arc_json(verification_arc(verification)), "iprev",
                             iprev_json(verification_iprev(verification)), "authentication_results",
                             field_json(verification, id)));
}
