/* test_verify.c - what each signature is worth, for every way in which one can be wrong. */
#include <openssl/err.h>

#include "support/dkim_driver.h"
#include "support/dkim_forger.h"
#include "support/unit.h"

enum { NOW_S = 1700000000, RECORD_SIZE = 4096 };

#define GOOD "v=1; a=rsa-sha256; d=example.org; s=sel; h=From:To;"
#define NAME "sel._domainkey.example.org"

static const char message[] = "From: a@example.org\r\nTo: b@example.net\r\n\r\nHello\r\n";

static struct forger rsa, rsa_other, short_rsa, ed25519;

__attribute__((constructor)) static void make_keys(void)
{
    forger_init(&rsa, 1024);
    forger_init(&rsa_other, 1024);
    forger_init(&short_rsa, 768);
    forger_init(&ed25519, 0);
}

__attribute__((destructor)) static void free_keys(void)
{
    forger_free(&rsa);
    forger_free(&rsa_other);
    forger_free(&short_rsa);
    forger_free(&ed25519);
}

static const struct forgery plain = {GOOD, "From:To", CANONICAL_SIMPLE, CANONICAL_SIMPLE,
                                     BODY_HASH_WHOLE};

/* The verdict on the first signature of `content`, in words: "pass: it matches". */
static void judge(struct bytes content, const struct dkim_zone_row *zone, size_t zone_count,
                  char text[static 256], unsigned *asked_out)
{
    struct dkim_driver driver;

    dkim_driver_init(&driver, zone, zone_count, (int64_t)NOW_S * 1000);
    dkim_driver_feed(&driver, content);
    dkim_driver_finish(&driver);
    assert_true(dkim_verifier_count(driver.verifier) > 0);
    const struct dkim_verdict *verdict = dkim_verifier_verdict(driver.verifier, 0);

    assert_ptr_equal(verdict, dkim_verifier_verdict(driver.verifier, 0));
    snprintf(text, 256, "%s: %.*s", dkim_result_name(verdict->result), BYTES_ARG(verdict->reason));
    if (asked_out != NULL)
        *asked_out = driver.asked;
    dkim_driver_free(&driver);
}

