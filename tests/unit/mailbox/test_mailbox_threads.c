/* test_mailbox_threads.c - sessions side by side: what each was told adds up in the end. */
#include "tests/unit/mailbox/mailbox_room.h"

#include <pthread.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/random.h"

enum { THREADS = 4, STEPS = 250, BOXES = 2 };

struct session {
    struct room *room;
    struct mailbox *boxes[BOXES];
    pthread_t thread;
    uint64_t seed;
    int64_t appended, expunged, moved[BOXES]; /* into each, out of the other */
    uint64_t modseq[BOXES];
};

static uint32_t pick(struct mailbox *mailbox)
{
    struct mailbox_status status = room_status(mailbox);
    struct mailbox_message message;
    uint32_t next;

    if (status.exists == 0)
        return 0;
    uint32_t from = 1 + (uint32_t)random_below(status.uidnext);
    return mailbox_read(mailbox, from, 0, &message, 1, &next) == 1 ? message.uid : 0;
}

static void check_view(struct session *session, unsigned box)
{
    struct mailbox_message messages[64];
    struct mailbox_status status = room_status(session->boxes[box]);
    uint32_t next = 1, last = 0;

    assert_true(status.modseq >= session->modseq[box]);
    session->modseq[box] = status.modseq;
    while (next != 0) {
        size_t count = mailbox_read(session->boxes[box], next, 0, messages, 64, &next);

        for (size_t i = 0; i < count; i++) {
            assert_true(messages[i].uid > last);
            last = messages[i].uid;
        }
    }
}

/* Blobs of all threads, long enough to be written in between. */
static void keep(struct mailbox *mailbox, uint32_t uid)
{
    uint32_t blob[2000];
    struct buf kept;

    for (size_t i = 0; i < ARRAY_LEN(blob); i++)
        blob[i] = uid;
    buf_init(&kept, sizeof(blob));
    mailbox_cache_put(mailbox, uid, bytes_range(blob, sizeof(blob)));
    if (random_below(8) == 0)
        mailbox_cache_write(mailbox);
    if (mailbox_cache_get(mailbox, uid, &kept))
        assert_true(bytes_equal(buf_bytes(&kept), bytes_range(blob, sizeof(blob))));
    else
        assert_false(mailbox_find(mailbox, uid, &(struct mailbox_message){0}));
    buf_free(&kept);
}

static void step(struct session *session)
{
    unsigned box = (unsigned)random_below(BOXES), what = (unsigned)random_below(100);
    struct mailbox *mailbox = session->boxes[box], *other = session->boxes[1 - box];
    uint32_t uid = pick(mailbox);
    struct uid_pair pair;
    size_t count;

    if (what < 30 || uid == 0) {
        room_append(session->room, mailbox, "x\r\n", 0);
        session->appended++;
    } else if (what < 45) {
        keep(mailbox, uid);
    } else if (what < 60) {
        room_store(mailbox, uid, (enum store_how)random_below(3), random_below(32) & ~MAIL_DELETED);
    } else if (what < 70) {
        room_store(mailbox, uid, STORE_ADD, MAIL_DELETED);
        assert_int_equal(mailbox_expunge(mailbox, &uid, 1, &count), 0);
        session->expunged += (int64_t)count;
    } else if (what < 80) {
        assert_int_equal(mailbox_copy(mailbox, other, &uid, 1, true, &pair, &count), 0);
        session->moved[1 - box] += (int64_t)count;
    } else if (what < 85) {
        assert_int_equal(mailbox_copy(mailbox, other, &uid, 1, false, &pair, &count), 0);
        session->appended += (int64_t)count;
    } else if (what < 90) {
        mail_accounts_tidy(session->room->accounts, true);
    } else if (what < 95) {
        assert_int_equal(mailbox_look(mailbox), 0);
    } else {
        check_view(session, box);
    }
}

static void *run(void *context)
{
    struct session *session = context;

    random_seed(session->seed);
    for (unsigned i = 0; i < STEPS; i++)
        step(session);
    return NULL;
}

TEST(sessions_side_by_side_add_up)
{
    struct room room = {.quota = 1 << 30};
    struct session sessions[THREADS] = {0};
    struct account_usage usage;
    int64_t expected = 0;

    room_make(&room);
    assert_int_equal(mail_account_create(room.account, BYTES("Other"), SPECIAL_NONE), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        sessions[i].room = &room;
        sessions[i].seed = i + 1;
        assert_int_equal(mailbox_open(room.account, BYTES("INBOX"), &sessions[i].boxes[0]), 0);
        assert_int_equal(mailbox_open(room.account, BYTES("Other"), &sessions[i].boxes[1]), 0);
        assert_int_equal(pthread_create(&sessions[i].thread, NULL, run, &sessions[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(sessions[i].thread, NULL);
        expected += sessions[i].appended - sessions[i].expunged;
    }
    assert_int_equal(mailbox_look(room.inbox), 0);
    uint32_t exists = room_status(sessions[0].boxes[0]).exists;
    uint32_t others = room_status(sessions[0].boxes[1]).exists;
    assert_int_equal(exists + others, expected);
    assert_int_equal(mail_account_usage(room.account, &usage), 0);
    assert_int_equal(usage.messages, expected);
    for (unsigned i = 0; i < THREADS; i++) {
        mailbox_close(&sessions[i].boxes[0]);
        mailbox_close(&sessions[i].boxes[1]);
    }
    room_reopen(&room);
    assert_int_equal(room_status(room.inbox).exists, exists);
    assert_int_equal(room_count(&room, "cur", NULL), exists);
    assert_int_equal(room_count(&room, ".Other/cur", NULL), others);
    room_free(&room);
}

static _Atomic unsigned woken;

static void on_change(struct mailbox_watch *watch)
{
    (void)watch;
    woken++;
}

TEST(hundred_watchers_are_told_within_moments)
{
    static struct mailbox_watch watches[100];
    struct room room = {0};

    room_make(&room);
    for (unsigned i = 0; i < 100; i++) {
        watches[i].changed = on_change;
        mailbox_watch(room.inbox, &watches[i]);
    }
    woken = 0;
    int64_t before_us = clock_monotonic_us();
    room_drop(&room, "new/1.x.host", "x\r\n");
    while (woken < 100 && clock_monotonic_us() - before_us < 10000000)
        usleep(50);
    int64_t us = clock_monotonic_us() - before_us;
    print_message("told to 100 within %lld us\n", (long long)us);
    assert_true(woken >= 100);
    for (unsigned i = 0; i < 100; i++)
        mailbox_unwatch(room.inbox, &watches[i]);
    room_free(&room);
}
