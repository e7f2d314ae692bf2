/* canonical.c - what needs no change is found in blocks and passed on; the rest goes by bytes. */
#include "auth/dkim/canonical.h"

#include <string.h>

#include "auth/dkim/canonical_block.h"

void canonical_body_init(struct canonical_body *body, enum canonical_form form,
                         struct canonical_sink sink)
{
    body->size = 0;
    body->form = form;
    body->sink = sink;
    body->empty_lines = 0;
    body->cr_pending = false;
    body->space_pending = false;
    body->staged_len = 0;
}

static void flush(struct canonical_body *body)
{
    if (body->staged_len > 0)
        body->sink.put(body->sink.context, bytes_range(body->staged, body->staged_len));
    body->staged_len = 0;
}

static void stage(struct canonical_body *body, uint8_t byte)
{
    if (body->staged_len == sizeof(body->staged))
        flush(body);
    body->staged[body->staged_len++] = byte;
    body->size++;
}

/* What was held back is followed by content, so it counts. */
static void stage_pending(struct canonical_body *body)
{
    for (; body->empty_lines > 0; body->empty_lines--) {
        stage(body, '\r');
        stage(body, '\n');
    }
    if (body->space_pending)
        stage(body, ' ');
    body->space_pending = false;
}

static void feed_byte(struct canonical_body *body, uint8_t byte)
{
    if (body->cr_pending) {
        body->cr_pending = false;
        if (byte == '\n') {
            body->empty_lines++;
            body->space_pending = false;
            return;
        }
        stage_pending(body);
        stage(body, '\r');
    }
    if (byte == '\r') {
        body->cr_pending = true;
    } else if (body->form == CANONICAL_RELAXED && (byte == ' ' || byte == '\t')) {
        body->space_pending = true;
    } else {
        stage_pending(body);
        stage(body, byte);
    }
}

/* Passes on what stays as it is; how many bytes that took of the front. */
static size_t feed_plain(struct canonical_body *body, struct bytes b)
{
    size_t len = canonical_plain_len(b, body->form == CANONICAL_RELAXED);
    size_t put = len;

    /* A line end is held back, and one cut in two is left to feed_byte(). */
    if (len > 0 && b.ptr[len - 1] == '\r')
        put = --len;
    else if (len > 1 && b.ptr[len - 1] == '\n' && b.ptr[len - 2] == '\r')
        put -= 2;
    if (put == 0)
        return 0;
    stage_pending(body);
    flush(body);
    body->sink.put(body->sink.context, bytes_slice(b, 0, put));
    body->size += put;
    body->empty_lines += put < len;
    return len;
}

void canonical_body_feed(struct canonical_body *body, struct bytes b)
{
    size_t at = 0;

    while (at < b.len) {
        size_t plain = 0;

        if (!body->cr_pending && b.len - at >= CANONICAL_BLOCK_LEN)
            plain = feed_plain(body, bytes_slice(b, at, b.len));
        if (plain == 0) {
            feed_byte(body, b.ptr[at]);
            plain = 1;
        }
        at += plain;
    }
    flush(body);
}

void canonical_body_finish(struct canonical_body *body)
{
    if (body->cr_pending) {
        body->cr_pending = false;
        stage_pending(body);
        stage(body, '\r');
    }
    /* Without content simple is one line end and relaxed is nothing; else there is just one. */
    if (body->form == CANONICAL_SIMPLE || body->size > 0) {
        stage(body, '\r');
        stage(body, '\n');
    }
    body->empty_lines = 0;
    body->space_pending = false;
    flush(body);
}

/* --- header fields ---------------------------------------------------------------------------- */

/* Bytes on their way to a sink, so that it is called for many at once. */
struct writer {
    struct canonical_sink sink;
    size_t len;
    bool space_pending;
    bool has_content; /* white space before it is not part of the value */
    uint8_t bytes[512];
};

static void writer_flush(struct writer *writer)
{
    if (writer->len > 0)
        writer->sink.put(writer->sink.context, bytes_range(writer->bytes, writer->len));
    writer->len = 0;
}

