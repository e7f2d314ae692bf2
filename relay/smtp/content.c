/*
 * content.c - the end of data, and nothing else, is CRLF.CRLF (RFC 5321 section 4.1.1.4).
 *
 *             .             CR              LF
 *    START -------> DOT ------> DOT_CR -------> end of data
 *    ^   \           | other      | other: that CR was bare
 *    |    \ other    v            v
 *    |     '------> TEXT <--------'
 *    | LF             | CR
 *    '------ CR <-----'       CR + other: that CR was bare; TEXT, or CR again
 *
 * Content goes through in blocks of 64 bytes as long as they hold nothing but well-ended lines;
 * everything else (stuffed dots, bare CR and LF, ends of input) goes byte by byte. Both must agree
 * whatever the split: tests and fuzzing compare them.
 */
#include "smtp/content.h"

#include <string.h>

#include "smtp/block.h"

enum dot_state {
    AT_START,  /* at the start of a line */
    AT_TEXT,   /* inside a line */
    AT_CR,     /* a CR in a line, handed out */
    AT_DOT,    /* a dot at the start of a line, held back */
    AT_DOT_CR, /* a dot and CR alone on a line, both held back */
};

/* A span of input on its way to the caller. */
struct run {
    const uint8_t *start; /* what is before it was handed out or left out */
    void (*out)(void *context, struct bytes run);
    void *context;
};

static bool take_block(struct dot_reader *reader, const uint8_t *ptr, bool is_stuffed);
static void take_text(struct dot_reader *reader, uint8_t byte);
static void take_stuffed(struct dot_reader *reader, const uint8_t *ptr, struct run *run);
static void run_flush(struct dot_reader *reader, struct run *run, const uint8_t *end);

void dot_reader_init(struct dot_reader *reader)
{
    *reader = (struct dot_reader){.state = AT_START};
}

void dot_read(struct dot_reader *reader, struct bytes *input,
              void (*out)(void *context, struct bytes run), void *context)
{
    if (input->len == 0)
        return;
    const uint8_t *ptr = input->ptr;
    const uint8_t *end = input->ptr + input->len;
    struct run run = {ptr, out, context};

    while (ptr < end && !reader->done) {
        size_t len = MIN((size_t)(end - ptr), (size_t)BLOCK_LEN);
        if (len == BLOCK_LEN && take_block(reader, ptr, true)) {
            ptr += BLOCK_LEN;
            continue;
        }
        for (const uint8_t *stop = ptr + len; ptr < stop && !reader->done; ptr++)
            take_stuffed(reader, ptr, &run);
    }
    run_flush(reader, &run, ptr);
    reader->line_len_max = MAX(reader->line_len_max, reader->line_len);
    *input = (struct bytes){ptr, (size_t)(end - ptr)};
}

void chunk_read(struct dot_reader *reader, struct bytes chunk)
{
    size_t at = 0;

    while (at < chunk.len) {
        size_t len = MIN(chunk.len - at, (size_t)BLOCK_LEN);
        if (len == BLOCK_LEN && take_block(reader, chunk.ptr + at, false)) {
            at += BLOCK_LEN;
            continue;
        }
        for (size_t stop = at + len; at < stop; at++)
            take_text(reader, chunk.ptr[at]);
    }
    reader->size += chunk.len;
    reader->line_len_max = MAX(reader->line_len_max, reader->line_len);
}

struct bytes chunk_missing(const struct dot_reader *reader)
{
    return reader->state == AT_TEXT ? BYTES("\r\n") : BYTES_NONE;
}

void chunk_finish(struct dot_reader *reader)
{
    check(reader->state != AT_TEXT);
    reader->ends_in_cr = reader->state == AT_CR;
    reader->done = true;
}

/*
 * Takes BLOCK_LEN bytes if they hold only text and whole line ends and, when the dots are
 * stuffed, no dot at the start of a line. On false nothing is changed.
 */
