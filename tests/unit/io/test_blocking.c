/* test_blocking.c - chores run in order on a pool's thread and answer on the engine; pools have
 * bounds and do not wait for each other. */
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/blocking.h"
#include "support/unit.h"

enum { CHORES = 200 };

static const struct blocking_settings one = {"one", 1, CHORES};

struct numbered {
    struct chore chore;
    unsigned number;
    pthread_t worked_on;
};

static unsigned worked, answered;

static void work(struct chore *chore)
{
    struct numbered *numbered = container_of(chore, struct numbered, chore);

    numbered->worked_on = pthread_self();
    check(numbered->number == worked);
    worked++;
}

static void answer(struct letter *letter, struct engine *engine)
{
    struct numbered *numbered = container_of(letter, struct numbered, chore.letter);

    assert_non_null(engine);
    assert_int_equal(numbered->number, answered);
    assert_false(pthread_equal(numbered->worked_on, pthread_self()));
    answered++;
    free(numbered);
}

static void answer_there(struct letter *letter, struct engine *engine)
{
    struct numbered *numbered = container_of(letter, struct numbered, chore.letter);

    check(engine == NULL);
    check(pthread_equal(numbered->worked_on, pthread_self()));
    free(numbered);
}

static void ask(struct blocking_pool *pool, struct engine *engine, unsigned number)
{
    struct numbered *numbered = calloc(1, sizeof(*numbered));

    numbered->number = number;
    numbered->chore.engine = engine;
    numbered->chore.work = work;
    numbered->chore.letter.open = engine != NULL ? answer : answer_there;
    assert_true(blocking_run(pool, &numbered->chore));
}

TEST(chores_run_in_order_and_answer_through_the_inbox)
{
    struct engine *engine = engine_create(&(struct engine_settings){.buffer_count = 4});
    struct blocking_pool *pool = blocking_pool_start(&one);

    assert_non_null(engine);
    assert_non_null(pool);
    worked = 0;
    answered = 0;
    for (unsigned i = 0; i < CHORES; i++)
        ask(pool, engine, i);
    while (answered < CHORES)
        engine_turn(engine, -1);
    blocking_pool_stop(&pool);
    assert_null(pool);
    engine_destroy(&engine);
}

TEST(stop_finishes_what_was_asked)
{
    struct blocking_pool *pool = blocking_pool_start(&one);

    worked = 0;
    for (unsigned i = 0; i < CHORES; i++)
        ask(pool, NULL, i);
    blocking_pool_stop(&pool);
    assert_int_equal(worked, CHORES);
}

/* Chores that wait until the test lets them go. */
struct held {
    struct chore chore;
    sem_t *begun, *go;
    unsigned *order; /* where it writes which number it had */
    unsigned number;
};

static void work_held(struct chore *chore)
{
    struct held *held = container_of(chore, struct held, chore);

    if (held->order != NULL)
        *held->order = *held->order * 10 + held->number;
    sem_post(held->begun);
    while (sem_wait(held->go) != 0)
        continue;
}

static void answer_nothing(struct letter *letter, struct engine *engine)
{
    (void)letter, (void)engine;
}

struct whose {
    struct chore chore;
    pthread_t thread;
    bool is_answered;
};

static void note_thread(struct chore *chore)
{
    container_of(chore, struct whose, chore)->thread = pthread_self();
}

static void note_answer(struct letter *letter, struct engine *engine)
{
    (void)engine;
    container_of(letter, struct whose, chore.letter)->is_answered = true;
}

struct gate {
    sem_t begun, go;
    unsigned order;
    struct held held[8];
};

static void gate_init(struct gate *gate, bool in_order)
{
    *gate = (struct gate){0};
    sem_init(&gate->begun, 0, 0);
    sem_init(&gate->go, 0, 0);
    for (unsigned i = 0; i < ARRAY_LEN(gate->held); i++)
        gate->held[i] = (struct held){
            .chore = {.letter.open = answer_nothing, .work = work_held},
            .begun = &gate->begun,
            .go = &gate->go,
            .order = in_order ? &gate->order : NULL,
            .number = i + 1,
        };
}

static void wait_for(sem_t *semaphore, unsigned count)
{
    while (count > 0)
        if (sem_wait(semaphore) == 0)
            count--;
}

static void let_go(struct gate *gate, unsigned count)
{
    while (count-- > 0)
        sem_post(&gate->go);
}

