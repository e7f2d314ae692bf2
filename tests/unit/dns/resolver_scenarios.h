/* resolver_scenarios.h - tests of the resolver, run on the fake and on the real engine. */
#pragma once

#include "unit/dns/dns_fixture.h"

static struct fixture f;

static void expect_address(const struct dns_answer *answer, const char *address)
{
    struct in_addr expected;

    assert_int_equal(inet_pton(AF_INET, address, &expected), 1);
    assert_int_equal(answer->status, DNS_OK);
    assert_int_equal(answer->record_count, 1);
    assert_int_equal(answer->records[0].a.s_addr, expected.s_addr);
}

static void expect_why(const char *name, const char *why)
{
    const struct dns_answer *answer = fixture_answer(&f, name, DNS_TYPE_A);

    assert_int_equal(answer->status, DNS_FAILED);
    if (strcmp(answer->why, why) != 0)
        fail_msg("%s: \"%s\" is not \"%s\"", name, answer->why, why);
    dns_answer_release(&answer);
}

TEST(ask_is_answered_and_remembered)
{
    fixture_open(&f);
    server_add(&f.server, "mail.example 300 A 192.0.2.1");
    for (int i = 0; i < 3; i++) {
        const struct dns_answer *answer = fixture_answer(&f, "MAIL.example.", DNS_TYPE_A);

        expect_address(answer, "192.0.2.1");
        assert_true(bytes_equal(answer->canonical, BYTES("mail.example")));
        dns_answer_release(&answer);
    }
    assert_int_equal(f.server.queries, 1);
    assert_int_equal(f.server.edns_queries, 1);
    fixture_close(&f);
}

TEST(ask_again_after_ttl)
{
    fixture_open(&f);
    server_add(&f.server, "mail.example 1 A 192.0.2.1");
    assert_int_equal(fixture_status(&f, "mail.example", DNS_TYPE_A), DNS_OK);
    fixture_advance(&f, 1100);
    assert_int_equal(fixture_status(&f, "mail.example", DNS_TYPE_A), DNS_OK);
    assert_int_equal(f.server.queries, 2);
    fixture_close(&f);
}

TEST(ask_by_many_is_one_query)
{
    struct asked asked[50];

    fixture_open(&f);
    server_add(&f.server, "mail.example 300 A 192.0.2.1");
    for (size_t i = 0; i < ARRAY_LEN(asked); i++)
        fixture_ask(&f, &asked[i], "mail.example", DNS_TYPE_A);
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        fixture_wait(&f, &asked[i].done, 1);
        expect_address(asked[i].answer, "192.0.2.1");
        asked_forget(&asked[i]);
    }
    assert_int_equal(f.server.queries, 1);
    fixture_close(&f);
}

TEST(ask_distinguishes_negative_answers)
{
    fixture_open(&f);
    server_add(&f.server, "mail.example 300 A 192.0.2.1");
    assert_int_equal(fixture_status(&f, "mail.example", DNS_TYPE_MX), DNS_NO_DATA);
    assert_int_equal(fixture_status(&f, "gone.example", DNS_TYPE_MX), DNS_NXDOMAIN);
    assert_int_equal(fixture_status(&f, "gone.example", DNS_TYPE_MX), DNS_NXDOMAIN);
    assert_int_equal(f.server.queries, 2);
    assert_int_equal(fixture_status(&f, "not a name", DNS_TYPE_MX), DNS_BAD_NAME);
    assert_int_equal(fixture_status(&f, "", DNS_TYPE_MX), DNS_BAD_NAME);
    assert_int_equal(fixture_status(&f, "a.onion", DNS_TYPE_A), DNS_NXDOMAIN);
    assert_int_equal(fixture_status(&f, "localhost", DNS_TYPE_A), DNS_NXDOMAIN); /* no hosts file */
    assert_int_equal(f.server.queries, 3);
    fixture_close(&f);
}

TEST(ask_fails_where_servers_do)
{
    fixture_open(&f);
    server_behave(&f.server, "servfail.example", 0, SAYS_SERVFAIL);
    server_behave(&f.server, "refused.example", 0, SAYS_REFUSED);
    server_behave(&f.server, "silent.example", 0, IS_SILENT);
    server_behave(&f.server, "garbage.example", 0, SAYS_GARBAGE);
    server_behave(&f.server, "lie.example", 0, SAYS_WRONG_NAME);
    expect_why("servfail.example", "SERVFAIL");
    expect_why("refused.example", "REFUSED");
    expect_why("silent.example", "timeout");
    expect_why("garbage.example", "malformed answer");
    expect_why("lie.example", "timeout"); /* c-ares drops it and goes on waiting */
    fixture_close(&f);
}

