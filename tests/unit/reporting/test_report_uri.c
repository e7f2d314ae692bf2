/* test_report_uri.c - lists of rua=, and the record of TLSRPT. */
#include "reporting/report_uri.h"
#include "support/unit.h"

static const struct {
    const char *list;
    bool may_post;
    size_t count;
    const char *first;
    uint64_t size_max;
} lists[] = {
    {"mailto:a@b.example", false, 1, "a@b.example", UINT64_MAX},
    {"mailto:a@b.example!10m", false, 1, "a@b.example", 10 << 20},
    {"MAILTO:a@b.example!50K", false, 1, "a@b.example", 50 << 10},
    {"mailto:a@b.example!7", false, 1, "a@b.example", 7},
    {"mailto:a@b.example!99999999999t", false, 1, "a@b.example", UINT64_MAX},
    {" mailto:a@b.example , mailto:c@d.example", false, 2, "a@b.example", UINT64_MAX},
    {"mailto:a%2Bx@b.example", false, 1, "a+x@b.example", UINT64_MAX},
    {"mailto:a%21x@b.example!1k", false, 1, "a!x@b.example", 1 << 10},
    {"mailto:a@b.example?subject=x", false, 1, "a@b.example", UINT64_MAX},
    {"https://b.example/x,mailto:a@b.example", false, 1, "a@b.example", UINT64_MAX},
    {"https://b.example/x,mailto:a@b.example", true, 2, "https://b.example/x", UINT64_MAX},
    {"http://b.example/x", true, 0, NULL, 0},
    {"https://", true, 0, NULL, 0},
    {"mailto:a@b.example!", false, 0, NULL, 0},
    {"mailto:a@b.example!m", false, 0, NULL, 0},
    {"mailto:a@b.example!-1", false, 0, NULL, 0},
    {"mailto:a%0d%0aBcc:x@b.example", false, 0, NULL, 0},
    {"mailto:a%0d%0a@b.example", false, 0, NULL, 0},
    {"mailto:a%20c@b.example", false, 0, NULL, 0},
    {"mailto:a%2", false, 0, NULL, 0},
    {"mailto:a%zz@b.example", false, 0, NULL, 0},
    {"mailto:a%2Cc@b.example", false, 0, NULL, 0}, /* no address that needs quotes in To: */
    {"mailto:a@b@c.example", false, 0, NULL, 0},
    {"mailto:@b.example", false, 0, NULL, 0},
    {"mailto:a@", false, 0, NULL, 0},
    {"mailto:", false, 0, NULL, 0},
    {",,,", false, 0, NULL, 0},
    {"", false, 0, NULL, 0},
    {"mailto:1@b.example,mailto:2@b.example,mailto:3@b.example,mailto:4@b.example,"
     "mailto:5@b.example,mailto:6@b.example,mailto:7@b.example,mailto:8@b.example,"
     "mailto:9@b.example",
     false, REPORT_URIS_MAX, "1@b.example", UINT64_MAX},
};

TEST(uris_are_taken_apart_and_what_is_none_is_passed_over)
{
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        struct report_uris uris;

        report_uris_read(bytes_of(lists[i].list), lists[i].may_post, &uris);
        expect_row(i, uris.count == lists[i].count);
        if (lists[i].count == 0)
            continue;
        expect_row(i, bytes_equal(bytes_range(uris.uris[0].text, uris.uris[0].len),
                                  bytes_of(lists[i].first)));
        expect_row(i, uris.uris[0].size_max == lists[i].size_max);
        expect_row(i, uris.uris[0].is_post == (lists[i].first[0] == 'h'));
    }
}

TEST(uri_has_the_domain_of_its_address)
{
    struct report_uris uris;

    report_uris_read(BYTES("mailto:a@b.example"), false, &uris);
    assert_true(bytes_equal(report_uri_domain(&uris.uris[0]), BYTES("b.example")));
}

static const struct {
    const char *text, *rua; /* NULL: no record */
} records[] = {
    {"v=TLSRPTv1; rua=mailto:a@b.example", "mailto:a@b.example"},
    {"v=TLSRPTv1;rua=mailto:a@b.example;", "mailto:a@b.example"},
    {"v=TLSRPTv1; x=y; rua = https://b.example/, mailto:a@b.example ; z",
     "https://b.example/, mailto:a@b.example"},
    {"v=TLSRPTv1;", NULL},
    {"v=TLSRPTv1; rua=", NULL},
    {"v=TLSRPTv2; rua=mailto:a@b.example", NULL},
    {"rua=mailto:a@b.example; v=TLSRPTv1", NULL},
    {"", NULL},
};

TEST(tls_record_begins_with_its_version_and_has_addresses)
{
    for (size_t i = 0; i < ARRAY_LEN(records); i++) {
        struct bytes rua;
        bool is_one = report_tls_record(bytes_of(records[i].text), &rua);

        expect_row(i, is_one == (records[i].rua != NULL));
        if (is_one)
            expect_row(i, bytes_equal(rua, bytes_of(records[i].rua)));
    }
}
