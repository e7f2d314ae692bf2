/* An adopted shard keeps what outcomes need of its segments, then one file for the numbers. A full
 * pool that makes segments is asked again. */
#include "queue/shard_private.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "base/metric.h"
#include "support/engine_fake.h"
#include "tests/unit/queue/shard_world.h"

enum { SEGMENT = 256 * 1024 };

static unsigned files(const struct world *w)
{
    char path[80];
    unsigned count = 0;

    snprintf(path, sizeof(path), "%s/07", w->directory);
    DIR *directory = opendir(path);
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        count += strstr(entry->d_name, ".seg") != NULL;
    closedir(directory);
    return count;
}

static uint64_t spares(const struct world *w)
{
    struct shard_status status;

    shard_status(w->shard, &status);
    return status.spare_segments;
}

static struct pending *due_pending(struct world *w, struct message_id id)
{
    struct pending *pending = &shard_find(w->shard, id)->pendings[0];

    assert_true(world_wait_due(w, pending));
    return pending;
}

/* A shard of five spares, with one message, whose engine is gone from then on. */
static void start_adopted(struct world *w, struct message_id *id_out)
{
    world_init_in_memory(w, SEGMENT);
    w->settings.spare_segments = 4;
    w->sink_count = 1;
    assert_int_equal(world_open(w), 0);
    world_turns(w, 40);
    assert_int_equal(world_accept(w, world_message(1, 900, 1), id_out), 0);
    world_turns(w, 40);
    assert_int_equal(spares(w), 5);
    world_close(w);
    w->is_adopted = true;
    w->recovers_later = true;
    assert_int_equal(world_open(w), 0);
    for (; !shard_is_whole(w->shard); world_turns(w, 1))
        assert_int_equal(spares(w), 5); /* what it has is not known yet */
    world_turns(w, 40);
}

static void sink_takes_all(struct world *w)
{
    shard_sink_passed(w->shard, 0, shard_durable_position(w->shard));
    world_turns(w, 40);
}

TEST(adopted_shard_keeps_what_outcomes_need_then_one_file)
{
    struct world w;
    struct message_id id;

    start_adopted(&w, &id);
    assert_int_equal(spares(&w), 2); /* the rest was given back */
    assert_true(shard_outcome_room(w.shard) > 0);
    assert_int_equal(world_outcome(&w, due_pending(&w, id), EVENT_DELIVERED, 0), 0);
    uint64_t end = shard_durable_position(w.shard);
    world_turns(&w, 40);
    assert_int_equal(spares(&w), 0);
    assert_int_equal(w.shard->next_sequence, w.shard->open->sequence + 1); /* no gap */
    sink_takes_all(&w);
    assert_int_equal(files(&w), 1); /* the one it writes to */
    world_close(&w);

    /* What is left dies at the next start, and its file goes on as the one spare. */
    assert_int_equal(world_open(&w), 0);
    world_turns(&w, 40);
    assert_int_equal(spares(&w), 0); /* the sink may want to read it */
    sink_takes_all(&w);
    assert_int_equal(spares(&w), 1);
    assert_int_equal(files(&w), 1);
    world_close(&w);
    assert_int_equal(world_open(&w), 0);
    world_turns(&w, 40);
    assert_int_equal(files(&w), 1);
    assert_int_equal(spares(&w), 1);
    world_close(&w);

    /* With an engine of its own again it goes on behind all that it ever said. */
    w.is_adopted = false;
    assert_int_equal(world_open(&w), 0);
    assert_int_equal(world_accept(&w, world_message(1, 900, 2), &id), 0);
    assert_true(shard_durable_position(w.shard) > end);
    world_turns(&w, 40);
    assert_int_equal(spares(&w), 5);
    world_close(&w);
    world_free(&w);
}

/* The last segment cannot be used again, having another size: it stays as it is. */
TEST(adopted_shard_never_loses_its_last_file)
{
    struct world w;
    struct message_id id;

    start_adopted(&w, &id);
    assert_int_equal(world_outcome(&w, due_pending(&w, id), EVENT_DELIVERED, 0), 0);
    uint64_t end = shard_durable_position(w.shard);
    world_turns(&w, 40);
    world_close(&w);
    w.settings.segment_size = SEGMENT * 2;
    assert_int_equal(world_open(&w), 0);
    world_turns(&w, 40);
    sink_takes_all(&w);
    assert_int_equal(files(&w), 1);
    assert_int_equal(spares(&w), 0); /* that one, not another that had to be made first */
    world_close(&w);
    w.is_adopted = false;
    assert_int_equal(world_open(&w), 0);
    assert_int_equal(world_accept(&w, world_message(1, 900, 2), &id), 0);
    assert_true(shard_durable_position(w.shard) > end);
    world_close(&w);
    world_free(&w);
}

