#include "directory/snapshot_feed.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "directory/snapshot_build.h"
#include "support/unit.h"

static const struct snapshot *with_tenant(const struct snapshot *previous, uint64_t version)
{
    struct snapshot_builder *builder = snapshot_build(previous);
    char name[24];
    int len = snprintf(name, sizeof(name), "v%llu", (unsigned long long)version);

    snapshot_put_tenant(builder,
                        &(struct directory_tenant){.id = 1,
                                                   .name = bytes_range(name, (size_t)len)});
    return snapshot_finish(&builder, version);
}

TEST(feed_begins_with_an_empty_snapshot)
{
    struct snapshot_feed *feed = snapshot_feed_create();
    struct snapshot_reader *reader = snapshot_reader_create(feed);

    assert_null(snapshot_tenant(snapshot_begin(reader), BYTES("v1")));
    snapshot_end(reader);
    snapshot_reader_free(&reader);
    snapshot_feed_free(&feed);
}

/* Under AddressSanitizer a snapshot that went too early is a use after free. */
TEST(feed_keeps_what_a_reader_looks_at)
{
    struct snapshot_feed *feed = snapshot_feed_create();
    struct snapshot_reader *reader = snapshot_reader_create(feed);

    snapshot_publish(feed, with_tenant(NULL, 1));
    const struct snapshot *seen = snapshot_begin(reader);
    snapshot_publish(feed, with_tenant(snapshot_newest(feed), 2));
    snapshot_publish(feed, with_tenant(NULL, 3));
    assert_non_null(snapshot_tenant(seen, BYTES("v1")));
    assert_ptr_equal(snapshot_begin(reader), seen);
    snapshot_end(reader);
    snapshot_reclaim(feed);
    assert_non_null(snapshot_tenant(seen, BYTES("v1")));
    snapshot_end(reader);
    assert_non_null(snapshot_tenant(snapshot_begin(reader), BYTES("v3")));
    snapshot_end(reader);
    snapshot_reader_free(&reader);
    snapshot_feed_free(&feed);
}

enum { READERS = 3, VERSIONS = 3000 };

struct reading {
    struct snapshot_feed *feed;
    _Atomic bool *is_over;
    bool is_good;
};

static void *read_on(void *context)
{
    struct reading *reading = context;
    struct snapshot_reader *reader = snapshot_reader_create(reading->feed);
    uint64_t last = 0;
    char name[24];

    reading->is_good = true;
    while (!atomic_load(reading->is_over)) {
        const struct snapshot *snapshot = snapshot_begin(reader);
        uint64_t version = snapshot_version(snapshot);
        int len = snprintf(name, sizeof(name), "v%llu", (unsigned long long)version);
        bool is_there = snapshot_tenant(snapshot, bytes_range(name, (size_t)len)) != NULL;

        reading->is_good &= version >= last && is_there == (version != 0);
        last = version;
        snapshot_end(reader);
    }
    snapshot_reader_free(&reader);
    return NULL;
}

TEST(feed_read_by_threads_while_snapshots_change_is_whole)
{
    struct snapshot_feed *feed = snapshot_feed_create();
    _Atomic bool is_over = false;
    struct reading readings[READERS];
    pthread_t threads[READERS];

    for (unsigned i = 0; i < READERS; i++) {
        readings[i] = (struct reading){feed, &is_over, false};
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &readings[i]), 0);
    }
    for (uint64_t version = 1; version <= VERSIONS; version++)
        snapshot_publish(feed,
                         with_tenant(version % 100 == 0 ? NULL : snapshot_newest(feed), version));
    atomic_store(&is_over, true);
    for (unsigned i = 0; i < READERS; i++) {
        pthread_join(threads[i], NULL);
        assert_true(readings[i].is_good);
    }
    snapshot_feed_free(&feed);
}

TEST(feed_notes_of_use_come_in_order_and_are_bounded)
{
    struct snapshot_feed *feed = snapshot_feed_create();
    struct snapshot_reader *reader = snapshot_reader_create(feed);
    uint32_t credential;
    int64_t wall_s;
    unsigned taken = 0;

    assert_false(snapshot_take_use(feed, &credential, &wall_s));
    for (uint32_t i = 1; i <= 5000; i++)
        snapshot_note_use(reader, &(struct directory_credential){.id = i}, 100 + i);
    while (snapshot_take_use(feed, &credential, &wall_s)) {
        taken++;
        assert_int_equal(credential, taken);
        assert_int_equal(wall_s, 100 + taken);
    }
    assert_int_equal(taken, 1024);
    snapshot_note_use(reader, &(struct directory_credential){.id = 9}, 1);
    assert_true(snapshot_take_use(feed, &credential, &wall_s));
    assert_int_equal(credential, 9);
    snapshot_reader_free(&reader);
    snapshot_feed_free(&feed);
}

TEST(feed_takes_notes_of_readers_that_are_gone)
{
    struct snapshot_feed *feed = snapshot_feed_create();
    struct snapshot_reader *first = snapshot_reader_create(feed);
    struct snapshot_reader *second = snapshot_reader_create(feed);
    uint32_t credential;
    int64_t wall_s;

    snapshot_note_use(first, &(struct directory_credential){.id = 5}, 1);
    snapshot_note_use(second, &(struct directory_credential){.id = 6}, 1);
    snapshot_reader_free(&first);
    assert_true(snapshot_take_use(feed, &credential, &wall_s));
    assert_int_equal(credential, 5);
    snapshot_reader_free(&second); /* and nobody takes its note */
    snapshot_feed_free(&feed);
}
