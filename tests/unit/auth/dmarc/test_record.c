/* test_record.c - which texts are DMARC records, and what they say. */
/* modules: dmarc */
#include "auth/dmarc/record.h"

#include <stdlib.h>
#include <string.h>

#include "support/unit.h"

#define N DMARC_POLICY_NONE
#define Q DMARC_POLICY_QUARANTINE
#define R DMARC_POLICY_REJECT

static bool parse(const char *text, struct dmarc_record *out)
{
    size_t len = strlen(text);
    uint8_t *exact = malloc(len + 1); /* AddressSanitizer sees one byte too many */

    memcpy(exact, text, len);
    bool is_record = dmarc_record_parse(bytes_range(exact, len), out);

    if (is_record) /* they point into what is freed now */
        out->rua = out->ruf = out->fo = BYTES_NONE;
    free(exact);
    return is_record;
}

static const struct {
    const char *text;
    bool is_record;
    bool has_policy;
    enum dmarc_policy p, sp, np;
} policies[] = {
    {"v=DMARC1; p=none", true, true, N, N, N},
    {"v=DMARC1;p=reject", true, true, R, R, R},
    {"v=DMARC1;p=reject;", true, true, R, R, R},
    {"V = DMARC1 ; P = Quarantine ; ", true, true, Q, Q, Q},
    {"v=DMARC1; p=reject; sp=none", true, true, R, N, N},
    {"v=DMARC1; p=none; np=reject", true, true, N, N, R},
    {"v=DMARC1; p=none; sp=quarantine; np=reject", true, true, N, Q, R},
    {"v=DMARC1; np=none; sp=reject; p=quarantine", true, true, Q, R, N},   /* in any order */
    {"v=DMARC1; p=reject; pct=0; rf=afrf; ri=86400", true, true, R, R, R}, /* historic: ignored */
    {"v=DMARC1; p=reject; x=1; unknown=reject", true, true, R, R, R},
    {"v=DMARC1; p=reject; nonsense; =; a1=2; \x01", true, true, R, R, R},
    {"v=DMARC1; p=reject; rua=mailto:a@b.example; fo=1:d", true, true, R, R, R},
    /* Without a valid policy: none, if reports can be sent. */
    {"v=DMARC1", true, false, N, N, N},
    {"v=DMARC1; rua=mailto:a@b.example", true, true, N, N, N},
    {"v=DMARC1; p=; rua=mailto:a@b.example!10m", true, true, N, N, N},
    {"v=DMARC1; p=block; rua=nonsense, https://b.example/x", true, true, N, N, N},
    {"v=DMARC1; p=block", true, false, N, N, N},
    {"v=DMARC1; p=block; rua=", true, false, N, N, N},
    {"v=DMARC1; p=block; rua=a@b.example", true, false, N, N, N},
    {"v=DMARC1; p=block; rua=mailto:b.example", true, false, N, N, N},
    {"v=DMARC1; p=block; rua=mailto:a@", true, false, N, N, N},
    {"v=DMARC1; p=block; rua=mailto:@b.example", true, false, N, N, N},
    {"v=DMARC1; p=block; rua=mailto:", true, false, N, N, N},
    {"v=DMARC1; p=block; rua=1x:y", true, false, N, N, N},
    {"v=DMARC1; p=block; rua=h_t:y", true, false, N, N, N},
    {"v=DMARC1; p=block; rua=mailto:a b@c.example", true, false, N, N, N},
    {"v=DMARC1; p=reject; sp=block", true, false, N, N, N},
    {"v=DMARC1; p=reject; np=block", true, false, N, N, N},
    {"v=DMARC1; p=reject; sp=block; rua=mailto:a@b.example", true, true, N, N, N},
    {"v=DMARC1; p=reject\x01", true, false, N, N, N},
    {"v=DMARC1; p=reject reject", true, false, N, N, N},

    {"", false, false, N, N, N},
    {"v", false, false, N, N, N},
    {"v=", false, false, N, N, N},
    {"p=reject; v=DMARC1", false, false, N, N, N},
    {"v=dmarc1; p=reject", false, false, N, N, N},
    {"v=DMARC2; p=reject", false, false, N, N, N},
    {"v=DMARC10; p=reject", false, false, N, N, N},
    {"v=DMARC1 p=reject", false, false, N, N, N},
    {" v=DMARC1; p=reject", false, false, N, N, N},
    {"; v=DMARC1; p=reject", false, false, N, N, N},
    {"v=DMARC1; p=reject; p=none", false, false, N, N, N},
    {"v=DMARC1; p=reject; X=1; x=2", false, false, N, N, N},
    {"v=DMARC1; v=DMARC1; p=reject", false, false, N, N, N},
    {"v=spf1 -all", false, false, N, N, N},
};

