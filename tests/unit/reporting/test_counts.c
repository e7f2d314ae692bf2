/* test_counts.c - which events count, and as what row. */
#include <stdio.h>
#include <string.h>

#include "reporting/dmarc_count.h"
#include "reporting/tls_count.h"
#include "support/unit.h"

static json_t *parse(const char *text)
{
    json_t *event = json_loads(text, 0, NULL);

    assert_non_null(event);
    return event;
}

#define RECEIVED(reply, dmarc_result, weight, found) \
    "{\"client\":{\"ip\":\"192.0.2.1\"},\"sender\":\"me@Bounce.Example\"," reply "\"checks\":[" \
    "{\"check\":\"dmarc\",\"result\":\"" dmarc_result "\",\"weight\":" weight ",\"detail\":\"" \
    "a.example" found "\"}," \
    "{\"check\":\"dmarc-record\",\"result\":\"found\",\"weight\":null,\"detail\":\"" \
    "domain=b.example p=reject sp=none np=none adkim=s aspf=r t=n dkim=fail spf=pass " \
    "selectors=s1,-,s3\"}," \
    "{\"check\":\"spf\",\"result\":\"softfail\",\"weight\":null,\"detail\":\"bounce.example\"}," \
    "{\"check\":\"dkim\",\"result\":\"pass\",\"weight\":null,\"detail\":\"x.example\"}," \
    "{\"check\":\"dkim\",\"result\":\"permerror\",\"weight\":null,\"detail\":null}," \
    "{\"check\":\"dkim\",\"result\":\"fail\",\"weight\":null,\"detail\":\"y.example\"}]}"

static const char *column(const struct tally_row *row, int number, char out[static 1024])
{
    snprintf(out, 1024, "%.*s", BYTES_ARG(row->columns[number]));
    return out;
}

TEST(dmarc_count_takes_the_row_of_a_message)
{
    json_t *event = parse(RECEIVED("", "fail", "\"refuse\"", " policy=reject"));
    struct dmarc_count count;
    char text[1024];

    assert_true(dmarc_count_take(event, &count));
    assert_true(bytes_equal(count.domain, BYTES("b.example")));
    assert_true(bytes_equal(count.policy, BYTES("domain=b.example p=reject sp=none np=none "
                                                "adkim=s aspf=r t=n")));
    assert_string_equal(column(&count.row, DMARC_SOURCE_IP, text), "192.0.2.1");
    assert_string_equal(column(&count.row, DMARC_DISPOSITION, text), "reject");
    assert_string_equal(column(&count.row, DMARC_DKIM, text), "fail");
    assert_string_equal(column(&count.row, DMARC_SPF, text), "pass");
    assert_string_equal(column(&count.row, DMARC_REASON, text), "");
    assert_string_equal(column(&count.row, DMARC_HEADER_FROM, text), "a.example");
    assert_string_equal(column(&count.row, DMARC_ENVELOPE_FROM, text), "bounce.example");
    assert_string_equal(column(&count.row, DMARC_AUTH, text),
                        "{\"dkim\":[[\"x.example\",\"s1\",\"pass\"],[\"y.example\",\"s3\","
                        "\"fail\"]],\"spf\":[\"bounce.example\",\"softfail\"]}");
    assert_int_equal(count.row.count, 1);
    json_decref(event);
}

static const struct {
    const char *text;
    bool counts;
    const char *disposition, *reason;
} messages[] = {
    {RECEIVED("", "pass", "null", " policy=reject"), true, "none", ""},
    {RECEIVED("", "fail", "\"tag\"", " policy=quarantine"), true, "quarantine", ""},
    {RECEIVED("", "fail", "null", " policy=reject override=monitor"), true, "none",
     "local_policy monitor"},
    {RECEIVED("", "fail", "null", " policy=reject override=trusted_forwarder"), true, "none",
     "trusted_forwarder"},
    {RECEIVED("", "fail", "null", " policy=reject override=arc"), true, "none",
     "local_policy arc=pass"},
    {RECEIVED("\"reply\":{\"code\":550},", "fail", "\"refuse\"", ""), true, "reject", ""},
    {RECEIVED("\"reply\":{\"code\":451},", "fail", "null", ""), false, NULL, NULL},
    {RECEIVED("", "temperror", "null", ""), false, NULL, NULL},
    {"{\"client\":{\"ip\":\"192.0.2.1\"},\"checks\":[]}", false, NULL, NULL},
    {"{\"client\":{\"ip\":\"192.0.2.1\"},\"checks\":null}", false, NULL, NULL},
    {"[]", false, NULL, NULL},
};

TEST(dmarc_count_knows_dispositions_and_reasons)
{
    for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
        json_t *event = parse(messages[i].text);
        struct dmarc_count count;
        char text[1024];

        expect_row(i, dmarc_count_take(event, &count) == messages[i].counts);
        if (messages[i].counts) {
            assert_string_equal(column(&count.row, DMARC_DISPOSITION, text),
                                messages[i].disposition);
            assert_string_equal(column(&count.row, DMARC_REASON, text), messages[i].reason);
        }
        json_decref(event);
    }
}

