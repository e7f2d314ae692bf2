/* test_address.c - which paths, addresses and domains are accepted, and what is taken of them. */
#include "smtp/address.h"

#include <string.h>

#include "support/unit.h"

#define TEN "aaaaaaaaaa"
#define SIXTY TEN TEN TEN TEN TEN TEN
#define LABEL_63 SIXTY "aaa"

static const struct {
    struct bytes input;
    bool valid;
    struct bytes local;
    struct bytes domain;
} paths[] = {
    {BYTES("<a@b.example>"), true, BYTES("a"), BYTES("b.example")},
    {BYTES("<>"), true, BYTES(""), BYTES("")},                     /* RFC 5321 section 4.5.5 */
    {BYTES("<postmaster>"), true, BYTES("postmaster"), BYTES("")}, /* RFC 5321 section 4.1.1.3 */
    {BYTES("<PostMaster>"), true, BYTES("PostMaster"), BYTES("")},
    {BYTES("<postmaster@b.example>"), true, BYTES("postmaster"), BYTES("b.example")},
    {BYTES("<a.b+c!#$%&'*/=?^_`{|}~-@x>"), true, BYTES("a.b+c!#$%&'*/=?^_`{|}~-"), BYTES("x")},
    {BYTES("<\"a b\"@x.example>"), true, BYTES("\"a b\""), BYTES("x.example")},
    {BYTES("<\"a\\\"b\\\\\"@x.example>"), true, BYTES("\"a\\\"b\\\\\""), BYTES("x.example")},
    {BYTES("<\"a>b@c\"@x.example>"), true, BYTES("\"a>b@c\""), BYTES("x.example")},
    {BYTES("<\"\"@x.example>"), true, BYTES("\"\""), BYTES("x.example")},
    {BYTES("<a@[192.0.2.1]>"), true, BYTES("a"), BYTES("[192.0.2.1]")},
    {BYTES("<a@[IPv6:2001:db8::1]>"), true, BYTES("a"), BYTES("[IPv6:2001:db8::1]")},
    {BYTES("<a@[ipv6:::]>"), true, BYTES("a"), BYTES("[ipv6:::]")},
    {BYTES("<a@[IPv6:1:2:3:4:5::8]>"), true, BYTES("a"), BYTES("[IPv6:1:2:3:4:5::8]")},
    {BYTES("<a@[IPv6:1:2:3:4::192.0.2.1]>"), true, BYTES("a"), BYTES("[IPv6:1:2:3:4::192.0.2.1]")},
    {BYTES("<a@[IPv6:1:2:3:4:5:6:7:8]>"), true, BYTES("a"), BYTES("[IPv6:1:2:3:4:5:6:7:8]")},
    {BYTES("<@r.example:a@b.example>"), true, BYTES("a"), BYTES("b.example")},
    {BYTES("<@r.example,@s.example:a@b.example>"), true, BYTES("a"), BYTES("b.example")},
    {BYTES("<j\xc3\xb6rg@b\xc3\xbc"
           "cher.example>"),
     true, BYTES("j\xc3\xb6rg"),
     BYTES("b\xc3\xbc"
           "cher.example")}, /* RFC 6531 section 3.3 */
    {BYTES("<\"\xe2\x82\xac \"@x>"), true, BYTES("\"\xe2\x82\xac \""), BYTES("x")},
    {BYTES("<a@1st.example>"), true, BYTES("a"), BYTES("1st.example")}, /* RFC 1123 section 2.1 */
    {BYTES("<a@" LABEL_63 ".example>"), true, BYTES("a"), BYTES(LABEL_63 ".example")},
    {BYTES("<" SIXTY "aaaa@x>"), true, BYTES(SIXTY "aaaa"), BYTES("x")},   /* 64 octets */
    {BYTES("<SRS0=" SIXTY "@x>"), true, BYTES("SRS0=" SIXTY), BYTES("x")}, /* a forwarder's */
    {BYTES("<\"srs1=" SIXTY " a\"@x>"), true, BYTES("\"srs1=" SIXTY " a\""), BYTES("x")},

    {BYTES(""), false, {0}, {0}},
    {BYTES("<"), false, {0}, {0}},
    {BYTES("a@b.example"), false, {0}, {0}},
    {BYTES("<a@b.example"), false, {0}, {0}}, /* unterminated */
    {BYTES("<a>"), false, {0}, {0}},
    {BYTES("<a@>"), false, {0}, {0}},
    {BYTES("<@b.example>"), false, {0}, {0}},
    {BYTES("< a@b.example>"), false, {0}, {0}},
    {BYTES("<a@b.example >"), false, {0}, {0}},
    {BYTES("<a@b@c>"), false, {0}, {0}},
    {BYTES("<a@[IPv6:1:2:3:4:5:6::8]>"), false, {0}, {0}}, /* RFC 5321 section 4.1.3 */
    {BYTES("<a@[IPv6:::2:3:4:5:6:7:8]>"), false, {0}, {0}},
    {BYTES("<a@[IPv6:1:2:3:4:5::192.0.2.1]>"), false, {0}, {0}},
    {BYTES("<.a@b.example>"), false, {0}, {0}},
    {BYTES("<a.@b.example>"), false, {0}, {0}},
    {BYTES("<a..b@b.example>"), false, {0}, {0}},
    {BYTES("<a b@b.example>"), false, {0}, {0}},
    {BYTES("<a\"b\"@b.example>"), false, {0}, {0}},
    {BYTES("<\"a\"b@b.example>"), false, {0}, {0}},
    {BYTES("<\"a@b.example>"), false, {0}, {0}}, /* unterminated quotes */
    {BYTES("<\"a\\\"@b.example>"), false, {0}, {0}},
    {BYTES("<\"a\rb\"@b.example>"), false, {0}, {0}},
    {BYTES("<\"a\\\nb\"@b.example>"), false, {0}, {0}},
    {BYTES("<\"a\tb\"@b.example>"), false, {0}, {0}},
    {BYTES("<a\0@b.example>"), false, {0}, {0}},
    {BYTES("<a\x7f@b.example>"), false, {0}, {0}},
    {BYTES("<a@b..example>"), false, {0}, {0}},
    {BYTES("<a@.b.example>"), false, {0}, {0}},
    {BYTES("<a@b.example.>"), false, {0}, {0}},
    {BYTES("<a@-b.example>"), false, {0}, {0}},
    {BYTES("<a@b-.example>"), false, {0}, {0}},
    {BYTES("<a@b_c.example>"), false, {0}, {0}},
    {BYTES("<a@192.0.2.1>"), false, {0}, {0}},
    {BYTES("<a@" LABEL_63 "a.example>"), false, {0}, {0}},
    {BYTES("<" SIXTY "aaaaa@x>"), false, {0}, {0}}, /* 65 octets */
    {BYTES("<SRS2=" SIXTY "@x>"), false, {0}, {0}},
    {BYTES("<a@[192.0.2.256]>"), false, {0}, {0}},
    {BYTES("<a@[192.0.2]>"), false, {0}, {0}},
    {BYTES("<a@[192.0.2.1>"), false, {0}, {0}},
    {BYTES("<a@[192.0.2.1]x>"), false, {0}, {0}},
    {BYTES("<a@[192.0.2.01]>"), false, {0}, {0}},  /* octal to some readers */
    {BYTES("<a@[2001:db8::1]>"), false, {0}, {0}}, /* the tag is missing */
    {BYTES("<a@[IPv6:192.0.2.1]>"), false, {0}, {0}},
    {BYTES("<a@[IPv6:fe80::1%eth0]>"), false, {0}, {0}},
    {BYTES("<a@[x400:foo]>"), false, {0}, {0}},
    {BYTES("<a@[]>"), false, {0}, {0}},
    {BYTES("<a@[192.0.2.1\0]>"), false, {0}, {0}},
    {BYTES("<@r.example:postmaster>"), false, {0}, {0}},
    {BYTES("<@r.example a@b.example>"), false, {0}, {0}},
    {BYTES("<@r.example,:a@b.example>"), false, {0}, {0}},
    {BYTES("<@[192.0.2.1]:a@b.example>"), false, {0}, {0}},
    {BYTES("<\xff@b.example>"), false, {0}, {0}},
    {BYTES("<a@\xc0\xaf.example>"), false, {0}, {0}},
    {BYTES("<a@\xc3>"), false, {0}, {0}},
};