static const struct {
    struct forgery forgery;
    const char *verdict;
} signatures[] = {
    {{GOOD, "From:To", 0, 0, BODY_HASH_WHOLE}, "pass: it matches"},
    {{"v=1;a=rsa-sha256;d=example.org;s=sel;c=relaxed;h=from:to;", "from:to", 1, 0,
      BODY_HASH_WHOLE},
     "pass: it matches"},
    {{"v=1;a=rsa-sha256;d=example.org;s=sel;c=relaxed/relaxed;h=from :\r\n to;", "from:to", 1, 1,
      BODY_HASH_WHOLE},
     "pass: it matches"},
    {{"v=1;a=rsa-sha256;d=Example.ORG;s=SEL;h=From:To:Subject;", "From:To", 0, 0, BODY_HASH_WHOLE},
     "pass: it matches"},
    {{GOOD " q=dns/txt; t=1; x=1700000000; z=x; i=@example.org; unknown=1;", "From:To", 0, 0,
      BODY_HASH_WHOLE},
     "pass: it matches"},
    {{GOOD " i=bob=40x@sub.example.org; q=other/way:dns/txt;", "From:To", 0, 0, BODY_HASH_WHOLE},
     "pass: it matches"},
    {{GOOD " l=3;", "From:To", 0, 0, 3},
     "pass: it matches, and 3 of the 7 octets of the body are signed (l=)"},
    {{GOOD " l=0;", "From:To", 0, 0, 0},
     "pass: it matches, and 0 of the 7 octets of the body are signed (l=)"},
    {{GOOD " l=7;", "From:To", 0, 0, BODY_HASH_WHOLE}, "pass: it matches"},
    {{GOOD " l=8;", "From:To", 0, 0, BODY_HASH_WHOLE}, "fail: the body is shorter than its l="},
    {{GOOD " l=18446744073709551615;", "From:To", 0, 0, BODY_HASH_WHOLE},
     "fail: the body is shorter than its l="},
    {{GOOD " l=99999999999999999999999;", "From:To", 0, 0, BODY_HASH_WHOLE},
     "fail: the body is shorter than its l="},
    {{GOOD " l=3;", "From:To", 0, 0, 4}, "fail: the body was changed"},
    {{GOOD, "From", 0, 0, BODY_HASH_WHOLE}, "fail: the signature does not match the header"},
    {{GOOD, "To:From", 0, 0, BODY_HASH_WHOLE}, "fail: the signature does not match the header"},
    {{GOOD, "From:To", 1, 0, BODY_HASH_WHOLE}, "fail: the signature does not match the header"},
    {{GOOD " l=x;", "From:To", 0, 0, BODY_HASH_WHOLE}, "permerror: l= is not a number"},
    {{"a=rsa-sha256; d=example.org; s=sel; h=From:To;", "From:To", 0, 0, BODY_HASH_WHOLE},
     "permerror: v= is missing"},
    {{"v=2; a=rsa-sha256; d=example.org; s=sel; h=From:To;", "From:To", 0, 0, BODY_HASH_WHOLE},
     "permerror: its version is not 1"},
    {{"v=1; a=rsa-sha1; d=example.org; s=sel; h=From:To;", "From:To", 0, 0, BODY_HASH_WHOLE},
     "permerror: rsa-sha1 is not secure (RFC 8301)"},
    {{"v=1; a=RSA-SHA256; d=example.org; s=sel; h=From:To;", "From:To", 0, 0, BODY_HASH_WHOLE},
     "permerror: its algorithm is unknown"},
    {{"v=1; d=example.org; s=sel; h=From:To;", "From:To", 0, 0, BODY_HASH_WHOLE},
     "permerror: a= is missing"},
    {{"v=1; a=rsa-sha256; s=sel; h=From:To;", "From:To", 0, 0, BODY_HASH_WHOLE},
     "permerror: d= is missing"},
    {{"v=1; a=rsa-sha256; d=org; s=sel; h=From:To;", "From:To", 0, 0, BODY_HASH_WHOLE},
     "permerror: d= is a top-level domain"},
    {{"v=1; a=rsa-sha256; d=exa mple.org; s=sel; h=From:To;", "From:To", 0, 0, BODY_HASH_WHOLE},
     "permerror: d= is not a domain name"},
    {{"v=1; a=rsa-sha256; d=example..org; s=sel; h=From:To;", "From:To", 0, 0, BODY_HASH_WHOLE},
     "permerror: d= is not a domain name"},
    {{"v=1; a=rsa-sha256; d=-example.org; s=sel; h=From:To;", "From:To", 0, 0, BODY_HASH_WHOLE},
     "permerror: d= is not a domain name"},
    {{"v=1; a=rsa-sha256; d=example-.org; s=sel; h=From:To;", "From:To", 0, 0, BODY_HASH_WHOLE},
     "permerror: d= is not a domain name"},
    {{"v=1; a=rsa-sha256; d=example.org.; s=sel; h=From:To;", "From:To", 0, 0, BODY_HASH_WHOLE},
     "permerror: d= is not a domain name"},
    {{"v=1; a=rsa-sha256; d=example.org; h=From:To;", "From:To", 0, 0, BODY_HASH_WHOLE},
     "permerror: s= is missing"},
    {{"v=1; a=rsa-sha256; d=example.org; s=; h=From:To;", "From:To", 0, 0, BODY_HASH_WHOLE},
     "permerror: s= is not a selector"},
    {{"v=1; a=rsa-sha256; d=example.org; s=sel;", "From:To", 0, 0, BODY_HASH_WHOLE},
     "permerror: h= is missing"},
    {{"v=1; a=rsa-sha256; d=example.org; s=sel; h=To;", "To", 0, 0, BODY_HASH_WHOLE},
     "permerror: From is not signed"},
    {{"v=1; a=rsa-sha256; d=example.org; s=sel; h=From:;", "From", 0, 0, BODY_HASH_WHOLE},
     "permerror: h= is not a list of field names"},
    {{GOOD " c=nowsp;", "From:To", 0, 0, BODY_HASH_WHOLE},
     "permerror: its canonicalization is unknown"},
    {{GOOD " c=simple/simple/simple;", "From:To", 0, 0, BODY_HASH_WHOLE},
     "permerror: its canonicalization is unknown"},
    {{GOOD " q=dns;", "From:To", 0, 0, BODY_HASH_WHOLE},
     "permerror: none of its ways to find the key is known"},
    {{GOOD " t=2; x=2;", "From:To", 0, 0, BODY_HASH_WHOLE},
     "permerror: it expires before it was made"},
    {{GOOD " x=1699999999;", "From:To", 0, 0, BODY_HASH_WHOLE}, "permerror: it has expired"},
    {{GOOD " x=-1;", "From:To", 0, 0, BODY_HASH_WHOLE}, "permerror: x= is not a number"},
    {{GOOD " t=a;", "From:To", 0, 0, BODY_HASH_WHOLE}, "permerror: t= is not a number"},
    {{GOOD " i=@example.net;", "From:To", 0, 0, BODY_HASH_WHOLE}, "permerror: i= is not in d="},
    {{GOOD " i=@badexample.org;", "From:To", 0, 0, BODY_HASH_WHOLE}, "permerror: i= is not in d="},
    {{GOOD " i=@org;", "From:To", 0, 0, BODY_HASH_WHOLE}, "permerror: i= is not in d="},
    {{GOOD " i=example.org;", "From:To", 0, 0, BODY_HASH_WHOLE}, "permerror: i= is not an address"},
    {{GOOD " s=sel;", "From:To", 0, 0, BODY_HASH_WHOLE}, "permerror: a tag occurs twice"},
    {{GOOD " bh=AA==;", "From:To", 0, 0, BODY_HASH_WHOLE}, "permerror: a tag occurs twice"},
    {{GOOD " nonsense;", "From:To", 0, 0, BODY_HASH_WHOLE}, "permerror: a tag without \"=\""},
};

