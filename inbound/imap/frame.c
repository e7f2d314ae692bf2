/* frame.c - lines and literals of a command. */
#include "inbound/imap/frame.h"

void frame_init(struct frame *frame, size_t len_max)
{
    *frame = (struct frame){0};
    buf_init(&frame->text, len_max);
}

void frame_free(struct frame *frame)
{
    buf_free(&frame->text);
}

void frame_begin(struct frame *frame, size_t len_max)
{
    buf_free(&frame->text);
    frame_init(frame, len_max);
}

bool frame_is_empty(const struct frame *frame)
{
    return buf_len(&frame->text) == 0 && frame->literal_left == 0;
}

struct bytes frame_text(const struct frame *frame)
{
    struct bytes text = buf_bytes(&frame->text);

    check(text.len >= 2);
    return bytes_slice(text, 0, text.len - 2);
}

bool frame_literal_read(struct bytes line, struct frame_literal *literal_out)
{
    struct frame_literal literal = {.is_waiting = true};
    size_t end = line.len, start;

    if (end == 0 || line.ptr[--end] != '}')
        return false;
    if (end > 0 && line.ptr[end - 1] == '+') {
        literal.is_waiting = false;
        end--;
    }
    start = end;
    while (start > 0 && byte_is_digit(line.ptr[start - 1]))
        start--;
    if (start == end || start == 0 || line.ptr[start - 1] != '{')
        return false;
    if (!bytes_to_u64(bytes_slice(line, start, end - start), &literal.size))
        literal.size = UINT64_MAX;
    literal.is_binary = start > 1 && line.ptr[start - 2] == '~';
    *literal_out = literal;
    return true;
}

static bool take_literal(struct frame *frame, struct bytes *input)
{
    struct bytes part = bytes_slice(*input, 0, frame->literal_left);
    bool fits = buf_append(&frame->text, part);

    check(fits); /* frame_accept() */
    frame->literal_left -= part.len;
    *input = bytes_slice(*input, part.len, input->len);
    if (frame->literal_left > 0)
        return false;
    frame->line_start = buf_len(&frame->text);
    frame->in_cr = false;
    return true;
}

static bool is_sound(struct bytes part, bool in_cr)
{
    for (size_t i = 0; i < part.len; i++) {
        uint8_t c = part.ptr[i];

        if (c == '\0' || (in_cr && c != '\n') || (c == '\n' && !in_cr))
            return false;
        in_cr = c == '\r';
    }
    return true;
}

static enum frame_step take_line(struct frame *frame, struct bytes *input)
{
    size_t end = bytes_find(*input, '\n', 0);
    struct bytes part = bytes_slice(*input, 0, end < input->len ? end + 1 : end);

    if (!is_sound(part, frame->in_cr))
        return FRAME_BROKEN;
    if (!buf_append(&frame->text, part))
        return FRAME_TOO_LONG;
    *input = bytes_slice(*input, part.len, input->len);
    if (part.len > 0)
        frame->in_cr = part.ptr[part.len - 1] == '\r';
    if (part.len != end + 1)
        return FRAME_MORE;
    struct bytes text = buf_bytes(&frame->text);
    struct bytes line = bytes_slice(text, frame->line_start, text.len - 2 - frame->line_start);

    frame->line_start = text.len;
    frame->in_cr = false;
    return frame_literal_read(line, &frame->literal) ? FRAME_LITERAL : FRAME_WHOLE;
}

enum frame_step frame_feed(struct frame *frame, struct bytes *input)
{
    if (frame->literal_left > 0 && !take_literal(frame, input))
        return FRAME_MORE;
    return take_line(frame, input);
}

bool frame_accept(struct frame *frame)
{
    if (frame->literal.size > buf_room(&frame->text))
        return false;
    frame->literal_left = (size_t)frame->literal.size;
    return true;
}