TEST(ask_fails_where_no_server_listens)
{
    fixture_open_server(&f);
    close(f.server.udp);
    f.server.udp = -1;
    fixture_start(&f);
    expect_why("mail.example", "the server cannot be reached");
    fixture_close(&f);
}

/* The dead one is asked first; what c-ares makes of a refusal is one text for all reasons. */
TEST(ask_goes_to_the_next_server)
{
    static struct dns_server other;

    fixture_open_server(&f);
    server_open(&other);
    snprintf(f.servers, sizeof(f.servers), "127.0.0.1:%u,127.0.0.1:%u", other.port, f.server.port);
    server_close(&other);
    fixture_start(&f);
    server_add(&f.server, "mail.example 300 A 192.0.2.1");
    assert_int_equal(fixture_status(&f, "mail.example", DNS_TYPE_A), DNS_OK);
    server_behave(&f.server, "servfail.example", 0, SAYS_SERVFAIL);
    expect_why("servfail.example", "no server could be reached, or would answer");
    fixture_close(&f);
}

TEST(failure_is_remembered_for_a_while)
{
    fixture_open(&f);
    server_behave(&f.server, "dead.example", 0, SAYS_SERVFAIL);
    expect_why("dead.example", "SERVFAIL");
    unsigned queries = f.server.queries;

    expect_why("dead.example", "SERVFAIL");
    assert_int_equal(f.server.queries, queries);
    server_add(&f.server, "dead.example 300 A 192.0.2.1");
    server_behave(&f.server, "dead.example", 0, BEHAVES);
    fixture_advance(&f, 1100);
    assert_int_equal(fixture_status(&f, "dead.example", DNS_TYPE_A), DNS_OK);
    fixture_close(&f);
}

TEST(old_data_are_told_while_servers_fail)
{
    fixture_open(&f);
    server_add(&f.server, "mail.example 1 A 192.0.2.1");
    assert_int_equal(fixture_status(&f, "mail.example", DNS_TYPE_A), DNS_OK);
    fixture_advance(&f, 1100);
    server_behave(&f.server, "mail.example", 0, IS_SILENT);
    const struct dns_answer *answer = fixture_answer(&f, "mail.example", DNS_TYPE_A);

    expect_address(answer, "192.0.2.1");
    assert_true(answer->is_stale);
    dns_answer_release(&answer);
    unsigned queries = f.server.queries;

    assert_int_equal(fixture_status(&f, "mail.example", DNS_TYPE_A), DNS_OK);
    assert_int_equal(f.server.queries, queries);
    server_behave(&f.server, "mail.example", 0, BEHAVES);
    fixture_advance(&f, 1100);
    answer = fixture_answer(&f, "mail.example", DNS_TYPE_A);
    assert_false(answer->is_stale);
    dns_answer_release(&answer);
    fixture_close(&f);
}

TEST(forged_id_is_not_believed)
{
    fixture_open(&f);
    server_add(&f.server, "mail.example 300 A 192.0.2.1");
    server_behave(&f.server, "mail.example", 0, SAYS_WRONG_ID);
    assert_int_equal(fixture_status(&f, "mail.example", DNS_TYPE_A), DNS_OK);
    fixture_close(&f);
}

static uint64_t mismatches(void)
{
    return metric_sum(METRIC_DNS_CASE_MISMATCHES);
}

TEST(questions_have_random_case_and_servers_that_repeat_it_are_believed)
{
    char name[64];
    uint64_t before = mismatches();

    fixture_open(&f);
    for (unsigned i = 0; i < 20; i++) { /* 26 letters each: 260 of 520 are upper, give or take */
        snprintf(name, sizeof(name), "abcdefghijklmnopqrs%u.example", i);
        assert_int_equal(fixture_status(&f, name, DNS_TYPE_A), DNS_NXDOMAIN);
        assert_string_equal(f.server.last_name, name);
    }
    assert_in_range(f.server.upper_letters, 130, 390);
    assert_int_equal(f.server.queries, 20);
    assert_int_equal(f.server.tcp_queries, 0);
    assert_int_equal(mismatches(), before);
    fixture_close(&f);
}