TEST(verdict_is_what_the_signature_is_worth)
{
    char record[RECORD_SIZE], text[256];
    struct dkim_zone_row zone[] = {{NAME, record, 0}};

    snprintf(record, sizeof(record), "v=DKIM1; p=%s", rsa.p);
    for (size_t row = 0; row < ARRAY_LEN(signatures); row++) {
        struct buf out;
        unsigned asked;

        buf_init(&out, 8192);
        forge(&rsa, &signatures[row].forgery, bytes_of(message), &out);
        judge(buf_bytes(&out), zone, 1, text, &asked);
        if (strcmp(text, signatures[row].verdict) != 0)
            fail_msg("row %zu: %s, not %s", row, text, signatures[row].verdict);
        /* What cannot be used asks nothing of DNS. */
        expect_row(row, asked == (strncmp(text, "permerror", 9) != 0));
        buf_free(&out);
    }
}

/* bh= and b= themselves, which the forger always writes well. */
static const struct {
    const char *field, *verdict;
} broken[] = {
    {GOOD " b=AA==", "permerror: bh= is missing"},
    {GOOD " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=", "permerror: b= is missing"},
    {GOOD " bh=AA==; b=AA==", "permerror: bh= has not the length of its hash"},
    {GOOD " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=; b=",
     "permerror: its base64 is wrong, or too long"},
    {GOOD " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=; b=A",
     "permerror: its base64 is wrong, or too long"},
    {GOOD " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8; b=AA==",
     "permerror: its base64 is wrong, or too long"},
    {GOOD " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=; b=AA==", "fail: the body was changed"},
    {GOOD " bh=DAvGiQPAzlWwjIDmX5Xj6DAvH8XZKBwMiHHl4dIYbCY=; b=AA==", "fail: the body was changed"},
    {"", "permerror: a tag without \"=\""},
    {";", "permerror: a tag without \"=\""},
    {"\xff\xfe=\x80", "permerror: a tag's name is not one"},
};

TEST(verdict_of_broken_fields_is_permerror)
{
    char record[RECORD_SIZE], text[256], content[1024];
    struct dkim_zone_row zone[] = {{NAME, record, 0}};

    snprintf(record, sizeof(record), "v=DKIM1; p=%s", rsa.p);
    for (size_t row = 0; row < ARRAY_LEN(broken); row++) {
        snprintf(content, sizeof(content), "DKIM-Signature: %s\r\n%s", broken[row].field, message);
        judge(bytes_of(content), zone, 1, text, NULL);
        if (strcmp(text, broken[row].verdict) != 0)
            fail_msg("row %zu: %s, not %s", row, text, broken[row].verdict);
    }
}

