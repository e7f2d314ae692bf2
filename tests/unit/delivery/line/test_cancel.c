/* modules: client line */
/* test_cancel.c - several cancels before any of them is carried out. */
#include "delivery/line/state.h"
#include "support/chat.c"
#include "support/unit.h"
#include "tests/unit/delivery/world.c"

TEST(cancels_of_one_turn_keep_their_reasons)
{
    static const char *const reasons[] = {"wrong list", "wrong list", "asked to", "wrong list"};
    struct engine_settings settings = {0};
    struct message_id ids[ARRAY_LEN(reasons)];
    struct world world;
    struct buf facts;

    buf_init(&facts, 1 << 20);
    world_init(&world, engine_create(&settings), &facts);
    world.port = 1; /* nobody listens there */
    world_start(&world);
    world.lookups_wait = true;
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        char to[32];
        struct world_message message = {.from = "", .to = to, .content = "x"};

        snprintf(to, sizeof(to), "r%zu@d.example", i);
        ids[i] = world_submit(&world, &message);
    }
    for (unsigned i = 0; i < 20; i++)
        engine_turn(world.engine, 0);
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        assert_true(delivery_cancel(world.delivery, world.shard, world_pending(&world, ids[i], 0),
                                    reasons[i]));
    for (unsigned i = 0; i < 1000 && world_unfinished(&world) > 0; i++)
        engine_turn(world.engine, 0);
    assert_int_equal(world_unfinished(&world), 0);
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        char head[64];
        struct bytes all = buf_bytes(&facts);
        struct bytes line;
        bool is_found = false;

        snprintf(head, sizeof(head), "cancelled r%zu@", i);
        while (!is_found && bytes_take_until(&all, '\n', &line))
            is_found = bytes_find_bytes(line, bytes_of(head), 0) < line.len &&
                       bytes_ends_nocase(line, bytes_of(reasons[i]));
        expect_row(i, is_found);
    }
    struct engine *engine = world.engine;

    assert_true(world_free(&world));
    engine_destroy(&engine);
    buf_free(&facts);
}
