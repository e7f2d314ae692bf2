/* test_kept.c - rows of messages, their texts and ranks, and how much is kept. */
#include "inbound/imap/kept_private.h"

#include <pthread.h>
#include <stdatomic.h>

#include "tests/unit/mailbox/mailbox_room.h"

enum { COLUMN = 2, OTHER = KEPT_COLUMNS - 1 };

static void put(struct kept *kept, uint32_t uid, const char *text)
{
    assert_true(kept_put(kept, COLUMN, kept_row(kept, uid, KEPT_NO_ROW), bytes_of(text)));
}

static uint32_t rank(struct kept *kept, uint32_t uid)
{
    return kept_ranks(kept, COLUMN).of[kept_row(kept, uid, KEPT_NO_ROW)];
}

TEST(kept_texts_are_those_of_their_message_whatever_came_between)
{
    enum { COUNT = 1000 };
    struct room room = {0};
    struct bytes text;

    room_make(&room);
    struct kept *kept = kept_open(room.inbox);

    assert_non_null(kept);
    kept_lock(kept);
    for (uint32_t i = 0; i < COUNT; i++) { /* in no order */
        uint32_t uid = i * 7919 % COUNT + 1;
        uint32_t row = kept_row(kept, uid, i);
        char number[16];

        assert_false(kept_find(kept, COLUMN, row, &text));
        snprintf(number, sizeof(number), "%u", uid);
        assert_true(kept_put(kept, COLUMN, row, bytes_of(number)));
        if (uid % 3 == 0)
            assert_true(kept_put(kept, OTHER, row, BYTES_NONE));
    }
    for (uint32_t uid = 1; uid <= COUNT; uid++) {
        uint32_t row = kept_row(kept, uid, uid);
        char number[16];

        snprintf(number, sizeof(number), "%u", uid);
        assert_true(kept_find(kept, COLUMN, row, &text));
        assert_true(bytes_equal(text, bytes_of(number)));
        assert_int_equal(kept_find(kept, OTHER, row, &text), uid % 3 == 0);
    }
    kept_unlock(kept);
    kept_close(&kept);
    assert_null(kept);
    room_free(&room);
}

TEST(kept_sections_are_those_of_the_first_labels)
{
    struct room room = {0};
    char label[] = "BODY[HEADER.FIELDS (DATE)]";
    char long_one[2000];
    struct bytes text;

    memset(long_one, 'x', sizeof(long_one));
    room_make(&room);
    struct kept *kept = kept_open(room.inbox);

    kept_lock(kept);
    assert_int_equal(kept_section(kept, bytes_range(long_one, sizeof(long_one))), KEPT_COLUMNS);
    assert_int_equal(kept_section(kept, bytes_of(label)), KEPT_SECTION);
    label[5] = 'x'; /* it is the table's own copy */
    assert_int_equal(kept_section(kept, bytes_of(label)), KEPT_SECTION + 1);
    assert_int_equal(kept_section(kept, BYTES("BODY[HEADER.FIELDS (DATE)]")), KEPT_SECTION);
    for (unsigned i = 2; i < KEPT_SECTIONS; i++)
        assert_int_equal(kept_section(kept, bytes_slice(bytes_of(label), 0, i)), KEPT_SECTION + i);
    assert_int_equal(kept_section(kept, BYTES("BODY[HEADER.FIELDS (TO)]")), KEPT_COLUMNS);
    assert_true(kept_put(kept, KEPT_SECTION + 1, kept_row(kept, 1, 0), BYTES("here")));
    assert_false(kept_find(kept, KEPT_SECTION, 0, &text));
    kept_unlock(kept);
    kept_close(&kept);
    room_free(&room);
}

