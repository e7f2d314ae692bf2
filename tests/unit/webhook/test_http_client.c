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
