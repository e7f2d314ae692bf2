/* test_policy.c - the text of a policy, and which hosts it allows. */
#include "auth/mta_sts/policy.h"

#include <string.h>

#include "support/unit.h"

#define HEAD "version: STSv1\nmode: enforce\nmax_age: 604800\n"

static struct mta_sts_policy policy;

static bool parse(const char *text)
{
    const char *why = NULL;
    bool is_valid = mta_sts_policy_parse(bytes_of(text), &policy, &why);

    assert_true(is_valid == (why == NULL));
    return is_valid;
}

TEST(parse_reads_the_example)
{
    /* As RFC 8461 section 3.2 has it. */
    assert_true(parse("version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\n"
                      "mx: *.example.net\r\nmx: backupmx.example.com\r\nmax_age: 604800\r\n"));
    assert_int_equal(policy.mode, MTA_STS_ENFORCE);
    assert_int_equal(policy.max_age_s, 604800);
    assert_int_equal(policy.mx_count, 3);
    assert_string_equal(mta_sts_mode_name(policy.mode), "enforce");
}

TEST(parse_accepts_and_refuses)
{
    static const struct {
        const char *text;
        bool is_valid;
    } rows[] = {
        {HEAD "mx: a.example", true},
        {HEAD "mx: a.example\n\n\r\n", true},
        {HEAD "mx:a.example", true},
        {HEAD "mx:  a.example \t", true},
        {HEAD "mx: *.example", true},
        {HEAD "mx: _a-b.example", true},
        {HEAD "mx: a.example\nfuture: \xc3\xa4 anything", true},
        {HEAD "mx: a.example\nmode: rubbish\nversion: 2\nmax_age: x", true}, /* the first counts */
        {"version: STSv1\nmode: none\nmax_age: 1", true},
        {"mode: testing\nmax_age: 0\nmx: a.example\nversion: STSv1", true},
        {HEAD, false}, /* no mx */
        {"version: STSv1\nmode: testing\nmax_age: 1", false},
        {"version: STSv1\nmode: enforce\nmx: a.example", false},
        {"version: STSv1\nmax_age: 1\nmx: a.example", false},
        {"mode: enforce\nmax_age: 1\nmx: a.example", false},
        {"version: STSv2\nmode: none\nmax_age: 1", false},
        {"version: STSv1\nmode: Enforce\nmax_age: 1\nmx: a.example", false},
        {"version: STSv1\nmode: none\nmax_age: ", false},
        {"version: STSv1\nmode: none\nmax_age: -1", false},
        {"version: STSv1\nmode: none\nmax_age: 12345678901", false},
        {"version: STSv1\nmode: none\nmax_age: 1d", false},
        {"Version: STSv1\nmode: none\nmax_age: 1", false}, /* case counts */
        {HEAD "mx: a.example\nno field", false},
        {HEAD "mx: a.example\n: nothing", false},
        {HEAD "mx: a.example\nx: \x1b[2J", false},
        {HEAD "mx: ", false},
        {HEAD "mx: *", false},
        {HEAD "mx: *.", false},
        {HEAD "mx: *.*.example", false},
        {HEAD "mx: a.*.example", false},
        {HEAD "mx: .example", false},
        {HEAD "mx: a..example", false},
        {HEAD "mx: a.example.", false},
        {HEAD "mx: a b", false},
        {"<html></html>", false},
        {"", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_row(i, parse(rows[i].text) == rows[i].is_valid);
}

TEST(parse_bounds_age_and_size)
{
    static char text[MTA_STS_TEXT_MAX + 2];

    assert_true(parse("version: STSv1\nmode: none\nmax_age: 31557600"));
    assert_int_equal(policy.max_age_s, 31557600);
    assert_true(parse("version: STSv1\nmode: none\nmax_age: 9999999999"));
    assert_int_equal(policy.max_age_s, 31557600);
    memset(text, '\n', sizeof(text) - 1);
    memcpy(text, HEAD "mx: a.example", strlen(HEAD "mx: a.example"));
    assert_false(parse(text));
    text[MTA_STS_TEXT_MAX] = '\0';
    assert_true(parse(text));
}

TEST(allows_hosts_by_their_patterns)
{
    static const struct {
        const char *host;
        bool is_allowed;
    } rows[] = {
        {"mail.example.com", true},
        {"MAIL.Example.COM", true},
        {"mail.example.com.", true},
        {"xmail.example.com", false},
        {"a.example.net", true},
        {"a.b.example.net", false},
        {"example.net", false},
        {".example.net", false},
        {"example.com", false},
        {"mail.example.com.evil", false},
        {"", false},
        {".", false},
        {"net", false},
    };

    assert_true(parse(HEAD "mx: mail.example.com\nxmx: other.example\nmx: *.example.net\n"));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_row(i, mta_sts_policy_allows(&policy, bytes_of(rows[i].host)) == rows[i].is_allowed);
    assert_false(mta_sts_policy_allows(&policy, BYTES("other.example")));
}
