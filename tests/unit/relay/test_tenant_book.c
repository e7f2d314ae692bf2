/* test_tenant_book.c - what is told is kept, once, over crashes; torn and foreign files. */
#include "relay/tenant_book.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "intake/claims.h"
#include "submission/account_rate.h"
#include "support/unit.h"

static const uint8_t secret[CLAIM_SECRET_LEN] = "a secret of thirty-two bytes....";
static char state_dir[] = "/tmp/tenant-book-XXXXXX";
static char path[64];
static char why[256];

static struct tenant_book *begin(void)
{
    if (path[0] == '\0') {
        assert_non_null(mkdtemp(state_dir));
        snprintf(path, sizeof(path), "%s/tenants.book", state_dir);
    }
    allowances_forget();
    account_rates_clear();
    claims_end();
    claims_begin(secret, 1000);
    allowances_begin(clock_monotonic_ms(), clock_wall_ms());
    return tenant_book_open(state_dir, 1, why, sizeof(why));
}

static struct event acceptance(uint64_t position, uint32_t part)
{
    return (struct event){.kind = EVENT_ACCEPTED,
                          .shard = 0,
                          .position = position,
                          .part = part,
                          .id = {1000 + position},
                          .tenant = BYTES("shop"),
                          .service = BYTES("submission"),
                          .time_ms = clock_wall_ms(),
                          .accepted_ms = clock_wall_ms()};
}

static void accepted(struct tenant_book *book, uint64_t position, uint32_t part,
                     const struct claim *claim)
{
    uint8_t encoded[CLAIM_LEN];
    struct event event = acceptance(position, part);

    if (claim != NULL) {
        claim_encode(claim, encoded);
        event.claim = bytes_range(encoded, sizeof(encoded));
    }
    tenant_book_event(book, &event);
}

static void delivered(struct tenant_book *book, uint64_t position, uint32_t attempt)
{
    struct event event = {.kind = EVENT_DELIVERED,
                          .position = position,
                          .attempt = attempt,
                          .tenant = BYTES("shop"),
                          .time_ms = clock_wall_ms()};

    tenant_book_event(book, &event);
}

static uint32_t used(enum allowance_count count)
{
    struct allowance_moment moment = allowance_moment(clock_monotonic_ms());

    return allowance_used(allowance_get(1, BYTES("shop"), clock_monotonic_ms()), &moment, count);
}

/* As kill -9 leaves it: nothing is written that was not committed. */
static void crash(struct tenant_book **book)
{
    static struct tenant_book *lost[8]; /* where a search for leaks finds them */
    static size_t count;

    assert_true(count < ARRAY_LEN(lost));
    lost[count++] = *book;
    *book = NULL;
}

TEST(what_was_told_is_counted_once_whatever_happens)
{
    struct tenant_book *book = begin();
    uint64_t id = 0;

    assert_non_null(book);
    assert_false(allowances_known());
    tenant_book_attach(book, 0, 0);
    tenant_book_told(book, 0, 0);
    assert_true(allowances_known());
    (void)allowance_get(1, BYTES("shop"), clock_monotonic_ms()); /* it has limits */
    struct claim claim = claim_of(BYTES("shop"), BYTES("k"));
    accepted(book, 100, 0, &claim);
    accepted(book, 100, 1, NULL);
    delivered(book, 200, 1);
    delivered(book, 250, 2); /* was counted at its first attempt */
    tenant_book_commit(book);
    accepted(book, 300, 0, NULL);
    delivered(book, 350, 1);
    crash(&book);

    book = begin();
    assert_non_null(book);
    /* Of the last second nothing is known, before the journal is told again. */
    tenant_book_attach(book, 0, 400);
    accepted(book, 100, 0, &claim);
    accepted(book, 100, 1, NULL);
    delivered(book, 200, 1);
    delivered(book, 250, 2);
    assert_int_equal(used(ALLOWANCE_ACCEPTED_DAY), 2);
    assert_int_equal(used(ALLOWANCE_SENT_HOUR), 1);
    assert_false(allowances_known());
    /* The tenant has its allowance already: what is late is added to it. */
    accepted(book, 300, 0, NULL);
    delivered(book, 350, 1);
    tenant_book_told(book, 0, 399);
    assert_false(allowances_known());
    tenant_book_told(book, 0, 400);
    assert_true(allowances_known());
    assert_int_equal(used(ALLOWANCE_ACCEPTED_MONTH), 3);
    assert_int_equal(used(ALLOWANCE_SENT_DAY), 2);
    claim = claim_of(BYTES("shop"), BYTES("k"));
    assert_int_equal(claims_ask(&claim, clock_wall_ms() / 1000, &id), CLAIM_KNOWN);
    assert_int_equal(id, 1100);
    /* What comes now the allowance counts by itself. */
    accepted(book, 500, 0, NULL);
    assert_int_equal(used(ALLOWANCE_ACCEPTED_DAY), 3);
    tenant_book_close(&book);
    uint64_t counts[ALLOWANCE_COUNTS];
    assert_true(tenant_book_read(state_dir, BYTES("shop"), counts));
    assert_int_equal((uint32_t)counts[ALLOWANCE_ACCEPTED_DAY], 4);
    assert_false(tenant_book_read(state_dir, BYTES("bank"), counts));
}