TEST(kept_run_ends_where_rows_or_texts_do)
{
    static const uint32_t uids[] = {1, 2, 3, 5, 6, 7};
    struct room room = {0};

    room_make(&room);
    struct kept *kept = kept_open(room.inbox);

    kept_lock(kept);
    assert_int_equal(kept_run(kept, COLUMN, 0, uids, 6), 0);
    for (uint32_t uid = 1; uid <= 6; uid++)
        put(kept, uid, "");
    assert_int_equal(kept_run(kept, COLUMN, 0, uids, 6), 3); /* then comes 4 */
    assert_int_equal(kept_run(kept, COLUMN, 0, uids, 2), 2);
    assert_int_equal(kept_run(kept, COLUMN, 1, uids, 6), 0);
    assert_int_equal(kept_run(kept, COLUMN, 4, uids + 3, 3), 2);
    assert_int_equal(kept_run(kept, COLUMN, 6, uids + 5, 1), 0);
    assert_int_equal(kept_run(kept, COLUMN, KEPT_NO_ROW, uids, 6), 0);
    assert_int_equal(kept_run(kept, OTHER, 0, uids, 6), 0);
    assert_true(kept_put(kept, OTHER, kept_row(kept, 1, 0), BYTES("x")));
    assert_int_equal(kept_run(kept, OTHER, 0, uids, 6), 1);
    kept_unlock(kept);
    kept_close(&kept);
    room_free(&room);
}

TEST(kept_ranks_compare_as_texts_do_also_when_more_come)
{
    struct room room = {0};

    room_make(&room);
    struct kept *kept = kept_open(room.inbox);

    kept_lock(kept);
    assert_int_equal(kept_ranks(kept, COLUMN).count, 0);
    put(kept, 1, "m");
    put(kept, 2, "");
    put(kept, 3, "z");
    put(kept, 4, "m");
    assert_int_equal(rank(kept, 2), 0);
    assert_int_equal(rank(kept, 1), 1);
    assert_int_equal(rank(kept, 4), 1);
    assert_int_equal(rank(kept, 3), 2);
    assert_int_equal(kept_ranks(kept, COLUMN).count, 3);
    put(kept, 5, "zz");
    put(kept, 6, "a");
    put(kept, 7, "z");
    assert_int_equal(kept_ranks(kept, COLUMN).count, 5);
    assert_int_equal(rank(kept, 2), 0);
    assert_int_equal(rank(kept, 6), 1);
    assert_int_equal(rank(kept, 1), 2);
    assert_int_equal(rank(kept, 4), 2);
    assert_int_equal(rank(kept, 3), 3);
    assert_int_equal(rank(kept, 7), 3);
    assert_int_equal(rank(kept, 5), 4);
    kept_unlock(kept);
    kept_close(&kept);
    room_free(&room);
}

TEST(kept_is_shared_and_stays_until_the_mailbox_goes)
{
    struct room room = {0};
    struct bytes text;

    room_make(&room);
    struct kept *one = kept_open(room.inbox), *two = kept_open(room.inbox);

    assert_ptr_equal(one, two);
    kept_lock(one);
    put(one, 1, "text");
    kept_unlock(one);
    kept_close(&one);
    kept_close(&two);
    one = kept_open(room.inbox);
    kept_lock(one);
    assert_true(kept_find(one, COLUMN, kept_row(one, 1, 0), &text));
    kept_unlock(one);
    kept_close(&one);
    kept_close(&one);
    room_reopen(&room);
    one = kept_open(room.inbox);
    kept_lock(one);
    assert_false(kept_find(one, COLUMN, kept_row(one, 1, 0), &text));
    kept_unlock(one);
    kept_close(&one);
    room_free(&room);
}

struct opener {
    struct mailbox *mailbox;
    pthread_barrier_t *begin;
    uint32_t uid;
    bool is_right;
};

/* Asks in two slices: what the first found is there in the second. */
static void *open_and_look(void *context)
{
    struct opener *opener = context;
    struct bytes text, again;

    pthread_barrier_wait(opener->begin);
    struct kept *kept = kept_open(opener->mailbox);

    kept_lock(kept);
    uint32_t row = kept_row(kept, opener->uid, 0);
    put(kept, opener->uid, "found");
    bool is_found = kept_find(kept, COLUMN, row, &text);
    kept_unlock(kept);
    sched_yield();
    kept_lock(kept);
    opener->is_right = is_found && kept_find(kept, COLUMN, row, &again) && again.ptr == text.ptr &&
                       bytes_equal(again, BYTES("found"));
    kept_unlock(kept);
    kept_close(&kept);
    return NULL;
}

