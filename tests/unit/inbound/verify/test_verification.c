/* test_verification.c - checks side by side: their time, their questions, their end. */
/* modules: verify */
#define DNS_FIXTURE_FAKE
#include "inbound/verify/verification.h"

#include "support/unit.h"
#include "unit/dns/dns_fixture.h"

static struct fixture f;

struct run {
    struct verification *verification;
    struct mail_header header;
    unsigned done;
    unsigned answers, failures;
    const char *why; /* of the last failure */
};

static void on_answer(void *context, const struct verification_trace *trace)
{
    struct run *run = context;

    assert_true((trace->answer->result == LOOKUP_FAILED) == (trace->why != NULL));
    run->answers++;
    if (trace->why == NULL)
        return;
    run->failures++;
    run->why = trace->why;
}

static void on_done(void *context, struct verification *verification)
{
    struct run *run = context;

    assert_ptr_equal(run->verification, verification);
    run->done++;
}

static void begin(struct run *run, unsigned questions_max)
{
    struct verification_settings settings = {
        .hostname = BYTES("mx.example"),
        .questions_max = questions_max,
        .wall_ms = 1000000000000,
        .trace = on_answer,
        .done = on_done,
        .context = run,
    };
    struct verification_request request = {
        .helo = BYTES("helo.example"),
        .mail_from = BYTES("a@b.example"),
    };

    *run = (struct run){0};
    assert_true(address_parse(BYTES("192.0.2.1"), 0, &request.client));
    run->verification = verification_start(f.resolver, &settings, &request);
}

static void give_header(struct run *run, const char *text)
{
    struct bytes rest = bytes_of(text);

    mail_header_init(&run->header, MAIL_HEADER_SIZE_MAX, MAIL_HEADER_FIELDS_MAX);
    if (!mail_header_feed(&run->header, &rest))
        mail_header_finish(&run->header);
    verification_header(run->verification, &run->header);
    verification_body(run->verification, rest);
    assert_int_equal(run->done, 0); /* never from inside */
}

static void finish(struct run *run)
{
    verification_finish(run->verification);
    assert_int_equal(run->done, 0);
}

static void end(struct run *run)
{
    verification_free(&run->verification);
    assert_null(run->verification);
    mail_header_free(&run->header);
    fixture_close(&f);
}

static void serve_good_records(void)
{
    server_add(&f.server, "b.example 300 TXT v=spf1 ip4:192.0.2.1 -all");
    server_add(&f.server, "_dmarc.b.example 300 TXT v=DMARC1; p=reject");
    server_add(&f.server, "1.2.0.192.in-addr.arpa 300 PTR m.b.example");
    server_add(&f.server, "m.b.example 300 A 192.0.2.1");
}

#define MESSAGE "From: x@b.example\r\nSubject: y\r\n\r\nbody\r\n"

TEST(all_is_told_once_in_the_end)
{
    struct run run;
    struct buf field;
    size_t count;

    fixture_open(&f);
    serve_good_records();
    begin(&run, 0);
    for (int i = 0; i < 50; i++) /* SPF and iprev end before the header comes */
        fixture_turn(&f);
    assert_int_equal(run.done, 0);
    give_header(&run, MESSAGE);
    for (int i = 0; i < 50; i++)
        fixture_turn(&f);
    assert_int_equal(run.done, 0); /* the body is not over */
    finish(&run);
    fixture_wait(&f, &run.done, 1);
    fixture_advance(&f, VERIFICATION_DEADLINE_MS + 100);
    for (int i = 0; i < 10; i++)
        fixture_turn(&f);
    assert_int_equal(run.done, 1);
    assert_int_equal(verification_spf(run.verification)->verdict, SPF_PASS);
    assert_int_equal(verification_helo(run.verification)->verdict, SPF_NONE);
    assert_int_equal(verification_iprev(run.verification)->verdict, IPREV_PASS);
    assert_int_equal(verification_dkim_count(run.verification), 0);
    assert_int_equal(verification_dmarc(run.verification)->result, DMARC_PASS);
    assert_true(verification_identifiers(run.verification, &count)[0].is_aligned);
    assert_int_equal(count, 1);
    assert_int_equal(run.answers, verification_questions(run.verification));
    buf_init(&field, 4096);
    assert_true(verification_write(run.verification, BYTES("mx.example"), &field));
    const char *wanted = "Authentication-Results: mx.example;\r\n"
                         "\tspf=pass smtp.mailfrom=a@b.example;\r\n"
                         "\tspf=none smtp.helo=helo.example;\r\n"
                         "\tdkim=none;\r\n"
                         "\tarc=none;\r\n"
                         "\tdmarc=pass (p=reject dis=none) header.from=b.example;\r\n"
                         "\tiprev=pass (the name leads back) policy.iprev=192.0.2.1\r\n";

    if (!bytes_equal(buf_bytes(&field), bytes_of(wanted)))
        fail_msg("%.*s", BYTES_ARG(buf_bytes(&field)));
    buf_free(&field);
    end(&run);
}