TEST(pools_do_not_wait_for_each_other)
{
    struct engine *engine = engine_create(&(struct engine_settings){.buffer_count = 4});
    struct blocking_pool *stuck = blocking_pool_start(&(struct blocking_settings){"stuck", 1, 8});
    struct blocking_pool *pool = blocking_pool_start(&one);
    struct blocking_status status;
    struct gate gate;

    gate_init(&gate, false);
    assert_true(blocking_run(stuck, &gate.held[0].chore));
    assert_true(blocking_run(stuck, &gate.held[1].chore));
    wait_for(&gate.begun, 1);
    worked = 0;
    answered = 0;
    for (unsigned i = 0; i < CHORES; i++)
        ask(pool, engine, i);
    while (answered < CHORES)
        engine_turn(engine, -1);
    blocking_pool_status(pool, &status);
    assert_string_equal(status.name, "one");
    assert_int_equal(status.waiting + status.running, 0);
    assert_int_equal(status.done, CHORES);
    blocking_pool_status(stuck, &status);
    assert_string_equal(status.name, "stuck");
    assert_int_equal(status.running, 1);
    assert_int_equal(status.waiting, 1);
    assert_int_equal(status.done, 0);
    let_go(&gate, 2);
    blocking_pool_stop(&stuck);
    blocking_pool_stop(&pool);
    engine_destroy(&engine);
}

TEST(threads_of_a_pool_work_side_by_side)
{
    struct blocking_pool *pool = blocking_pool_start(&(struct blocking_settings){"three", 3, 8});
    struct blocking_status status;
    struct gate gate;

    gate_init(&gate, false);
    for (unsigned i = 0; i < 4; i++)
        assert_true(blocking_run(pool, &gate.held[i].chore));
    wait_for(&gate.begun, 3); /* would hang with fewer */
    blocking_pool_status(pool, &status);
    assert_int_equal(status.running, 3);
    assert_int_equal(status.waiting, 1);
    let_go(&gate, 4);
    blocking_pool_stop(&pool);
}

TEST(full_pool_refuses_and_takes_again)
{
    struct blocking_pool *pool = blocking_pool_start(&(struct blocking_settings){"small", 1, 2});
    struct blocking_status status;
    struct gate gate;

    gate_init(&gate, true);
    assert_true(blocking_run(pool, &gate.held[0].chore));
    wait_for(&gate.begun, 1); /* it is with the thread: does not count */
    assert_true(blocking_run(pool, &gate.held[1].chore));
    assert_true(blocking_run(pool, &gate.held[2].chore));
    assert_false(blocking_run(pool, &gate.held[3].chore));
    blocking_pool_status(pool, &status);
    assert_int_equal(status.waiting, 2);
    assert_int_equal(status.refused, 1);
    let_go(&gate, 1);
    wait_for(&gate.begun, 1);
    assert_true(blocking_run(pool, &gate.held[3].chore));
    let_go(&gate, 3);
    blocking_pool_stop(&pool); /* finishes those that wait */
    assert_int_equal(gate.order, 1234);
}

TEST(status_tells_the_longest_wait_while_it_lasts_and_after)
{
    enum { WAIT_US = 20000 };
    struct blocking_pool *pool = blocking_pool_start(&one);
    struct blocking_status status;
    struct gate gate;

    gate_init(&gate, false);
    assert_true(blocking_run(pool, &gate.held[0].chore));
    wait_for(&gate.begun, 1);
    assert_true(blocking_run(pool, &gate.held[1].chore));
    do {
        blocking_pool_status(pool, &status);
    } while (status.wait_us_max < WAIT_US);
    let_go(&gate, 2);
    wait_for(&gate.begun, 1);
    while (status.done < 2)
        blocking_pool_status(pool, &status);
    assert_true(status.wait_us_max >= WAIT_US);
    assert_int_equal(status.running + status.waiting, 0);
    blocking_pool_stop(&pool);
}

/* One chore at a time: the same thread does them all, the others stay asleep. */
TEST(thread_that_went_idle_last_is_woken)
{
    enum { ROUNDS = 50, THREADS = 4 };
    struct blocking_pool *pool =
        blocking_pool_start(&(struct blocking_settings){"last", THREADS, 8});
    struct engine *engine = engine_create(&(struct engine_settings){.buffer_count = 4});
    struct blocking_status status;
    struct gate gate;
    unsigned same = 0;
    pthread_t before = pthread_self();

    gate_init(&gate, false);
    for (unsigned i = 0; i < THREADS; i++) /* all of them are up */
        assert_true(blocking_run(pool, &gate.held[i].chore));
    wait_for(&gate.begun, THREADS);
    let_go(&gate, THREADS);
    do {
        blocking_pool_status(pool, &status);
    } while (status.done < THREADS);
    usleep(50000); /* and idle */
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct whose whose = {
            .chore = {.engine = engine, .letter.open = note_answer, .work = note_thread},
        };

        assert_true(blocking_run(pool, &whose.chore));
        while (!whose.is_answered)
            engine_turn(engine, -1);
        usleep(1000); /* it lies down */
        same += pthread_equal(whose.thread, before) != 0;
        before = whose.thread;
    }
    assert_true(same >= ROUNDS - 10); /* but where a busy machine kept it up */
    blocking_pool_stop(&pool);
    engine_destroy(&engine);
}

TEST(stop_of_no_pool_does_nothing)
{
    struct blocking_pool *pool = NULL;

    blocking_pool_stop(&pool);
    assert_null(pool);
}
