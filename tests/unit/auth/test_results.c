/* test_results.c - Authentication-Results written, and forged ones recognised. */
#include "auth/results.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/unit.h"

static void expect_written(struct results *results, const char *wanted)
{
    assert_true(results_end(results));
    struct bytes written = buf_bytes(results->out);

    if (!bytes_equal(written, bytes_of(wanted)))
        fail_msg("\"%.*s\" is not \"%s\"", BYTES_ARG(written), wanted);
    buf_free(results->out);
}

TEST(write_without_a_method_is_none)
{
    struct results results;
    struct buf out;

    buf_init(&out, 4096);
    results_begin(&results, BYTES("mx.example"), &out);
    expect_written(&results, "Authentication-Results: mx.example; none\r\n");
}

TEST(write_puts_a_method_a_line_and_folds)
{
    struct results results;
    struct buf out;

    buf_init(&out, 4096);
    results_begin(&results, BYTES("mx.example"), &out);
    results_method(&results, "spf", "pass");
    results_property(&results, "smtp", "mailfrom", BYTES("a@b.example"));
    results_method(&results, "dkim", "fail");
    results_comment(&results, "2048 bits");
    results_reason(&results, BYTES("body hash"));
    results_property(&results, "header", "d", BYTES("a-very-long-name.of-a-domain.example"));
    results_property(&results, "header", "s", BYTES("s1"));
    expect_written(&results, "Authentication-Results: mx.example;\r\n"
                             "\tspf=pass smtp.mailfrom=a@b.example;\r\n"
                             "\tdkim=fail (2048 bits) reason=\"body hash\"\r\n"
                             "\theader.d=a-very-long-name.of-a-domain.example header.s=s1\r\n");
}

TEST(write_quotes_what_strangers_wrote)
{
    static const struct {
        const char *value, *written; /* NULL: left out */
    } rows[] = {
        {"a@b.example", "a@b.example"},
        {"@b.example", "@b.example"},
        {"a.b+c@d", "a.b+c@d"},
        {"a b@c", "\"a b@c\""},
        {"\"a b\"@c", "\"\\\"a b\\\"@c\""},
        {"a@b@c", "\"a@b@c\""},
        {"a@", "\"a@\""},
        {"@", "\"@\""},
        {"a;dkim=pass", "\"a;dkim=pass\""},
        {"a)(b", "\"a)(b\""},
        {"a\\b", "\"a\\\\b\""},
        {"2001:db8::1", "\"2001:db8::1\""},
        {"a=", "\"a=\""},
        {"a\r\nX: y", "\"a??X: y\""},
        {"a\tb\x7f", "\"a?b?\""},
        {"\xc3\xbc@b", "\"\xc3\xbc@b\""},
        {"\xff\xc3", "\"??\""},
        {"", NULL},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct results results;
        struct buf out;

        buf_init(&out, 4096);
        results_begin(&results, BYTES("x"), &out);
        results_method(&results, "spf", "none");
        results_property(&results, "smtp", "mailfrom", bytes_of(rows[i].value));
        char wanted[256];

        snprintf(wanted, sizeof(wanted), "Authentication-Results: x;\r\n\tspf=none%s%s\r\n",
                 rows[i].written != NULL ? " smtp.mailfrom=" : "",
                 rows[i].written != NULL ? rows[i].written : "");
        expect_written(&results, wanted);
    }
}

TEST(write_bounds_values_and_reasons)
{
    uint8_t text[RESULTS_VALUE_MAX + 1];
    struct results results;
    struct buf out;

    buf_init(&out, 8192);
    results_begin(&results, BYTES("x"), &out);
    results_method(&results, "spf", "none");
    memset(text, '"', sizeof(text));
    results_property(&results, "smtp", "helo", bytes_range(text, sizeof(text)));
    assert_int_equal(bytes_find_bytes(buf_bytes(&out), BYTES("helo"), 0), buf_len(&out));
    results_property(&results, "smtp", "helo", bytes_range(text, sizeof(text) - 1));
    assert_true(buf_len(&out) > 2 * RESULTS_VALUE_MAX);
    size_t before = buf_len(&out);

    memset(text, 0xc3, sizeof(text));
    for (size_t i = 0; i < sizeof(text); i += 2)
        text[i + 1 < sizeof(text) ? i + 1 : i] = 0xbc;
    results_reason(&results, bytes_range(text, sizeof(text)));
    assert_true(buf_len(&out) - before < RESULTS_REASON_MAX + 20);
    assert_true(results_end(&results));
    buf_free(&out);
}

TEST(write_tells_that_it_does_not_fit)
{
    struct results results;
    struct buf out;

    for (size_t max = 0; max < 70; max++) {
        buf_init(&out, max);
        results_begin(&results, BYTES("mx.example"), &out);
        results_method(&results, "spf", "pass");
        results_property(&results, "smtp", "helo", BYTES("a.example"));
        bool is_whole = results_end(&results);

        expect_row(max, is_whole == (max >= strlen("Authentication-Results: mx.example;\r\n"
                                                   "\tspf=pass smtp.helo=a.example\r\n")));
        buf_free(&out);
    }
}

TEST(claims_sees_through_disguises)
{
    static const struct {
        const char *value;
        bool is_claimed;
    } rows[] = {
        {" mx.example; dkim=pass", true},
        {"mx.example;", true},
        {"mx.example", true},
        {" MX.Example; dkim=pass", true},
        {" mx.example 1; dkim=pass", true},
        {"\r\n mx.example\r\n ;dkim=pass", true},
        {" (hello (mx) \\) ) mx.example(1);", true},
        {" \"mx.example\"; dkim=pass", true},
        {" \"mx\\.ex\r\n ample\"; none", false},
        {" \"mx\\.example\"; none", true},
        {" \" mx.example \"; none", true},
        {" mx.example.; none", true},
        {" other.example; dkim=pass (mx.example)", false},
        {" mx.example.net; dkim=pass", false},
        {" xmx.example; dkim=pass", false},
        {" mx.example/2; none", false},
        {" (mx.example) other.example; none", false},
        {" \v\x01mx.example; none", true},
        {"", false},
        {" ", false},
        {" ; mx.example", false},
        /* not to be read: ours if the id is anywhere */
        {" (mx.example; dkim=pass", true},
        {" \"mx.example; dkim=pass", true},
        {" \"mx.exam\\", false},
        {" (other.example; dkim=pass", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t len = strlen(rows[i].value);
        uint8_t *exact = malloc(len + 1);

        memcpy(exact, rows[i].value, len);
        if (results_claims(bytes_range(exact, len), BYTES("mx.example")) != rows[i].is_claimed)
            fail_msg("row %zu: %s", i, rows[i].value);
        free(exact);
    }
}

TEST(claims_reads_what_is_written)
{
    struct results results;
    struct buf out;

    buf_init(&out, 4096);
    results_begin(&results, BYTES("mx.example"), &out);
    results_method(&results, "spf", "none");
    assert_true(results_end(&results));
    struct bytes value = buf_bytes(&out);

    assert_true(bytes_take_nocase(&value, BYTES("Authentication-Results:")));
    assert_true(results_claims(value, BYTES("MX.example")));
    assert_false(results_claims(value, BYTES("mx.example.net")));
    buf_free(&out);
}