/* %s: the right p=. */
static const struct {
    const char *record, *verdict;
} records[] = {
    {"p=%s", "pass: it matches"},
    {"v=DKIM1; k=rsa; h=sha1:sha256; s=email; n=a note; g=*; foo=bar; p=%s;", "pass: it matches"},
    {"v=DKIM1; s=tlsrpt : *; t=x; p=%s", "pass: it matches"},
    {"v=DKIM1; t=y; p=%s", "pass: it matches; the domain is testing (t=y)"},
    {"v=DKIM1; t=s; p=%s", "pass: it matches"},
    {"v=DKIM1; p=", "permerror: the key is revoked"},
    {"v=DKIM1; p= ;", "permerror: the key is revoked"},
    {"v=DKIM1; k=rsa", "permerror: the record has no p="},
    {"v=DKIM2; p=%s", "permerror: the record is of another version"},
    {"v=dkim1; p=%s", "permerror: the record is of another version"},
    {"p=%s; v=DKIM1", "permerror: the record is of another version"},
    {"v=DKIM1; k=ed25519; p=%s", "permerror: the key is of another type"},
    {"v=DKIM1; k=RSA; p=%s", "permerror: the key is of another type"},
    {"v=DKIM1; h=sha1; p=%s", "permerror: the key is not for this hash"},
    {"v=DKIM1; h=; p=%s", "permerror: the key is not for this hash"},
    {"v=DKIM1; s=tlsrpt; p=%s", "permerror: the key is not for mail"},
    {"v=DKIM1; p=!%s", "permerror: its p= is not base64"},
    {"v=DKIM1; p=AAAA", "permerror: its p= is not an RSA key"},
    {"v=DKIM1; p=%s; p=%s", "permerror: a tag occurs twice"},
    {"v=spf1 -all", "permerror: the record is of another version"},
    {"hello", "permerror: a tag without \"=\""},
    {"", "permerror: a tag without \"=\""},
};

TEST(verdict_follows_the_key_record)
{
    char record[RECORD_SIZE], text[256];
    struct dkim_zone_row zone[] = {{NAME, record, 0}};
    struct buf out;

    buf_init(&out, 8192);
    forge(&rsa, &plain, bytes_of(message), &out);
    for (size_t row = 0; row < ARRAY_LEN(records); row++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(record, sizeof(record), records[row].record, rsa.p, rsa.p);
#pragma GCC diagnostic pop
        judge(buf_bytes(&out), zone, 1, text, NULL);
        if (strcmp(text, records[row].verdict) != 0)
            fail_msg("row %zu: %s, not %s", row, text, records[row].verdict);
    }
    buf_free(&out);
}

static void expect_verdict(const struct forger *forger, const struct forgery *forgery,
                           const struct dkim_zone_row *zone, size_t zone_count, const char *verdict)
{
    char text[256];
    struct buf out;

    buf_init(&out, 8192);
    forge(forger, forgery, bytes_of(message), &out);
    judge(buf_bytes(&out), zone, zone_count, text, NULL);
    assert_string_equal(text, verdict);
    buf_free(&out);
}

TEST(verdict_follows_what_dns_answers)
{
    struct dkim_zone_row zone[] = {{NAME, NULL, LOOKUP_NO_DATA}};

    expect_verdict(&rsa, &plain, zone, 0, "permerror: there is no key for it");
    expect_verdict(&rsa, &plain, zone, 1, "permerror: there is no key for it");
    zone[0].result = LOOKUP_FAILED;
    expect_verdict(&rsa, &plain, zone, 1, "temperror: its key cannot be had for now");
}

TEST(several_records_are_tried_and_one_that_matches_passes)
{
    char good[RECORD_SIZE], other[RECORD_SIZE];
    struct dkim_zone_row zone[] = {{NAME, "v=spf1 -all", 0}, {NAME, other, 0}, {NAME, good, 0}};

    snprintf(good, sizeof(good), "p=%s", rsa.p);
    snprintf(other, sizeof(other), "v=DKIM1; p=%s", rsa_other.p);
    expect_verdict(&rsa, &plain, zone, 3, "pass: it matches");
    expect_verdict(&rsa, &plain, zone, 2, "fail: the signature does not match the header");
    expect_verdict(&rsa, &plain, zone, 1, "permerror: the record is of another version");
}

TEST(both_forms_of_rsa_keys_are_read_also_with_white_space)
{
    char record[RECORD_SIZE];
    struct dkim_zone_row zone[] = {{NAME, record, 0}};

    snprintf(record, sizeof(record), "p=%s", rsa.bare);
    expect_verdict(&rsa, &plain, zone, 1, "pass: it matches");
    snprintf(record, sizeof(record), "p=%.20s \t%s", rsa.p, rsa.p + 20);
    expect_verdict(&rsa, &plain, zone, 1, "pass: it matches");
}