TEST(take_path_follows_table)
{
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct bytes input = paths[i].input;
        struct smtp_address address;
        bool valid = smtp_take_path(&input, &address);

        expect_row(i, valid == paths[i].valid);
        if (!valid) {
            expect_row(i, input.ptr == paths[i].input.ptr && input.len == paths[i].input.len);
            continue;
        }
        expect_row(i, input.len == 0);
        expect_row(i, bytes_equal(address.local, paths[i].local));
        expect_row(i, bytes_equal(address.domain, paths[i].domain));
        if (address.domain.len > 0)
            expect_row(i, address.text.len == address.local.len + 1 + address.domain.len);
        else
            expect_row(i, bytes_equal(address.text, address.local));
    }
}

TEST(take_path_leaves_what_follows)
{
    struct bytes input = BYTES("<a@b.example> SIZE=1");
    struct smtp_address address;

    assert_true(smtp_take_path(&input, &address));
    assert_true(bytes_equal(input, BYTES(" SIZE=1")));
    assert_true(bytes_equal(address.text, BYTES("a@b.example")));
    assert_false(address.is_utf8);
}

TEST(take_path_rejects_every_prefix)
{
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        if (!paths[i].valid)
            continue;
        for (size_t len = 0; len < paths[i].input.len; len++) {
            struct bytes input = bytes_slice(paths[i].input, 0, len);
            struct smtp_address address;

            expect_row(i, !smtp_take_path(&input, &address));
        }
    }
}

