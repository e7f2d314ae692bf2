/* domain_check.c - names of addresses by the machine of iprev, certificates by their files. */
#include "relay/cli/domain_check.h"

#include <stdio.h>

#include "auth/iprev.h"
#include "base/clock.h"
#include "io/tls_certificate.h"
#include "relay/certificates.h"

struct bytes domain_check_octets(const struct address *address)
{
    return client_address_plain(address->any.sa_family == AF_INET
                                    ? bytes_range(&address->v4.sin_addr, 4)
                                    : bytes_range(&address->v6.sin6_addr, 16));
}

/* --- names ------------------------------------------------------------------------------------ */

static enum dns_type type_of(enum lookup_type type)
{
    return type == LOOKUP_PTR ? DNS_TYPE_PTR : type == LOOKUP_A ? DNS_TYPE_A : DNS_TYPE_AAAA;
}

static enum lookup_result result_of(const struct dns_look_answer *answer)
{
    if (answer->status == DNS_FAILED)
        return LOOKUP_FAILED;
    return answer->count > 0 ? LOOKUP_FOUND : LOOKUP_NO_DATA;
}

/* Whether there was an answer; *why_out: why not. */
static void ask(struct dns_look *look, const struct lookup *question, struct arena *arena,
                struct iprev_check *check, const char **why_out)
{
    struct lookup_record records[DNS_RECORDS_MAX];
    struct dns_look_answer answer;

    dns_look(look, question->name, type_of(question->type), arena, &answer);
    for (size_t i = 0; i < answer.count; i++) {
        const struct dns_record *record = &answer.records[i];

        records[i].text = question->type == LOOKUP_PTR ? record->name
                          : question->type == LOOKUP_A ? bytes_range(&record->a, 4)
                                                       : bytes_range(&record->aaaa, 16);
    }
    if (answer.status == DNS_FAILED)
        *why_out = answer.why;
    iprev_answer(check, &(struct lookup_answer){result_of(&answer), answer.count, records});
}

void domain_check_reverse(struct dns_look *look, const struct address *client, struct arena *arena,
                          struct domain_found *out)
{
    struct iprev_check check;
    struct lookup question;
    const char *why = "no answer";

    *out = (struct domain_found){.finding = RECORD_MISSING, .shown = BYTES("")};
    iprev_start(&check, domain_check_octets(client));
    while (iprev_run(&check, &question) == CHECK_ASKS)
        ask(look, &question, arena, &check, &why);
    switch (check.verdict) {
    case IPREV_PASS:
        out->finding = RECORD_RIGHT;
        break;
    case IPREV_FAIL:
        out->finding = RECORD_WRONG;
        break;
    case IPREV_TEMPERROR:
        out->failure = why;
        break;
    case IPREV_NONE:
    case IPREV_PERMERROR:
        break;
    }
    if (check.name.len > 0 && !arena_copy(arena, check.name, &out->shown))
        out->shown = BYTES("");
}

/* --- certificates ----------------------------------------------------------------------------- */

static void keep_why(void *context, const char *text)
{
    struct domain_tls *tls = context;

    if (tls->why[0] == '\0')
        (void)snprintf(tls->why, sizeof(tls->why), "%s", text);
}

/* NULL: whoever asks for a certificate that it can verify is content with it. */
static const char *judge(const struct tls_certificate *certificate, struct bytes host)
{
    int64_t now_ms = clock_wall_ms();

    if (!tls_certificate_is_for(certificate, host))
        return "it is not for the name that MX records lead to";
    if (tls_certificate_not_after_ms(certificate) <= now_ms)
        return "it has expired";
    if (tls_certificate_not_before_ms(certificate) > now_ms)
        return "it does not hold yet";
    if (tls_certificate_is_self_signed(certificate))
        return "it is self-signed, which MTA-STS does not take";
    return tls_certificate_is_in_order(certificate) ? NULL : "its chain is not in order";
}

void domain_check_tls(struct config *config, struct domain_tls *out)
{
    const struct config_certificate *first = &config->tls.first;
    char names[TLS_NAMES_MAX], until[CLOCK_TEXT_MAX];

    *out = (struct domain_tls){.finding = RECORD_MISSING};
    if (first->certificate == NULL) {
        keep_why(out, "tls.certificate is not set, so that mail comes in clear text");
        return;
    }
    out->finding = RECORD_WRONG;
    if (first->loaded == NULL && !certificates_load(config, keep_why, out))
        return;
    const struct tls_certificate *shown = first->loaded;
    const char *wrong = judge(shown, bytes_of(config->hostname));

    for (size_t i = 0; i < config->tls.more_count && wrong != NULL; i++) {
        if (judge(config->tls.more[i].loaded, bytes_of(config->hostname)) != NULL)
            continue;
        shown = config->tls.more[i].loaded;
        wrong = NULL;
    }
    tls_certificate_names(shown, names);
    clock_format_rfc3339(tls_certificate_not_after_ms(shown), until);
    if (wrong == NULL)
        out->finding = RECORD_RIGHT;
    (void)snprintf(out->why, sizeof(out->why), "for %s until %s%s%s", names, until,
                   wrong != NULL ? ": " : "", wrong != NULL ? wrong : "");
}
