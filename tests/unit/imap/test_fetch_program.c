/* test_fetch_program.c - items of FETCH. */
#include "inbound/imap/fetch_program.h"

#include "support/unit.h"

static const struct {
    const char *input;
    int count;         /* -1: BAD */
    const char *label; /* of the first */
} programs[] = {
    {"FLAGS", 1, NULL},
    {"(FLAGS UID)", 2, NULL},
    {"(FLAGS FLAGS)", 1, NULL},
    {"ALL", 4, NULL},
    {"FULL", 5, NULL},
    {"FAST", 3, NULL},
    {"(ALL)", -1, NULL},
    {"BODY", 1, NULL},
    {"BODY[]", 1, "BODY[]"},
    {"body.peek[header]", 1, "BODY[HEADER]"},
    {"BODY[1.2.3]", 1, "BODY[1.2.3]"},
    {"BODY[1.MIME]", 1, "BODY[1.MIME]"},
    {"BODY[MIME]", -1, NULL},
    {"BODY[1.TEXT]<0.10>", 1, "BODY[1.TEXT]"},
    {"BODY[]<10>", -1, NULL},
    {"BODY[]<0.0>", -1, NULL},
    {"BODY[]<4294967296.4294967296>", 1, "BODY[]"}, /* RFC 9051 section 9, partial */
    {"BODY[]<9223372036854775808.1>", -1, NULL},
    {"BODY[HEADER.FIELDS (From \"To\")]", 1, "BODY[HEADER.FIELDS (From To)]"},
    {"BODY[1.HEADER.FIELDS.NOT (X)]", 1, "BODY[1.HEADER.FIELDS.NOT (X)]"},
    {"BODY[HEADER.FIELDS ()]", -1, NULL},
    {"BODY[HEADER.FIELDS]", -1, NULL},
    {"BODY[0]", -1, NULL},
    {"BODY[1.]", -1, NULL},
    {"BODY[1..2]", -1, NULL},
    {"BODY[", -1, NULL},
    {"BINARY[1]", 1, "BINARY[1]"},
    {"BINARY.PEEK[]<1.2>", 1, "BINARY[]"},
    {"BINARY[TEXT]", -1, NULL},
    {"BINARY.SIZE[2.1]", 1, "BINARY.SIZE[2.1]"},
    {"RFC822", 1, "RFC822"},
    {"RFC822.TEXT", 1, "RFC822.TEXT"},
    {"(PREVIEW (LAZY) UID)", 2, NULL},
    {"PREVIEW", 1, NULL},
    {"(FLAGS) (CHANGEDSINCE 12)", 1, NULL},
    {"(FLAGS) (CHANGEDSINCE 12 VANISHED)", 1, NULL},
    {"(FLAGS) (VANISHED)", -1, NULL},
    {"(FLAGS) (CHANGEDSINCE)", -1, NULL},
    {"(FLAGS) ()", -1, NULL},
    {"PREVIEW (CHANGEDSINCE 12)", 1, NULL},
    {"()", -1, NULL},
    {"(FLAGS", -1, NULL},
    {"FLAGS)", -1, NULL},
    {"FOO", -1, NULL},
    {"", -1, NULL},
};

TEST(take_knows_items_and_their_labels)
{
    for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
        struct bytes input = bytes_of(programs[i].input);
        struct fetch_program program;
        struct arena arena;

        arena_init(&arena, 1 << 20);
        bool took = fetch_program_take(&arena, &input, &program);
        expect_row(i, took == (programs[i].count >= 0));
        expect_row(i, !took || (int)program.count == programs[i].count);
        if (took && programs[i].label != NULL)
            expect_row(i, bytes_equal(program.items[0].label, bytes_of(programs[i].label)));
        arena_free(&arena);
    }
}

TEST(take_says_what_is_needed)
{
    struct bytes input = BYTES("(FLAGS BODY[1]<5.6>) (CHANGEDSINCE 12 VANISHED)");
    struct fetch_program program;
    struct arena arena;

    arena_init(&arena, 1 << 20);
    assert_true(fetch_program_take(&arena, &input, &program));
    assert_true(program.sets_seen && program.wants_modseq && program.has_since);
    assert_true(program.has_vanished && program.since == 12);
    assert_true(program.items[1].is_partial && program.items[1].from == 5);
    assert_int_equal(program.items[1].len, 6);
    input = BYTES("(UID BODY.PEEK[] BINARY.PEEK[1])");
    assert_true(fetch_program_take(&arena, &input, &program));
    assert_false(program.sets_seen || program.wants_modseq || program.has_since);
    arena_free(&arena);
}

TEST(take_bounds_items_and_depth)
{
    struct fetch_program program;
    struct arena arena;
    struct buf text;

    buf_init(&text, 1 << 20);
    assert_true(buf_append(&text, BYTES("BODY[1")));
    for (unsigned i = 0; i < 200; i++)
        assert_true(buf_append(&text, BYTES(".1")));
    assert_true(buf_append(&text, BYTES("]")));
    arena_init(&arena, 1 << 20);
    struct bytes input = buf_bytes(&text);
    assert_false(fetch_program_take(&arena, &input, &program));
    buf_clear(&text);
    assert_true(buf_append(&text, BYTES("(UID")));
    for (unsigned i = 0; i < FETCH_ITEMS_MAX; i++)
        assert_true(buf_append(&text, BYTES(" BODY[]")));
    assert_true(buf_append(&text, BYTES(")")));
    input = buf_bytes(&text);
    assert_false(fetch_program_take(&arena, &input, &program));
    arena_free(&arena);
    buf_free(&text);
}