/* It has guessed id and port, and all letters but one. */
TEST(forged_case_is_not_believed)
{
    uint64_t before = mismatches();

    fixture_open(&f);
    server_add(&f.server, "mail.example 300 A 192.0.2.1");
    server_add(&f.server, "more.example 300 A 192.0.2.2");
    server_behave(&f.server, "mail.example", 0, SAYS_WRONG_CASE);
    server_behave(&f.server, "more.example", 0, SAYS_WRONG_CASE);
    const struct dns_answer *answer = fixture_answer(&f, "mail.example", DNS_TYPE_A);

    expect_address(answer, "192.0.2.1");
    dns_answer_release(&answer);
    assert_int_equal(f.server.tcp_queries, 1);
    answer = fixture_answer(&f, "more.example", DNS_TYPE_A); /* nor does it make the next easier */
    expect_address(answer, "192.0.2.2");
    dns_answer_release(&answer);
    assert_int_equal(f.server.tcp_queries, 2);
    assert_int_equal(mismatches(), before + 2);
    fixture_close(&f);
}

/* The first name has too many letters to be sent in lower case by chance. */
TEST(servers_that_lower_case_cost_one_question_more_in_ten_minutes)
{
    char name[64];
    uint64_t before = mismatches();

    fixture_open(&f);
    for (unsigned i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "abcdefghijklmnopqrs%u.example", i);
        server_behave(&f.server, name, 0, LOWERS_CASE);
        assert_int_equal(fixture_status(&f, name, DNS_TYPE_A), DNS_NXDOMAIN);
    }
    assert_int_equal(f.server.queries, 21);
    assert_int_equal(f.server.tcp_queries, 1);
    assert_int_equal(mismatches(), before + 1);
#ifdef DNS_FIXTURE_FAKE
    fixture_advance(&f, 601 * 1000);
    server_behave(&f.server, "abcdefghijklmnopqrs-late.example", 0, LOWERS_CASE);
    assert_int_equal(fixture_status(&f, "abcdefghijklmnopqrs-late.example", DNS_TYPE_A),
                     DNS_NXDOMAIN);
    assert_int_equal(f.server.tcp_queries, 2);
#endif
    fixture_close(&f);
}

/* One in mixed case, then TCP refuses, then three that agree; three are enough from then on. */
TEST(servers_that_lower_case_and_lack_tcp_are_believed_when_they_agree)
{
    uint64_t before = mismatches();

    fixture_open(&f);
    server_close_tcp(&f.server);
    server_add(&f.server, "abcdefghijklmnopqrstuvwxyz.example 300 A 192.0.2.1");
    server_behave(&f.server, "abcdefghijklmnopqrstuvwxyz.example", 0, LOWERS_CASE);
    server_behave(&f.server, "abcdefghijklmnopqrstuvwx2.example", 0, LOWERS_CASE);
    const struct dns_answer *answer =
        fixture_answer(&f, "abcdefghijklmnopqrstuvwxyz.example", DNS_TYPE_A);

    expect_address(answer, "192.0.2.1");
    dns_answer_release(&answer);
    assert_int_equal(f.server.queries, 4);
    assert_int_equal(fixture_status(&f, "abcdefghijklmnopqrstuvwx2.example", DNS_TYPE_A),
                     DNS_NXDOMAIN);
    assert_int_equal(f.server.queries, 4 + 3);
    assert_int_equal(mismatches(), before + 4 + 3);
    server_add(&f.server, "abcdefghijklmnopqrstuvwx3.example 300 A 192.0.2.3");
    answer = fixture_answer(&f, "abcdefghijklmnopqrstuvwx3.example", DNS_TYPE_A);
    expect_address(answer, "192.0.2.3"); /* another server, which repeats the case: one will do */
    dns_answer_release(&answer);
    assert_int_equal(f.server.queries, 4 + 3 + 1);
#ifdef DNS_FIXTURE_FAKE
    fixture_advance(&f, 601 * 1000);
    server_behave(&f.server, "abcdefghijklmnopqrstuvwx4.example", 0, LOWERS_CASE);
    assert_int_equal(fixture_status(&f, "abcdefghijklmnopqrstuvwx4.example", DNS_TYPE_A),
                     DNS_NXDOMAIN);
    assert_int_equal(f.server.queries, 4 + 3 + 1 + 4);
#endif
    fixture_close(&f);
}

TEST(chains_are_followed_by_answers_that_agree)
{
    fixture_open(&f);
    server_close_tcp(&f.server);
    server_add(&f.server,
               "abcdefghijklmnopqrstuvw.example 300 CNAME bcdefghijklmnopqrstuvwx.example");
    server_add(&f.server, "bcdefghijklmnopqrstuvwx.example 300 A 192.0.2.1");
    server_behave(&f.server, "abcdefghijklmnopqrstuvw.example", 0, LOWERS_CASE_OF_CNAME);
    server_behave(&f.server, "bcdefghijklmnopqrstuvwx.example", 0, LOWERS_CASE);
    const struct dns_answer *answer =
        fixture_answer(&f, "abcdefghijklmnopqrstuvw.example", DNS_TYPE_A);

    expect_address(answer, "192.0.2.1");
    assert_int_equal(f.server.queries, 4 + 3); /* of each name */
    dns_answer_release(&answer);
    fixture_close(&f);
}

