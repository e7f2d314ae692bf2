/* modules: smtp base */
/* runs: 15000 */
/*
 * fuzz_smtp_content.c - content read in pieces is content read at once and content read by a
 * slow and obvious reader; what is written is read back the same.
 */
#include "smtp/content.h"

#include <stdlib.h>
#include <string.h>

struct reading {
    struct dot_reader reader;
    struct buf content;
    size_t left;
};

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

static void collect(void *context, struct bytes run)
{
    check(run.len > 0);
    check(buf_append(context, run));
}

static void check_same(const struct dot_reader *a, const struct dot_reader *b)
{
    check(a->state == b->state);
    check(a->has_bare == b->has_bare);
    check(a->ends_in_cr == b->ends_in_cr);
    check(a->has_nul == b->has_nul);
    check(a->has_8bit == b->has_8bit);
    check(a->size == b->size);
    check(a->line_len == b->line_len);
    check(a->line_len_max == b->line_len_max);
    check(a->done == b->done);
}

static void read_all(struct bytes wire, size_t piece_len, struct reading *reading)
{
    size_t at = 0;

    dot_reader_init(&reading->reader);
    buf_init(&reading->content, wire.len + 1);
    while (at < wire.len && !reading->reader.done) {
        size_t len = MIN(piece_len, wire.len - at);
        uint8_t *copy = malloc(len);
        check(copy != NULL);
        memcpy(copy, wire.ptr + at, len);
        struct bytes piece = {copy, len};
        dot_read(&reading->reader, &piece, collect, &reading->content);
        check(reading->reader.done || piece.len == 0);
        at += len - piece.len;
        free(copy);
    }
    reading->left = wire.len - at;
    check(reading->reader.size == buf_len(&reading->content));
}

/* Where the data ends by RFC 5321 section 4.1.1.4, found in one look; SIZE_MAX: it does not. */
static size_t end_of_data(struct bytes wire)
{
    if (wire.len >= 3 && memcmp(wire.ptr, ".\r\n", 3) == 0)
        return 3;
    size_t at = bytes_find_bytes(wire, BYTES("\r\n.\r\n"), 0);
    return at == wire.len ? SIZE_MAX : at + 5;
}

static bool has_bare(struct bytes b)
{
    for (size_t i = 0; i < b.len; i++) {
        if (b.ptr[i] == '\n' && (i == 0 || b.ptr[i - 1] != '\r'))
            return true;
        /* A CR at the very end may still get its LF. */
        if (b.ptr[i] == '\r' && i + 1 < b.len && b.ptr[i + 1] != '\n')
            return true;
    }
    return false;
}

static void check_against_obvious(struct bytes wire, const struct reading *reading)
{
    size_t end = end_of_data(wire);
    struct bytes data = bytes_slice(wire, 0, end);
    struct bytes content = buf_bytes(&reading->content);
    size_t at = 0;

    check(reading->reader.done == (end != SIZE_MAX));
    check(!reading->reader.done || reading->left == wire.len - end);
    if (reading->reader.done)
        data.len -= 3; /* ".\r\n" */
    check(reading->reader.has_bare == has_bare(content));
    /* The content is the data without the dots behind line ends; dot and CR may be held back. */
    for (size_t i = 0; i < data.len; i++) {
        bool at_line_start =
            i == 0 || (i >= 2 && data.ptr[i - 1] == '\n' && data.ptr[i - 2] == '\r');
        if (at_line_start && data.ptr[i] == '.') {
            if (i + 2 == data.len && data.ptr[i + 1] == '\r')
                break;
            continue;
        }
        check(at < content.len && content.ptr[at] == data.ptr[i]);
        at++;
    }
    check(at == content.len);
}

static void check_round_trip(struct bytes content, size_t piece_len)
{
    struct dot_writer writer;
    struct buf wire;
    struct reading reading;

    buf_init(&wire, content.len * 2 + 16);
    dot_writer_init(&writer);
    for (size_t at = 0; at < content.len; at += piece_len)
        check(dot_write(&writer, bytes_slice(content, at, piece_len), &wire));
    check(dot_write_end(&writer, &wire));
    read_all(buf_bytes(&wire), buf_len(&wire), &reading);
    check(reading.reader.done);
    check(reading.left == 0);
    struct bytes again = buf_bytes(&reading.content);
    check(bytes_equal(bytes_slice(again, 0, content.len), content));
    struct bytes added = bytes_slice(again, content.len, again.len);
    check(bytes_equal(added, BYTES("")) || bytes_equal(added, BYTES("\r\n")) ||
          bytes_equal(added, BYTES("\n")));
    buf_free(&wire);
    buf_free(&reading.content);
}

static void check_chunks(struct bytes content, size_t piece_len)
{
    struct dot_reader whole;
    struct dot_reader pieces;

    dot_reader_init(&whole);
    dot_reader_init(&pieces);
    chunk_read(&whole, content);
    for (size_t at = 0; at < content.len; at += piece_len)
        chunk_read(&pieces, bytes_slice(content, at, piece_len));
    check(whole.has_bare == has_bare(content));
    check(chunk_missing(&whole).len == chunk_missing(&pieces).len);
    struct bytes missing = chunk_missing(&whole);
    uint8_t last = content.len > 0 ? content.ptr[content.len - 1] : '\n';
    chunk_read(&whole, missing);
    chunk_read(&pieces, missing);
    chunk_finish(&whole);
    chunk_finish(&pieces);
    check_same(&whole, &pieces);
    check(whole.size == content.len + missing.len);
    check(whole.ends_in_cr == (last == '\r'));
    check(missing.len == 0 || last != '\r');
    check(missing.len == 2 || last == '\r' || last == '\n');
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct reading whole;
    struct reading pieces;

    if (len == 0)
        return 0;
    size_t piece_len = 1 + input[0] % 130;
    struct bytes wire = {input + 1, len - 1};
    read_all(wire, len, &whole);
    read_all(wire, piece_len, &pieces);
    check(bytes_equal(buf_bytes(&whole.content), buf_bytes(&pieces.content)));
    check(whole.left == pieces.left);
    check_same(&whole.reader, &pieces.reader);
    check_against_obvious(wire, &whole);
    buf_free(&whole.content);
    buf_free(&pieces.content);
    check_round_trip(wire, piece_len);
    check_chunks(wire, piece_len);
    return 0;
}
