/* iprev.c - reverse, then forward. */
#include "auth/iprev.h"

#include <string.h>

const char *iprev_verdict_name(enum iprev_verdict verdict)
{
    static const char *const names[] = {
        [IPREV_NONE] = "none",           [IPREV_PASS] = "pass",           [IPREV_FAIL] = "fail",
        [IPREV_TEMPERROR] = "temperror", [IPREV_PERMERROR] = "permerror",
    };

    return names[verdict];
}

static struct bytes name_at(const struct iprev_check *check, size_t at)
{
    return bytes_range(check->names[at].text, check->names[at].len);
}

static void settle(struct iprev_check *check, enum iprev_verdict verdict)
{
    check->verdict = verdict;
    check->is_done = true;
    if (check->count > 0)
        check->name = name_at(check, verdict == IPREV_PASS ? check->at : 0);
}

void iprev_start(struct iprev_check *check, struct bytes address)
{
    *check = (struct iprev_check){0};
    address = client_address_plain(address);
    check->address_len = (uint8_t)address.len;
    if (address.len == 0)
        settle(check, IPREV_NONE);
    else
        memcpy(check->address, address.ptr, address.len);
}

enum check_step iprev_run(struct iprev_check *check, struct lookup *question_out)
{
    struct bytes address = bytes_range(check->address, check->address_len);

    if (check->is_done)
        return CHECK_DONE;
    if (!check->has_started) {
        check->has_started = true;
        *question_out =
            (struct lookup){LOOKUP_PTR, client_address_reverse(address, check->reverse)};
    } else {
        *question_out =
            (struct lookup){address.len == 4 ? LOOKUP_A : LOOKUP_AAAA, name_at(check, check->at)};
    }
    return CHECK_ASKS;
}

/* Letters, digits, hyphens and underscores: what else a PTR record says is the name of no host. */
static bool is_host(struct bytes name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!byte_is_alnum(name.ptr[i]) && name.ptr[i] != '-' && name.ptr[i] != '_' &&
            name.ptr[i] != '.')
            return false;
    return name.len > 0 && name.len <= IPREV_NAME_MAX;
}

static void take_names(struct iprev_check *check, const struct lookup_answer *answer)
{
    for (size_t i = 0; i < answer->count && check->count < IPREV_NAMES_MAX; i++) {
        struct bytes name = answer->records[i].text;

        if (!is_host(name))
            continue;
        check->names[check->count].len = (uint8_t)name.len;
        for (size_t j = 0; j < name.len; j++)
            check->names[check->count].text[j] = byte_lower(name.ptr[j]);
        check->count++;
    }
    if (answer->result == LOOKUP_FAILED)
        settle(check, IPREV_TEMPERROR);
    else if (check->count == 0)
        settle(check, IPREV_PERMERROR);
}

static void take_addresses(struct iprev_check *check, const struct lookup_answer *answer)
{
    struct bytes address = bytes_range(check->address, check->address_len);

    for (size_t i = 0; i < answer->count; i++)
        if (bytes_equal(answer->records[i].text, address)) {
            settle(check, IPREV_PASS);
            return;
        }
    check->has_failed = check->has_failed || answer->result == LOOKUP_FAILED;
    if (++check->at == check->count)
        settle(check, check->has_failed ? IPREV_TEMPERROR : IPREV_FAIL);
}

void iprev_answer(struct iprev_check *check, const struct lookup_answer *answer)
{
    check(check->has_started && !check->is_done);
    if (check->count == 0)
        take_names(check, answer);
    else
        take_addresses(check, answer);
}
