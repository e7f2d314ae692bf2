/* modules: client line */
/*
 * test_gate.c - mail that waits for its tenant's rates: who is let through, when, in which order,
 * and what is counted of those that wait. Behind the gate mail waits for its look-up, so that
 * nothing is sent.
 */
#include "delivery/line/constraint.h"
#include "delivery/line/destination.h"
#include "delivery/line/gate.h"
#include "delivery/outcome/retry.h"
#include "queue/allowance.h"
#include "support/chat.c"
#include "support/engine_fake.h"
#include "support/unit.h"
#include "tests/unit/delivery/world.c"

enum { MAX = 600, TURNS = 6, STEP_MS = 50 };

static const int64_t NOON = 1795262400000; /* 2026-11-21T12:00:00Z */

/* What a tenant has: the first letter of its name is its number. */
struct terms {
    struct allowance *allowance;
    struct allowance_limits limits;
};

struct fixture {
    struct world world;
    struct buf facts;
    struct terms terms[2]; /* of "a", of "b" */
    struct message_id ids[MAX];
    size_t count;
};

static void ask(void *context, struct bytes tenant, struct tenant_terms *out)
{
    const struct terms *terms = context;

    terms += tenant.ptr[0] - 'a';
    *out = (struct tenant_terms){.allowance = terms->allowance, .limits = terms->limits};
}

static void turns(struct fixture *f)
{
    for (unsigned i = 0; i < TURNS; i++)
        engine_turn(f->world.engine, 0);
}

static void begin(struct fixture *f, enum allowance_limit limit, uint32_t max)
{
    struct engine_settings settings = {0};

    memset(f, 0, sizeof(*f));
    buf_init(&f->facts, 1 << 20);
    world_init(&f->world, engine_create(&settings), &f->facts);
    f->world.retry.max_age_s = 7200;
    allowances_forget();
    allowances_begin(engine_now_ms(f->world.engine), NOON);
    for (uint32_t i = 0; i < ARRAY_LEN(f->terms); i++) {
        const char name[] = {(char)('a' + i), '\0'};

        f->terms[i].allowance =
            allowance_get(i + 1, bytes_of(name), engine_now_ms(f->world.engine));
        f->terms[i].limits.max[limit] = max;
    }
    flows_set_terms(f->world.flows, ask, f->terms);
    world_start(&f->world);
    f->world.lookups_wait = true;
}

static void end(struct fixture *f)
{
    struct engine *engine = f->world.engine;

    world_answer_lookups(&f->world);
    assert_true(world_free(&f->world));
    engine_destroy(&engine);
    buf_free(&f->facts);
    for (size_t i = 0; i < ARRAY_LEN(f->terms); i++)
        assert_int_equal(atomic_load(&f->terms[i].allowance->waiting), 0);
}

/* Accepted as throttled; or found by a start, which nobody has counted yet. */
static void submit(struct fixture *f, const char *tenant, enum mail_class class, bool is_found)
{
    struct world_message mail = {.from = "",
                                 .to = "r@there.example",
                                 .content = "x",
                                 .tenant = tenant,
                                 .class = class,
                                 .found_age_s = is_found ? 1 : 0};

    f->ids[f->count] = world_submit(&f->world, &mail);
    world_pending(&f->world, f->ids[f->count++], 0)->is_gated = true;
    if (!is_found)
        allowance_wait(f->terms[tenant[0] - 'a'].allowance, 1);
}

static struct pending *at(struct fixture *f, size_t number)
{
    return world_pending(&f->world, f->ids[number], 0);
}

static bool has_passed(struct fixture *f, size_t number)
{
    const struct pending *pending = at(f, number);

    assert_int_equal(pending->is_gated, (pending->flags & PENDING_HELD) != 0);
    return (pending->flags & PENDING_AT_DESTINATION) != 0;
}

static size_t count_passed(struct fixture *f)
{
    size_t count = 0;

    for (size_t i = 0; i < f->count; i++)
        count += has_passed(f, i);
    return count;
}

/* As many wait as have not passed, wherever that is counted. */
static void expect_waiting(struct fixture *f, size_t count)
{
    struct delivery_status status;
    uint32_t waiting = 0;

    delivery_status(f->world.delivery, &status);
    for (size_t i = 0; i < ARRAY_LEN(f->terms); i++)
        waiting += atomic_load(&f->terms[i].allowance->waiting);
    assert_int_equal(f->count - count_passed(f), count);
    assert_int_equal(status.throttled, count);
    assert_int_equal(f->world.delivery->gated_count, count);
    assert_int_equal(waiting, count);
    assert_int_equal(f->world.delivery->gate_count > 0, count > 0);
}

static void advance(struct fixture *f, int64_t ms)
{
    fake_advance_ms(f->world.engine, ms);
    turns(f);
}