#define SENT(id, connect, tls, more) \
    "{\"id\":\"" id "\",\"recipient\":\"Me@Y.Example\",\"attempt\":{\"time\":\"T1\",\"times\":{" \
    "\"wait_ms\":1,\"dns_ms\":null,\"connect_ms\":" connect \
    ",\"tls_ms\":null,\"envelope_ms\":3}},\"egress\":{\"source_ip\":\"192.0.2.9\"," \
    "\"mx_host\":\"mx.y.example\",\"mx_ip\":\"192.0.2.1\"},\"tls\":{\"version\":null," \
    "\"cipher\":null,\"verified\":null," tls "}" more "}"
#define GOOD \
    "\"policy\":\"opportunistic\",\"source\":\"config\",\"result\":\"success\"," \
    "\"reason\":null"
#define BAD \
    "\"policy\":\"verify\",\"source\":\"mta-sts\",\"result\":\"certificate-expired\"," \
    "\"reason\":\"it has expired\""
#define DANE "\"policy\":\"verify\",\"source\":\"dane\",\"result\":\"success\",\"reason\":null"
#define REFUSED \
    "\"policy\":\"refuse\",\"source\":\"mta-sts\",\"result\":\"sts-policy-invalid\"," \
    "\"reason\":null"
#define PLAIN "\"policy\":\"none\",\"source\":\"config\",\"result\":null,\"reason\":null"

static const struct {
    const char *text;
    bool may, counts;
    const char *type, *policy_domain, *result, *host;
} attempts[] = {
    {SENT("1", "5", GOOD, ""), true, true, "no-policy-found", "y.example", "success", ""},
    {SENT("2", "null", GOOD, ""), false, false, NULL, NULL, NULL, NULL},
    {SENT("3", "5", BAD, ""), true, true, "sts", "y.example", "certificate-expired",
     "mx.y.example"},
    {SENT("4", "5", DANE, ""), true, true, "tlsa", "mx.y.example", "success", "mx.y.example"},
    {SENT("5", "null", REFUSED, ""), true, true, "sts", "y.example", "sts-policy-invalid",
     "mx.y.example"},
    {SENT("6", "5", PLAIN, ""), false, false, NULL, NULL, NULL, NULL},
};

TEST(tls_count_takes_sessions_by_their_policy)
{
    static struct tls_count_seen seen;

    for (size_t i = 0; i < ARRAY_LEN(attempts); i++) {
        json_t *event = parse(attempts[i].text);
        struct tls_count count;
        char text[1024];

        expect_row(i, tls_count_may(bytes_of(attempts[i].text)) == attempts[i].may);
        expect_row(i, tls_count_take(event, &seen, &count) == attempts[i].counts);
        if (attempts[i].counts) {
            expect_row(i, bytes_equal(count.domain, BYTES("y.example")));
            assert_string_equal(column(&count.row, TLS_POLICY_TYPE, text), attempts[i].type);
            assert_string_equal(column(&count.row, TLS_POLICY_DOMAIN, text),
                                attempts[i].policy_domain);
            assert_string_equal(column(&count.row, TLS_RESULT, text), attempts[i].result);
            assert_string_equal(column(&count.row, TLS_MX_HOST, text), attempts[i].host);
            expect_row(i, !tls_count_take(event, &seen, &count)); /* its other recipients */
        }
        json_decref(event);
    }
}

TEST(tls_count_leaves_out_addresses_without_a_domain)
{
    static const char *const recipients[] = {"me", "me@", "me@[192.0.2.1]", "me@\xc3\xa4.example"};
    static struct tls_count_seen seen;

    for (size_t i = 0; i < ARRAY_LEN(recipients); i++) {
        json_t *event = parse(SENT("1", "5", GOOD, ""));
        struct tls_count count;

        assert_int_equal(json_object_set_new(event, "recipient", json_string(recipients[i])), 0);
        expect_row(i, !tls_count_take(event, &seen, &count));
        json_decref(event);
    }
}

TEST(word_is_found_by_its_whole_name)
{
    struct bytes text = BYTES("xsp=1 sp=none p=reject empty= last=z");

    assert_true(bytes_equal(dmarc_count_word(text, "p"), BYTES("reject")));
    assert_true(bytes_equal(dmarc_count_word(text, "sp"), BYTES("none")));
    assert_true(bytes_equal(dmarc_count_word(text, "last"), BYTES("z")));
    assert_int_equal(dmarc_count_word(text, "empty").len, 0);
    assert_int_equal(dmarc_count_word(text, "none").len, 0);
    assert_int_equal(dmarc_count_word(BYTES_NONE, "p").len, 0);
}
