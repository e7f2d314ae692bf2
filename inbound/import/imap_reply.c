/* imap_reply.c - responses of servers. */
#include "inbound/import/imap_reply.h"

#include <errno.h>
#include <string.h>

#include "inbound/imap/scan.h"

enum {
    DEPTH_MAX = 64, /* of parentheses in what is passed over */
    LITERAL_DIGITS_MAX = 20,
};

/* --- a response put together ------------------------------------------------------------------ */

void imap_reader_begin(struct imap_reader *reader, uint64_t content_max, void *context,
                       int (*content)(void *context, struct bytes b))
{
    *reader = (struct imap_reader){.content_max = content_max,
                                   .context = context,
                                   .content = content,
                                   .is_whole = true};
    buf_init(&reader->reply, IMAP_REPLY_MAX);
}

void imap_reader_free(struct imap_reader *reader)
{
    buf_free(&reader->reply);
}

/* "... {123}" or "{123+}" at the end of a line; *head_out is what stands before it. */
static bool announces_literal(struct bytes line, struct bytes *head_out, uint64_t *size_out)
{
    if (line.len < 3 || line.ptr[line.len - 1] != '}')
        return false;
    size_t at = line.len - 1, digits = at - (line.ptr[at - 1] == '+');

    at = digits;
    while (at > 0 && byte_is_digit(line.ptr[at - 1]) && digits - at < LITERAL_DIGITS_MAX)
        at--;
    if (at == 0 || line.ptr[at - 1] != '{' ||
        !bytes_to_u64(bytes_slice(line, at, digits - at), size_out))
        return false;
    at--;
    *head_out = bytes_slice(line, 0, at > 0 && line.ptr[at - 1] == '~' ? at - 1 : at);
    return true;
}

/* The line at the end of the reply is over: 1, or 0 where a literal follows. */
static int end_line(struct imap_reader *reader)
{
    struct bytes text = buf_bytes(&reader->reply), head;
    uint64_t size;

    if (text.len > reader->line_start && text.ptr[text.len - 1] == '\r')
        buf_truncate(&reader->reply, text.len - 1);
    text = buf_bytes(&reader->reply);
    /* A literal may end in what looks like another's beginning. */
    if (!announces_literal(bytes_slice(text, reader->line_start, text.len), &head, &size))
        return 1;
    bool is_content =
        text.len > 0 && text.ptr[0] == '*' && bytes_ends_nocase(head, BYTES("BODY[] "));

    if (is_content && reader->has_content)
        return -EPROTO;
    if (size > (is_content ? reader->content_max : buf_room(&reader->reply)))
        return -EMSGSIZE;
    reader->is_in_literal = true;
    reader->streams = is_content;
    reader->has_content |= is_content;
    reader->literal_left = size;
    if (is_content)
        buf_truncate(&reader->reply, reader->line_start + head.len);
    return buf_append(&reader->reply, is_content ? BYTES("NIL") : BYTES("\r\n")) ? 0 : -EMSGSIZE;
}

static int take_literal(struct imap_reader *reader, struct bytes *input)
{
    struct bytes part = bytes_slice(*input, 0, MIN(reader->literal_left, (uint64_t)input->len));

    *input = bytes_slice(*input, part.len, input->len);
    reader->literal_left -= part.len;
    reader->is_in_literal = reader->literal_left > 0;
    if (!reader->streams && !buf_append(&reader->reply, part))
        return -EMSGSIZE;
    reader->line_start = buf_len(&reader->reply);
    return !reader->streams || part.len == 0 ? 0 : reader->content(reader->context, part);
}

int imap_reader_feed(struct imap_reader *reader, struct bytes *input)
{
    int result = 0;

    if (reader->is_whole) {
        buf_clear(&reader->reply);
        reader->has_content = false;
        reader->is_whole = false;
        reader->line_start = 0;
    }
    while (input->len > 0 && result == 0) {
        if (reader->is_in_literal) {
            result = take_literal(reader, input);
            continue;
        }
        size_t end = bytes_find(*input, '\n', 0);
        bool is_line = end < input->len;

        if (!buf_append(&reader->reply, bytes_slice(*input, 0, end)))
            return -EMSGSIZE;
        *input = bytes_slice(*input, is_line ? end + 1 : end, input->len);
        if (is_line)
            result = end_line(reader);
    }
    reader->is_whole = result == 1;
    return result;
}

/* --- what it says ----------------------------------------------------------------------------- */

static bool take_word(struct bytes *rest, struct bytes *word_out)
{
    size_t end = bytes_find(*rest, ' ', 0);

    *word_out = bytes_slice(*rest, 0, end);
    *rest = bytes_slice(*rest, end + 1, rest->len);
    return word_out->len > 0;
}

bool imap_reply_read(struct bytes text, struct imap_reply *out)
{
    struct bytes word;

    *out = (struct imap_reply){.kind = IMAP_REPLY_UNTAGGED, .rest = text};
    if (text.len > 0 && text.ptr[0] == '+') {
        out->kind = IMAP_REPLY_CONTINUE;
        return true;
    }
    if (!take_word(&out->rest, &word))
        return false;
    if (!bytes_equal(word, BYTES("*"))) {
        out->kind = IMAP_REPLY_TAGGED;
        out->tag = word;
        return take_word(&out->rest, &out->word);
    }
    struct bytes rest = out->rest;

    if (imap_take_number(&rest, &out->number) && imap_take_space(&rest)) {
        out->has_number = true;
        out->rest = rest;
    }
    return take_word(&out->rest, &out->word);
}

bool imap_reply_code(struct bytes rest, const char *name, uint32_t *number_out)
{
    return imap_take_byte(&rest, '[') && bytes_take_nocase(&rest, bytes_of(name)) &&
           imap_take_space(&rest) && imap_take_number(&rest, number_out);
}