TEST(short_keys_are_policy_where_they_match)
{
    char record[RECORD_SIZE];
    struct dkim_zone_row zone[] = {{NAME, record, 0}};

    snprintf(record, sizeof(record), "p=%s", short_rsa.p);
    expect_verdict(&short_rsa, &plain, zone, 1, "policy: its key is too short to prove anything");
    expect_verdict(&rsa, &plain, zone, 1, "fail: the signature does not match the header");
}

TEST(strict_keys_are_not_for_sub_domains)
{
    struct forgery below = plain;
    char record[RECORD_SIZE];
    struct dkim_zone_row zone[] = {{NAME, record, 0}};

    below.tags = GOOD " i=@sub.example.org;";
    snprintf(record, sizeof(record), "t=y:s; p=%s", rsa.p);
    expect_verdict(&rsa, &below, zone, 1, "permerror: the key is not for sub-domains in i=");
    below.tags = GOOD " i=@EXAMPLE.org;";
    expect_verdict(&rsa, &below, zone, 1, "pass: it matches; the domain is testing (t=y)");
}

TEST(ed25519_passes_and_its_keys_are_32_octets)
{
    struct forgery forgery = plain;
    char record[RECORD_SIZE];
    struct dkim_zone_row zone[] = {{NAME, record, 0}};

    forgery.tags = "v=1; a=ed25519-sha256; d=example.org; s=sel; h=From:To;";
    snprintf(record, sizeof(record), "k=ed25519; p=%s", ed25519.p);
    expect_verdict(&ed25519, &forgery, zone, 1, "pass: it matches");
    expect_verdict(&rsa, &forgery, zone, 1, "fail: the signature does not match the header");
    snprintf(record, sizeof(record), "k=ed25519; p=AA==");
    expect_verdict(&ed25519, &forgery, zone, 1, "permerror: its p= is not an Ed25519 key");
    snprintf(record, sizeof(record), "p=%s", ed25519.p);
    expect_verdict(&ed25519, &forgery, zone, 1, "permerror: the key is of another type");
}

TEST(domains_of_international_mail_are_asked_as_a_labels)
{
    struct forgery forgery = plain;
    char record[RECORD_SIZE];
    struct dkim_zone_row zone[] = {{"xn--hn-via._domainkey.xn--bcher-kva.example", record, 0}};

    forgery.tags = "v=1; a=rsa-sha256; d=b\xc3\xbc"
                   "cher.example; s=h\xc3\xa4n; h=From:To; "
                   "i=j\xc3\xb6rg@B\xc3\x9c"
                   "CHER.example;";
    snprintf(record, sizeof(record), "p=%s", rsa.p);
    expect_verdict(&rsa, &forgery, zone, 1, "pass: it matches");
    forgery.tags = "v=1; a=rsa-sha256; d=\xff.example; s=sel; h=From:To;";
    expect_verdict(&rsa, &forgery, zone, 1,
                   "permerror: a tag's value has characters that it must not have");
}

/* TLS on the same thread reads the library's queue of errors after each of its calls. */
TEST(failures_leave_nothing_in_the_library_s_queue)
{
    char record[RECORD_SIZE], text[256];
    struct dkim_zone_row zone[] = {{NAME, record, 0}};
    struct buf out;

    buf_init(&out, 8192);
    forge(&rsa, &plain, bytes_of(message), &out);
    snprintf(record, sizeof(record), "p=%s", rsa_other.p);
    judge(buf_bytes(&out), zone, 1, text, NULL);
    assert_string_equal(text, "fail: the signature does not match the header");
    assert_int_equal(ERR_peek_error(), 0);
    buf_free(&out);
}

