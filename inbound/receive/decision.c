/* decision.c - the results of the checks, one after the other, and what each weighs. */
#include "inbound/receive/decision.h"

#include <stdio.h>
#include <string.h>

#include "event/event_checks.h"
#include "smtp/domain_pattern.h"

enum { RECORD_DETAIL_MAX = 1200, RECORD_SELECTORS_MAX = 10 };

static const char *const weights[] = {
    [DECISION_TAG] = "tag",
    [DECISION_DEFER] = "defer",
    [DECISION_REFUSE] = "refuse",
};

void decision_init(struct decision *decision)
{
    *decision = (struct decision){.verdict = VERDICT_OK};
    buf_init(&decision->checks, DECISION_CHECKS_MAX);
}

void decision_free(struct decision *decision)
{
    buf_free(&decision->checks);
}

/* What does not fit is left out: the first checks are those that decide. */
static void note(struct decision *decision, const char *name, const char *result,
                 const char *weight, struct bytes detail)
{
    struct event_check check = {
        .name = bytes_of(name),
        .result = bytes_of(result),
        .weight = bytes_of(weight),
        .detail = detail,
    };

    bool fits = event_checks_add(&decision->checks, &check);
    (void)fits;
}

/* The first refusal counts; a later one for good takes the place of one for now. `text` has one %s
 * at most, for `name`. */
static void refuse(struct decision *decision, struct verdict verdict, struct bytes name)
{
    const char *text = verdict.text;
    size_t at = bytes_find(bytes_of(text), '%', 0);

    if (decision->verdict.code != 0 && (decision->verdict.code >= 500 || verdict.code < 500))
        return;
    decision->verdict = verdict;
    if (text[at] == '\0')
        return;
    snprintf(decision->text, sizeof(decision->text), "%.*s%.*s%s", (int)at, text, BYTES_ARG(name),
             text + at + 2);
    decision->verdict.text = decision->text;
}

static void mark(struct decision *decision, const char *why)
{
    if (decision->is_allowed)
        return;
    if (!decision->is_spam)
        decision->spam_why = why;
    decision->is_spam = true;
}

/* A name that may stand in a reply: of letters, digits, hyphens and dots alone. */
static bool is_plain_name(struct bytes name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!byte_is_alnum(name.ptr[i]) && name.ptr[i] != '-' && name.ptr[i] != '.')
            return false;
    return name.len > 0 && name.len <= 253;
}

static struct bytes name_for_reply(struct bytes name)
{
    return is_plain_name(name) ? name : BYTES("the sender's domain");
}

/* --- SPF -------------------------------------------------------------------------------------- */

static bool is_forwarder(const struct decision_rules *rules, const struct address *client)
{
    return networks_contain(rules->forwarders, rules->forwarder_count, client);
}

/* RFC 7372 section 3.2: 5.7.23. Before DMARC passes by a signature it says little. */
static void judge_spf(struct decision *decision, const struct decision_rules *rules,
                      const struct verification *v, const struct address *client)
{
    const struct spf_result *spf = verification_spf(v);
    const struct spf_result *helo = verification_helo(v);
    bool is_saved = verification_dmarc(v)->result == DMARC_PASS || is_forwarder(rules, client);
    bool counts = spf->verdict == SPF_FAIL && !is_saved && rules->spf_fail != DECISION_TAG;

    note(decision, "spf", spf_verdict_name(spf->verdict), counts ? weights[rules->spf_fail] : "",
         spf->domain);
    note(decision, "helo", spf_verdict_name(helo->verdict), "", helo->domain);
    if (!counts)
        return;
    bool is_for_good = rules->spf_fail == DECISION_REFUSE;
    refuse(decision,
           verdict_refuse(is_for_good ? 550 : 451, is_for_good ? "5.7.23" : "4.7.23",
                          "The SPF record of %s does not let your address send for it",
                          "inbound.spf_fail"),
           name_for_reply(spf->domain));
}

/* --- signatures ------------------------------------------------------------------------------- */

