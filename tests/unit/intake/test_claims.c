/* test_claims.c - keys that are asked for, kept, dropped, restored; side by side. */
#include "intake/claims.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "support/unit.h"

static const uint8_t secret[CLAIM_SECRET_LEN] = "a secret of thirty-two bytes....";

static void begin(size_t max)
{
    claims_end();
    claims_begin(secret, max);
}

static struct claim numbered(unsigned number)
{
    char text[32];
    int len = snprintf(text, sizeof(text), "key-%u", number);

    return claim_of(BYTES("shop"), bytes_range(text, (size_t)len));
}

TEST(a_key_is_taken_once)
{
    struct claim claim, other;
    uint64_t id = 0;

    begin(100);
    claim = claim_of(BYTES("shop"), BYTES("k"));
    other = claim_of(BYTES("bank"), BYTES("k"));
    assert_int_equal(claims_ask(&claim, 1000, &id), CLAIM_TAKEN);
    assert_int_equal(claims_ask(&claim, 1000, &id), CLAIM_BUSY);
    assert_int_equal(claims_ask(&other, 1000, &id), CLAIM_TAKEN); /* another tenant's */
    claims_keep(&claim, 77, 1000);
    claims_drop(&other);
    assert_int_equal(claims_ask(&claim, 1001, &id), CLAIM_KNOWN);
    assert_int_equal(id, 77);
    assert_int_equal(claims_ask(&other, 1001, &id), CLAIM_TAKEN); /* a refused one has no key */
    claims_drop(&other);
    assert_int_equal(claims_count(), 1);
    claims_end();
}

TEST(tenant_and_key_do_not_run_together)
{
    begin(100);
    struct claim a = claim_of(BYTES("ab"), BYTES("c")), b = claim_of(BYTES("a"), BYTES("bc"));

    assert_true(a.hash[0] != b.hash[0] && a.hash[1] != b.hash[1]);
    claims_end();
}

TEST(another_envelope_is_told_apart)
{
    struct claim claim, same, other;
    uint64_t id = 0;

    begin(100);
    claim = same = other = claim_of(BYTES("shop"), BYTES("k"));
    claim_add_address(&claim, BYTES("a@x.example"), true);
    claim_add_address(&claim, BYTES("b@x.example"), false);
    claim_add_address(&claim, BYTES("c@x.example"), false);
    claim_add_address(&same, BYTES("a@x.example"), true);
    claim_add_address(&same, BYTES("c@x.example"), false);
    claim_add_address(&same, BYTES("b@x.example"), false);
    claim_add_address(&other, BYTES("b@x.example"), true); /* the sender is one of the others */
    claim_add_address(&other, BYTES("a@x.example"), false);
    claim_add_address(&other, BYTES("c@x.example"), false);
    assert_int_equal(claims_ask(&claim, 0, &id), CLAIM_TAKEN);
    claims_keep(&claim, 5, 0);
    assert_int_equal(claims_ask(&same, 0, &id), CLAIM_KNOWN);
    assert_int_equal(claims_ask(&other, 0, &id), CLAIM_DIFFERS);
    uint8_t encoded[CLAIM_LEN];
    struct claim back;
    claim_encode(&same, encoded);
    assert_true(claim_decode(bytes_range(encoded, sizeof(encoded)), &back));
    assert_int_equal(claims_ask(&back, 0, &id), CLAIM_KNOWN);
    assert_false(claim_decode(bytes_range(encoded, sizeof(encoded) - 1), &back));
    claims_end();
}

TEST(a_key_is_forgotten_after_a_day)
{
    struct claim claim;
    uint64_t id = 0;

    begin(100);
    claim = numbered(1);
    assert_int_equal(claims_ask(&claim, 500, &id), CLAIM_TAKEN);
    claims_keep(&claim, 9, 500);
    assert_int_equal(claims_ask(&claim, 500 + CLAIM_AGE_S - 1, &id), CLAIM_KNOWN);
    assert_int_equal(claims_ask(&claim, 500 + CLAIM_AGE_S, &id), CLAIM_TAKEN);
    /* What is on its way does not grow old. */
    assert_int_equal(claims_ask(&claim, 500 + 3 * CLAIM_AGE_S, &id), CLAIM_BUSY);
    claims_keep(&claim, 10, 500 + CLAIM_AGE_S);
    for (unsigned i = 0; i < 256; i++)
        claims_sweep(500 + 2 * CLAIM_AGE_S);
    assert_int_equal(claims_count(), 0);
    claims_end();
}

TEST(there_is_room_for_so_many)
{
    uint64_t id = 0;

    begin(50);
    for (unsigned i = 0; i < 50; i++) {
        struct claim claim = numbered(i);

        assert_int_equal(claims_ask(&claim, 0, &id), CLAIM_TAKEN);
        claims_keep(&claim, i + 1, 0);
    }
    struct claim more = numbered(50), first = numbered(0);
    assert_int_equal(claims_ask(&more, 0, &id), CLAIM_FULL);
    assert_int_equal(claims_ask(&first, 0, &id), CLAIM_KNOWN);
    claims_end();
}

static size_t visited;

static void count_visit(void *context, const struct claim *claim, uint64_t id, int64_t since_s)
{
    uint8_t *seen = context;

    (void)since_s;
    (void)claim;
    assert_in_range(id, 1, 20000);
    assert_int_equal(seen[id], 0);
    seen[id] = 1;
    visited++;
}

/* Tables that grow, entries that leave holes. */
TEST(all_are_found_whatever_goes)
{
    static uint8_t seen[20001];
    uint64_t id = 0;

    begin(100000);
    for (unsigned i = 1; i <= 20000; i++) {
        struct claim claim = numbered(i);

        claims_restore(&claim, i, i % 2 == 0 ? 1000000 : 1);
    }
    for (unsigned i = 0; i < 256; i++)
        claims_sweep(1000000);
    assert_int_equal(claims_count(), 10000);
    for (unsigned i = 1; i <= 20000; i++) {
        struct claim claim = numbered(i);

        if (i % 2 == 0) {
            assert_int_equal(claims_ask(&claim, 1000000, &id), CLAIM_KNOWN);
            assert_int_equal(id, i);
        }
    }
    claims_visit(count_visit, seen);
    assert_int_equal(visited, 10000);
    claims_end();
}

/* --- side by side ----------------------------------------------------------------------------- */

enum { THREADS = 4, KEYS = 5000 };

static _Atomic unsigned taken[KEYS];

static void *take_all(void *context)
{
    uint64_t *me = context, id;

    for (unsigned i = 0; i < KEYS; i++) {
        struct claim claim = numbered(i);
        enum claim_answer answer;

        while ((answer = claims_ask(&claim, 0, &id)) == CLAIM_BUSY)
            ;
        if (answer != CLAIM_TAKEN)
            continue;
        if (atomic_fetch_add(&taken[i], 1) == 0 && i % 5 == 0) {
            claims_drop(&claim); /* the first one is refused */
            i--;
            continue;
        }
        claims_keep(&claim, *me * KEYS + i + 1, 0);
    }
    return NULL;
}

TEST(threads_share_keys_without_two_of_one)
{
    pthread_t threads[THREADS];
    uint64_t numbers[THREADS];

    begin(100000);
    for (unsigned i = 0; i < THREADS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, take_all, &numbers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < KEYS; i++)
        assert_int_equal(taken[i], i % 5 == 0 ? 2 : 1);
    assert_int_equal(claims_count(), KEYS);
    claims_end();
}
