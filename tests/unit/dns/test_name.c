/* test_name.c - names as text. */
#include "dns/name.h"

#include <string.h>

#include "support/unit.h"

TEST(parse_takes_names_that_can_be_asked)
{
    static const struct {
        const char *text;
        const char *name; /* NULL: refused */
    } rows[] = {
        {"Example.COM", "example.com"},
        {"example.com.", "example.com"},
        {"_dmarc.example", "_dmarc.example"},
        {"a", "a"},
        {"", NULL},
        {".", NULL},
        {"..", NULL},
        {".a", NULL},
        {"a..b", NULL},
        {"a.b..", NULL},
        {"a b", NULL},
        {"a\\.b", NULL},
        {"[192.0.2.1]", NULL},
        {"a@b", NULL},
        {"m\xc3\xbcller.example", NULL},
        {"a\x7f", NULL},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct dns_name name;
        bool is_taken = dns_name_parse(bytes_of(rows[i].text), &name);

        expect_row(i, is_taken == (rows[i].name != NULL));
        expect_row(i, !is_taken || strcmp(name.text, rows[i].name) == 0);
    }
    struct dns_name name;

    assert_false(dns_name_parse(bytes_range("a\0b", 3), &name));
}

TEST(parse_any_takes_all_bytes_but_nul)
{
    char text[2] = "";
    struct dns_name name;

    for (unsigned c = 0; c < 256; c++) {
        text[0] = (char)c;
        expect_row(c, dns_name_parse_any(bytes_range(text, 1), &name) == (c != 0 && c != '.'));
    }
    assert_false(dns_name_parse_any(BYTES("a..b"), &name));
    assert_false(dns_name_parse_any(BYTES(".a"), &name));
    assert_true(dns_name_parse_any(BYTES("A@\\b.X."), &name));
    assert_string_equal(name.text, "a@\\b.x");

    char escaped[DNS_NAME_ESCAPED_MAX + 1];

    dns_name_escape(&name, escaped);
    assert_string_equal(escaped, "a@\\\\b.x");
}

TEST(parse_bounds_labels_and_names)
{
    char text[300];
    struct dns_name name;

    memset(text, 'a', sizeof(text));
    assert_true(dns_name_parse(bytes_range(text, 63), &name));
    assert_false(dns_name_parse(bytes_range(text, 64), &name));
    for (size_t i = 63; i < sizeof(text); i += 64)
        text[i] = '.';
    assert_true(dns_name_parse(bytes_range(text, 253), &name));
    assert_false(dns_name_parse(bytes_range(text, 254), &name));
}

TEST(is_host_refuses_addresses_in_disguise)
{
    static const struct {
        const char *name;
        bool is_host;
    } rows[] = {
        {"mx.example", true}, {"mx_1.example", true}, {"1.example", true},
        {"mx", true},         {"192.0.2.1", false},   {"127.1", false},
        {"1", false},         {"2130706433", false},  {"mx/1.example", false},
        {"", false},          {"*.example", false},   {"1.2.3.4a", true},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_row(i, dns_name_is_host(bytes_of(rows[i].name)) == rows[i].is_host);
}

TEST(is_below_compares_whole_labels)
{
    assert_true(dns_name_is_below(BYTES("a.example"), BYTES("example")));
    assert_true(dns_name_is_below(BYTES("example"), BYTES("example")));
    assert_true(dns_name_is_below(BYTES("example"), BYTES("")));
    assert_false(dns_name_is_below(BYTES("notexample"), BYTES("example")));
    assert_false(dns_name_is_below(BYTES("example"), BYTES("a.example")));
}