static void note_dkim(struct decision *decision, const struct verification *v)
{
    size_t count = verification_dkim_count(v);

    if (count == 0)
        note(decision, "dkim", "none", "", BYTES_NONE);
    for (size_t i = 0; i < MIN(count, (size_t)DKIM_SIGNATURES_MAX); i++) {
        const struct dkim_verdict *verdict = verification_dkim(v, i);

        note(decision, "dkim", dkim_result_name(verdict->result), "", verdict->domain);
    }
}

static void note_arc(struct decision *decision, const struct verification *v)
{
    const struct arc_verdict *arc = verification_arc(v);

    note(decision, "arc", arc_status_name(arc->status), "",
         arc->status == ARC_NONE ? BYTES_NONE : arc->chain);
}

/* --- DMARC ------------------------------------------------------------------------------------ */

/* Behind a quoted string or a comment that begins at `at`; comments nest. */
static size_t skip_quoted(struct bytes text, size_t at)
{
    bool is_comment = text.ptr[at] == '(';
    unsigned depth = 1;

    for (at++; at < text.len && depth > 0; at++) {
        uint8_t c = text.ptr[at];

        if (c == '\\')
            at++;
        else if (!is_comment)
            depth -= c == '"';
        else
            depth += (c == '(') - (unsigned)(c == ')');
    }
    return MIN(at, text.len);
}

/* Does an ARC-Authentication-Results field say dmarc=pass, as a method of its own and in no
 * string that somebody else chose? */
static bool says_dmarc_pass(struct bytes results)
{
    static const struct bytes pass = BYTES("dmarc=pass");
    bool is_first = false; /* word behind a semicolon */

    for (size_t at = 0; at < results.len;) {
        uint8_t c = results.ptr[at];

        if (c == '"' || c == '(') {
            at = skip_quoted(results, at);
            continue;
        }
        struct bytes rest = bytes_slice(results, at, results.len);
        if (is_first && bytes_starts_nocase(rest, pass) &&
            (rest.len == pass.len || !byte_is_alnum(rest.ptr[pass.len])))
            return true;
        bool is_space = c == ' ' || c == '\t' || c == '\r' || c == '\n';
        is_first = c == ';' || (is_first && is_space);
        at++;
    }
    return false;
}

static bool is_sealed(const struct decision_rules *rules, const struct verification *v)
{
    struct arc_link link;

    if (!verification_arc_link(v, &link) || !says_dmarc_pass(link.results))
        return false;
    for (size_t i = 0; i < rules->arc_sealer_count; i++)
        if (bytes_equal_nocase(link.domain, bytes_of(rules->arc_sealers[i])))
            return true;
    return false;
}

static bool is_exempt(const struct decision_rules *rules, const struct dmarc *dmarc)
{
    struct bytes author = bytes_range(dmarc->author.text, dmarc->author.len);

    for (size_t i = 0; i < rules->dmarc_exempt_count; i++)
        if (smtp_domain_matches(rules->dmarc_exempt[i], author))
            return true;
    return false;
}

/* Why the policy is not followed; NULL: it is. */
static const char *override_of(const struct decision *decision, const struct decision_rules *rules,
                               const struct verification *v, const struct address *client)
{
    if (rules->dmarc == DECISION_DMARC_MONITOR)
        return "monitor";
    if (decision->is_allowed && rules->allow_overrides_dmarc)
        return "tenant_allows";
    if (is_forwarder(rules, client))
        return "trusted_forwarder";
    if (is_sealed(rules, v))
        return "arc";
    return is_exempt(rules, verification_dmarc(v)) ? "local_policy" : NULL;
}

static void follow_policy(struct decision *decision, const struct dmarc *dmarc)
{
    struct bytes author = bytes_range(dmarc->author.text, dmarc->author.len);

    if (dmarc->disposition == DMARC_POLICY_QUARANTINE) {
        decision->is_allowed = false; /* a policy is no guess at spam */
        mark(decision, "dmarc");
        return;
    }
    /* RFC 7372 section 3.3: several checks failed. */
    refuse(decision,
           verdict_refuse(550, "5.7.26",
                          "The DMARC policy of %s is to reject mail like this: neither SPF nor "
                          "DKIM passed for it",
                          "inbound.dmarc"),
           name_for_reply(author));
}