static void write_byte(struct writer *writer, uint8_t byte)
{
    if (writer->len == sizeof(writer->bytes))
        writer_flush(writer);
    writer->bytes[writer->len++] = byte;
}

static void write_run(struct writer *writer, struct bytes run)
{
    if (run.len > sizeof(writer->bytes) - writer->len)
        writer_flush(writer);
    if (run.len > sizeof(writer->bytes)) {
        writer->sink.put(writer->sink.context, run);
        return;
    }
    memcpy(writer->bytes + writer->len, run.ptr, run.len);
    writer->len += run.len;
}

/* How much of the front stays as it is, for it begins with content: up to white space that is more
 * than one space between words. */
static size_t relaxed_run(struct bytes part)
{
    size_t at = 1;

    while (at < part.len) {
        uint8_t byte = part.ptr[at];

        if (byte > ' ')
            at++;
        else if (byte == ' ' && at + 1 < part.len && part.ptr[at + 1] > ' ')
            at += 2;
        else if (byte == ' ' || byte == '\t' || byte == '\r')
            break;
        else
            at++;
    }
    return at;
}

/* A part of a value: unfolded, white space as one space where something stands on both sides. */
static void write_relaxed(struct writer *writer, struct bytes part)
{
    while (part.len > 0) {
        size_t len = 1;

        if (part.ptr[0] == ' ' || part.ptr[0] == '\t') {
            writer->space_pending = true;
        } else if (part.len >= 2 && part.ptr[0] == '\r' && part.ptr[1] == '\n') {
            len = 2; /* a fold: what follows is white space */
        } else {
            if (writer->space_pending && writer->has_content)
                write_byte(writer, ' ');
            writer->space_pending = false;
            writer->has_content = true;
            len = relaxed_run(part);
            write_run(writer, bytes_slice(part, 0, len));
        }
        part = bytes_slice(part, len, part.len);
    }
}

static void put_relaxed(const struct mail_field *field, struct bytes before, struct bytes behind,
                        bool with_crlf, struct canonical_sink sink)
{
    struct writer writer;

    writer.sink = sink;
    writer.len = 0;
    writer.space_pending = false;
    writer.has_content = false;
    for (size_t i = 0; i < field->name.len; i++)
        write_byte(&writer, byte_lower(field->name.ptr[i]));
    write_byte(&writer, ':');
    write_relaxed(&writer, before);
    write_relaxed(&writer, behind);
    if (with_crlf) {
        write_byte(&writer, '\r');
        write_byte(&writer, '\n');
    }
    writer_flush(&writer);
}

static void put_some(struct canonical_sink sink, struct bytes b)
{
    if (b.len > 0)
        sink.put(sink.context, b);
}

void canonical_field_put(enum canonical_form form, const struct mail_field *field,
                         struct bytes without, bool with_crlf, struct canonical_sink sink)
{
    struct bytes value = field->value;
    size_t cut = without.ptr == NULL ? value.len : (size_t)(without.ptr - value.ptr);

    check(cut + without.len <= value.len);
    struct bytes before = bytes_slice(value, 0, cut);
    struct bytes behind = bytes_slice(value, cut + without.len, value.len);

    if (form == CANONICAL_RELAXED) {
        put_relaxed(field, before, behind, with_crlf, sink);
        return;
    }
    put_some(sink, bytes_slice(field->raw, 0, (size_t)(value.ptr - field->raw.ptr)));
    put_some(sink, before);
    put_some(sink, behind);
    if (with_crlf)
        put_some(sink, BYTES("\r\n"));
}

bool canonical_form_parse(struct bytes name, enum canonical_form *form_out)
{
    bool is_relaxed = bytes_equal(name, BYTES("relaxed"));

    if (!is_relaxed && !bytes_equal(name, BYTES("simple")))
        return false;
    *form_out = is_relaxed ? CANONICAL_RELAXED : CANONICAL_SIMPLE;
    return true;
}

const char *canonical_form_name(enum canonical_form form)
{
    return form == CANONICAL_RELAXED ? "relaxed" : "simple";
}