TEST(answers_in_the_wrong_case_that_disagree_are_not_believed)
{
    fixture_open(&f);
    server_close_tcp(&f.server);
    server_behave(&f.server, "abcdefghijklmnopqrstuvw.example", 0, SAYS_ANOTHER_EACH_TIME);
    const struct dns_answer *answer =
        fixture_answer(&f, "abcdefghijklmnopqrstuvw.example", DNS_TYPE_A);

    assert_int_equal(answer->status, DNS_FAILED);
    assert_string_equal(answer->why, "answers that may be forged, and do not agree");
    dns_answer_release(&answer);
    assert_int_equal(f.server.queries, 3); /* the second one disagrees with the first */
    fixture_close(&f);
}

/* Without TCP too the truth comes from a server that repeats the case. */
TEST(forged_case_without_tcp_is_not_believed)
{
    fixture_open(&f);
    server_close_tcp(&f.server);
    server_add(&f.server, "mail.example 300 A 192.0.2.1");
    server_behave(&f.server, "mail.example", 0, SAYS_WRONG_CASE_ONCE);
    const struct dns_answer *answer = fixture_answer(&f, "mail.example", DNS_TYPE_A);

    expect_address(answer, "192.0.2.1");
    dns_answer_release(&answer);
    assert_int_equal(f.server.queries, 2);
    fixture_close(&f);
}

TEST(forged_failure_is_not_believed)
{
    uint64_t before = mismatches();

    fixture_open(&f);
    server_add(&f.server, "mail.example 300 A 192.0.2.1");
    server_behave(&f.server, "mail.example", 0, SAYS_SERVFAIL_FORGED);
    const struct dns_answer *answer = fixture_answer(&f, "mail.example", DNS_TYPE_A);

    expect_address(answer, "192.0.2.1");
    dns_answer_release(&answer);
    assert_int_equal(f.server.tcp_queries, 1);
    assert_int_equal(mismatches(), before + 1);
    fixture_close(&f);
}

TEST(failure_of_servers_that_lower_case_is_told)
{
    for (unsigned has_tcp = 0; has_tcp < 2; has_tcp++) {
        fixture_open(&f);
        if (has_tcp == 0)
            server_close_tcp(&f.server);
        server_behave(&f.server, "abcdefghijklmnopqrstuvw.example", 0, SAYS_SERVFAIL_LOWERED);
        const struct dns_answer *answer =
            fixture_answer(&f, "abcdefghijklmnopqrstuvw.example", DNS_TYPE_A);

        assert_int_equal(answer->status, DNS_FAILED);
        assert_string_equal(answer->why, "SERVFAIL");
        dns_answer_release(&answer);
        assert_int_equal(f.server.queries, has_tcp != 0 ? 2 : 1 + 3);
        fixture_close(&f);
    }
}

TEST(truncated_answer_is_asked_for_over_tcp)
{
    fixture_open(&f);
    server_add(&f.server, "mail.example 300 A 192.0.2.1");
    server_behave(&f.server, "mail.example", 0, SAYS_TRUNCATED);
    const struct dns_answer *answer = fixture_answer(&f, "mail.example", DNS_TYPE_A);

    expect_address(answer, "192.0.2.1");
    dns_answer_release(&answer);
    assert_int_equal(f.server.tcp_queries, 1);
    fixture_close(&f);
}

TEST(huge_answer_comes_over_tcp_and_is_cut)
{
    fixture_open(&f);
    for (unsigned i = 0; i < 1000; i++) {
        char line[64];

        snprintf(line, sizeof(line), "big.example 300 MX %u mx%u.big.example", i % 7, i);
        server_add(&f.server, line);
    }
    const struct dns_answer *answer = fixture_answer(&f, "big.example", DNS_TYPE_MX);

    assert_int_equal(answer->status, DNS_OK);
    assert_int_equal(answer->record_count, DNS_RECORDS_MAX);
    assert_int_equal(answer->cut_count, 1000 - DNS_RECORDS_MAX);
    dns_answer_release(&answer);
    assert_int_equal(f.server.tcp_queries, 1);
    fixture_close(&f);
}