TEST(kept_is_cleared_by_nobody_else_once_it_is_open)
{
    enum { ROUNDS = 50, OPENERS = 4 };
    struct opener openers[OPENERS];
    pthread_t threads[OPENERS];
    struct room room = {0};
    pthread_barrier_t begin;

    room_make(&room);
    pthread_barrier_init(&begin, NULL, OPENERS);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct kept *kept = kept_open(room.inbox);

        kept_lock(kept);
        for (uint32_t uid = 1; uid <= 1025; uid++) /* of none that are there */
            put(kept, uid, "text");
        kept_unlock(kept);
        pthread_mutex_t *mutex = &kept->mutex;
        kept_close(&kept);
        pthread_mutex_lock(mutex); /* who opens it stays at its first lock until all are there */
        for (uint32_t i = 0; i < OPENERS; i++) {
            openers[i] = (struct opener){.mailbox = room.inbox, .begin = &begin, .uid = 2000 + i};
            assert_int_equal(pthread_create(&threads[i], NULL, open_and_look, &openers[i]), 0);
        }
        usleep(2000);
        pthread_mutex_unlock(mutex);
        for (unsigned i = 0; i < OPENERS; i++)
            pthread_join(threads[i], NULL);
        for (unsigned i = 0; i < OPENERS; i++)
            assert_true(openers[i].is_right);
    }
    pthread_barrier_destroy(&begin);
    room_free(&room);
}

TEST(kept_of_messages_that_went_is_given_up)
{
    struct room room = {0};
    struct bytes text;

    room_make(&room);
    struct kept *kept = kept_open(room.inbox);

    kept_lock(kept);
    assert_int_equal(kept_section(kept, BYTES("BODY[HEADER.FIELDS (DATE)]")), KEPT_SECTION);
    for (uint32_t uid = 1; uid <= 1025; uid++) /* of none that are there */
        put(kept, uid, "text");
    kept_unlock(kept);

    struct kept *other = kept_open(room.inbox); /* rows stay while somebody has it open */

    kept_lock(other);
    assert_true(kept_find(other, COLUMN, kept_row(other, 7, 0), &text));
    kept_unlock(other);
    kept_close(&other);
    kept_close(&kept);
    kept = kept_open(room.inbox);
    kept_lock(kept);
    assert_false(kept_find(kept, COLUMN, kept_row(kept, 7, 0), &text));
    assert_int_equal(kept_section(kept, BYTES("BODY[HEADER.FIELDS (TO)]")), KEPT_SECTION);
    kept_unlock(kept);
    kept_close(&kept);
    room_free(&room);
}

/* Texts of so many bytes in all, a row each. */
static bool fill(struct kept *kept, size_t bytes)
{
    enum { PIECE = 1 << 20 };
    static uint8_t piece[PIECE];
    bool fits = true;

    kept_lock(kept);
    for (uint32_t uid = 1; fits && uid <= bytes / PIECE; uid++)
        fits = kept_put(kept, COLUMN, kept_row(kept, uid, uid), bytes_range(piece, PIECE));
    kept_unlock(kept);
    return fits;
}

static bool keeps(struct mailbox *mailbox)
{
    struct kept *kept = kept_open(mailbox);
    struct bytes text;

    kept_lock(kept);
    bool is_there = kept_find(kept, COLUMN, kept_row(kept, 1, 0), &text);

    kept_unlock(kept);
    kept_close(&kept);
    return is_there;
}

/* Each with less than half of what all may have. */
static void fill_boxes(struct room *room, struct mailbox **boxes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char name[] = {(char)('A' + i), '\0'};

        assert_int_equal(mail_account_create(room->account, bytes_of(name), SPECIAL_NONE), 0);
        assert_int_equal(mailbox_open(room->account, bytes_of(name), &boxes[i]), 0);
        struct kept *kept = kept_open(boxes[i]);

        assert_true(fill(kept, KEPT_SHARED_MAX / 2 - (4 << 20)));
        kept_close(&kept);
    }
}