/* Whether the tenant has limits is not known when the journal is told. */
TEST(a_crash_before_the_first_commit_loses_nothing)
{
    struct tenant_book *book = begin();

    assert_int_equal(unlink(path), 0);
    crash(&book);
    book = begin();
    assert_non_null(book);
    tenant_book_attach(book, 0, 1000);
    accepted(book, 100, 0, NULL);
    accepted(book, 200, 0, NULL);
    delivered(book, 300, 1);
    tenant_book_told(book, 0, 1000);
    assert_int_equal(used(ALLOWANCE_ACCEPTED_DAY), 2);
    assert_int_equal(used(ALLOWANCE_SENT_HOUR), 1);
    unlink(path);
    crash(&book);
}

/* Told again from further back, as after a failed sync of the event files. */
TEST(a_record_that_was_told_in_part_goes_on_behind_it)
{
    struct tenant_book *book = begin();

    tenant_book_attach(book, 0, 0);
    (void)allowance_get(1, BYTES("shop"), clock_monotonic_ms());
    uint32_t before = used(ALLOWANCE_ACCEPTED_DAY);
    accepted(book, 600, 0, NULL);
    accepted(book, 600, 0, NULL);
    accepted(book, 600, 1, NULL);
    tenant_book_close(&book);
    book = begin();
    assert_int_equal(used(ALLOWANCE_ACCEPTED_DAY), before + 2);
    tenant_book_close(&book);
}

/* As when they were accepted. */
TEST(only_whom_a_submission_named_counts)
{
    static const struct bytes others[] = {BYTES("inbound"),  BYTES("dsn"),    BYTES("forward"),
                                          BYTES("vacation"), BYTES("report"), BYTES("")};
    struct tenant_book *book = begin();

    tenant_book_attach(book, 0, 0);
    (void)allowance_get(1, BYTES("shop"), clock_monotonic_ms());
    uint32_t before = used(ALLOWANCE_ACCEPTED_DAY);
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        struct event event = acceptance(620 + i, 0);

        event.service = others[i];
        tenant_book_event(book, &event);
    }
    struct event copy = acceptance(630, 1);
    copy.is_copy = true;
    accepted(book, 630, 0, NULL);
    tenant_book_event(book, &copy);
    tenant_book_close(&book);
    book = begin();
    assert_int_equal(used(ALLOWANCE_ACCEPTED_DAY), before + 1);
    tenant_book_close(&book);
}

TEST(only_first_attempts_of_what_was_submitted_are_sent)
{
    static const enum event_kind kinds[] = {EVENT_DELIVERED, EVENT_FILED, EVENT_DEFERRED,
                                            EVENT_BOUNCED};
    struct tenant_book *book = begin();

    tenant_book_attach(book, 0, 0);
    uint32_t before = used(ALLOWANCE_SENT_DAY);
    for (size_t i = 0; i < 2 * ARRAY_LEN(kinds); i++) {
        struct event event = {.kind = kinds[i / 2],
                              .position = 631,
                              .part = (uint32_t)i,
                              .attempt = 1,
                              .is_received = i % 2 == 1,
                              .tenant = BYTES("shop"),
                              .time_ms = clock_wall_ms()};

        tenant_book_event(book, &event);
    }
    tenant_book_close(&book);
    book = begin();
    assert_int_equal(used(ALLOWANCE_SENT_DAY), before + ARRAY_LEN(kinds));
    tenant_book_close(&book);
}