/* "s1,-,s2", in the order of the signatures' own lines. */
static void put_selectors(const struct verification *v, struct buf *out)
{
    size_t count = MIN(verification_dkim_count(v), (size_t)RECORD_SELECTORS_MAX);

    for (size_t i = 0; i < count; i++) {
        struct bytes selector = verification_dkim(v, i)->selector;

        (void)!buf_printf(out, "%s%.*s", i == 0 ? " selectors=" : ",",
                          BYTES_ARG(selector.len > 0 ? selector : BYTES("-")));
    }
}

static const char *aligned(const struct verification *v, bool is_dkim)
{
    size_t count;
    const struct dmarc_identifier *all = verification_identifiers(v, &count);

    for (size_t i = 0; i < count; i++)
        if (all[i].is_dkim == is_dkim && all[i].is_aligned && !all[i].is_temporary)
            return "pass";
    return "fail";
}

static void note_record(struct decision *decision, const struct verification *v)
{
    const struct dmarc *dmarc = verification_dmarc(v);
    const struct dmarc_record *record = &dmarc->record;
    bool is_softened = dmarc->result == DMARC_FAIL && dmarc->disposition != dmarc->policy;
    struct buf detail;

    if (!dmarc->has_policy)
        return;
    buf_init(&detail, RECORD_DETAIL_MAX);
    (void)!buf_printf(&detail,
                      "domain=%.*s p=%s sp=%s np=%s adkim=%s aspf=%s t=%s dkim=%s spf=%s%s",
                      (int)dmarc->domain.len, (const char *)dmarc->domain.text,
                      dmarc_policy_name(record->p), dmarc_policy_name(record->sp),
                      dmarc_policy_name(record->np), record->is_strict_dkim ? "s" : "r",
                      record->is_strict_spf ? "s" : "r", record->is_testing ? "y" : "n",
                      aligned(v, true), aligned(v, false), is_softened ? " softened=y" : "");
    put_selectors(v, &detail);
    note(decision, "dmarc-record", "found", "", buf_bytes(&detail));
    buf_free(&detail);
}

static void judge_dmarc(struct decision *decision, const struct decision_rules *rules,
                        const struct verification *v, const struct address *client)
{
    static const char *const of_policy[] = {
        [DMARC_POLICY_NONE] = "",
        [DMARC_POLICY_QUARANTINE] = "tag",
        [DMARC_POLICY_REJECT] = "refuse",
    };
    const struct dmarc *dmarc = verification_dmarc(v);
    bool asks = dmarc->result == DMARC_FAIL && dmarc->disposition != DMARC_POLICY_NONE;
    const char *why = asks ? override_of(decision, rules, v, client) : NULL;
    const char *policy = dmarc->has_policy ? dmarc_policy_name(dmarc->policy) : "";
    char detail[AUTHOR_DOMAIN_MAX + 64];

    snprintf(detail, sizeof(detail), "%.*s%s%s%s%s", (int)dmarc->author.len,
             (const char *)dmarc->author.text, policy[0] != '\0' ? " policy=" : "", policy,
             why != NULL ? " override=" : "", why != NULL ? why : "");
    note(decision, "dmarc", dmarc_result_name(dmarc->result),
         asks && why == NULL ? of_policy[dmarc->disposition] : "", bytes_of(detail));
    if (rules->tells_record)
        note_record(decision, v);
    if (asks && why == NULL)
        follow_policy(decision, dmarc);
}

/* No From, or none with a domain in it (RFC 5322 section 3.6): there is nobody whose policy could
 * be asked for, and nobody that readers see. An address literal is somebody. */