TEST(texts_past_a_datagram_come_whole_over_tcp)
{
    char line[256];

    fixture_open(&f);
    for (unsigned i = 0; i < 100; i++) {
        snprintf(line, sizeof(line), "many.example 300 TXT %0200u", i);
        server_add(&f.server, line);
    }
    for (unsigned round = 0; round < 2; round++) { /* the second out of the cache */
        const struct dns_answer *answer = fixture_answer(&f, "many.example", DNS_TYPE_TXT);

        assert_int_equal(answer->status, DNS_OK);
        assert_int_equal(answer->record_count, 100);
        for (unsigned i = 0; i < 100; i++) {
            snprintf(line, sizeof(line), "%0200u", i);
            expect_row(i, bytes_equal(answer->records[i].text, bytes_of(line)));
        }
        dns_answer_release(&answer);
    }
    assert_int_equal(f.server.tcp_queries, 1);
    fixture_close(&f);
}

TEST(ptr_is_asked_and_remembered)
{
    fixture_open(&f);
    server_add(&f.server, "1.2.0.192.in-addr.arpa 300 PTR mail.example");
    server_add(&f.server, "2.2.0.192.in-addr.arpa 300 CNAME 2.net.example");
    server_add(&f.server, "2.net.example 300 PTR mail.example");
    for (unsigned round = 0; round < 4; round++) {
        const char *name = round & 1 ? "1.2.0.192.in-addr.arpa" : "2.2.0.192.in-addr.arpa";
        const struct dns_answer *answer = fixture_answer(&f, name, DNS_TYPE_PTR);

        assert_int_equal(answer->status, DNS_OK);
        assert_int_equal(answer->record_count, 1);
        assert_true(bytes_equal(answer->records[0].name, BYTES("mail.example")));
        dns_answer_release(&answer);
    }
    assert_int_equal(f.server.queries, 2);
    fixture_close(&f);
}

/* Bytes that a host has not, as macros of SPF bring them: asked, and the answer is theirs. */
TEST(ask_any_takes_names_that_ask_refuses)
{
    static const struct {
        const char *name;
        enum dns_status status;
    } rows[] = {
        {"o'b \"x\\\".example", DNS_OK}, {"@.example", DNS_OK},        {"\xc3\xbc.example", DNS_OK},
        {"\\.example", DNS_NXDOMAIN},    {"a..example", DNS_BAD_NAME}, {"", DNS_BAD_NAME},
        {"plain.example", DNS_NXDOMAIN},
    };

    fixture_open(&f);
    server_add(&f.server, "\xc3\xbc.example 300 A 192.0.2.1");
    server_add(&f.server, "@.example 300 A 192.0.2.1");
    struct server_record *record = &f.server.records[f.server.record_count++];

    *record = (struct server_record){.owner = "o'b \"x\\\".example",
                                     .type = 1,
                                     .ttl_s = 300,
                                     .value = "192.0.2.1"};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct asked asked = {.query.done = asked_done};

        resolver_ask_any(f.resolver, &asked.query, bytes_of(rows[i].name), DNS_TYPE_A);
        fixture_wait(&f, &asked.done, 1);
        expect_row(i, asked.answer->status == rows[i].status);
        asked_forget(&asked);
    }
    struct asked asked = {.query.done = asked_done};

    resolver_ask_any(f.resolver, &asked.query, bytes_range("a\0b.example", 11), DNS_TYPE_A);
    fixture_wait(&f, &asked.done, 1);
    assert_int_equal(asked.answer->status, DNS_BAD_NAME);
    asked_forget(&asked);
    fixture_close(&f);
}

TEST(cname_is_followed_where_the_server_does_not)
{
    fixture_open(&f);
    server_add(&f.server, "a.example 300 CNAME b.example");
    server_add(&f.server, "b.example 200 CNAME c.example");
    server_add(&f.server, "c.example 300 A 192.0.2.1");
    server_behave(&f.server, "a.example", 0, SAYS_BARE_CNAME);
    server_behave(&f.server, "b.example", 0, SAYS_BARE_CNAME);
    const struct dns_answer *answer = fixture_answer(&f, "a.example", DNS_TYPE_A);

    expect_address(answer, "192.0.2.1");
    assert_true(bytes_equal(answer->canonical, BYTES("c.example")));
    /* As long as the least of the three. */
    assert_in_range(answer->expires_ms - engine_now_ms(f.engine), 180000, 200000);
    dns_answer_release(&answer);
    assert_int_equal(f.server.queries, 3);
    fixture_close(&f);
}