TEST(time_that_is_over_ends_all_as_temperror)
{
    struct run run;

    fixture_open_server(&f);
    f.settings.timeout_ms = 60000;
    fixture_start(&f);
    server_behave(&f.server, "b.example", 0, IS_SILENT);
    server_behave(&f.server, "helo.example", 0, IS_SILENT);
    server_behave(&f.server, "_dmarc.b.example", 0, IS_SILENT);
    server_behave(&f.server, "1.2.0.192.in-addr.arpa", 0, IS_SILENT);
    begin(&run, 0);
    give_header(&run, MESSAGE);
    finish(&run);
    fixture_advance(&f, VERIFICATION_DEADLINE_MS - 100);
    for (int i = 0; i < 10; i++)
        fixture_turn(&f);
    assert_int_equal(run.done, 0);
    fixture_advance(&f, 200);
    fixture_wait(&f, &run.done, 1);
    assert_int_equal(verification_spf(run.verification)->verdict, SPF_TEMPERROR);
    assert_int_equal(verification_helo(run.verification)->verdict, SPF_TEMPERROR);
    assert_int_equal(verification_iprev(run.verification)->verdict, IPREV_TEMPERROR);
    assert_int_equal(verification_dmarc(run.verification)->result, DMARC_TEMPERROR);
    assert_int_equal(run.failures, 4);
    assert_string_equal(run.why, "the time for this message is over");
    end(&run);
}

/* What is asked behind the deadline fails at once, also where the header comes later than it. */
TEST(header_past_the_time_ends_at_once)
{
    struct run run;

    fixture_open(&f);
    serve_good_records();
    begin(&run, 0);
    for (int i = 0; i < 50; i++)
        fixture_turn(&f);
    fixture_advance(&f, VERIFICATION_DEADLINE_MS + 100);
    for (int i = 0; i < 10; i++)
        fixture_turn(&f);
    give_header(&run, MESSAGE);
    finish(&run);
    fixture_wait(&f, &run.done, 1);
    assert_int_equal(verification_spf(run.verification)->verdict, SPF_PASS);
    assert_int_equal(verification_dmarc(run.verification)->result, DMARC_TEMPERROR);
    end(&run);
}

TEST(questions_of_a_message_are_bounded)
{
    struct run run;

    fixture_open(&f);
    serve_good_records();
    begin(&run, 3); /* SPF, HELO, PTR */
    give_header(&run, MESSAGE);
    finish(&run);
    fixture_wait(&f, &run.done, 1);
    assert_int_equal(verification_questions(run.verification), 3);
    assert_int_equal(verification_spf(run.verification)->verdict, SPF_PASS);
    assert_int_equal(verification_iprev(run.verification)->verdict, IPREV_TEMPERROR);
    assert_int_equal(verification_dmarc(run.verification)->result, DMARC_TEMPERROR);
    assert_string_equal(run.why, "too many questions for one message");
    end(&run);
}

TEST(free_at_any_time_is_not_told)
{
    for (unsigned turns = 0; turns < 12; turns++) {
        struct run run;

        fixture_open(&f);
        serve_good_records();
        begin(&run, 0);
        give_header(&run, MESSAGE);
        finish(&run);
        for (unsigned i = 0; i < turns && run.done == 0; i++)
            fixture_turn(&f);
        unsigned done = run.done;

        verification_free(&run.verification);
        for (int i = 0; i < 20; i++)
            fixture_turn(&f);
        assert_int_equal(run.done, done);
        end(&run);
    }
}

/* What only DNS has kept from passing is no reason to refuse. */
TEST(dmarc_does_not_fail_where_spf_is_not_known)
{
    struct run run;

    fixture_open(&f);
    serve_good_records();
    server_behave(&f.server, "b.example", DNS_TYPE_TXT, SAYS_SERVFAIL);
    begin(&run, 0);
    give_header(&run, MESSAGE);
    finish(&run);
    fixture_wait(&f, &run.done, 1);
    assert_int_equal(verification_spf(run.verification)->verdict, SPF_TEMPERROR);
    assert_int_equal(verification_dmarc(run.verification)->result, DMARC_TEMPERROR);
    assert_int_equal(verification_dmarc(run.verification)->disposition, DMARC_POLICY_NONE);
    end(&run);
}

TEST(header_that_was_cut_never_passes)
{
    static char text[MAIL_HEADER_FIELDS_MAX * 8 + 256] = "From: x@b.example\r\n";
    size_t len = strlen(text);
    struct run run;

    for (int i = 0; i < MAIL_HEADER_FIELDS_MAX; i++, len += 6)
        memcpy(text + len, "X: y\r\n", 7);
    memcpy(text + len, "From: x@c.example\r\n\r\n", 22);
    fixture_open(&f);
    serve_good_records();
    begin(&run, 0);
    give_header(&run, text);
    finish(&run);
    fixture_wait(&f, &run.done, 1);
    assert_int_equal(verification_dmarc(run.verification)->result, DMARC_FAIL);
    assert_int_equal(verification_dmarc(run.verification)->disposition, DMARC_POLICY_REJECT);
    end(&run);
}
