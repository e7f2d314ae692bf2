/* test_vectors.c - the signed messages that RFC 6376 and RFC 8463 show, at every cut. */
#include "support/dkim_driver.h"
#include "support/unit.h"

#define RSA_KEY \
    "p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQi" \
    "Y/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYL" \
    "zBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"

static const struct dkim_zone_row zone[] = {
    /* RFC 6376 appendix C */
    {"brisbane._domainkey.example.com",
     "v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/z"
     "YtIxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4O"
     "uKhitdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB",
     0},
    /* RFC 8463 appendix A.2 */
    {"brisbane._domainkey.football.example.com",
     "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", 0},
    {"test._domainkey.football.example.com", "v=DKIM1; k=rsa; " RSA_KEY, 0},
};

/* RFC 6376 appendix A.2, with the white space that was signed: six spaces in a fold, and one in
 * the body, of which the page shows two. */
static const char rfc6376_message[] =
    "DKIM-Signature: v=1; a=rsa-sha256; s=brisbane; d=example.com;\r\n"
    "      c=simple/simple; q=dns/txt; i=joe@football.example.com;\r\n"
    "      h=Received : From : To : Subject : Date : Message-ID;\r\n"
    "      bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
    "      b=AuUoFEfDxTDkHlLXSZEpZj79LICEps6eda7W3deTVFOk4yAUoqOB\r\n"
    "      4nujc7YopdG5dWLSdNg6xNAZpOPr+kHxt1IrE+NahM6L/LbvaHut\r\n"
    "      KVdkLLkpVaVVQPzeRDI009SO2Il5Lu7rDNH6mZckBdrIx0orEtZV\r\n"
    "      4bmp/YzhwvcubU4=;\r\n"
    "Received: from client1.football.example.com  [192.0.2.1]\r\n"
    "      by submitserver.example.com with SUBMISSION;\r\n"
    "      Fri, 11 Jul 2003 21:01:54 -0700 (PDT)\r\n"
    "From: Joe SixPack <joe@football.example.com>\r\n"
    "To: Suzie Q <suzie@shopping.example.net>\r\n"
    "Subject: Is dinner ready?\r\n"
    "Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n"
    "Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n"
    "\r\n"
    "Hi.\r\n\r\nWe lost the game. Are you hungry yet?\r\n\r\nJoe.\r\n";

/* RFC 8463 appendix A.3 */
static const char rfc8463_message[] =
    "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n"
    " d=football.example.com; i=@football.example.com;\r\n"
    " q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n"
    " subject : date : message-id : from : subject : date;\r\n"
    " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
    " b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\r\n"
    " Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\r\n"
    "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n"
    " d=football.example.com; i=@football.example.com;\r\n"
    " q=dns/txt; s=test; t=1528637909; h=from : to : subject :\r\n"
    " date : message-id : from : subject : date;\r\n"
    " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
    " b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3\r\n"
    " DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz\r\n"
    " dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=\r\n"
    "From: Joe SixPack <joe@football.example.com>\r\n"
    "To: Suzie Q <suzie@shopping.example.net>\r\n"
    "Subject: Is dinner ready?\r\n"
    "Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n"
    "Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n"
    "\r\n"
    "Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n";

static void expect_pass(const char *message, size_t count, const char *domain)
{
    struct bytes content = bytes_of(message);

    for (size_t cut = 0; cut <= content.len; cut++) {
        struct dkim_driver driver;

        dkim_driver_init(&driver, zone, ARRAY_LEN(zone), 1);
        dkim_driver_feed(&driver, bytes_slice(content, 0, cut));
        dkim_driver_feed(&driver, bytes_slice(content, cut, content.len));
        dkim_driver_finish(&driver);
        assert_int_equal(dkim_verifier_count(driver.verifier), count);
        for (size_t i = 0; i < count; i++) {
            const struct dkim_verdict *verdict = dkim_verifier_verdict(driver.verifier, i);

            if (verdict->result != DKIM_PASS)
                fail_msg("%.*s", BYTES_ARG(verdict->reason));
            assert_true(bytes_equal(verdict->domain, bytes_of(domain)));
        }
        dkim_driver_free(&driver);
    }
}

TEST(rfc6376_appendix_a_passes)
{
    expect_pass(rfc6376_message, 1, "example.com");
}

TEST(rfc8463_appendix_a_passes_with_both_keys)
{
    expect_pass(rfc8463_message, 2, "football.example.com");
}

/* Each byte that is signed counts; what relaxed forgives is left alone. */
TEST(rfc8463_message_fails_when_a_letter_is_another)
{
    char *message = strdup(rfc8463_message);
    size_t from = (size_t)(strstr(message, "From: Joe") - message);

    for (size_t i = from + 6; i < sizeof(rfc8463_message) - 1; i++) {
        struct dkim_driver driver;

        if (message[i] == ' ' || message[i] == '\r' || message[i] == '\n')
            continue;
        message[i] ^= 1;
        dkim_driver_init(&driver, zone, ARRAY_LEN(zone), 1);
        dkim_driver_feed(&driver, bytes_of(message));
        dkim_driver_finish(&driver);
        for (size_t n = 0; n < 2; n++)
            assert_true(dkim_verifier_verdict(driver.verifier, n)->result != DKIM_PASS);
        dkim_driver_free(&driver);
        message[i] ^= 1;
    }
    free(message);
}