TEST(cname_loop_over_several_answers_ends)
{
    fixture_open(&f);
    server_add(&f.server, "a.example 300 CNAME b.example");
    server_add(&f.server, "b.example 300 CNAME a.example");
    server_behave(&f.server, "a.example", 0, SAYS_BARE_CNAME);
    server_behave(&f.server, "b.example", 0, SAYS_BARE_CNAME);
    expect_why("a.example", "CNAME chain too long");
    assert_true(f.server.queries <= DNS_CNAME_CHAIN_MAX + 1);
    fixture_close(&f);
}

static bool is_secure(const char *name, enum dns_type type)
{
    const struct dns_answer *answer = fixture_answer(&f, name, type);
    bool is = answer->is_secure;

    dns_answer_release(&answer);
    return is;
}

static void open_trusted(bool is_trusted)
{
    fixture_open_server(&f);
    f.settings.is_trusted = is_trusted;
    fixture_start(&f);
    server_add(&f.server, "signed.example 300 A 192.0.2.1");
    server_add(&f.server, "plain.example 300 A 192.0.2.1");
    server_sign(&f.server, "signed.example");
    server_sign(&f.server, "missing.example");
}

TEST(ad_bit_counts_where_the_server_is_trusted)
{
    open_trusted(true);
    for (int i = 0; i < 2; i++) { /* from the server, then from the cache */
        assert_true(is_secure("signed.example", DNS_TYPE_A));
        assert_true(is_secure("signed.example", DNS_TYPE_MX));
        assert_true(is_secure("missing.example", DNS_TYPE_MX));
        assert_false(is_secure("plain.example", DNS_TYPE_A));
        assert_false(is_secure("gone.example", DNS_TYPE_A));
    }
    assert_int_equal(f.server.queries, 5);
    assert_int_equal(f.server.ad_queries, 5);
    fixture_close(&f);
    open_trusted(false);
    for (int i = 0; i < 2; i++) {
        assert_false(is_secure("signed.example", DNS_TYPE_A));
        assert_false(is_secure("missing.example", DNS_TYPE_MX));
    }
    fixture_close(&f);
}

TEST(chain_is_as_secure_as_its_weakest_answer)
{
    static const struct {
        const char *name;
        bool a_signed, b_signed;
    } rows[] = {
        {"both.example", true, true},
        {"first.example", true, false},
        {"second.example", false, true},
        {"none.example", false, false},
    };
    char line[128], target[64];

    open_trusted(true);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        snprintf(target, sizeof(target), "to-%s", rows[i].name);
        snprintf(line, sizeof(line), "%s 300 CNAME %s", rows[i].name, target);
        server_add(&f.server, line);
        snprintf(line, sizeof(line), "%s 300 A 192.0.2.1", target);
        server_add(&f.server, line);
        server_behave(&f.server, rows[i].name, 0, SAYS_BARE_CNAME);
        if (rows[i].a_signed)
            server_sign(&f.server, rows[i].name);
        if (rows[i].b_signed)
            server_sign(&f.server, target);
    }
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_row(i,
                   is_secure(rows[i].name, DNS_TYPE_A) == (rows[i].a_signed && rows[i].b_signed));
    fixture_close(&f);
}

TEST(old_data_stay_as_secure_as_they_were)
{
    open_trusted(true);
    server_add(&f.server, "short.example 1 A 192.0.2.1");
    server_sign(&f.server, "short.example");
    assert_true(is_secure("short.example", DNS_TYPE_A));
    server_behave(&f.server, "short.example", 0, SAYS_SERVFAIL);
    fixture_advance(&f, 1500);
    const struct dns_answer *answer = fixture_answer(&f, "short.example", DNS_TYPE_A);

    assert_true(answer->is_stale);
    assert_true(answer->is_secure);
    dns_answer_release(&answer);
    fixture_close(&f);
}

TEST(edns_is_asked_without_only_once_the_server_refused_it)
{
    fixture_open(&f); /* none of its answers has an OPT record */
    server_add(&f.server, "a.example 300 A 192.0.2.1");
    server_add(&f.server, "b.example 300 A 192.0.2.1");
    assert_int_equal(fixture_status(&f, "a.example", DNS_TYPE_A), DNS_OK);
    assert_int_equal(fixture_status(&f, "b.example", DNS_TYPE_A), DNS_OK);
    assert_int_equal(f.server.edns_queries, 2);
    for (unsigned i = 0; i < 3; i++) {
        char name[32];

        snprintf(name, sizeof(name), "old%u.example", i);
        server_behave(&f.server, name, 0, SAYS_FORMERR);
        assert_int_equal(fixture_status(&f, name, DNS_TYPE_A), DNS_NXDOMAIN);
    }
    assert_int_equal(f.server.edns_queries, 3);
    fixture_close(&f);
}