static void judge_author(struct decision *decision, const struct decision_rules *rules,
                         const struct verification *v)
{
    static const char *const author_weights[] = {
        [DECISION_AUTHOR_ACCEPT] = "",
        [DECISION_AUTHOR_TAG] = "tag",
        [DECISION_AUTHOR_REFUSE] = "refuse",
    };
    const struct authors *authors = verification_dmarc(v)->authors;

    if (authors->domain_count > 0 || authors->has_other)
        return;
    note(decision, "author", "none", author_weights[rules->no_author],
         authors->fields == 0 ? BYTES("no From field") : BYTES("no address in From"));
    if (rules->no_author == DECISION_AUTHOR_TAG)
        mark(decision, "author");
    if (rules->no_author == DECISION_AUTHOR_REFUSE)
        refuse(decision,
               verdict_refuse(550, "5.7.1",
                              "The message has no From field with its author's address",
                              "inbound.no_author"),
               BYTES_NONE);
}

/* --- what DNS did not say --------------------------------------------------------------------- */

/* A check that failed only for now, and nothing that passed without it. */
static bool is_undecided(const struct verification *v)
{
    const struct dmarc *dmarc = verification_dmarc(v);

    if (dmarc->result == DMARC_PASS)
        return false;
    return dmarc->result == DMARC_TEMPERROR || verification_spf(v)->verdict == SPF_TEMPERROR;
}

static void judge_temperror(struct decision *decision, const struct decision_rules *rules,
                            const struct verification *v)
{
    if (rules->temperror != DECISION_DEFER || !is_undecided(v))
        return;
    note(decision, "temperror", "undecided", "defer", BYTES_NONE);
    refuse(decision,
           verdict_refuse(451, "4.4.3",
                          "DNS does not answer for the sender's domain, so SPF and DMARC cannot "
                          "be checked; try again later",
                          "inbound.temperror"),
           BYTES_NONE);
}

/* --- what a tenant says ----------------------------------------------------------------------- */

struct verdict decision_blocked(struct bytes value, char text[static DECISION_TEXT_MAX])
{
    bool is_plain = value.len > 0 && value.len < 256;

    for (size_t i = 0; i < value.len && is_plain; i++)
        is_plain = value.ptr[i] > ' ' && value.ptr[i] < 127;
    snprintf(text, DECISION_TEXT_MAX, "Mail from %.*s is not taken here",
             is_plain ? (int)value.len : 4, is_plain ? (const char *)value.ptr : "here");
    if (!is_plain)
        snprintf(text, DECISION_TEXT_MAX, "Mail from this sender is not taken here");
    return verdict_refuse(550, "5.7.1", text, "tenant.block");
}

/* Whether it fails to be who it says. */
static bool is_false(const struct verification *v)
{
    enum spf_verdict spf = verification_spf(v)->verdict;

    return verification_dmarc(v)->result != DMARC_PASS && (spf == SPF_FAIL || spf == SPF_SOFTFAIL);
}

void decision_note_sender(struct decision *decision, const struct decision_sender *sender,
                          const struct verification *v)
{
    if (!sender->is_allowed) {
        note(decision, "sender", "block", "refuse", sender->value);
        if (decision->verdict.code < 500)
            decision->verdict = decision_blocked(sender->value, decision->text);
        return;
    }
    decision->is_allowed = sender->is_of_client || !is_false(v);
    note(decision, "sender", decision->is_allowed ? "allow" : "not-verified", "", sender->value);
}

/* --- attachments ------------------------------------------------------------------------------ */

/* What is told of one that counts, and answered where it refuses. */
struct attachment_word {
    const char *result; /* NULL: the rule's pattern */
    enum decision_action action;
    struct verdict verdict;
};

static const struct attachment_word *attachment_word(const struct attachment_found *found)
{
    static const struct attachment_word
        too_large = {"too-large",
                     DECISION_REFUSE,
                     {552, "5.3.4", "The attachment %s is larger than is taken here",
                      "inbound.attachment_size", false}},
        cut = {"cut",
               DECISION_REFUSE,
               {552, "5.3.4", "The header of a part is longer than is looked at", "header", false}},
        crowded = {"crowded",
                   DECISION_REFUSE,
                   {552, "5.3.4", "The archive %s has more names than are looked at",
                    "inbound.archive_members", false}},
        put_off = {"put-off",
                   DECISION_DEFER,
                   {451, "4.7.1", "The archive %s cannot be looked into now, try again later",
                    "inbound.archive_members", false}},
        forbidden = {NULL,
                     DECISION_REFUSE,
                     {550, "5.7.1", "The attachment %s is not taken here", "inbound.attachments",
                      false}},
        tagged = {NULL, DECISION_TAG, {0}};

    return found->is_cut         ? &cut
           : found->is_crowded   ? &crowded
           : found->is_too_large ? &too_large
           : found->is_put_off   ? &put_off
           : found->refuses      ? &forbidden
                                 : &tagged;
}

