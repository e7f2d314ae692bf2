/* test_pipeline.c - replies meet the commands they answer, in order. */
#include "delivery/client/pipeline.h"

#include "base/check.h"
#include "support/unit.h"

static void expect(struct pipeline *pipeline, enum client_command command, uint32_t recipient)
{
    struct sent first;
    struct sent sent;

    assert_true(pipeline_first(pipeline, &first));
    assert_true(pipeline_pop(pipeline, &sent));
    assert_int_equal(first.command, command);
    assert_int_equal(sent.command, command);
    assert_int_equal(sent.recipient, recipient);
}

TEST(pipeline_pops_in_the_order_of_pushes)
{
    struct pipeline pipeline = {0};

    for (unsigned round = 0; round < 100; round++) {
        pipeline_push(&pipeline, COMMAND_RSET, 0, 0);
        pipeline_push(&pipeline, COMMAND_MAIL, 0, 0);
        for (uint32_t i = 0; i < 1000; i++)
            pipeline_push(&pipeline, COMMAND_RCPT, i, 0);
        pipeline_push(&pipeline, COMMAND_DATA, 0, 0);
        expect(&pipeline, COMMAND_RSET, 0);
        expect(&pipeline, COMMAND_MAIL, 0);
        for (uint32_t i = 0; i < 1000; i++)
            expect(&pipeline, COMMAND_RCPT, i);
        expect(&pipeline, COMMAND_DATA, 0);
        assert_true(pipeline_is_empty(&pipeline));
    }
}

TEST(pipeline_goes_on_with_a_run_that_was_partly_popped)
{
    struct pipeline pipeline = {0};
    struct sent sent;

    pipeline_push(&pipeline, COMMAND_RCPT, 0, 0);
    pipeline_push(&pipeline, COMMAND_RCPT, 1, 0);
    expect(&pipeline, COMMAND_RCPT, 0);
    pipeline_push(&pipeline, COMMAND_RCPT, 2, 0);
    expect(&pipeline, COMMAND_RCPT, 1);
    expect(&pipeline, COMMAND_RCPT, 2);
    /* An emptied run is gone: the next one may begin anywhere. */
    pipeline_push(&pipeline, COMMAND_RCPT, 3, 0);
    expect(&pipeline, COMMAND_RCPT, 3);
    assert_false(pipeline_pop(&pipeline, &sent));
    assert_false(pipeline_first(&pipeline, &sent));
}

TEST(pipeline_holds_as_many_runs_as_it_says)
{
    struct pipeline pipeline = {0};

    for (unsigned i = 0; i < PIPELINE_RUNS_MAX; i++)
        pipeline_push(&pipeline, i % 2 == 0 ? COMMAND_MAIL : COMMAND_RSET, 0, 0);
    for (unsigned i = 0; i < PIPELINE_RUNS_MAX; i++)
        expect(&pipeline, i % 2 == 0 ? COMMAND_MAIL : COMMAND_RSET, 0);
    assert_true(pipeline_is_empty(&pipeline));
}

TEST(pipeline_tells_where_the_output_of_a_command_ends)
{
    struct pipeline pipeline = {0};
    struct sent sent;

    pipeline_push(&pipeline, COMMAND_MAIL, 0, 10);
    pipeline_push(&pipeline, COMMAND_RCPT, 0, 20);
    pipeline_push(&pipeline, COMMAND_RCPT, 1, 30); /* a run: as its first */
    pipeline_push(&pipeline, COMMAND_DATA, 0, 40);
    static const uint64_t ends[] = {10, 20, 20, 40};

    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        assert_true(pipeline_pop(&pipeline, &sent));
        expect_row(i, sent.end == ends[i]);
    }
}
