/* bounce_free.c - addresses and reasons out of prose. */
#include "inbound/report/bounce_free.h"

#include "inbound/report/report_fields.h"

enum { STATUS_DIGITS_MAX = 3 }; /* of subject and detail */

/* --- status codes ----------------------------------------------------------------------------- */

/* Takes ".D", ".DD" or ".DDD". */
static bool take_part(struct bytes text, size_t *at)
{
    size_t digits = 0;

    if (*at >= text.len || text.ptr[*at] != '.')
        return false;
    while (*at + 1 + digits < text.len && byte_is_digit(text.ptr[*at + 1 + digits]))
        digits++;
    *at += 1 + digits;
    return digits >= 1 && digits <= STATUS_DIGITS_MAX;
}

/* Four numbers with dots are an address of a host, and what follows a digit is part of one. */
static bool stands_alone(struct bytes text, size_t start, size_t end)
{
    bool begins = start == 0 || (!byte_is_alnum(text.ptr[start - 1]) && text.ptr[start - 1] != '.');
    bool goes_on = end + 1 < text.len && text.ptr[end] == '.' && byte_is_alnum(text.ptr[end + 1]);

    return begins && !goes_on && (end == text.len || !byte_is_alnum(text.ptr[end]));
}

struct bytes bounce_find_status(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        size_t end = i + 1;

        if (text.ptr[i] != '2' && text.ptr[i] != '4' && text.ptr[i] != '5')
            continue;
        if (take_part(text, &end) && take_part(text, &end) && stands_alone(text, i, end))
            return bytes_slice(text, i, end - i);
    }
    return BYTES_NONE;
}

/* "550 ", "450-": what a server replied, where no status code was told. False: neither. */
static bool find_reply_class(struct bytes text, uint8_t *class_out)
{
    for (size_t i = 0; i + 3 <= text.len; i++) {
        struct bytes code = bytes_slice(text, i, 3);
        bool is_apart = (i == 0 || !byte_is_alnum(text.ptr[i - 1])) &&
                        (i + 3 == text.len || text.ptr[i + 3] == ' ' || text.ptr[i + 3] == '-');

        if (is_apart && (code.ptr[0] == '4' || code.ptr[0] == '5') && code.ptr[1] <= '5' &&
            byte_is_digit(code.ptr[1]) && byte_is_digit(code.ptr[2])) {
            *class_out = code.ptr[0];
            return true;
        }
    }
    return false;
}

static void add(struct bounce *out, struct bytes address, struct bytes reason)
{
    struct bounce_recipient *recipient;
    uint8_t class = '5';

    for (size_t i = 0; i < out->count; i++)
        if (bytes_equal_nocase(out->recipients[i].address, address))
            return;
    if (out->count == BOUNCE_RECIPIENTS_MAX) {
        out->is_cut = true;
        return;
    }
    recipient = &out->recipients[out->count++];
    recipient->address = address;
    recipient->diagnostic = bytes_slice(reason, 0, BOUNCE_TEXT_MAX);
    recipient->status = bounce_find_status(reason);
    if (recipient->status.len > 0)
        class = recipient->status.ptr[0];
    else if (!find_reply_class(reason, &class))
        class = '5';
    /* Both programs write once they have given up, whatever the last reply was; only one that says
     * 2 did not mean a failure. */
    recipient->action = class == '2' ? BOUNCE_DELIVERED : BOUNCE_FAILED;
}

/* --- prose ------------------------------------------------------------------------------------ */

static bool is_rule(struct bytes line)
{
    return bytes_equal(bytes_slice(line, 0, 3), BYTES("---"));
}

