/* modules: spf base */
/* fuzz_spf.c - a request and the answers to whatever it asks, all from the bytes. */
#include <stdint.h>

#include "auth/spf/spf.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

enum {
    /* A record a frame, ten exchanges of ten mx, the client's names and their addresses, exp=. */
    QUESTIONS_MAX = SPF_TERMS_MAX + 1 + SPF_TERMS_MAX * (1 + SPF_HOSTS_MAX) + 1 + SPF_HOSTS_MAX + 1,
    RECORDS_MAX = 12,
};

/* A line of the input; at the end they begin again, so that includes have something to read. */
static struct bytes next_line(struct bytes input, size_t *at)
{
    if (*at >= input.len)
        *at = 0;
    size_t end = bytes_find(input, '\n', *at);
    struct bytes line = bytes_slice(input, *at, end - *at);

    *at = end + 1;
    return line;
}

/* "!" no name, "?" no data, "*" failed; else records with "|" between them. */
static void answer(struct spf_check *check, const struct lookup *lookup, struct bytes line)
{
    static const uint8_t address[16] = {192, 0, 2, 1};
    struct lookup_record records[RECORDS_MAX];
    struct lookup_answer given = {LOOKUP_FOUND, 0, records};
    struct bytes part;

    check(lookup->name.len > 0 && lookup->name.len <= SPF_NAME_MAX);
    if (line.len == 1 && line.ptr[0] == '!')
        given.result = LOOKUP_NO_NAME;
    else if (line.len == 1 && line.ptr[0] == '?')
        given.result = LOOKUP_NO_DATA;
    else if (line.len == 1 && line.ptr[0] == '*')
        given.result = LOOKUP_FAILED;
    while (given.result == LOOKUP_FOUND && given.count < RECORDS_MAX) {
        bool is_last = !bytes_take_until(&line, '|', &part);

        if (is_last)
            part = line;
        if (lookup->type == LOOKUP_A || lookup->type == LOOKUP_AAAA)
            part = part.len > 0 && part.ptr[0] == '='
                       ? bytes_range(address, lookup->type == LOOKUP_A ? 4 : 16)
                       : bytes_slice(part, 0, 16);
        records[given.count++] = (struct lookup_record){part, (uint16_t)part.len};
        if (is_last)
            break;
    }
    spf_answer(check, &given);
}

static void check_result(const struct spf_result *result, unsigned questions)
{
    check(result->question_count == questions);
    check(result->term_count <= SPF_TERMS_MAX + 1 && result->void_count <= SPF_VOIDS_MAX + 1);
    check(result->verdict == SPF_FAIL || result->explanation.len == 0);
    check(result->explanation.len <= SPF_EXPLANATION_MAX);
    check(result->reason.len > 0 && result->reason.len < SPF_REASON_MAX);
    for (size_t i = 0; i < result->reason.len; i++)
        check(result->reason.ptr[i] >= 0x20 && result->reason.ptr[i] <= 0x7e);
    for (size_t i = 0; i < result->explanation.len; i++)
        check(result->explanation.ptr[i] >= 0x20 && result->explanation.ptr[i] <= 0x7e);
    check(result->term_count <= SPF_TERMS_MAX || result->verdict == SPF_PERMERROR);
    check(result->void_count <= SPF_VOIDS_MAX || result->verdict == SPF_PERMERROR);
}

/* What a term says of itself is what it is made of. */
static void trace(void *context, const struct spf_trace *told)
{
    unsigned *count = context;

    check(told->depth <= SPF_TERMS_MAX && told->domain.len > 0);
    check(bytes_find(told->term, ' ', 0) == told->term.len);
    (*count)++;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct bytes rest = bytes_range(input, len);
    struct lookup lookup;
    unsigned questions = 0;
    unsigned told = 0;
    size_t at = 0;
    struct spf_request request = {
        .address = next_line(rest, &at),
        .helo = next_line(rest, &at),
        .mail_from = next_line(rest, &at),
        .receiver = BYTES("mx.example"),
        .wall_s = INT64_MAX,
        .trace = trace,
        .trace_context = &told,
    };

    rest = bytes_slice(rest, at, rest.len);
    at = 0;
    struct spf_check *check = spf_start(&request, len % 8 == 0 ? SPF_HELO : SPF_MAIL_FROM);

    while (spf_run(check, &lookup) == CHECK_ASKS) {
        check(++questions <= QUESTIONS_MAX);
        answer(check, &lookup, next_line(rest, &at));
    }
    check(told == questions);
    check_result(spf_result(check), questions);
    spf_free(&check);
    return 0;
}