/* RFC 5321 section 4.5.3.1.3: 256 octets with the brackets, RFC 5321 section 4.5.3.1.2: 255. */
TEST(take_path_bounds_length)
{
    /* "<x@" + 3 * 64 - 1 + ... + ">": the last label makes it 256 or 257. */
    struct bytes fits = BYTES("<x@" LABEL_63 "." LABEL_63 "." LABEL_63 "." SIXTY ">");
    struct bytes too_long = BYTES("<xx@" LABEL_63 "." LABEL_63 "." LABEL_63 "." SIXTY ">");
    struct bytes route = BYTES("<@" LABEL_63 ":x@" LABEL_63 "." LABEL_63 "." LABEL_63 ">");
    struct smtp_address address;

    assert_int_equal(fits.len, SMTP_PATH_MAX);
    assert_true(smtp_parse_address(bytes_slice(fits, 1, fits.len - 2), &address));
    assert_true(smtp_take_path(&fits, &address));
    assert_false(smtp_parse_address(bytes_slice(too_long, 1, too_long.len - 2), &address));
    assert_false(smtp_take_path(&too_long, &address));
    assert_true(route.len > SMTP_PATH_MAX);
    assert_false(smtp_take_path(&route, &address));
}

TEST(domain_is_valid_bounds_length)
{
    struct bytes fits = BYTES(LABEL_63 "." LABEL_63 "." LABEL_63 "." LABEL_63);
    struct bytes too_long = BYTES(LABEL_63 "." LABEL_63 "." LABEL_63 "." SIXTY ".aaa");
    bool is_utf8;

    assert_int_equal(fits.len, SMTP_DOMAIN_MAX);
    assert_true(smtp_domain_is_valid(fits, &is_utf8));
    assert_int_equal(too_long.len, SMTP_DOMAIN_MAX + 1);
    assert_false(smtp_domain_is_valid(too_long, &is_utf8));
}

