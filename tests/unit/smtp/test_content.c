/* test_content.c - where data ends, what is un-stuffed, what is noted; in every split. */
#include "smtp/content.h"

#include <stdlib.h>
#include <string.h>

#include "smtp/block.h"
#include "support/unit.h"

static void collect(void *context, struct bytes run)
{
    assert_true(run.len > 0);
    assert_true(buf_append(context, run));
}

/* Feeds `b` from memory of exactly its size, so that AddressSanitizer sees one byte too many;
 * returns how much was left. */
static size_t feed(struct dot_reader *reader, struct bytes b, struct buf *content)
{
    if (b.len == 0)
        return 0;
    uint8_t *copy = malloc(b.len);
    assert_non_null(copy);
    memcpy(copy, b.ptr, b.len);
    struct bytes input = {copy, b.len};
    dot_read(reader, &input, collect, content);
    assert_true(reader->done || input.len == 0);
    free(copy);
    return input.len;
}

struct sample {
    struct bytes wire;
    struct bytes content;
    bool done;
    size_t left;
    bool has_bare;
    size_t line_len_max;
};

#define A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct sample samples[] = {
    /* RFC 5321 section 4.5.2 */
    {BYTES(".\r\n"), BYTES(""), true, 0, false, 0},
    {BYTES("a\r\n.\r\n"), BYTES("a\r\n"), true, 0, false, 1},
    {BYTES("a\r\n.\r\nQUIT\r\n"), BYTES("a\r\n"), true, 6, false, 1},
    {BYTES("\r\n.\r\n"), BYTES("\r\n"), true, 0, false, 0},
    {BYTES("\r\n\r\n\r\n.\r\n"), BYTES("\r\n\r\n\r\n"), true, 0, false, 0},
    {BYTES("..\r\n.\r\n"), BYTES(".\r\n"), true, 0, false, 1},
    {BYTES("..a\r\n...\r\n.b\r\n.\r\n"), BYTES(".a\r\n..\r\nb\r\n"), true, 0, false, 2},
    {BYTES("a.b\r\na.\r\n.\r\n"), BYTES("a.b\r\na.\r\n"), true, 0, false, 3},
    {BYTES("a\r\n"), BYTES("a\r\n"), false, 0, false, 1},
    {BYTES("a\r\n."), BYTES("a\r\n"), false, 0, false, 1},
    {BYTES("a\r\n.\r"), BYTES("a\r\n"), false, 0, false, 1},
    {BYTES("a"), BYTES("a"), false, 0, false, 1},
    /* Smuggling: none of these ends the data, all are noted. */
    {BYTES("a\n.\nb\r\n.\r\n"), BYTES("a\n.\nb\r\n"), true, 0, true, 5},
    {BYTES("a\n.\r\nb\r\n.\r\n"), BYTES("a\n.\r\nb\r\n"), true, 0, true, 3},
    {BYTES("a\r\n.\nb\r\n.\r\n"), BYTES("a\r\n\nb\r\n"), true, 0, true, 2},
    {BYTES("a\r.\r\nb\r\n.\r\n"), BYTES("a\r.\r\nb\r\n"), true, 0, true, 3},
    {BYTES("a\r.\rb\r\n.\r\n"), BYTES("a\r.\rb\r\n"), true, 0, true, 5},
    {BYTES("a\r\n.\rb\r\n.\r\n"), BYTES("a\r\n\rb\r\n"), true, 0, true, 2},
    {BYTES("a\n.\rb\r\n.\r\n"), BYTES("a\n.\rb\r\n"), true, 0, true, 5},
    {BYTES("a\r.\nb\r\n.\r\n"), BYTES("a\r.\nb\r\n"), true, 0, true, 5},
    {BYTES("a\n\n.\r\n\r\n.\r\n"), BYTES("a\n\n.\r\n\r\n"), true, 0, true, 4},
    {BYTES("a\r\r\n.\r\n"), BYTES("a\r\r\n"), true, 0, true, 2},
    {BYTES("a\r\n.\r\r\nb\r\n.\r\n"), BYTES("a\r\n\r\r\nb\r\n"), true, 0, true, 1},
    {BYTES("a\r\n\0.\r\n\r\n.\r\n"), BYTES("a\r\n\0.\r\n\r\n"), true, 0, false, 2},
    {BYTES("a\r\n.\0\r\n\r\n.\r\n"), BYTES("a\r\n\0\r\n\r\n"), true, 0, false, 1},
    {BYTES("a\r\n.\r\0\nb\r\n.\r\n"), BYTES("a\r\n\r\0\nb\r\n"), true, 0, true, 4},
    {BYTES("a\r\0\n.\r\nb\r\n.\r\n"), BYTES("a\r\0\n.\r\nb\r\n"), true, 0, true, 5},
    {BYTES("a\r\n. \r\nb\r\n.\r\n"), BYTES("a\r\n \r\nb\r\n"), true, 0, false, 1},
    {BYTES("a\r\n .\r\nb\r\n.\r\n"), BYTES("a\r\n .\r\nb\r\n"), true, 0, false, 2},
    {BYTES("\n.\r\n.\r\n"), BYTES("\n.\r\n"), true, 0, true, 2},
    {BYTES(".\n.\r\n.\r\n"), BYTES("\n.\r\n"), true, 0, true, 2},
    {BYTES(".\r.\r\n.\r\n"), BYTES("\r.\r\n"), true, 0, true, 2},
    {BYTES("\r.\r\n.\r\n"), BYTES("\r.\r\n"), true, 0, true, 2},
    {BYTES("a\r\n..\n.\r\n.\r\n"), BYTES("a\r\n.\n.\r\n"), true, 0, true, 3},
    {BYTES("\xc2\x85.\xc2\x85\r\n.\r\n"), BYTES("\xc2\x85.\xc2\x85\r\n"), true, 0, false, 5},
    {BYTES("a\n"), BYTES("a\n"), false, 0, true, 2},
    {BYTES("a\r"), BYTES("a\r"), false, 0, false, 1},
    /* Line ends and dots around the borders of the blocks that the fast path takes. */
    {BYTES(A64 "\r\n.\r\n"), BYTES(A64 "\r\n"), true, 0, false, 64},
    {BYTES("a" A64 "\r\n..\r\n" A64 "\r\n.\r\n"), BYTES("a" A64 "\r\n.\r\n" A64 "\r\n"), true, 0,
     false, 65},
    {BYTES("\r\n" A64 A64 "\r\nb\r\n" A64 "\n" A64 "\r\n.\r\n"),
     BYTES("\r\n" A64 A64 "\r\nb\r\n" A64 "\n" A64 "\r\n"), true, 0, true, 129},
    {BYTES(A64 "\0" A64 A64 "\r\n.\r\n"), BYTES(A64 "\0" A64 A64 "\r\n"), true, 0, false, 193},
    {BYTES(A64 "\xff" A64 A64 "\r\n.\r\n"), BYTES(A64 "\xff" A64 A64 "\r\n"), true, 0, false, 193},
    {BYTES(A64 "\r" A64 "\r\n.\r\n"), BYTES(A64 "\r" A64 "\r\n"), true, 0, true, 129},
};

