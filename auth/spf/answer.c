/* answer.c - answers to a check's questions. */
#include "auth/spf/answer.h"

#include <stdlib.h>

#include "auth/spf/client.h"
#include "auth/spf/macro.h"

enum { SHOWN_MAX = 100 };

static const char *type_name(enum lookup_type type)
{
    switch (type) {
    case LOOKUP_TXT:
        return "TXT";
    case LOOKUP_A:
        return "A";
    case LOOKUP_AAAA:
        return "AAAA";
    case LOOKUP_MX:
        return "MX";
    case LOOKUP_PTR:
        return "PTR";
    }
    return "?";
}

/* For what a term needs there is no answer for now. */
static void end_unanswered(struct spf_check *check)
{
    struct bytes name = bytes_slice(check->question.name, 0, SHOWN_MAX);

    machine_end(check, SPF_TEMPERROR, "DNS did not answer for %s of %.*s",
                type_name(check->question.type), BYTES_ARG(name));
}

static void take_record(struct spf_check *check, const struct lookup_answer *answer)
{
    struct machine_frame *frame = machine_frame(check);
    struct bytes text = BYTES_NONE;
    struct bytes wrong;
    size_t count = 0;

    if (answer->result == LOOKUP_FAILED) {
        end_unanswered(check);
        return;
    }
    for (size_t i = 0; i < answer->count; i++)
        if (spf_record_is_one(answer->records[i].text)) {
            text = answer->records[i].text;
            count++;
        }
    struct bytes domain = bytes_slice(frame->domain, 0, SHOWN_MAX);

    if (count == 0) {
        machine_no_record(check, "publishes no SPF record");
    } else if (count > 1) {
        machine_end(check, SPF_PERMERROR, "%.*s publishes %zu SPF records", BYTES_ARG(domain),
                    count);
    } else if (!arena_copy(&check->arena, text, &text)) {
        machine_end(check, SPF_PERMERROR, "the records in use are too large");
    } else if (!spf_record_parse(text, &frame->record, &wrong)) {
        wrong = bytes_slice(wrong, 0, SHOWN_MAX);
        machine_end(check, SPF_PERMERROR, "%.*s is not valid in the record of %.*s",
                    BYTES_ARG(wrong), BYTES_ARG(domain));
    } else {
        frame->rest = frame->record.terms;
        check->phase = PHASE_NEXT;
    }
}

/* The addresses of a term's target or exchange: a match ends the term. */
static void take_address(struct spf_check *check, const struct lookup_answer *answer,
                         enum machine_phase otherwise)
{
    const struct spf_term *term = &machine_frame(check)->term;
    bool is_match = false;

    for (size_t i = 0; i < answer->count; i++)
        is_match |= term->kind == SPF_EXISTS ||
                    machine_is_client(check, answer->records[i].text, term->prefix4, term->prefix6);
    if (is_match)
        machine_return(check, term->qualifier);
    else
        check->phase = otherwise;
}

static int compare_preference(const void *left, const void *right)
{
    const struct lookup_record *const *a = left;
    const struct lookup_record *const *b = right;

    return (*a)->preference - (*b)->preference;
}

static void take_exchanges(struct spf_check *check, const struct lookup_answer *answer)
{
    const struct lookup_record *sorted[SPF_HOSTS_MAX];

    check->host = check->host_count = 0;
    check->phase = PHASE_HOST;
    if (answer->count > SPF_HOSTS_MAX) {
        struct bytes name = bytes_slice(check->question.name, 0, SHOWN_MAX);

        machine_end(check, SPF_PERMERROR, "%.*s has more than %d exchanges", BYTES_ARG(name),
                    SPF_HOSTS_MAX);
        return;
    }
    for (size_t i = 0; i < answer->count; i++)
        sorted[i] = &answer->records[i];
    qsort(sorted, answer->count, sizeof(sorted[0]), compare_preference);
    /* The root, which says that there is no exchange, is no name to ask for. */
    for (size_t i = 0; i < answer->count; i++)
        check->host_count += machine_name_set(&check->hosts[check->host_count], sorted[i]->text);
}

/* Exactly one text that is an explanation; else there is none (section 6.2). */
static void take_explanation(struct spf_check *check, const struct lookup_answer *answer)
{
    check->phase = PHASE_DONE;
    if (answer->result == LOOKUP_FOUND && answer->count == 1 &&
        macro_string_is_valid(answer->records[0].text) &&
        arena_copy(&check->arena, answer->records[0].text, &check->explanation))
        check->phase = PHASE_EXPLAIN;
}

static void tell(const struct spf_check *check, bool is_void, const struct lookup_answer *answer)
{
    const struct machine_frame *frame = &check->frames[check->depth];
    struct bytes term = frame->term.text;

    if (check->trace == NULL)
        return;
    if (check->phase == PHASE_REDIRECT)
        term = frame->record.redirect_term;
    if (check->phase == PHASE_EXP || check->phase == PHASE_EXPLAIN)
        term = frame->record.exp_term;
    struct spf_trace trace = {check->depth, frame->domain, term, is_void, &check->question, answer};

    check->trace(check->trace_context, &trace);
}

static bool counts_as_void(const struct spf_check *check, enum machine_asked asked,
                           const struct lookup_answer *answer)
{
    bool is_of_term = asked == ASKED_ADDRESS || asked == ASKED_EXCHANGES ||
                      asked == ASKED_HOST_ADDRESS || asked == ASKED_CLIENT_NAMES;

    return is_of_term && answer->result != LOOKUP_FAILED && answer->count == 0 &&
           check->phase != PHASE_EXP && check->phase != PHASE_EXPLAIN;
}

void answer_take(struct spf_check *check, const struct lookup_answer *answer)
{
    enum machine_asked asked = check->asked;
    bool is_void = counts_as_void(check, asked, answer);

    check(asked != ASKED_NOTHING);
    check(answer->count == 0 || answer->result == LOOKUP_FOUND);
    check->asked = ASKED_NOTHING;
    tell(check, is_void, answer);
    check->result.void_count += is_void;
    if (check->result.void_count > SPF_VOIDS_MAX) {
        machine_end(check, SPF_PERMERROR,
                    "more than %d questions had no answer that holds a record", SPF_VOIDS_MAX);
        return;
    }
    switch (asked) {
    case ASKED_NOTHING:
        return;
    case ASKED_RECORD:
        take_record(check, answer);
        return;
    case ASKED_CLIENT_NAMES:
        client_take_names(check, answer);
        return;
    case ASKED_CLIENT_ADDRESS:
        client_take_address(check, answer);
        return;
    case ASKED_EXPLANATION:
        take_explanation(check, answer);
        return;
    case ASKED_ADDRESS:
    case ASKED_EXCHANGES:
    case ASKED_HOST_ADDRESS:
        break;
    }
    if (answer->result == LOOKUP_FAILED)
        end_unanswered(check);
    else if (asked == ASKED_EXCHANGES)
        take_exchanges(check, answer);
    else
        take_address(check, answer, asked == ASKED_HOST_ADDRESS ? PHASE_HOST : PHASE_NEXT);
}