TEST(take_path_reports_utf8)
{
    struct bytes local = BYTES("<j\xc3\xb6rg@b.example>");
    struct bytes domain = BYTES("<a@b\xc3\xbc"
                                "cher.example>");
    struct bytes quoted = BYTES("<\"\xc3\xb6\"@b.example>");
    struct smtp_address address;

    assert_true(smtp_take_path(&local, &address));
    assert_true(address.is_utf8);
    assert_true(smtp_take_path(&domain, &address));
    assert_true(address.is_utf8);
    assert_true(smtp_take_path(&quoted, &address));
    assert_true(address.is_utf8);
}

TEST(parse_address_wants_all_of_it)
{
    static const struct {
        struct bytes text;
        bool valid;
    } rows[] = {
        {BYTES("a@b.example"), true},
        {BYTES("postmaster"), true},
        {BYTES(""), false},
        {BYTES("a"), false},
        {BYTES("a@b.example "), false},
        {BYTES("a@b.example>"), false},
        {BYTES("<a@b.example>"), false},
        {BYTES("@r:a@b.example"), false},
        {BYTES("\"a b\"@[192.0.2.1]"), true},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct smtp_address address;
        bool valid = smtp_parse_address(rows[i].text, &address);

        expect_row(i, valid == rows[i].valid);
        expect_row(i, !valid || bytes_equal(address.text, rows[i].text));
    }
}

static const struct {
    struct bytes domain;
    struct bytes normalised; /* empty: it cannot be one */
} domains[] = {
    {BYTES("Example.COM"), BYTES("example.com")},
    {BYTES("example.com."), BYTES("example.com")},
    {BYTES("[IPv6:2001:DB8::1]"), BYTES("[ipv6:2001:db8::1]")},
    {BYTES("b\xc3\xbc"
           "cher.example"),
     BYTES("xn--bcher-kva.example")},
    {BYTES("B\xc3\x9c"
           "CHER.Example"),
     BYTES("xn--bcher-kva.example")},
    {BYTES("stra\xc3\x9f"
           "e.example"),
     BYTES("xn--strae-oqa.example")}, /* IDNA 2008, not 2003 */
    {BYTES("a\xe3\x80\x82"
           "example"),
     BYTES("a.example")}, /* U+3002, an ideographic stop */
    {BYTES("xn--bcher-kva.example"), BYTES("xn--bcher-kva.example")},
    {BYTES(""), BYTES("")},
    {BYTES("."), BYTES("")},
    {BYTES("a..example"), BYTES("")},
    {BYTES("a.example.."), BYTES("")},
    {BYTES("192.0.2.1"), BYTES("")},
    {BYTES("\xef\xbc\x91.example.\xef\xbc\x91"), BYTES("")}, /* full-width digits, a number */
    {BYTES("\xe2\x80\x8b.example"), BYTES("")},              /* zero width space: nothing left */
    {BYTES("a\xef\xbc\x8f"
           "b.example"),
     BYTES("")}, /* full-width slash */
    {BYTES("\xff.example"), BYTES("")},
};

TEST(domain_normalise_follows_table)
{
    struct arena arena;

    arena_init(&arena, 1 << 16);
    for (size_t i = 0; i < ARRAY_LEN(domains); i++) {
        struct bytes normalised;
        bool valid = smtp_domain_normalise(&arena, domains[i].domain, &normalised);

        expect_row(i, valid == (domains[i].normalised.len > 0));
        expect_row(i, !valid || bytes_equal(normalised, domains[i].normalised));
    }
    arena_free(&arena);
}

TEST(domain_normalise_fails_when_arena_is_full)
{
    struct arena arena;
    struct bytes normalised;

    arena_init(&arena, 4);
    assert_false(smtp_domain_normalise(&arena, BYTES("b.example"), &normalised));
    arena_free(&arena);
}