TEST(gate_lets_through_what_the_rate_allows_and_goes_with_the_last)
{
    enum { RATE = 20, COUNT = 100 };

    for (unsigned is_found = 0; is_found < 2; is_found++) {
        size_t passed[COUNT * 1000 / RATE / STEP_MS + 40] = {0};
        struct fixture f;
        size_t steps = 0;

        begin(&f, ALLOWANCE_PER_SECOND, RATE);
        for (unsigned i = 0; i < COUNT; i++)
            submit(&f, "a", MAIL_NORMAL, is_found == 1);
        turns(&f);
        while (count_passed(&f) < COUNT && steps < ARRAY_LEN(passed)) {
            passed[steps++] = count_passed(&f);
            expect_waiting(&f, COUNT - passed[steps - 1]);
            advance(&f, STEP_MS);
        }
        assert_in_range(steps, (COUNT - 2 - RATE / 20) * 1000 / RATE / STEP_MS,
                        COUNT * 1000 / RATE / STEP_MS + 2);
        for (size_t i = 1000 / STEP_MS; i < steps; i++) /* in no second more than that */
            assert_true(passed[i] - passed[i - 1000 / STEP_MS] <= RATE + RATE / 20 + 1);
        expect_waiting(&f, 0);
        end(&f);
    }
}

TEST(gate_serves_classes_in_their_turns_and_each_in_its_order)
{
    struct fixture f;

    begin(&f, ALLOWANCE_PER_SECOND, 1);
    for (unsigned i = 0; i < 6; i++)
        submit(&f, "a", MAIL_BULK, false);
    turns(&f);
    size_t at_once = count_passed(&f);
    submit(&f, "a", MAIL_HIGH, false);
    submit(&f, "a", MAIL_NORMAL, false);
    turns(&f);
    for (unsigned i = 0; i < 100 && !has_passed(&f, 6); i++)
        advance(&f, 100);
    assert_true(has_passed(&f, 6)); /* the password reset: not behind the newsletter */
    assert_false(has_passed(&f, 7));
    assert_true(count_passed(&f) <= at_once + 2);
    for (size_t i = 1; i < 6; i++)
        assert_true(has_passed(&f, i - 1) || !has_passed(&f, i));
    for (unsigned i = 0; i < 200 && count_passed(&f) < 8; i++)
        advance(&f, 100);
    assert_int_equal(count_passed(&f), 8);
    end(&f);
}

TEST(gate_lets_bulk_through_while_high_waits)
{
    enum { HIGH = 60, BULK = HIGH };
    struct fixture f;

    begin(&f, ALLOWANCE_PER_SECOND, 20);
    for (unsigned i = 0; i < HIGH; i++)
        submit(&f, "a", MAIL_HIGH, false);
    submit(&f, "a", MAIL_BULK, false);
    turns(&f);
    for (unsigned i = 0; i < 200 && !has_passed(&f, BULK); i++)
        advance(&f, STEP_MS);
    assert_true(has_passed(&f, BULK));
    assert_in_range(count_passed(&f), 2, HIGH); /* not the last */
    assert_false(has_passed(&f, HIGH - 1));
    end(&f);
}

TEST(gates_of_tenants_are_apart)
{
    struct fixture f;

    begin(&f, ALLOWANCE_PER_HOUR, 1);
    f.terms[1].limits = (struct allowance_limits){0};
    f.terms[1].limits.max[ALLOWANCE_PER_HOUR] = 2;
    for (unsigned i = 0; i < 3; i++)
        submit(&f, "a", MAIL_NORMAL, false);
    for (unsigned i = 0; i < 3; i++)
        submit(&f, "b", MAIL_NORMAL, false);
    turns(&f);
    assert_true(has_passed(&f, 0) && has_passed(&f, 3) && has_passed(&f, 4));
    expect_waiting(&f, 3);
    assert_int_equal(f.world.delivery->gate_count, 2);
    advance(&f, 3600 * 1000);
    assert_true(has_passed(&f, 1) && has_passed(&f, 5));
    expect_waiting(&f, 1);
    assert_int_equal(f.world.delivery->gate_count, 1);
    end(&f);
}

/* More than are let through at a time. */
TEST(gate_opens_when_the_rate_is_taken_away)
{
    for (unsigned how = 0; how < 3; how++) {
        struct fixture f;

        begin(&f, ALLOWANCE_PER_HOUR, 1);
        for (unsigned i = 0; i < MAX; i++)
            submit(&f, "a", MAIL_NORMAL, i % 2 == 1);
        turns(&f);
        expect_waiting(&f, MAX - 1);
        struct allowance *allowance = f.terms[0].allowance;

        switch (how) {
        case 0: /* the limit goes */
            f.terms[0].limits = (struct allowance_limits){0};
            break;
        case 1: /* the tenant has no allowance any more */
            f.terms[0].allowance = NULL;
            break;
        case 2: /* it is raised, by not quite enough */
            f.terms[0].limits.max[ALLOWANCE_PER_HOUR] = MAX - 1;
            break;
        }
        turns(&f);
        assert_int_equal(count_passed(&f), 1); /* nobody said so yet */
        delivery_terms_changed(f.world.delivery);
        for (unsigned i = 0; i < 10; i++)
            advance(&f, 2);
        f.terms[0].allowance = allowance;
        expect_waiting(&f, how == 2 ? 1 : 0);
        end(&f);
    }
}