/* RFC 6376 section 5.4.2. */
TEST(fields_of_a_name_are_taken_from_the_bottom)
{
    static const char three[] = "To: 1\r\nFrom: a\r\nTo: 2\r\nTo: 3\r\n\r\nx\r\n";
    struct forgery forgery = plain;
    char record[RECORD_SIZE], text[256], content[4096];
    struct dkim_zone_row zone[] = {{NAME, record, 0}};
    struct buf out;

    snprintf(record, sizeof(record), "p=%s", rsa.p);
    forgery.tags = "v=1; a=rsa-sha256; d=example.org; s=sel; h=From:To:To;";
    forgery.names = "From:To:To";
    buf_init(&out, 8192);
    forge(&rsa, &forgery, bytes_of(three), &out);
    /* The topmost To is not signed, and may change; the others not, nor their order. */
    snprintf(content, sizeof(content), "%.*s", BYTES_ARG(buf_bytes(&out)));
    *strstr(content, "To: 1") = 'X';
    judge(bytes_of(content), zone, 1, text, NULL);
    assert_string_equal(text, "pass: it matches");
    strstr(content, "To: 2")[4] = '3';
    strstr(content, "To: 3\r\n\r\n")[4] = '2';
    judge(bytes_of(content), zone, 1, text, NULL);
    assert_string_equal(text, "fail: the signature does not match the header");
    buf_free(&out);
}

TEST(names_without_a_field_keep_fields_from_being_added)
{
    struct forgery forgery = plain;
    char record[RECORD_SIZE], text[256], content[4096];
    struct dkim_zone_row zone[] = {{NAME, record, 0}};
    struct buf out;

    snprintf(record, sizeof(record), "p=%s", rsa.p);
    forgery.tags = "v=1; a=rsa-sha256; d=example.org; s=sel; h=From:From:To:Subject;";
    buf_init(&out, 8192);
    forge(&rsa, &forgery, bytes_of(message), &out);
    judge(buf_bytes(&out), zone, 1, text, NULL);
    assert_string_equal(text, "pass: it matches");
    snprintf(content, sizeof(content), "Subject: new\r\n%.*s", BYTES_ARG(buf_bytes(&out)));
    judge(bytes_of(content), zone, 1, text, NULL);
    assert_string_equal(text, "fail: the signature does not match the header");
    snprintf(content, sizeof(content), "From: new\r\n%.*s", BYTES_ARG(buf_bytes(&out)));
    judge(bytes_of(content), zone, 1, text, NULL);
    assert_string_equal(text, "fail: the signature does not match the header");
    snprintf(content, sizeof(content), "Comment: new\r\n%.*s", BYTES_ARG(buf_bytes(&out)));
    judge(bytes_of(content), zone, 1, text, NULL);
    assert_string_equal(text, "pass: it matches");
    buf_free(&out);
}

/* Another signature may be among the signed fields, the one that is made never. */
TEST(signatures_can_cover_others_and_not_themselves)
{
    struct forgery forgery = plain;
    char record[RECORD_SIZE], text[256];
    struct dkim_zone_row zone[] = {{NAME, record, 0}};
    struct buf inner, outer;

    snprintf(record, sizeof(record), "p=%s", rsa.p);
    buf_init(&inner, 8192);
    buf_init(&outer, 8192);
    forge(&rsa, &plain, bytes_of(message), &inner);
    forgery.tags = "v=1; a=rsa-sha256; d=example.org; s=sel; h=From:DKIM-Signature:DKIM-Signature;";
    forgery.names = "From:DKIM-Signature:DKIM-Signature";
    forge(&rsa, &forgery, buf_bytes(&inner), &outer);
    judge(buf_bytes(&outer), zone, 1, text, NULL);
    assert_string_equal(text, "pass: it matches");
    buf_free(&inner);
    buf_free(&outer);
}

TEST(verdicts_say_what_could_be_read_of_each_in_order)
{
    static const char content[] =
        "DKIM-Signature: a=rsa-sha1; d=One.Example; s=S1; i=@one.example\r\n"
        "From: a\r\n"
        "dkim-signature: nonsense\r\n"
        "DKIM-Signature: d=two.example; a=<x>; b=A B\r\n\r\n";
    struct dkim_driver driver;

    dkim_driver_init(&driver, NULL, 0, 1);
    dkim_driver_feed(&driver, bytes_of(content));
    dkim_driver_finish(&driver);
    assert_int_equal(dkim_verifier_count(driver.verifier), 3);
    const struct dkim_verdict *one = dkim_verifier_verdict(driver.verifier, 0);
    const struct dkim_verdict *two = dkim_verifier_verdict(driver.verifier, 1);
    const struct dkim_verdict *three = dkim_verifier_verdict(driver.verifier, 2);

    assert_int_equal(one->result, DKIM_PERMERROR);
    assert_true(bytes_equal(one->domain, BYTES("one.example")));
    assert_true(bytes_equal(one->selector, BYTES("s1")));
    assert_true(bytes_equal(one->algorithm, BYTES("rsa-sha1")));
    assert_true(bytes_equal(one->identity, BYTES("@one.example")));
    assert_int_equal(two->result, DKIM_PERMERROR);
    assert_int_equal(two->domain.len + two->selector.len + two->algorithm.len, 0);
    assert_true(bytes_equal(three->domain, BYTES("two.example")));
    assert_int_equal(three->algorithm.len, 0);
    assert_true(bytes_equal(three->signature_text, BYTES("A B")));
    dkim_driver_free(&driver);
}

