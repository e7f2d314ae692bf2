/* checks_spf.c - one SPF check. */
#include <stdio.h>

#include "auth/spf/spf.h"
#include "base/buf.h"
#include "system/checks.h"

/* DEPTH DOMAIN TERM, and a "!" for void. */
static void trace(void *context, const struct spf_trace *told)
{
    check(buf_printf(context, "%s%u %.*s %.*s%s", buf_len(context) > 0 ? "\n" : "", told->depth,
                     BYTES_ARG(told->domain), BYTES_ARG(told->term), told->is_void ? "!" : ""));
}

void checks_spf(struct bytes arguments)
{
    bool is_helo = bytes_equal(checks_word(&arguments), BYTES("helo"));
    struct bytes words[4];
    struct lookup lookup;
    uint64_t time;
    struct buf told;

    buf_init(&told, 1024 * 1024);
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        words[i] = checks_hex(checks_word(&arguments));
    check(bytes_to_u64(arguments, &time));
    struct spf_request request = {
        .address = words[0],
        .helo = words[1],
        .mail_from = words[2],
        .receiver = words[3],
        .wall_s = (int64_t)time,
        .trace = trace,
        .trace_context = &told,
    };
    struct spf_check *check = spf_start(&request, is_helo ? SPF_HELO : SPF_MAIL_FROM);

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        checks_free(&words[i]);
    while (spf_run(check, &lookup) == CHECK_ASKS)
        spf_answer(check, checks_ask(&lookup));
    const struct spf_result *result = spf_result(check);

    printf("done %s", spf_verdict_name(result->verdict));
    checks_print(result->domain);
    checks_print(result->explanation);
    checks_print(result->mechanism);
    checks_print(result->record_domain);
    checks_print(result->reason);
    checks_print(buf_bytes(&told));
    printf(" %u %u %u", result->term_count, result->void_count, result->question_count);
    spf_free(&check);
    buf_free(&told);
}