static void judge_attachment(struct decision *decision, const struct attachment_found *found)
{
    const struct attachment_word *word = attachment_word(found);

    note(decision, "attachment", word->result != NULL ? word->result : found->pattern,
         weights[word->action], bytes_of(found->name));
    if (word->action != DECISION_TAG) {
        refuse(decision, word->verdict, bytes_of(found->name));
        return;
    }
    if (!decision->is_spam)
        decision->spam_why = "attachment";
    decision->is_spam = true; /* whoever sent it */
}

void decision_note_attachment(struct decision *decision, const struct attachment_found *found)
{
    if (found->refuses || found->is_found)
        judge_attachment(decision, found);
    if (found->is_unread && strcmp(found->pattern, "archive/unread") != 0)
        note(decision, "attachment", "archive/unread", "", bytes_of(found->unread));
}

void decision_note_list(struct decision *decision, const char *list)
{
    if (list[0] == '\0')
        return;
    note(decision, "dnsbl", "listed", decision->is_allowed ? "" : "tag", bytes_of(list));
    mark(decision, "dnsbl");
}

static void note_away(struct decision *decision, const struct decision_rules *rules,
                      const char *why)
{
    static const char *const away_weights[] = {
        [DECISION_AWAY_ACCEPT] = "",
        [DECISION_AWAY_TAG] = "tag",
        [DECISION_AWAY_DEFER] = "defer",
    };

    note(decision, "rspamd", "none", away_weights[rules->rspamd_away], bytes_of(why));
    if (rules->rspamd_away == DECISION_AWAY_TAG)
        mark(decision, "rspamd");
    if (rules->rspamd_away == DECISION_AWAY_DEFER)
        refuse(decision,
               verdict_refuse(451, "4.7.1", "Mail cannot be scanned now, try again later",
                              "inbound.rspamd_away"),
               BYTES_NONE);
}

void decision_note_scan(struct decision *decision, const struct decision_rules *rules,
                        const struct rspamd_answer *answer, const char *why)
{
    char score[32], detail[64];

    if (answer == NULL) {
        note_away(decision, rules, why);
        return;
    }
    snprintf(score, sizeof(score), "%.2f", answer->score);
    snprintf(detail, sizeof(detail), "required=%.2f", answer->required);
    note(decision, "rspamd", rspamd_action_name(answer->action), score, bytes_of(detail));
    if (decision->is_allowed)
        return;
    switch (answer->action) {
    case RSPAMD_NO_ACTION:
        return;
    case RSPAMD_GREYLIST:
    case RSPAMD_SOFT_REJECT:
        refuse(decision, verdict_refuse(451, "4.7.1", "Try again later", "inbound.rspamd"),
               BYTES_NONE);
        return;
    case RSPAMD_ADD_HEADER:
    case RSPAMD_REWRITE_SUBJECT: /* which would break its signatures */
        mark(decision, "rspamd");
        return;
    case RSPAMD_REJECT:
        refuse(decision,
               verdict_refuse(550, "5.7.1", "This message is refused as spam", "inbound.rspamd"),
               BYTES_NONE);
        return;
    }
}

void decision_make(struct decision *decision, const struct decision_rules *rules,
                   const struct verification *v, const struct address *client)
{
    const struct iprev_check *iprev = verification_iprev(v);

    judge_dmarc(decision, rules, v, client);
    judge_author(decision, rules, v);
    judge_spf(decision, rules, v, client);
    note_dkim(decision, v);
    note_arc(decision, v);
    note(decision, "iprev", iprev_verdict_name(iprev->verdict), "", iprev->name);
    judge_temperror(decision, rules, v);
}