TEST(more_signatures_than_are_looked_at_are_neutral)
{
    char record[RECORD_SIZE];
    struct dkim_zone_row zone[] = {{NAME, record, 0}};
    struct dkim_driver driver;
    struct buf one;

    snprintf(record, sizeof(record), "p=%s", rsa.p);
    buf_init(&one, 8192);
    forge(&rsa, &plain, bytes_of(message), &one);
    struct bytes field = bytes_slice(buf_bytes(&one), 0, buf_len(&one) - strlen(message));

    dkim_driver_init(&driver, zone, 1, 1);
    for (unsigned i = 0; i < 100; i++)
        dkim_driver_feed(&driver, field);
    dkim_driver_feed(&driver, bytes_of(message));
    dkim_driver_finish(&driver);
    assert_int_equal(dkim_verifier_count(driver.verifier), 100);
    assert_int_equal(driver.asked, DKIM_SIGNATURES_MAX);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(dkim_verifier_verdict(driver.verifier, i)->result,
                         i < DKIM_SIGNATURES_MAX ? DKIM_PASS : DKIM_NEUTRAL);
    dkim_driver_free(&driver);
    buf_free(&one);
}

TEST(signatures_of_a_header_that_was_cut_are_neutral)
{
    char record[RECORD_SIZE];
    struct dkim_zone_row zone[] = {{NAME, record, 0}};
    struct dkim_driver driver;
    struct buf one;

    snprintf(record, sizeof(record), "p=%s", rsa.p);
    buf_init(&one, 8192);
    forge(&rsa, &plain, bytes_of(message), &one);
    struct bytes all = buf_bytes(&one);

    dkim_driver_init(&driver, zone, 1, 1);
    dkim_driver_feed(&driver, bytes_slice(all, 0, all.len - 9)); /* before the empty line */
    for (unsigned i = 0; i < MAIL_HEADER_FIELDS_MAX; i++)
        dkim_driver_feed(&driver, BYTES("X: y\r\n"));
    dkim_driver_feed(&driver, bytes_slice(all, all.len - 9, 9));
    dkim_driver_finish(&driver);
    assert_int_equal(dkim_verifier_count(driver.verifier), 1);
    assert_int_equal(dkim_verifier_verdict(driver.verifier, 0)->result, DKIM_NEUTRAL);
    assert_int_equal(driver.asked, 0);
    dkim_driver_free(&driver);
    buf_free(&one);
}

TEST(signed_names_are_bounded)
{
    struct arena arena;
    struct buf text;

    buf_init(&text, 1 << 16);
    arena_init(&arena, 2 * SIGNATURE_ARENA);
    assert_true(buf_printf(&text, "%s",
                           "v=1; a=rsa-sha256; d=example.org; s=x; bh="
                           "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=; b=AAAA; "
                           "h=From"));
    for (unsigned i = 1; i < SIGNED_NAMES_MAX; i++)
        assert_true(buf_append(&text, BYTES(":To")));
    struct dkim_signature signature;
    const char *reason;

    assert_true(
        dkim_signature_parse(SIGNATURE_DKIM, buf_bytes(&text), &arena, &signature, &reason));
    assert_true(buf_append(&text, BYTES(":To")));
    assert_false(
        dkim_signature_parse(SIGNATURE_DKIM, buf_bytes(&text), &arena, &signature, &reason));
    assert_string_equal(reason, "h= names too many fields");
    arena_free(&arena);
    buf_free(&text);
}

TEST(message_without_signatures_has_no_checks)
{
    struct dkim_driver driver;

    dkim_driver_init(&driver, NULL, 0, 1);
    dkim_driver_feed(&driver, bytes_of(message));
    dkim_driver_finish(&driver);
    assert_int_equal(dkim_verifier_count(driver.verifier), 0);
    dkim_driver_free(&driver);
}
