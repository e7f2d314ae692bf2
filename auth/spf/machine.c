/* machine.c - how a check asks, returns from a record and ends. */
#include "auth/spf/machine.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { SHOWN_MAX = 100 /* octets of a name or term in a reason */ };

bool machine_name_is_askable(struct bytes name)
{
    size_t label_len = 0;

    if (name.len == 0 || name.len > SPF_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '.' && label_len == 0)
            return false;
        label_len = name.ptr[i] == '.' ? 0 : label_len + 1;
        if (label_len > 63)
            return false;
    }
    return label_len > 0;
}

bool machine_name_set(struct machine_name *out, struct bytes name)
{
    if (name.len > 0 && name.ptr[name.len - 1] == '.')
        name.len--;
    if (!machine_name_is_askable(name))
        return false;
    out->len = name.len;
    for (size_t i = 0; i < name.len; i++)
        out->text[i] = byte_lower(name.ptr[i]);
    return true;
}

void machine_ask(struct spf_check *check, enum machine_asked why, enum lookup_type type,
                 struct bytes name)
{
    check(check->asked == ASKED_NOTHING);
    check(machine_name_set(&check->question_name, name));
    check->asked = why;
    check->question = (struct lookup){type, machine_name_bytes(&check->question_name)};
    check->result.question_count++;
}

/* The phrase goes into comments and quoted strings of header fields. */
static void keep_reason(struct spf_check *check)
{
    size_t len = strnlen(check->reason, sizeof(check->reason));

    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)check->reason[i];

        if (c < 0x20 || c > 0x7e || c == '"' || c == '\\' || c == '(' || c == ')')
            check->reason[i] = '?';
    }
    check->result.reason = bytes_range(check->reason, len);
}

void machine_end(struct spf_check *check, enum spf_verdict verdict, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(check->reason, sizeof(check->reason), format, args);
    va_end(args);
    keep_reason(check);
    check->result.verdict = verdict;
    check->phase = PHASE_DONE;
}

/* The outermost record decided. */
static void conclude(struct spf_check *check, enum spf_verdict verdict)
{
    static const char *const says[] = {
        [SPF_NEUTRAL] = "neither allowed nor forbidden",
        [SPF_PASS] = "allowed",
        [SPF_FAIL] = "forbidden",
        [SPF_SOFTFAIL] = "probably forbidden",
    };
    struct machine_frame *frame = &check->frames[0];
    struct bytes domain = bytes_slice(frame->domain, 0, SHOWN_MAX);
    struct bytes term = bytes_slice(frame->term.text, 0, SHOWN_MAX);

    check->result.mechanism = frame->term.text;
    check->result.record_domain = frame->domain;
    if (term.len > 0)
        machine_end(check, verdict, "%s is %s by %.*s in the record of %.*s", check->readable,
                    says[verdict], BYTES_ARG(term), BYTES_ARG(domain));
    else
        machine_end(check, verdict, "%s is %s: nothing in the record of %.*s matches",
                    check->readable, says[verdict], BYTES_ARG(domain));
    if (verdict == SPF_FAIL && frame->record.exp.len > 0)
        check->phase = PHASE_EXP;
}

void machine_return(struct spf_check *check, enum spf_verdict verdict)
{
    while (check->depth > 0) {
        check->depth--;
        if (verdict != SPF_PASS) {
            check->phase = PHASE_NEXT; /* the include does not match */
            return;
        }
        verdict = machine_frame(check)->term.qualifier;
    }
    conclude(check, verdict);
}

void machine_no_record(struct spf_check *check, const char *why)
{
    struct machine_frame *frame = machine_frame(check);
    bool is_first = check->depth == 0 && !frame->is_redirected;
    struct bytes domain = bytes_slice(frame->domain, 0, SHOWN_MAX);

    machine_end(check, is_first ? SPF_NONE : SPF_PERMERROR, "%.*s %s%s", BYTES_ARG(domain), why,
                is_first               ? ""
                : frame->is_redirected ? ", where a redirect leads"
                                       : ", which is included");
}

bool machine_is_client(const struct spf_check *check, struct bytes address, unsigned prefix4,
                       unsigned prefix6)
{
    size_t len = check->is_ip6 ? 16 : 4;
    unsigned prefix = check->is_ip6 ? prefix6 : prefix4;
    size_t whole = prefix / 8;
    unsigned rest = prefix % 8;

    if (address.len != len || memcmp(address.ptr, check->address, whole) != 0)
        return false;
    return rest == 0 || (address.ptr[whole] ^ check->address[whole]) >> (8 - rest) == 0;
}