TEST(kept_past_the_bound_of_all_goes_by_age)
{
    struct mailbox *boxes[3];
    struct room room = {0};

    room_make(&room);
    fill_boxes(&room, boxes, ARRAY_LEN(boxes));
    assert_false(keeps(boxes[0]));
    assert_true(keeps(boxes[1]));
    assert_true(keeps(boxes[2]));

    struct kept *large = kept_open(boxes[0]); /* more than all may: it goes itself */

    assert_true(fill(large, KEPT_SHARED_MAX + (2 << 20)));
    kept_close(&large);
    assert_false(keeps(boxes[0]));
    assert_true(keeps(boxes[1]));
    large = kept_open(boxes[0]);
    assert_false(fill(large, KEPT_MAX + (2 << 20)));
    kept_close(&large);
    for (size_t i = 0; i < ARRAY_LEN(boxes); i++)
        mailbox_close(&boxes[i]);
    room_free(&room);
}

struct locker {
    struct kept *kept;
    _Atomic bool has_it, lets_go;
};

static void *keep_locked(void *context)
{
    struct locker *locker = context;

    kept_lock(locker->kept);
    atomic_store(&locker->has_it, true);
    while (!atomic_load(&locker->lets_go))
        sched_yield();
    kept_unlock(locker->kept);
    return NULL;
}

TEST(what_need_not_be_kept_grows_while_there_is_room)
{
    static uint8_t more[2 << 20];
    struct mailbox *boxes[2];
    struct room room = {0};

    room_make(&room);
    fill_boxes(&room, boxes, 2);
    struct kept *told = kept_open(room.inbox);

    kept_lock(told);
    assert_true(kept_may_grow(told)); /* who was used longest ago made room */
    kept_unlock(told);
    assert_false(keeps(boxes[0]));
    assert_true(keeps(boxes[1]));
    assert_true(fill(told, KEPT_SHARED_MAX / 4 * 3 - (1 << 20)));
    kept_lock(told);
    assert_true(kept_may_grow(told));
    kept_unlock(told);
    assert_false(keeps(boxes[1]));
    kept_lock(told);
    assert_true(kept_put(told, COLUMN, kept_row(told, 1000, 0), bytes_range(more, sizeof(more))));
    assert_false(kept_may_grow(told));
    assert_int_equal(kept_known_row(told, 7, 0), kept_row(told, 7, 0));
    assert_int_equal(kept_known_row(told, 1001, 0), KEPT_NO_ROW);
    kept_unlock(told);
    kept_close(&told);
    assert_true(keeps(room.inbox));
    for (size_t i = 0; i < ARRAY_LEN(boxes); i++)
        mailbox_close(&boxes[i]);
    room_free(&room);
}

TEST(engine_does_not_wait_for_who_has_it_locked)
{
    struct room room = {0};
    struct kept *other = NULL;
    pthread_t thread;

    room_make(&room);
    struct kept *kept = kept_open(room.inbox);
    struct locker locker = {.kept = kept};

    assert_true(kept_try_lock(kept));
    put(kept, 1, "x");
    assert_false(kept_is_ranked(kept, COLUMN));
    assert_int_equal(rank(kept, 1), 0);
    assert_true(kept_is_ranked(kept, COLUMN));
    kept_unlock(kept);
    assert_true(kept_try_open(room.inbox, &other));
    assert_ptr_equal(other, kept);
    kept_close(&other);
    assert_int_equal(pthread_create(&thread, NULL, keep_locked, &locker), 0);
    while (!atomic_load(&locker.has_it))
        sched_yield();
    assert_false(kept_try_lock(kept));
    assert_false(kept_try_open(room.inbox, &other));
    atomic_store(&locker.lets_go, true);
    pthread_join(thread, NULL);
    kept_close(&kept);
    room_free(&room);
}