static void submitted(struct tenant_book *book, uint64_t position, uint32_t part, bool is_copy)
{
    struct event event = acceptance(position, part);

    event.account = 7;
    event.is_copy = is_copy;
    tenant_book_event(book, &event);
}

/* How many messages the account has sent in this hour, and to how many recipients. */
static void expect_sent(uint32_t messages, uint32_t recipients)
{
    int64_t now_ms = clock_monotonic_ms();
    const struct account_rate whole = {messages, recipients}, more = {messages + 1, recipients + 1};

    assert_int_equal(account_rate_take(7, &(struct account_rate){messages, 0}, 1, now_ms),
                     ACCOUNT_RATE_MESSAGES);
    assert_int_equal(account_rate_take(7, &(struct account_rate){0, recipients}, 1, now_ms),
                     ACCOUNT_RATE_RECIPIENTS);
    assert_int_not_equal(account_rate_take(7, &whole, 1, now_ms), ACCOUNT_RATE_OK);
    assert_int_equal(account_rate_take(7, &more, 1, now_ms), ACCOUNT_RATE_OK);
}

TEST(what_an_account_sent_is_counted_once_whatever_happens)
{
    struct tenant_book *book = begin();

    tenant_book_attach(book, 0, 0);
    submitted(book, 640, 0, false);
    submitted(book, 640, 1, false);
    submitted(book, 640, 2, true); /* nobody named it */
    tenant_book_commit(book);
    submitted(book, 641, 0, false);
    crash(&book);

    book = begin();
    tenant_book_attach(book, 0, 650);
    submitted(book, 640, 0, false);
    submitted(book, 640, 1, false);
    submitted(book, 640, 2, true);
    submitted(book, 641, 0, false);
    tenant_book_told(book, 0, 650);
    expect_sent(2, 3);
    submitted(book, 651, 0, false); /* was counted when it was taken */
    tenant_book_close(&book);
    book = begin(); /* which writes it anew */
    crash(&book);
    book = begin();
    expect_sent(3, 4);
    tenant_book_close(&book);
}

TEST(a_torn_end_is_left_out)
{
    struct tenant_book *book = begin();
    struct stat status;

    tenant_book_attach(book, 0, 0);
    (void)allowance_get(1, BYTES("shop"), clock_monotonic_ms());
    uint32_t before = used(ALLOWANCE_ACCEPTED_DAY);
    accepted(book, 700, 0, NULL);
    tenant_book_commit(book);
    assert_int_equal(stat(path, &status), 0);
    accepted(book, 800, 0, NULL);
    tenant_book_commit(book);
    crash(&book);
    struct stat longer;
    assert_int_equal(stat(path, &longer), 0);
    assert_true(longer.st_size > status.st_size);
    assert_int_equal(truncate(path, longer.st_size - 3), 0);
    book = begin();
    assert_non_null(book);
    assert_int_equal(used(ALLOWANCE_ACCEPTED_DAY), before + 1);
    accepted(book, 800, 0, NULL); /* the journal has it still */
    tenant_book_close(&book);
    book = begin();
    assert_int_equal(used(ALLOWANCE_ACCEPTED_DAY), before + 2);
    tenant_book_close(&book);
}

TEST(a_newer_file_is_refused_and_a_foreign_one_begun_anew)
{
    struct tenant_book *book;
    int fd = open(path, O_WRONLY | O_TRUNC);

    assert_int_equal(write(fd, "ringpost-tenants 2\n", 19), 19);
    assert_null(begin());
    assert_non_null(strstr(why, "newer"));
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(pwrite(fd, "nonsense", 8, 0), 8);
    close(fd);
    book = begin();
    assert_non_null(book);
    tenant_book_close(&book);
    unlink(path);
    rmdir(state_dir);
    allowances_are_known(true);
}