TEST(edns_is_back_with_the_next_channel)
{
#ifdef DNS_FIXTURE_FAKE
    fixture_open(&f);
    server_add(&f.server, "a.example 300 A 192.0.2.1");
    server_add(&f.server, "b.example 300 A 192.0.2.1");
    server_behave(&f.server, "old.example", 0, SAYS_FORMERR);
    assert_int_equal(fixture_status(&f, "old.example", DNS_TYPE_A), DNS_NXDOMAIN);
    unsigned edns_queries = f.server.edns_queries;

    assert_int_equal(fixture_status(&f, "a.example", DNS_TYPE_A), DNS_OK);
    assert_int_equal(f.server.edns_queries, edns_queries); /* c-ares 1.18 has given it up */
    fixture_advance(&f, 61000);
    assert_int_equal(fixture_status(&f, "b.example", DNS_TYPE_A), DNS_OK);
    assert_int_equal(f.server.edns_queries, edns_queries + 1);
    fixture_close(&f);
#endif
}

TEST(old_channel_finishes_its_queries)
{
#ifdef DNS_FIXTURE_FAKE
    struct asked slow;

    fixture_open(&f);
    f.server.record_count = 0;
    server_add(&f.server, "a.example 300 A 192.0.2.1");
    server_behave(&f.server, "slow.example", 0, IS_SILENT);
    fixture_ask(&f, &slow, "slow.example", DNS_TYPE_A);
    fixture_advance(&f, 61000);
    assert_int_equal(fixture_status(&f, "a.example", DNS_TYPE_A), DNS_OK);
    fixture_wait(&f, &slow.done, 1);
    assert_string_equal(slow.answer->why, "timeout");
    asked_forget(&slow);
    fixture_close(&f);
#endif
}

TEST(questions_past_in_flight_max_wait_in_line)
{
    struct asked asked[40];
    char name[32];

    fixture_open_server(&f);
    f.settings.in_flight_max = 3;
    fixture_start(&f);
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        snprintf(name, sizeof(name), "m%zu.example", i);
        fixture_ask(&f, &asked[i], name, DNS_TYPE_A);
        assert_true(metric_sum(METRIC_DNS_IN_FLIGHT) <= 3);
    }
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        fixture_wait(&f, &asked[i].done, 1);
        assert_true(metric_sum(METRIC_DNS_IN_FLIGHT) <= 3);
        assert_int_equal(asked[i].answer->status, DNS_NXDOMAIN);
        asked_forget(&asked[i]);
    }
    assert_int_equal(f.server.queries, ARRAY_LEN(asked));
    fixture_close(&f);
    assert_int_equal(metric_sum(METRIC_DNS_IN_FLIGHT), 0);
    assert_int_equal(metric_sum(METRIC_DNS_CACHE_ENTRIES), 0);
}

TEST(questions_past_all_bounds_fail)
{
    enum { KEPT = 64 };
    static struct asked asked[KEPT + 1];
    char name[32];

    fixture_open_server(&f);
    f.settings.in_flight_max = 1;
    fixture_start(&f);
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        snprintf(name, sizeof(name), "m%zu.example", i);
        fixture_ask(&f, &asked[i], name, DNS_TYPE_A);
    }
    fixture_wait(&f, &asked[KEPT].done, 1);
    assert_string_equal(asked[KEPT].answer->why, "too many questions wait");
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        fixture_wait(&f, &asked[i].done, 1);
        asked_forget(&asked[i]);
    }
    fixture_close(&f);
}

TEST(line_that_does_not_move_fails)
{
#ifdef DNS_FIXTURE_FAKE
    struct asked first;
    struct asked second;

    fixture_open_server(&f);
    f.settings.in_flight_max = 1;
    f.settings.timeout_ms = 2000;
    fixture_start(&f);
    server_behave(&f.server, "silent.example", 0, IS_SILENT);
    fixture_ask(&f, &first, "silent.example", DNS_TYPE_A);
    fixture_ask(&f, &second, "a.example", DNS_TYPE_A);
    fixture_advance(&f, 30100);
    fixture_wait(&f, &second.done, 1);
    assert_string_equal(second.answer->why, "the servers are too slow");
    resolver_cancel(f.resolver, &first.query);
    asked_forget(&second);
    fixture_close(&f);
#endif
}

