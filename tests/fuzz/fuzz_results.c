/* modules: auth base */
/* fuzz_results.c - any bytes in an Authentication-Results field that we write, and in one that
 * comes from outside. */
#include <stdint.h>

#include "auth/results.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

static const struct bytes id = {(const uint8_t *)"mx.example", 10};

/* Lines end in CRLF with white space behind them, but for the last; nothing in quotes ends them. */
static void check_written(struct bytes field)
{
    bool in_quotes = false;

    for (size_t i = 0; i < field.len; i++) {
        uint8_t c = field.ptr[i];

        if (in_quotes && c == '\\')
            i++;
        else if (c == '"')
            in_quotes = !in_quotes;
        if (c == '\r')
            check(i + 1 < field.len && field.ptr[i + 1] == '\n' && !in_quotes);
        if (c == '\n')
            check(field.ptr[i - 1] == '\r' && (i + 1 == field.len || field.ptr[i + 1] == '\t'));
        check(c >= ' ' || c == '\r' || c == '\n' || c == '\t');
    }
    check(!in_quotes);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct bytes value = bytes_range(input, len);
    struct results results;
    struct buf out;

    (void)results_claims(value, id);
    buf_init(&out, 4096);
    results_begin(&results, id, &out);
    results_method(&results, "spf", "fail");
    results_reason(&results, value);
    results_property(&results, "smtp", "mailfrom", value);
    results_property(&results, "smtp", "helo", bytes_slice(value, 0, len / 2));
    check(results_end(&results));
    check_written(buf_bytes(&out));
    struct bytes written = buf_bytes(&out);

    check(bytes_take_nocase(&written, BYTES("Authentication-Results:")));
    check(results_claims(written, id));
    buf_free(&out);
    return 0;
}
