/* test_http_client.c - which URLs may be told. What requests do: tests/system/test_webhooks.py. */
#include "support/unit.h"
#include "webhook/http_client.h"

TEST(urls_have_a_scheme_a_host_and_no_password)
{
    static const struct {
        const char *url;
        bool is_good;
    } rows[] = {
        {"https://example.net/hook?token=x", true},
        {"HTTPS://example.net", true},
        {"http://[2001:db8::1]:8080/", true},
        {"https://", false},
        {"example.net/hook", false},
        {"ftp://example.net/", false},
        {"file:///etc/passwd", false},
        {"https://me@example.net/", false},
        {"https://me:secret@example.net/", false},
        {"https://example.net/a b", false},
        {"https://example.net/\n", false},
        {"https://example.net:99999/", false},
        {"", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char why[HTTP_TEXT_MAX] = "";

        if (http_url_is_good(rows[i].url, why) != rows[i].is_good)
            fail_msg("%s: %s", rows[i].url, why);
        assert_true(rows[i].is_good == (why[0] == '\0'));
    }
    assert_true(http_url_is_encrypted("Https://x"));
    assert_false(http_url_is_encrypted("http://https:"));
}

TEST(plain_http_goes_to_what_is_allowed_alone)
{
    static const struct {
        const char *address;
        bool is_encrypted, is_good;
    } rows[] = {
        {"8.8.8.8", true, true},   {"8.8.8.8", false, false},    {"10.1.2.3", true, true},
        {"10.1.2.3", false, true}, {"10.1.2.4", true, false},    {"127.0.0.1", true, false},
        {"::1", true, false},      {"2a00:1450::1", true, true}, {"2a00:1450::1", false, false},
    };
    struct network allow;
    const struct http_rules rules = {.allow_count = 1, .allow = &allow};

    assert_true(network_parse(BYTES("10.1.2.3/32"), &allow));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct address address;

        assert_true(address_parse(bytes_of(rows[i].address), 443, &address));
        if (http_address_is_good(&rules, rows[i].is_encrypted, &address) != rows[i].is_good)
            fail_msg("%s", rows[i].address);
    }
}