static void expect_sample(size_t row, const struct dot_reader *reader, const struct buf *content,
                          size_t left)
{
    const struct sample *sample = &samples[row];

    expect_row(row, bytes_equal(buf_bytes(content), sample->content));
    expect_row(row, reader->size == sample->content.len);
    expect_row(row, reader->done == sample->done);
    expect_row(row, left == sample->left);
    expect_row(row, reader->has_bare == sample->has_bare);
    expect_row(row, reader->line_len_max == sample->line_len_max);
    bool has_nul = bytes_find(sample->content, '\0', 0) != sample->content.len;
    expect_row(row, reader->has_nul == has_nul);
    bool has_8bit = false;
    for (size_t i = 0; i < sample->content.len; i++)
        has_8bit |= sample->content.ptr[i] > 127;
    expect_row(row, reader->has_8bit == has_8bit);
}

TEST(dot_read_follows_table)
{
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        struct dot_reader reader;
        struct buf content;

        buf_init(&content, 4096);
        dot_reader_init(&reader);
        size_t left = feed(&reader, samples[i].wire, &content);
        expect_sample(i, &reader, &content, left);
        buf_free(&content);
    }
}

TEST(dot_read_does_not_mind_splits)
{
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        struct bytes wire = samples[i].wire;

        for (size_t at = 0; at <= wire.len; at++) {
            struct dot_reader reader;
            struct buf content;

            buf_init(&content, 4096);
            dot_reader_init(&reader);
            size_t left = feed(&reader, bytes_slice(wire, 0, at), &content);
            struct bytes rest = bytes_slice(wire, at, wire.len);
            left += reader.done ? rest.len : feed(&reader, rest, &content);
            expect_sample(i, &reader, &content, left);
            buf_free(&content);
        }
    }
}