TEST(gate_is_not_asked_by_who_has_no_limits)
{
    struct fixture f;

    begin(&f, ALLOWANCE_PER_HOUR, 1);
    struct allowance *allowance = f.terms[0].allowance;
    f.terms[0].allowance = NULL;
    submit(&f, "a", MAIL_NORMAL, true);
    submit(&f, "a", MAIL_NORMAL, true);
    turns(&f);
    f.terms[0].allowance = allowance;
    expect_waiting(&f, 0);
    end(&f);
}

TEST(gate_ends_what_became_too_old)
{
    struct fixture f;

    begin(&f, ALLOWANCE_PER_MONTH, 1);
    for (unsigned i = 0; i < 3; i++)
        submit(&f, "a", i == 2 ? MAIL_BULK : MAIL_NORMAL, false);
    turns(&f);
    expect_waiting(&f, 2);
    advance(&f, f.world.retry.max_age_s * 1000 + retry_grace_ms(&f.world.retry) - 10000);
    for (unsigned i = 0; i < 5; i++)
        advance(&f, 1000);
    expect_waiting(&f, 2); /* not yet */
    for (unsigned i = 0; i < 120 && (at(&f, 1) != NULL || at(&f, 2) != NULL); i++)
        advance(&f, 1000);
    assert_null(at(&f, 1));
    assert_null(at(&f, 2));
    assert_int_equal(f.world.delivery->gate_count, 0);
    assert_int_equal(f.world.delivery->gated_count, 0);
    assert_int_equal(atomic_load(&f.terms[0].allowance->waiting), 0);
    struct bytes told = BYTES("waited for its tenant's rate until its time was over");
    assert_true(bytes_find_bytes(buf_bytes(&f.facts), told, 0) < buf_len(&f.facts));
    end(&f);
}

TEST(gate_forgets_who_is_cancelled)
{
    struct fixture f;

    begin(&f, ALLOWANCE_PER_HOUR, 1);
    for (unsigned i = 0; i < 3; i++)
        submit(&f, "a", MAIL_NORMAL, i == 2);
    turns(&f);
    expect_waiting(&f, 2);
    for (unsigned i = 1; i < 3; i++) {
        assert_true(delivery_cancel(f.world.delivery, f.world.shard, at(&f, i), "no more"));
        assert_int_equal(atomic_load(&f.terms[0].allowance->waiting), 2 - i);
        assert_int_equal(f.world.delivery->gated_count, 2 - i);
        turns(&f);
        assert_null(at(&f, i));
    }
    assert_int_equal(f.world.delivery->gate_count, 0);
    end(&f);
}

/* What was let through in this turn has not left yet. */
TEST(gate_forgets_who_was_let_through_and_is_cancelled_before_it_goes)
{
    struct fixture f;

    begin(&f, ALLOWANCE_PER_HOUR, 1);
    for (unsigned i = 0; i < 3; i++)
        submit(&f, "a", MAIL_NORMAL, false);
    turns(&f);
    f.terms[0].limits = (struct allowance_limits){0};
    gates_check_all(f.world.delivery);
    gates_drive(f.world.delivery);
    assert_true(delivery_cancel(f.world.delivery, f.world.shard, at(&f, 1), "no more"));
    turns(&f);
    assert_null(at(&f, 1));
    assert_true((at(&f, 2)->flags & PENDING_AT_DESTINATION) != 0);
    assert_int_equal(f.world.delivery->gate_count, 0);
    assert_int_equal(atomic_load(&f.terms[0].allowance->waiting), 0);
    end(&f);
}

TEST(gate_says_which_limit_holds_and_until_when)
{
    struct fixture f;
    struct constraint c;

    begin(&f, ALLOWANCE_PER_HOUR, 1);
    for (unsigned i = 0; i < 3; i++)
        submit(&f, "a", MAIL_NORMAL, false);
    turns(&f);
    constraint_of_pending(f.world.delivery, at(&f, 1), NULL, &c);
    assert_string_equal(c.name, "throttled");
    assert_string_equal(c.rule, "tenant a messages_per_hour 1");
    assert_string_equal(c.detail,
                        "2 recipients of its tenant wait; all of them are let go by then");
    struct allowance_moment moment = allowance_moment(engine_now_ms(f.world.engine));
    int64_t first_ms = allowance_period_end_ms(&moment, ALLOWANCE_SENT_HOUR);
    int64_t last_ms = delivery_wall_ms(f.world.delivery, first_ms) + 3600 * 1000;
    assert_in_range(c.until_ms, last_ms - 1000, last_ms + 1000);
    end(&f);
}

TEST(gate_leaves_what_waits_at_a_stop)
{
    struct fixture f;

    begin(&f, ALLOWANCE_PER_HOUR, 1);
    for (unsigned i = 0; i < 5; i++)
        submit(&f, i % 2 == 0 ? "a" : "b", (enum mail_class)(i % MAIL_CLASSES), i == 3);
    turns(&f);
    expect_waiting(&f, 3);
    end(&f); /* looks at what is counted, too */
}