static bool take_block(struct dot_reader *reader, const uint8_t *ptr, bool is_stuffed)
{
    if (reader->state > AT_CR)
        return false;
    if (is_stuffed && reader->state == AT_START && ptr[0] == '.')
        return false;
    struct block_masks masks = block_look(ptr);
    uint64_t cr_before = reader->state == AT_CR ? 1 : 0;
    if ((masks.cr << 1 | cr_before) != masks.lf) /* every LF behind a CR, a LF behind every CR */
        return false;
    size_t line_len = reader->line_len + cr_before; /* with the CR, taken off at the LF */
    size_t line_len_max = reader->line_len_max;
    size_t line_start = 0;
    for (uint64_t lf = masks.lf; lf != 0; lf &= lf - 1) {
        size_t at = (size_t)__builtin_ctzll(lf);
        line_len_max = MAX(line_len_max, line_len + at - line_start - 1);
        line_len = 0;
        line_start = at + 1;
        if (is_stuffed && line_start < BLOCK_LEN && ptr[line_start] == '.')
            return false;
    }
    bool ends_in_cr = masks.cr >> (BLOCK_LEN - 1) != 0;
    reader->line_len = line_len + BLOCK_LEN - line_start - (ends_in_cr ? 1 : 0);
    reader->line_len_max = line_len_max;
    reader->has_nul |= masks.has_nul;
    reader->has_8bit |= masks.has_8bit;
    reader->state = AT_TEXT;
    if (ends_in_cr)
        reader->state = AT_CR;
    else if (line_start == BLOCK_LEN)
        reader->state = AT_START;
    return true;
}

/* One byte of un-stuffed content. */
static void take_text(struct dot_reader *reader, uint8_t byte)
{
    if (reader->state == AT_CR) {
        if (byte == '\n') {
            reader->line_len_max = MAX(reader->line_len_max, reader->line_len);
            reader->line_len = 0;
            reader->state = AT_START;
            return;
        }
        reader->has_bare = true;
        reader->line_len++;
    }
    if (byte == '\r') {
        reader->state = AT_CR;
        return;
    }
    reader->has_bare |= byte == '\n';
    reader->has_nul |= byte == '\0';
    reader->has_8bit |= byte > 127;
    reader->line_len++;
    reader->state = AT_TEXT;
}

/* One byte as it came over the wire; the run is broken where a dot is left out. */
static void take_stuffed(struct dot_reader *reader, const uint8_t *ptr, struct run *run)
{
    static const uint8_t held_cr[] = {'\r'};

    switch ((enum dot_state)reader->state) {
    case AT_START:
        if (*ptr != '.')
            break;
        run_flush(reader, run, ptr);
        reader->state = AT_DOT;
        run->start = ptr + 1;
        return;
    case AT_DOT:
        if (*ptr != '\r')
            break;
        reader->state = AT_DOT_CR;
        run->start = ptr + 1;
        return;
    case AT_DOT_CR:
        if (*ptr == '\n') {
            reader->done = true;
            run->start = ptr + 1;
            return;
        }
        /* ".\r" and something else: a stuffed dot, and the bare CR is content. */
        run->start = held_cr;
        run_flush(reader, run, held_cr + sizeof(held_cr));
        run->start = ptr;
        reader->state = AT_CR;
        break;
    case AT_TEXT:
    case AT_CR:
        break;
    }
    take_text(reader, *ptr);
}

static void run_flush(struct dot_reader *reader, struct run *run, const uint8_t *end)
{
    size_t len = (size_t)(end - run->start);

    if (len == 0)
        return;
    reader->size += len;
    run->out(run->context, (struct bytes){run->start, len});
    run->start = end;
}

void dot_writer_init(struct dot_writer *writer)
{
    *writer = (struct dot_writer){.at_line_start = true};
}

bool dot_write(struct dot_writer *writer, struct bytes b, struct buf *out)
{
    if (b.len == 0)
        return true;
    if (b.len > SIZE_MAX / 2)
        return false;
    /* At worst every line is ".\r\n": one more byte for three. */
    uint8_t *place = buf_reserve(out, b.len + b.len / 3 + 1);
    if (place == NULL)
        return false;
    uint8_t *to = place;
    size_t from = 0;
    if (writer->at_line_start && b.ptr[0] == '.')
        *to++ = '.';
    for (;;) {
        size_t lf = bytes_find(b, '\n', from);
        size_t stop = MIN(lf + 1, b.len);
        memcpy(to, b.ptr + from, stop - from);
        to += stop - from;
        if (lf == b.len)
            break;
        uint8_t before = lf > 0 ? b.ptr[lf - 1] : writer->last;
        writer->at_line_start = before == '\r';
        from = stop;
        if (from == b.len)
            break;
        if (writer->at_line_start && b.ptr[from] == '.')
            *to++ = '.';
    }
    if (b.ptr[b.len - 1] != '\n')
        writer->at_line_start = false;
    writer->last = b.ptr[b.len - 1];
    buf_extend(out, (size_t)(to - place));
    return true;
}

bool dot_write_end(struct dot_writer *writer, struct buf *out)
{
    struct bytes missing = BYTES("\r\n.\r\n");

    if (writer->at_line_start)
        missing = BYTES(".\r\n");
    else if (writer->last == '\r')
        missing = BYTES("\n.\r\n");
    return buf_append(out, missing);
}