TEST(cancelled_query_is_not_told)
{
    struct asked gone;
    struct asked stays;

    fixture_open(&f);
    server_add(&f.server, "mail.example 300 A 192.0.2.1");
    fixture_ask(&f, &gone, "mail.example", DNS_TYPE_A);
    fixture_ask(&f, &stays, "mail.example", DNS_TYPE_A);
    resolver_cancel(f.resolver, &gone.query);
    resolver_cancel(f.resolver, &gone.query);
    fixture_wait(&f, &stays.done, 1);
    assert_int_equal(gone.done, 0);
    asked_forget(&stays);
    /* Once more with an answer that waits to be told. */
    fixture_ask(&f, &gone, "mail.example", DNS_TYPE_A);
    resolver_cancel(f.resolver, &gone.query);
    fixture_advance(&f, 5);
    assert_int_equal(gone.done, 0);
    assert_int_equal(f.server.queries, 1);
    fixture_close(&f);
}

struct chained {
    struct asked asked;
    struct asked *victim;
};

static void ask_on(struct dns_query *query, const struct dns_answer *answer)
{
    struct chained *chained = container_of(query, struct chained, asked.query);

    (void)answer;
    resolver_cancel(f.resolver, &chained->victim->query);
    if (++chained->asked.done < 3)
        resolver_ask(f.resolver, query, BYTES("mail.example"), DNS_TYPE_A);
}

TEST(done_may_cancel_others_and_ask_again)
{
    struct chained chained = {0};
    struct asked victim;

    fixture_open(&f);
    server_add(&f.server, "mail.example 300 A 192.0.2.1");
    chained.asked.query.done = ask_on;
    chained.victim = &victim;
    resolver_ask(f.resolver, &chained.asked.query, BYTES("mail.example"), DNS_TYPE_A);
    fixture_ask(&f, &victim, "mail.example", DNS_TYPE_A);
    fixture_wait(&f, &chained.asked.done, 3);
    assert_int_equal(victim.done, 0);
    fixture_close(&f);
}

TEST(flush_forgets)
{
    fixture_open(&f);
    server_add(&f.server, "mail.example 300 A 192.0.2.1");
    assert_int_equal(fixture_status(&f, "mail.example", DNS_TYPE_A), DNS_OK);
    resolver_flush(f.resolver, BYTES("Mail.Example"));
    assert_int_equal(fixture_status(&f, "mail.example", DNS_TYPE_A), DNS_OK);
    assert_int_equal(f.server.queries, 2);
    resolver_flush(f.resolver, BYTES_NONE);
    assert_int_equal(fixture_status(&f, "mail.example", DNS_TYPE_A), DNS_OK);
    assert_int_equal(f.server.queries, 3);
    fixture_close(&f);
}

TEST(destroy_tells_who_waits)
{
    struct asked in_flight;
    struct asked known;

    fixture_open(&f);
    server_add(&f.server, "mail.example 300 A 192.0.2.1");
    server_behave(&f.server, "silent.example", 0, IS_SILENT);
    assert_int_equal(fixture_status(&f, "mail.example", DNS_TYPE_A), DNS_OK);
    fixture_ask(&f, &in_flight, "silent.example", DNS_TYPE_A);
    fixture_turn(&f);
    fixture_ask(&f, &known, "mail.example", DNS_TYPE_A);
    fixture_close(&f);
    assert_int_equal(in_flight.done, 1);
    assert_int_equal(in_flight.answer->status, DNS_FAILED);
    assert_int_equal(known.done, 1);
    assert_int_equal(known.answer->status, DNS_FAILED);
    asked_forget(&in_flight);
    asked_forget(&known);
}

/* Sockets come and go with every burst, their numbers return, polls of the old ones end late. */
TEST(sockets_that_come_and_go_lose_no_answer)
{
    char name[32];

    fixture_open_server(&f);
    f.settings.timeout_ms = 500;
    fixture_start(&f);
    for (unsigned round = 0; round < 100; round++) {
        struct asked asked[4];

        for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
            snprintf(name, sizeof(name), "r%u-%zu.example", round, i);
            server_behave(&f.server, name, 0, i % 2 ? SAYS_TRUNCATED : BEHAVES);
            fixture_ask(&f, &asked[i], name, DNS_TYPE_A);
        }
        for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
            fixture_wait(&f, &asked[i].done, 1);
            assert_int_equal(asked[i].answer->status, DNS_NXDOMAIN);
            asked_forget(&asked[i]);
        }
        f.server.rule_count = 0;
    }
    fixture_close(&f);
}

TEST(create_refuses_servers_that_are_none)
{
    const char *why = NULL;

    fixture_open_server(&f);
    f.engine = engine_create(&(struct engine_settings){.ring_entries = 64, .buffer_count = 8});
    f.settings.servers = "not an address";
    assert_null(resolver_create(f.engine, f.cache, &f.settings, &why));
    assert_non_null(why);
    fixture_close(&f);
}