/* The lines up to the next blank one, apart by spaces, in the arena. False: no room. */
static bool take_paragraph(struct bytes *text, struct arena *arena, struct bytes *out)
{
    struct bytes rest = *text, line;
    size_t len = 0;

    while (report_take_line(&rest, &line) && bytes_trim(line).len > 0)
        len += 1 + line.len;
    uint8_t *joined = arena_alloc(arena, len + 1);

    if (joined == NULL)
        return false;
    uint8_t *at = joined;
    while (report_take_line(text, &line) && bytes_trim(line).len > 0) {
        if (at > joined)
            *at++ = ' ';
        bytes_put(bytes_trim(line), &at);
    }
    *out = bytes_range(joined, (size_t)(at - joined));
    return true;
}

/* "<a@example.org>:" at the start of a line. */
static bool take_bracketed(struct bytes line, struct bytes *address_out)
{
    size_t end = bytes_find(line, '>', 0);

    if (line.len == 0 || line.ptr[0] != '<' || end + 1 >= line.len || line.ptr[end + 1] != ':')
        return false;
    *address_out = bytes_slice(line, 1, end - 1);
    return bytes_find(*address_out, '@', 0) < address_out->len;
}

/* qmail's: its first line is what its kin keep as well. */
static bool read_qmail(struct mail_parts *parts, struct bytes text, struct bounce *out)
{
    struct bytes line, address, paragraph;

    if (!bytes_starts_nocase(text, BYTES("Hi. This is the ")))
        return true;
    for (;;) {
        struct bytes here = text;

        if (!report_take_line(&text, &line) || is_rule(line))
            return true;
        if (!take_bracketed(line, &address))
            continue;
        /* The reason begins in the line of the address or in the next. */
        if (bytes_trim(bytes_slice(line, address.len + 3, line.len)).len > 0)
            text = bytes_slice(here, address.len + 3, here.len);
        if (!take_paragraph(&text, &parts->arena, &paragraph))
            return false;
        add(out, address, bytes_trim(paragraph));
    }
}

/* Exim's text has each address on an indented line of its own and the reason indented below it. */
static struct bytes exim_reason(struct bytes text, struct bytes address)
{
    struct bytes line;

    while (report_take_line(&text, &line)) {
        bool is_indented = line.len > 0 && line.ptr[0] == ' ';

        if (!is_indented || !bytes_equal_nocase(bytes_trim(line), address))
            continue;
        size_t end = bytes_find_bytes(text, BYTES("\n\n"), 0);
        size_t end_crlf = bytes_find_bytes(text, BYTES("\r\n\r\n"), 0);

        return bytes_slice(text, 0, end < end_crlf ? end : end_crlf);
    }
    return BYTES_NONE;
}

static bool read_exim(struct mail_parts *parts, struct bytes text, struct bounce *out)
{
    struct bytes list = parts->failed_for;

    while (list.len > 0) {
        size_t end = bytes_find(list, ',', 0);
        struct bytes address = bytes_trim(bytes_slice(list, 0, end));
        struct bytes reason = exim_reason(text, address), joined = BYTES_NONE;

        list = bytes_slice(list, end + 1, list.len);
        if (bytes_find(address, '@', 0) == address.len)
            continue;
        if (!take_paragraph(&reason, &parts->arena, &joined))
            return false;
        add(out, address, joined);
    }
    return true;
}

/* The text of the message that came back stands behind the prose. */
static struct bytes returned_message_id(struct bytes text, struct arena *arena)
{
    struct report_field field;
    enum report_step step;

    while ((step = report_field_next(&text, arena, &field)) == REPORT_FIELD ||
           step == REPORT_GROUP_END)
        if (step == REPORT_FIELD && bytes_equal_nocase(field.name, BYTES("Message-ID")))
            return field.value;
    return BYTES_NONE;
}

bool bounce_read_free(struct mail_parts *parts, struct bounce *out)
{
    const struct mail_part *prose = mail_parts_find(parts, "text/plain");

    if (prose == NULL || !read_exim(parts, prose->content, out) ||
        !read_qmail(parts, prose->content, out) || out->count == 0)
        return false;
    if (out->message_id.len == 0)
        out->message_id = returned_message_id(prose->content, &parts->arena);
    return true;
}
