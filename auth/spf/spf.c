/* spf.c - check_host(): terms, includes, redirects. */
#include "auth/spf/spf.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "auth/client_address.h"
#include "auth/spf/answer.h"
#include "auth/spf/client.h"
#include "auth/spf/target.h"
#include "smtp/address.h"

const char *spf_verdict_name(enum spf_verdict verdict)
{
    static const char *const names[] = {
        [SPF_NONE] = "none",           [SPF_NEUTRAL] = "neutral",   [SPF_PASS] = "pass",
        [SPF_FAIL] = "fail",           [SPF_SOFTFAIL] = "softfail", [SPF_TEMPERROR] = "temperror",
        [SPF_PERMERROR] = "permerror",
    };

    return names[verdict];
}

/* The address in its three forms; false when there is none. */
static bool set_address(struct spf_check *check, struct bytes address)
{
    static const char nibbles[] = "0123456789ABCDEF";

    address = client_address_plain(address);
    if (address.len == 0)
        return false;
    memcpy(check->address, address.ptr, address.len);
    check->is_ip6 = address.len == 16;
    inet_ntop(check->is_ip6 ? AF_INET6 : AF_INET, check->address, check->readable,
              sizeof(check->readable));
    if (!check->is_ip6) {
        memcpy(check->dotted, check->readable, sizeof(check->readable));
        return true;
    }
    for (size_t i = 0; i < 32; i++) {
        check->dotted[2 * i] = nibbles[check->address[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15];
        check->dotted[2 * i + 1] = i < 31 ? '.' : '\0';
    }
    return true;
}

/* A domain as senders give it, not as records may: no byte that mail has another use for. */
static bool is_plain(struct bytes domain)
{
    static const struct bytes special = {(const uint8_t *)"\"(),:;<>@[\\]", 12};

    for (size_t i = 0; i < domain.len; i++)
        if (domain.ptr[i] <= 0x20 || domain.ptr[i] >= 0x7f ||
            bytes_find(special, domain.ptr[i], 0) < special.len)
            return false;
    return true;
}

/* The last label is not all digits: that is an address without its brackets. */
static bool has_top_label(struct bytes domain)
{
    for (size_t at = domain.len; at > 0 && domain.ptr[at - 1] != '.'; at--)
        if (!byte_is_digit(domain.ptr[at - 1]))
            return true;
    return false;
}

/* Initial processing (section 4.3): a domain of several labels, as A-labels. */
static bool set_domain(struct spf_check *check, struct bytes domain)
{
    uint8_t *lower;

    if (domain.len > 0 && domain.ptr[domain.len - 1] == '.')
        domain.len--;
    check->result.domain = check->frames[0].domain = check->sender_domain = domain;
    if (bytes_has_8bit(domain) && !smtp_domain_normalise(&check->arena, domain, &domain))
        return false;
    if (!is_plain(domain) || !machine_name_is_askable(domain) || !has_top_label(domain) ||
        bytes_find(domain, '.', 0) == domain.len)
        return false;
    lower = arena_alloc(&check->arena, domain.len);
    check(lower != NULL);
    for (size_t i = 0; i < domain.len; i++)
        lower[i] = byte_lower(domain.ptr[i]);
    check->frames[0].domain = check->sender_domain = domain;
    check->result.domain = bytes_range(lower, domain.len);
    return true;
}

/* Who is judged: local part and domain. What stands before the last "@" is local; text without
 * one is a domain. */
static bool set_sender(struct spf_check *check, const struct spf_request *request,
                       enum spf_identity identity)
{
    struct bytes text = request->mail_from;
    struct bytes domain = text;
    size_t at = text.len;

    if (identity == SPF_HELO || text.len == 0) {
        domain = request->helo;
    } else {
        while (at > 0 && text.ptr[at - 1] != '@')
            at--;
        domain = bytes_slice(text, at, text.len);
        check->local = at > 1 ? bytes_slice(text, 0, at - 1) : BYTES_NONE;
    }
    if (check->local.len == 0)
        check->local = BYTES("postmaster"); /* section 4.3 */
    check->local = bytes_slice(check->local, 0, SPF_TEXT_MAX);
    domain = bytes_slice(domain, 0, SPF_TEXT_MAX);
    check(arena_copy(&check->arena, check->local, &check->local));
    check(arena_copy(&check->arena, domain, &domain));
    if (!set_domain(check, domain))
        return false;
    check(arena_printf(&check->arena, &check->sender, "%.*s@%.*s", BYTES_ARG(check->local),
                       BYTES_ARG(check->sender_domain)));
    return true;
}

struct spf_check *spf_start(const struct spf_request *request, enum spf_identity identity)
{
    struct spf_check *check = calloc(1, sizeof(*check));
    struct bytes receiver = bytes_slice(request->receiver, 0, SPF_TEXT_MAX);

    check(check != NULL);
    arena_init(&check->arena, SPF_MEMORY_MAX);
    check->trace = request->trace;
    check->trace_context = request->trace_context;
    check(arena_copy(&check->arena, bytes_slice(request->helo, 0, SPF_TEXT_MAX), &check->helo));
    check(arena_copy(&check->arena, receiver.len > 0 ? receiver : BYTES("unknown"),
                     &check->receiver));
    check(arena_printf(&check->arena, &check->time, "%" PRId64, request->wall_s));
    bool is_domain = set_sender(check, request, identity);

    if (!set_address(check, request->address))
        machine_end(check, SPF_NONE, "the client has no address");
    else if (!is_domain)
        machine_end(check, SPF_NONE, "the %s name is no domain",
                    identity == SPF_HELO || request->mail_from.len == 0 ? "HELO" : "MAIL FROM");
    return check;
}

/* One more term that asks; false: it was one too many. */
static bool count_term(struct spf_check *check)
{
    if (++check->result.term_count <= SPF_TERMS_MAX)
        return true;
    machine_end(check, SPF_PERMERROR, "more than %d terms ask DNS", SPF_TERMS_MAX);
    return false;
}

static void next_term(struct spf_check *check)
{
    struct machine_frame *frame = machine_frame(check);
    struct spf_term *term = &frame->term;

    if (!spf_record_next(&frame->rest, term)) {
        *term = (struct spf_term){0};
        if (frame->record.redirect.len == 0)
            machine_return(check, SPF_NEUTRAL); /* section 4.7 */
        else if (count_term(check))
            check->phase = PHASE_REDIRECT;
        return;
    }
    switch (term->kind) {
    case SPF_ALL:
        machine_return(check, term->qualifier);
        return;
    case SPF_IP4:
    case SPF_IP6:
        if (machine_is_client(check, bytes_range(term->network, term->kind == SPF_IP4 ? 4 : 16),
                              term->prefix4, term->prefix6))
            machine_return(check, term->qualifier);
        return;
    case SPF_INCLUDE:
    case SPF_A:
    case SPF_MX:
    case SPF_PTR:
    case SPF_EXISTS:
        if (count_term(check))
            check->phase = PHASE_TARGET;
        return;
    case SPF_REDIRECT:
    case SPF_EXP:
    case SPF_MODIFIER:
        return;
    }
}

/* The frame's record is that of the target from here on; false: no memory for its name. */
static bool enter_domain(struct spf_check *check, const struct machine_name *target)
{
    struct machine_frame *frame = machine_frame(check);

    frame->record = (struct spf_record){0};
    frame->term = (struct spf_term){0};
    check->phase = PHASE_RECORD;
    if (arena_copy(&check->arena, machine_name_bytes(target), &frame->domain))
        return true;
    machine_end(check, SPF_PERMERROR, "the records in use are too large");
    return false;
}

static void enter_include(struct spf_check *check)
{
    check(check->depth < SPF_TERMS_MAX); /* each include is one of the terms that count */
    check->depth++;
    machine_frame(check)->is_redirected = false;
    if (!enter_domain(check, &check->target))
        check->depth = 0;
}

static void ask_record(struct spf_check *check)
{
    struct bytes domain = machine_frame(check)->domain;

    if (bytes_find(domain, '.', 0) == domain.len)
        machine_no_record(check, "is no domain of several labels");
    else
        machine_ask(check, ASKED_RECORD, LOOKUP_TXT, domain);
}

static void begin_term(struct spf_check *check)
{
    const struct spf_term *term = &machine_frame(check)->term;
    enum target_answer answer = target_expand(check, term->domain, &check->target);
    struct bytes target = machine_name_bytes(&check->target);

    if (answer == TARGET_ASKS)
        return;
    if (answer == TARGET_NONE) {
        check->phase = PHASE_NEXT; /* nothing is there, so nothing matches (section 4.8) */
        if (term->kind == SPF_INCLUDE)
            machine_end(check, SPF_PERMERROR, "an include leads to what is no domain");
        return;
    }
    if (term->kind == SPF_INCLUDE)
        enter_include(check);
    else if (term->kind == SPF_PTR)
        check->phase = PHASE_CLIENT;
    else if (term->kind == SPF_MX)
        machine_ask(check, ASKED_EXCHANGES, LOOKUP_MX, target);
    else
        machine_ask(check, ASKED_ADDRESS,
                    term->kind == SPF_A && check->is_ip6 ? LOOKUP_AAAA : LOOKUP_A, target);
}

static void next_host(struct spf_check *check)
{
    if (check->host == check->host_count)
        check->phase = PHASE_NEXT;
    else
        machine_ask(check, ASKED_HOST_ADDRESS, check->is_ip6 ? LOOKUP_AAAA : LOOKUP_A,
                    machine_name_bytes(&check->hosts[check->host++]));
}

static void find_client(struct spf_check *check)
{
    struct bytes name;

    switch (client_name_in(check, machine_name_bytes(&check->target), &name)) {
    case CLIENT_ASKS:
        return;
    case CLIENT_NAMED:
        machine_return(check, machine_frame(check)->term.qualifier);
        return;
    case CLIENT_NAMELESS:
        check->phase = PHASE_NEXT;
        return;
    }
}

static void redirect(struct spf_check *check)
{
    struct machine_frame *frame = machine_frame(check);
    enum target_answer answer = target_expand(check, frame->record.redirect, &check->target);

    if (answer == TARGET_NONE)
        machine_end(check, SPF_PERMERROR, "a redirect leads to what is no domain");
    if (answer != TARGET_READY)
        return;
    frame->is_redirected = true;
    (void)enter_domain(check, &check->target);
}

static void ask_explanation(struct spf_check *check)
{
    enum target_answer answer =
        target_expand(check, machine_frame(check)->record.exp, &check->target);

    if (answer == TARGET_NONE)
        check->phase = PHASE_DONE;
    if (answer == TARGET_READY)
        machine_ask(check, ASKED_EXPLANATION, LOOKUP_TXT, machine_name_bytes(&check->target));
}

static void explain(struct spf_check *check)
{
    if (target_explain(check, check->explanation, &check->result.explanation) != TARGET_ASKS)
        check->phase = PHASE_DONE;
}

enum check_step spf_run(struct spf_check *check, struct lookup *lookup_out)
{
    static void (*const phases[])(struct spf_check *) = {
        [PHASE_RECORD] = ask_record,   [PHASE_NEXT] = next_term,     [PHASE_TARGET] = begin_term,
        [PHASE_HOST] = next_host,      [PHASE_CLIENT] = find_client, [PHASE_REDIRECT] = redirect,
        [PHASE_EXP] = ask_explanation, [PHASE_EXPLAIN] = explain,
    };

    check(check->asked == ASKED_NOTHING);
    while (check->phase != PHASE_DONE && check->asked == ASKED_NOTHING)
        phases[check->phase](check); /* bounded: takes a term, a host, a name, or asks */
    if (check->phase == PHASE_DONE)
        return CHECK_DONE;
    *lookup_out = check->question;
    return CHECK_ASKS;
}

void spf_answer(struct spf_check *check, const struct lookup_answer *answer)
{
    answer_take(check, answer);
}

const struct spf_result *spf_result(const struct spf_check *check)
{
    check(check->phase == PHASE_DONE);
    return &check->result;
}

void spf_free(struct spf_check **check)
{
    if (*check == NULL)
        return;
    arena_free(&(*check)->arena);
    free(*check);
    *check = NULL;
}
