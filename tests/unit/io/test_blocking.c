/* test_blocking.c - chores run in order on the other thread and answer on the engine. */
#include <pthread.h>
#include <stdlib.h>

#include "io/blocking.h"
#include "support/unit.h"

enum { CHORES = 200 };

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

static void ask(struct blocking *blocking, struct engine *engine, unsigned number)
{
    struct numbered *numbered = calloc(1, sizeof(*numbered));

    numbered->number = number;
    numbered->chore.engine = engine;
    numbered->chore.work = work;
    numbered->chore.letter.open = engine != NULL ? answer : answer_there;
    blocking_run(blocking, &numbered->chore);
}

TEST(chores_run_in_order_and_answer_through_the_inbox)
{
    struct engine *engine = engine_create(&(struct engine_settings){.buffer_count = 4});
    struct blocking *blocking = blocking_start();

    assert_non_null(engine);
    assert_non_null(blocking);
    worked = 0;
    answered = 0;
    for (unsigned i = 0; i < CHORES; i++)
        ask(blocking, engine, i);
    while (answered < CHORES)
        engine_turn(engine, -1);
    blocking_stop(&blocking);
    assert_null(blocking);
    engine_destroy(&engine);
}

TEST(stop_finishes_what_was_asked)
{
    struct blocking *blocking = blocking_start();

    worked = 0;
    for (unsigned i = 0; i < CHORES; i++)
        ask(blocking, NULL, i);
    blocking_stop(&blocking);
    assert_int_equal(worked, CHORES);
}
