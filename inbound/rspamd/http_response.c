/* http_response.c - a head, and a body by its length, in chunks or up to the end. */
#include "inbound/rspamd/http_response.h"

struct framing {
    bool has_length, is_chunked, closes;
    uint64_t length;
};

/* A line without its end, off the front; false: there is none. */
static bool take_line(struct bytes *input, struct bytes *line_out)
{
    size_t end = bytes_find_bytes(*input, BYTES("\r\n"), 0);

    if (end == input->len)
        return false;
    *line_out = bytes_slice(*input, 0, end);
    *input = bytes_slice(*input, end + 2, input->len);
    return true;
}

/* "HTTP/1.1 200 OK" */
static bool parse_status(struct bytes line, struct framing *framing, unsigned *status_out)
{
    uint64_t minor, status;

    if (!bytes_take_nocase(&line, BYTES("HTTP/1.")) || line.len < 5 ||
        !bytes_to_u64(bytes_slice(line, 0, 1), &minor) || line.ptr[1] != ' ' ||
        !bytes_to_u64(bytes_slice(line, 2, 3), &status) || status < 100)
        return false;
    if (line.len > 5 && line.ptr[5] != ' ')
        return false;
    framing->closes = minor == 0;
    *status_out = (unsigned)status;
    return true;
}

static bool parse_field(struct bytes line, struct framing *framing)
{
    struct bytes name;
    uint64_t length;

    if (!bytes_take_until(&line, ':', &name) || name.len == 0 || name.ptr[0] == ' ' ||
        name.ptr[0] == '\t')
        return false;
    struct bytes value = bytes_trim(line);
    if (bytes_equal_nocase(name, BYTES("Content-Length"))) {
        if (!bytes_to_u64(value, &length) || (framing->has_length && framing->length != length))
            return false;
        framing->has_length = true;
        framing->length = length;
    } else if (bytes_equal_nocase(name, BYTES("Transfer-Encoding"))) {
        framing->is_chunked = bytes_equal_nocase(value, BYTES("chunked"));
        return framing->is_chunked;
    } else if (bytes_equal_nocase(name, BYTES("Connection"))) {
        framing->closes |= bytes_equal_nocase(value, BYTES("close"));
    }
    return true;
}

/* Status and fields up to the empty line. */
static enum http_step take_head(struct bytes *input, bool is_end, struct framing *framing,
                                unsigned *status_out)
{
    size_t end = bytes_find_bytes(bytes_slice(*input, 0, HTTP_HEAD_MAX), BYTES("\r\n\r\n"), 0);
    struct bytes line;

    if (end == MIN(input->len, (size_t)HTTP_HEAD_MAX))
        return is_end || input->len >= HTTP_HEAD_MAX ? HTTP_BAD : HTTP_MORE;
    struct bytes head = bytes_slice(*input, 0, end + 2);
    *framing = (struct framing){0};
    if (!take_line(&head, &line) || !parse_status(line, framing, status_out))
        return HTTP_BAD;
    while (take_line(&head, &line))
        if (!parse_field(line, framing))
            return HTTP_BAD;
    if (framing->is_chunked && framing->has_length)
        return HTTP_BAD;
    *input = bytes_slice(*input, end + 4, input->len);
    return HTTP_DONE;
}

/* "1a2b" and perhaps an extension behind ";". */
static bool parse_chunk_size(struct bytes line, size_t *size_out)
{
    size_t size = 0, digits = 0;

    for (; digits < line.len; digits++) {
        uint8_t c = byte_lower(line.ptr[digits]);
        bool is_letter = c >= 'a' && c <= 'f';

        if (!byte_is_digit(c) && !is_letter)
            break;
        size = size << 4 | (size_t)(is_letter ? c - 'a' + 10 : c - '0');
        if (size > HTTP_BODY_MAX)
            return false;
    }
    *size_out = size;
    struct bytes rest = bytes_trim(bytes_slice(line, digits, line.len));
    return digits > 0 && (rest.len == 0 || rest.ptr[0] == ';');
}

static enum http_step take_trailer(struct bytes *input)
{
    struct bytes line;

    while (take_line(input, &line))
        if (line.len == 0)
            return HTTP_DONE;
    return input->len > HTTP_HEAD_MAX ? HTTP_BAD : HTTP_MORE;
}

static enum http_step take_chunks(struct bytes *input, struct buf *body)
{
    struct bytes line;
    size_t size;

    for (;;) {
        if (!take_line(input, &line))
            return input->len > HTTP_HEAD_MAX ? HTTP_BAD : HTTP_MORE;
        if (!parse_chunk_size(line, &size))
            return HTTP_BAD;
        if (size == 0)
            return take_trailer(input);
        if (input->len < size + 2)
            return HTTP_MORE;
        if (input->ptr[size] != '\r' || input->ptr[size + 1] != '\n' ||
            buf_len(body) + size > HTTP_BODY_MAX || !buf_append(body, bytes_slice(*input, 0, size)))
            return HTTP_BAD;
        *input = bytes_slice(*input, size + 2, input->len);
    }
}

static enum http_step take_body(struct bytes *input, bool is_end, struct framing *framing,
                                struct buf *body)
{
    if (framing->is_chunked)
        return take_chunks(input, body);
    if (!framing->has_length) { /* up to the end */
        framing->closes = true;
        framing->length = input->len;
        if (!is_end && input->len <= HTTP_BODY_MAX)
            return HTTP_MORE;
    }
    if (framing->length > HTTP_BODY_MAX)
        return HTTP_BAD;
    if (input->len < framing->length)
        return HTTP_MORE;
    if (!buf_append(body, bytes_slice(*input, 0, (size_t)framing->length)))
        return HTTP_BAD;
    *input = bytes_slice(*input, (size_t)framing->length, input->len);
    return HTTP_DONE;
}

enum http_step http_response_take(struct bytes *input, bool is_end, struct http_response *out,
                                  struct buf *body)
{
    struct bytes rest = *input;
    struct framing framing = {0};
    unsigned status = 0;
    enum http_step step;

    buf_clear(body);
    do {
        step = take_head(&rest, is_end, &framing, &status);
    } while (step == HTTP_DONE && status < 200); /* each takes something off */
    if (step == HTTP_DONE)
        step = take_body(&rest, is_end, &framing, body);
    if (step == HTTP_MORE && is_end)
        step = HTTP_BAD;
    if (step != HTTP_DONE)
        return step;
    *out = (struct http_response){status, !framing.closes};
    *input = rest;
    return HTTP_DONE;
}
