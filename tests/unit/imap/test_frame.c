/* test_frame.c - commands are put together whatever the pieces. */
#include "inbound/imap/frame.h"

#include "support/unit.h"

/* Feeds all of `input` in pieces; literals are accepted. The last step. */
static enum frame_step feed(struct frame *frame, struct bytes input, size_t piece_len)
{
    enum frame_step step = FRAME_MORE;

    while (input.len > 0) {
        struct bytes piece = bytes_slice(input, 0, piece_len), rest = piece;

        do {
            step = frame_feed(frame, &rest);
            if (step == FRAME_LITERAL && !frame_accept(frame))
                return FRAME_LITERAL;
            if (step != FRAME_MORE && step != FRAME_LITERAL)
                return step;
        } while (rest.len > 0 || (step == FRAME_LITERAL && frame->literal_left == 0));
        input = bytes_slice(input, piece.len, input.len);
    }
    return step;
}

static const struct {
    const char *input;
    enum frame_step step;
    const char *text;
} commands[] = {
    {"a NOOP\r\n", FRAME_WHOLE, "a NOOP"},
    {"a LOGIN {3}\r\nfoo {3+}\r\nb\rr\r\n", FRAME_WHOLE, "a LOGIN {3}\r\nfoo {3+}\r\nb\rr"},
    {"a LOGIN {0}\r\n {0}\r\n\r\n", FRAME_WHOLE, "a LOGIN {0}\r\n {0}\r\n"},
    {"a LOGIN {5}\r\n\r\n{9}\r\n", FRAME_WHOLE, "a LOGIN {5}\r\n\r\n{9}"},
    {"a NOOP\n", FRAME_BROKEN, NULL},
    {"a NO\rOP\r\n", FRAME_BROKEN, NULL},
    {"a NOOP", FRAME_MORE, NULL},
    {"a NOOP\r", FRAME_MORE, NULL},
    {"0123456789012345678901234567890123456789\r\n", FRAME_TOO_LONG, NULL},
    {"a LOGIN {400}\r\n", FRAME_LITERAL, NULL},
    {"a LOGIN {99999999999999999999999}\r\n", FRAME_LITERAL, NULL},
    {"a X \"{3}\"\r\n", FRAME_WHOLE, "a X \"{3}\""},
    {"a X {3-}\r\n", FRAME_WHOLE, "a X {3-}"},
};

TEST(feed_gives_the_same_command_for_all_pieces)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        for (size_t piece = 1; piece < 50; piece++) {
            struct frame frame;

            frame_init(&frame, 40);
            expect_row(i, feed(&frame, bytes_of(commands[i].input), piece) == commands[i].step);
            if (commands[i].text != NULL)
                expect_row(i, bytes_equal(frame_text(&frame), bytes_of(commands[i].text)));
            frame_free(&frame);
        }
}

TEST(feed_refuses_nul_in_a_line_and_takes_it_in_a_literal)
{
    struct frame frame;

    frame_init(&frame, 100);
    assert_int_equal(feed(&frame, bytes_range("a \0b\r\n", 6), 100), FRAME_BROKEN);
    frame_begin(&frame, 100);
    assert_int_equal(feed(&frame, bytes_range("a {1}\r\n\0\r\n", 10), 100), FRAME_WHOLE);
    frame_free(&frame);
}

TEST(feed_leaves_what_follows_a_command)
{
    struct bytes input = BYTES("a NOOP\r\nb NOOP\r\n");
    struct frame frame;

    frame_init(&frame, 100);
    assert_true(frame_is_empty(&frame));
    assert_int_equal(frame_feed(&frame, &input), FRAME_WHOLE);
    assert_true(bytes_equal(input, BYTES("b NOOP\r\n")));
    assert_false(frame_is_empty(&frame));
    frame_begin(&frame, 100);
    assert_int_equal(frame_feed(&frame, &input), FRAME_WHOLE);
    assert_true(bytes_equal(frame_text(&frame), BYTES("b NOOP")));
    frame_free(&frame);
}

TEST(literal_read_knows_its_forms)
{
    struct frame_literal literal;

    assert_true(frame_literal_read(BYTES("x {10}"), &literal));
    assert_true(literal.size == 10 && literal.is_waiting && !literal.is_binary);
    assert_true(frame_literal_read(BYTES("x ~{10+}"), &literal));
    assert_true(literal.size == 10 && !literal.is_waiting && literal.is_binary);
    assert_true(frame_literal_read(BYTES("{4294967296}"), &literal));
    assert_true(literal.size == UINT64_C(4294967296));
    assert_true(frame_literal_read(BYTES("{99999999999999999999}"), &literal));
    assert_true(literal.size == UINT64_MAX);
    assert_false(frame_literal_read(BYTES("{}"), &literal));
    assert_false(frame_literal_read(BYTES("{+}"), &literal));
    assert_false(frame_literal_read(BYTES("10}"), &literal));
    assert_false(frame_literal_read(BYTES(""), &literal));
}