TEST(dot_read_does_not_mind_single_bytes)
{
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        struct dot_reader reader;
        struct buf content;
        size_t at = 0;

        buf_init(&content, 4096);
        dot_reader_init(&reader);
        for (; at < samples[i].wire.len && !reader.done; at++)
            feed(&reader, bytes_slice(samples[i].wire, at, 1), &content);
        expect_sample(i, &reader, &content, samples[i].wire.len - at);
        buf_free(&content);
    }
}

/* The last line end, a dot and the end of data at every place of a block. */
TEST(dot_read_finds_end_at_every_offset)
{
    for (size_t padding = 0; padding < 4 * BLOCK_LEN; padding++) {
        struct dot_reader reader;
        struct buf wire;
        struct buf content;

        buf_init(&wire, 1024);
        buf_init(&content, 1024);
        for (size_t i = 0; i < padding; i++)
            assert_true(buf_append_byte(&wire, i % 7 == 6 ? '.' : 'a'));
        assert_true(buf_append(&wire, BYTES("\r\n..\r\n.\r\nleft")));
        dot_reader_init(&reader);
        assert_int_equal(feed(&reader, buf_bytes(&wire), &content), 4);
        assert_true(reader.done);
        assert_false(reader.has_bare);
        assert_int_equal(reader.line_len_max, MAX(padding, (size_t)1));
        assert_int_equal(buf_len(&content), padding + 5);
        buf_free(&content);
        buf_free(&wire);
    }
}

TEST(dot_read_takes_nothing_after_the_end)
{
    struct dot_reader reader;
    struct buf content;

    buf_init(&content, 16);
    dot_reader_init(&reader);
    assert_int_equal(feed(&reader, BYTES(".\r\n"), &content), 0);
    assert_int_equal(feed(&reader, BYTES("a\r\n"), &content), 3);
    assert_int_equal(buf_len(&content), 0);
    buf_free(&content);
}

TEST(dot_read_long_runs_stay_whole)
{
    static const char line[] = "The quick brown fox jumps over the lazy dog, again and again.\r\n";
    struct buf wire;
    struct buf content;
    struct dot_reader reader;

    buf_init(&wire, 1 << 16);
    buf_init(&content, 1 << 16);
    for (int i = 0; i < 200; i++)
        assert_true(buf_append(&wire, bytes_of(line)));
    size_t len = buf_len(&wire);
    assert_true(buf_append(&wire, BYTES(".\r\n")));
    dot_reader_init(&reader);
    assert_int_equal(feed(&reader, buf_bytes(&wire), &content), 0);
    assert_int_equal(buf_len(&content), len);
    assert_memory_equal(content.ptr, wire.ptr, len);
    assert_int_equal(reader.line_len_max, strlen(line) - 2);
    buf_free(&content);
    buf_free(&wire);
}

TEST(block_look_agrees_with_portable)
{
    uint8_t block[BLOCK_LEN];
    static const uint8_t choices[] = {'\r', '\n', '\0', 0x80, 0xff, 0x7f,
                                      'a',  0x0b, 0x0e, 0x8d, 0x8a, 1};

    srand(1);
    for (int round = 0; round < 20000; round++) {
        for (size_t i = 0; i < BLOCK_LEN; i++)
            block[i] = round % 3 == 0 ? (uint8_t)rand() : choices[(size_t)rand() % sizeof(choices)];
        if (round % 5 == 0)
            memset(block, 'a', (size_t)rand() % BLOCK_LEN);
        struct block_masks fast = block_look(block);
        struct block_masks portable = block_look_portable(block);
        assert_int_equal(fast.cr, portable.cr);
        assert_int_equal(fast.lf, portable.lf);
        assert_int_equal(fast.has_nul, portable.has_nul);
        assert_int_equal(fast.has_8bit, portable.has_8bit);
        for (size_t i = 0; i < BLOCK_LEN; i++) {
            assert_int_equal(fast.cr >> i & 1, block[i] == '\r');
            assert_int_equal(fast.lf >> i & 1, block[i] == '\n');
        }
    }
}