/* A crash between the new header of the only file and its new name: that file is none. */
TEST(adopted_shard_makes_the_file_that_keeps_its_numbers)
{
    struct world w;
    struct message_id id;
    char path[SPOOL_PATH_MAX], other[SPOOL_PATH_MAX];

    start_adopted(&w, &id);
    assert_int_equal(world_outcome(&w, due_pending(&w, id), EVENT_DELIVERED, 0), 0);
    world_turns(&w, 40);
    world_close(&w);
    assert_int_equal(world_open(&w), 0);
    world_turns(&w, 40);
    sink_takes_all(&w);
    uint32_t sequence = w.shard->spares[0]->sequence;
    assert_true(sequence > 1);
    world_close(&w);
    world_segment_path(&w, sequence, path, sizeof(path));
    world_segment_path(&w, sequence - 1, other, sizeof(other));
    assert_int_equal(rename(path, other), 0);
    assert_int_equal(world_open(&w), 0);
    world_turns(&w, 40);
    assert_int_equal(files(&w), 1);
    assert_int_equal(w.shard->spares[0]->sequence, sequence);
    world_close(&w);
    world_free(&w);
}

/* Its outcomes fill segments: more of them come, and go. */
TEST(adopted_shard_with_mail_rolls_over)
{
    enum { RECIPIENTS = 200 };
    struct world w;
    struct message_id id;

    world_init_in_memory(&w, SEGMENT_SIZE_MIN);
    assert_int_equal(world_open(&w), 0);
    assert_int_equal(world_accept(&w, world_message(RECIPIENTS, 900, 1), &id), 0);
    world_close(&w);
    w.is_adopted = true;
    assert_int_equal(world_open(&w), 0);
    for (unsigned i = 0; i < RECIPIENTS; i++) {
        struct pending *pending = &shard_find(w.shard, id)->pendings[i];

        assert_true(world_wait_due(&w, pending));
        assert_int_equal(world_outcome(&w, pending, EVENT_DELIVERED, 0), 0);
        assert_true(spares(&w) <= 2);
    }
    world_turns(&w, 40);
    assert_true(position_sequence(shard_durable_position(w.shard)) > 10);
    assert_int_equal(files(&w), 1);
    world_close(&w);
    world_free(&w);
}

/* Events that belong to no message may come to a shard that has none. */
TEST(vacant_shard_takes_notes_beyond_its_segment)
{
    enum { NOTES = 300 };
    struct world w;
    struct message_id id;
    struct event event = {.kind = EVENT_REJECTED, .recipient = BYTES("a@b.example")};

    start_adopted(&w, &id);
    assert_int_equal(world_outcome(&w, due_pending(&w, id), EVENT_DELIVERED, 0), 0);
    world_turns(&w, 40);
    uint64_t end = shard_durable_position(w.shard);
    for (unsigned i = 0; i < NOTES; i++) {
        assert_true(shard_note(w.shard, &event));
        world_turns(&w, 1);
    }
    world_turns(&w, 40);
    assert_int_equal(w.shard->filling.batch_count, 0);
    assert_true(position_sequence(shard_durable_position(w.shard)) > position_sequence(end));
    assert_int_equal(spares(&w), 0);
    world_close(&w);
    world_free(&w);
}

struct stuck {
    struct chore chore;
    pthread_mutex_t *mutex;
    _Atomic bool has_begun;
};

static void work_stuck(struct chore *chore)
{
    struct stuck *stuck = container_of(chore, struct stuck, chore);

    atomic_store(&stuck->has_begun, true);
    pthread_mutex_lock(stuck->mutex);
    pthread_mutex_unlock(stuck->mutex);
}

static void answer_nothing(struct letter *letter, struct engine *engine)
{
    (void)letter, (void)engine;
}

TEST(full_pool_of_segments_is_asked_again_later)
{
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    struct blocking_status status;
    struct stuck stuck[2];
    struct world w;
    int64_t failures = metric_sum(METRIC_SPOOL_PREPARE_FAILURES);

    world_init_in_memory(&w, SEGMENT);
    w.pool = blocking_pool_start(&(struct blocking_settings){"segments", 1, 1});
    assert_non_null(w.pool);
    pthread_mutex_lock(&mutex);
    for (unsigned i = 0; i < 2; i++) {
        stuck[i] = (struct stuck){.chore = {.letter.open = answer_nothing, .work = work_stuck},
                                  .mutex = &mutex};
        assert_true(blocking_run(w.pool, &stuck[i].chore));
        while (i == 0 && !atomic_load(&stuck[0].has_begun))
            sched_yield();
    }
    assert_int_equal(world_open(&w), 0);
    world_turns(&w, 10);
    assert_int_equal(metric_sum(METRIC_SPOOL_PREPARE_FAILURES), failures + 1);
    assert_int_equal(spares(&w), 0);
    pthread_mutex_unlock(&mutex);
    do {
        blocking_pool_status(w.pool, &status);
    } while (status.done < 2);
    for (unsigned i = 0; i < 2000 && spares(&w) == 0; i++) {
        fake_advance_ms(w.engine, 10);
        world_turns(&w, 1);
        usleep(1000); /* the pool's thread is a real one */
    }
    assert_true(spares(&w) > 0);
    world_close(&w);
    world_free(&w);
}