TEST(parse_takes_policies)
{
    for (size_t i = 0; i < ARRAY_LEN(policies); i++) {
        struct dmarc_record record;
        bool is_record = parse(policies[i].text, &record);

        expect_row(i, is_record == policies[i].is_record);
        if (!is_record)
            continue;
        expect_row(i, record.has_policy == policies[i].has_policy);
        expect_row(i, record.p == policies[i].p);
        expect_row(i, record.sp == policies[i].sp);
        expect_row(i, record.np == policies[i].np);
    }
}

static const struct {
    const char *tags;
    bool is_strict_dkim, is_strict_spf, is_testing;
    enum dmarc_psd psd;
} others[] = {
    {"", false, false, false, DMARC_PSD_UNKNOWN},
    {"; adkim=s", true, false, false, DMARC_PSD_UNKNOWN},
    {"; aspf=S; adkim=r", false, true, false, DMARC_PSD_UNKNOWN},
    {"; adkim=x; aspf=; t=x; psd=x", false, false, false, DMARC_PSD_UNKNOWN},
    {"; t=y", false, false, true, DMARC_PSD_UNKNOWN},
    {"; t=n; psd=u", false, false, false, DMARC_PSD_UNKNOWN},
    {"; psd=y", false, false, false, DMARC_PSD_YES},
    {"; PSD=N", false, false, false, DMARC_PSD_NO},
};

TEST(parse_takes_the_other_tags)
{
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        struct dmarc_record record;
        char text[128] = "v=DMARC1; p=none";

        memcpy(text + strlen(text), others[i].tags, strlen(others[i].tags) + 1);
        expect_row(i, parse(text, &record));
        expect_row(i, record.is_strict_dkim == others[i].is_strict_dkim);
        expect_row(i, record.is_strict_spf == others[i].is_strict_spf);
        expect_row(i, record.is_testing == others[i].is_testing);
        expect_row(i, record.psd == others[i].psd);
    }
}

TEST(parse_keeps_where_reports_go)
{
    struct dmarc_record record;

    assert_true(dmarc_record_parse(
        BYTES("v=DMARC1; p=none; rua= mailto:a@b.example,mailto:c@d.example ;ruf=mailto:e@f; fo=1"),
        &record));
    assert_true(bytes_equal(record.rua, BYTES("mailto:a@b.example,mailto:c@d.example")));
    assert_true(bytes_equal(record.ruf, BYTES("mailto:e@f")));
    assert_true(bytes_equal(record.fo, BYTES("1")));
}

TEST(parse_bounds_tags)
{
    char text[1024] = "v=DMARC1;p=none";
    struct dmarc_record record;

    for (int i = 0; i < 62; i++) {
        size_t len = strlen(text);

        text[len] = ';';
        text[len + 1] = (char)('a' + i / 26);
        text[len + 2] = (char)('a' + i % 26);
        memcpy(text + len + 3, "=1", 3);
    }
    assert_true(parse(text, &record));
    memcpy(text + strlen(text), ";zz=1", 6);
    assert_false(parse(text, &record));
}