bool imap_reply_has(struct bytes rest, const char *word)
{
    struct bytes part;

    while (rest.len > 0) {
        size_t end = MIN(bytes_find(rest, ' ', 0), bytes_find(rest, ']', 0));

        part = bytes_slice(rest, 0, end);
        if (bytes_equal_nocase(part, bytes_of(word)))
            return true;
        rest = bytes_slice(rest, end + 1, rest.len);
    }
    return false;
}

/* --- FETCH ------------------------------------------------------------------------------------ */

/* Any value: a number, an atom with brackets, a string, a list of them. */
static bool pass_over(struct arena *arena, struct bytes *rest)
{
    unsigned depth = 0;
    struct bytes text;

    do {
        if (imap_take_byte(rest, '(')) {
            if (++depth > DEPTH_MAX)
                return false;
        } else if (depth > 0 && imap_take_byte(rest, ')')) {
            depth--;
        } else if (depth > 0 && imap_take_space(rest)) {
            continue;
        } else if (!imap_take_string(arena, rest, &text)) {
            size_t end = 0;

            while (end < rest->len && strchr(" ()\"{\r\n", rest->ptr[end]) == NULL)
                end++;
            if (end == 0)
                return false;
            *rest = bytes_slice(*rest, end, rest->len);
        }
    } while (depth > 0);
    return true;
}

/* "(\Seen $Forwarded)"; a flag is whatever stands between spaces. */
static bool take_flags(struct bytes *rest, struct imap_fetched *out)
{
    size_t end = bytes_find(*rest, ')', 0);
    struct bytes flags, flag;

    if (!imap_take_byte(rest, '(') || end > rest->len)
        return false;
    flags = bytes_slice(*rest, 0, end - 1);
    *rest = bytes_slice(*rest, end, rest->len);
    while (flags.len > 0)
        if (take_word(&flags, &flag) && out->flag_count < IMAP_LISTED_FLAGS_MAX)
            out->flags[out->flag_count++] = flag;
    return true;
}

static bool take_item(struct arena *arena, struct bytes *rest, struct imap_fetched *out)
{
    struct bytes name;
    size_t end = 0;
    bool is_in_brackets = false;

    /* "BODY[HEADER.FIELDS (A B)]" is one name. */
    while (end < rest->len && (is_in_brackets || strchr(" ()", rest->ptr[end]) == NULL)) {
        if (rest->ptr[end] == '[')
            is_in_brackets = true;
        else if (rest->ptr[end] == ']')
            is_in_brackets = false;
        end++;
    }
    name = bytes_slice(*rest, 0, end);
    *rest = bytes_slice(*rest, end, rest->len);
    if (name.len == 0 || !imap_take_space(rest))
        return false;
    if (bytes_equal_nocase(name, BYTES("UID")))
        return imap_take_nz_number(rest, &out->uid);
    if (bytes_equal_nocase(name, BYTES("RFC822.SIZE")))
        return out->has_size = imap_take_number64(rest, &out->size);
    if (bytes_equal_nocase(name, BYTES("FLAGS")))
        return take_flags(rest, out);
    if (bytes_equal_nocase(name, BYTES("BODY[]")))
        return out->has_body = imap_take_nstring(arena, rest, &out->body);
    if (!bytes_equal_nocase(name, BYTES("INTERNALDATE")))
        return pass_over(arena, rest);
    out->has_date = imap_take_date_time(rest, &out->date_s);
    return out->has_date || pass_over(arena, rest); /* a date that is none is no reason to fail */
}

bool imap_reply_fetch(struct arena *arena, struct bytes rest, struct imap_fetched *out)
{
    *out = (struct imap_fetched){.uid = 0};
    if (!imap_take_byte(&rest, '('))
        return false;
    while (rest.len > 0 && rest.ptr[0] != ')') {
        if (!take_item(arena, &rest, out))
            return false;
        while (imap_take_space(&rest))
            continue;
    }
    return imap_take_byte(&rest, ')');
}

/* --- LIST, NAMESPACE -------------------------------------------------------------------------- */

bool imap_reply_list(struct arena *arena, struct bytes rest, struct imap_listed *out)
{
    struct imap_fetched attributes = {.uid = 0};
    struct bytes separator;

    if (!take_flags(&rest, &attributes) || !imap_take_space(&rest) ||
        !imap_take_nstring(arena, &rest, &separator) || separator.len > 1 ||
        !imap_take_space(&rest))
        return false;
    *out = (struct imap_listed){.is_selectable = true,
                                .separator = separator.len == 1 ? separator.ptr[0] : 0};
    for (size_t i = 0; i < attributes.flag_count; i++)
        if (bytes_equal_nocase(attributes.flags[i], BYTES("\\NoSelect")) ||
            bytes_equal_nocase(attributes.flags[i], BYTES("\\NonExistent")))
            out->is_selectable = false;
    struct bytes behind = rest;

    if (imap_take_astring(arena, &behind, &out->name) && (behind.len == 0 || behind.ptr[0] == ' '))
        return out->name.len > 0;
    /* An atom with bytes that none may have: some servers write them all the same. */
    out->name = bytes_slice(rest, 0, bytes_find(rest, ' ', 0));
    return out->name.len > 0 && out->name.ptr[0] != '"' && out->name.ptr[0] != '(';
}

bool imap_reply_namespace(struct arena *arena, struct bytes rest, struct bytes *prefix_out)
{
    *prefix_out = BYTES_NONE;
    if (bytes_take_nocase(&rest, BYTES("NIL")))
        return true;
    return imap_take_byte(&rest, '(') && imap_take_byte(&rest, '(') &&
           imap_take_string(arena, &rest, prefix_out);
}