/* RFC 3030: chunks end by count; RFC 3030 section 3 allows bare CR and LF only with BINARYMIME. */
static const struct {
    struct bytes content;
    bool has_bare;
    bool ends_in_cr;
    size_t line_len_max;
    size_t missing; /* bytes of a CRLF that is added */
} chunks[] = {
    {BYTES(""), false, false, 0, 0},
    {BYTES("a\r\n"), false, false, 1, 0},
    {BYTES(".\r\n..\r\n"), false, false, 2, 0}, /* dots are content */
    {BYTES(A64 "\r\n.\r\n" A64 A64 "\r\n"), false, false, 128, 0},
    {BYTES("a"), false, false, 1, 2},
    {BYTES("a\r\nb"), false, false, 1, 2},
    {BYTES("a\r"), false, true, 1, 0},
    {BYTES("\r"), false, true, 0, 0},
    {BYTES("a\r\r"), true, true, 2, 0},
    {BYTES("a\n"), true, false, 2, 2},
    {BYTES("a\rb\r\n"), true, false, 3, 0},
    {BYTES("a\r\r\n"), true, false, 2, 0},
    {BYTES(A64 "\n" A64 "\r\n"), true, false, 129, 0},
};

TEST(chunk_read_follows_table_in_every_split)
{
    for (size_t i = 0; i < ARRAY_LEN(chunks); i++) {
        for (size_t at = 0; at <= chunks[i].content.len; at++) {
            struct dot_reader reader;

            dot_reader_init(&reader);
            chunk_read(&reader, bytes_slice(chunks[i].content, 0, at));
            chunk_read(&reader, bytes_slice(chunks[i].content, at, chunks[i].content.len));
            struct bytes missing = chunk_missing(&reader);
            expect_row(i, missing.len == chunks[i].missing);
            chunk_read(&reader, missing);
            chunk_finish(&reader);
            expect_row(i, reader.has_bare == chunks[i].has_bare);
            expect_row(i, reader.ends_in_cr == chunks[i].ends_in_cr);
            expect_row(i, reader.line_len_max == chunks[i].line_len_max);
            expect_row(i, reader.size == chunks[i].content.len + chunks[i].missing);
            expect_row(i, reader.done);
        }
    }
}

static const struct {
    struct bytes content;
    struct bytes wire;
} written[] = {
    {BYTES(""), BYTES(".\r\n")},
    {BYTES("a\r\n"), BYTES("a\r\n.\r\n")},
    {BYTES("a"), BYTES("a\r\n.\r\n")},
    {BYTES("a\r"), BYTES("a\r\n.\r\n")},
    {BYTES(".\r\n"), BYTES("..\r\n.\r\n")},
    {BYTES(".."), BYTES("...\r\n.\r\n")},
    {BYTES("a\r\n.\r\n.b\r\n"), BYTES("a\r\n..\r\n..b\r\n.\r\n")},
    {BYTES("a.b\r\n\r\n.\r\n"), BYTES("a.b\r\n\r\n..\r\n.\r\n")},
    {BYTES(".\r\n.\r\n.\r\n.\r\n"), BYTES("..\r\n..\r\n..\r\n..\r\n.\r\n")},
};

TEST(dot_write_follows_table_in_every_split)
{
    for (size_t i = 0; i < ARRAY_LEN(written); i++) {
        struct bytes content = written[i].content;

        for (size_t at = 0; at <= content.len; at++) {
            struct dot_writer writer;
            struct buf out;

            buf_init(&out, 256);
            dot_writer_init(&writer);
            assert_true(dot_write(&writer, bytes_slice(content, 0, at), &out));
            assert_true(dot_write(&writer, bytes_slice(content, at, content.len), &out));
            assert_true(dot_write_end(&writer, &out));
            expect_row(i, bytes_equal(buf_bytes(&out), written[i].wire));
            buf_free(&out);
        }
    }
}

TEST(dot_write_fails_whole_when_full)
{
    struct dot_writer writer;
    struct buf out;

    buf_init(&out, 8);
    dot_writer_init(&writer);
    assert_false(dot_write(&writer, BYTES(".\r\n.\r\n"), &out)); /* worst case 9 */
    assert_int_equal(buf_len(&out), 0);
    assert_true(dot_write(&writer, BYTES(".\r\n"), &out));
    assert_true(bytes_equal(buf_bytes(&out), BYTES("..\r\n")));
    assert_true(dot_write(&writer, BYTES("."), &out));
    assert_false(dot_write_end(&writer, &out));
    assert_true(bytes_equal(buf_bytes(&out), BYTES("..\r\n..")));
    buf_free(&out);
}
