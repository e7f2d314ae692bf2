/* scan.c - takers of IMAP's grammar. */
#include "inbound/imap/scan.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/utf8.h"

static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

static struct bytes behind(struct bytes b, size_t len)
{
    return bytes_slice(b, len, b.len);
}

/* What no atom has: RFC 9051 section 9, atom-specials. */
bool imap_is_atom_char(uint8_t c)
{
    return c > 32 && c < 127 && memchr("(){%*\"\\]", c, 8) == NULL;
}

static bool is_astring_char(uint8_t c)
{
    return imap_is_atom_char(c) || c == ']';
}

static bool is_tag_char(uint8_t c)
{
    return is_astring_char(c) && c != '+';
}

static bool is_list_char(uint8_t c)
{
    return is_astring_char(c) || c == '%' || c == '*';
}

static bool take_run(struct bytes *input, bool (*is_of)(uint8_t c), struct bytes *run_out)
{
    size_t len = 0;

    while (len < input->len && is_of(input->ptr[len]))
        len++;
    if (len == 0)
        return false;
    *run_out = bytes_slice(*input, 0, len);
    *input = behind(*input, len);
    return true;
}

bool imap_take_byte(struct bytes *input, uint8_t byte)
{
    if (input->len == 0 || input->ptr[0] != byte)
        return false;
    *input = behind(*input, 1);
    return true;
}

bool imap_take_word(struct bytes *input, const char *word)
{
    struct bytes rest = *input;

    if (!bytes_take_nocase(&rest, bytes_of(word)))
        return false;
    if (rest.len > 0 && imap_is_atom_char(rest.ptr[0]))
        return false;
    *input = rest;
    return true;
}

bool imap_take_tag(struct bytes *input, struct bytes *tag_out)
{
    struct bytes rest = *input, tag;

    if (!take_run(&rest, is_tag_char, &tag) || tag.len > IMAP_TAG_MAX)
        return false;
    *input = rest;
    *tag_out = tag;
    return true;
}

bool imap_take_atom(struct bytes *input, struct bytes *atom_out)
{
    return take_run(input, imap_is_atom_char, atom_out);
}

/* The length of what is between the quotes, 0 too for "\"\""; false where it ends nowhere. */
static bool measure_quoted(struct bytes b, size_t *len_out, bool *has_escapes_out)
{
    size_t at = 1;

    *has_escapes_out = false;
    if (b.len == 0 || b.ptr[0] != '"')
        return false;
    while (at < b.len && b.ptr[at] != '"') {
        uint8_t c = b.ptr[at];

        if (c == '\0' || c == '\r' || c == '\n')
            return false;
        if (c == '\\') {
            if (at + 1 >= b.len || (b.ptr[at + 1] != '"' && b.ptr[at + 1] != '\\'))
                return false;
            *has_escapes_out = true;
            at++;
        } else if (c >= 128) {
            size_t len = utf8_character(behind(b, at));

            if (len == 0)
                return false;
            at += len - 1;
        }
        at++;
    }
    *len_out = at - 1;
    return at < b.len;
}

bool imap_take_quoted(struct arena *arena, struct bytes *input, struct bytes *text_out)
{
    size_t len, count = 0;
    bool has_escapes;

    if (!measure_quoted(*input, &len, &has_escapes))
        return false;
    struct bytes text = bytes_slice(*input, 1, len);

    if (has_escapes) {
        uint8_t *copy = arena_alloc(arena, len);

        if (copy == NULL)
            return false;
        for (size_t i = 0; i < len; i++) {
            if (text.ptr[i] == '\\')
                i++;
            copy[count++] = text.ptr[i];
        }
        text = bytes_range(copy, count);
    }
    *text_out = text;
    *input = behind(*input, len + 2);
    return true;
}

bool imap_take_literal(struct bytes *input, bool takes_binary, struct bytes *text_out)
{
    struct bytes rest = *input;
    bool is_binary = imap_take_byte(&rest, '~');
    uint64_t len;

    if (is_binary && !takes_binary)
        return false;
    if (!imap_take_byte(&rest, '{') || !bytes_take_u64(&rest, &len))
        return false;
    (void)!imap_take_byte(&rest, '+');
    if (!bytes_take_nocase(&rest, BYTES("}\r\n")) || len > rest.len)
        return false;
    struct bytes text = bytes_slice(rest, 0, len);

    if (!is_binary && bytes_find(text, '\0', 0) < text.len)
        return false;
    *text_out = text;
    *input = behind(rest, len);
    return true;
}

bool imap_take_string(struct arena *arena, struct bytes *input, struct bytes *text_out)
{
    return imap_take_quoted(arena, input, text_out) || imap_take_literal(input, false, text_out);
}

bool imap_take_astring(struct arena *arena, struct bytes *input, struct bytes *text_out)
{
    return take_run(input, is_astring_char, text_out) || imap_take_string(arena, input, text_out);
}

bool imap_take_nstring(struct arena *arena, struct bytes *input, struct bytes *text_out)
{
    if (imap_take_word(input, "NIL")) {
        *text_out = BYTES_NONE;
        return true;
    }
    return imap_take_string(arena, input, text_out);
}

bool imap_take_list_mailbox(struct arena *arena, struct bytes *input, struct bytes *text_out)
{
    return take_run(input, is_list_char, text_out) || imap_take_string(arena, input, text_out);
}

bool imap_take_number64(struct bytes *input, uint64_t *number_out)
{
    struct bytes rest = *input;
    uint64_t number;

    if (!bytes_take_u64(&rest, &number) || number > INT64_MAX)
        return false;
    *number_out = number;
    *input = rest;
    return true;
}

bool imap_take_number(struct bytes *input, uint32_t *number_out)
{
    struct bytes rest = *input;
    uint64_t number;

    if (!bytes_take_u64(&rest, &number) || number > UINT32_MAX)
        return false;
    *number_out = (uint32_t)number;
    *input = rest;
    return true;
}

/* Without leading zeros: RFC 9051 section 9, nz-number. */
bool imap_take_nz_number(struct bytes *input, uint32_t *number_out)
{
    struct bytes rest = *input;
    uint32_t number;

    if (rest.len == 0 || rest.ptr[0] == '0' || !imap_take_number(&rest, &number))
        return false;
    *number_out = number;
    *input = rest;
    return true;
}

/* --- dates ------------------------------------------------------------------------------------ */

static bool take_digits(struct bytes *input, size_t count, int *value_out)
{
    int value = 0;

    if (input->len < count)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!byte_is_digit(input->ptr[i]))
            return false;
        value = value * 10 + (input->ptr[i] - '0');
    }
    *value_out = value;
    *input = behind(*input, count);
    return true;
}

static bool take_month(struct bytes *input, int *month_out)
{
    for (size_t i = 0; i < ARRAY_LEN(months); i++)
        if (bytes_take_nocase(input, bytes_of(months[i]))) {
            *month_out = (int)i;
            return true;
        }
    return false;
}

/* Midnight, or false where there is no such day. */
static bool day_of(int year, int month, int day, int64_t *seconds_out)
{
    struct tm tm = {.tm_year = year - 1900, .tm_mon = month, .tm_mday = day};
    time_t seconds;

    if (day < 1 || day > 31)
        return false;
    seconds = timegm(&tm);
    if (tm.tm_mday != day) /* it was the next month's */
        return false;
    *seconds_out = seconds;
    return true;
}

/* "-Feb-2020" behind the day. */
static bool take_month_and_year(struct bytes *input, int day, int64_t *seconds_out)
{
    int month, year;

    return imap_take_byte(input, '-') && take_month(input, &month) && imap_take_byte(input, '-') &&
           take_digits(input, 4, &year) && day_of(year, month, day, seconds_out);
}

bool imap_take_date(struct bytes *input, int64_t *seconds_out)
{
    struct bytes rest = *input;
    bool is_quoted = imap_take_byte(&rest, '"');
    int day;

    if (!take_digits(&rest, 2, &day) && !take_digits(&rest, 1, &day))
        return false;
    if (!take_month_and_year(&rest, day, seconds_out) || (is_quoted && !imap_take_byte(&rest, '"')))
        return false;
    *input = rest;
    return true;
}

static bool take_time(struct bytes *input, int64_t *seconds_out)
{
    int hour, minute, second, zone_hour, zone_minute;

    if (!take_digits(input, 2, &hour) || !imap_take_byte(input, ':') ||
        !take_digits(input, 2, &minute) || !imap_take_byte(input, ':') ||
        !take_digits(input, 2, &second) || !imap_take_byte(input, ' '))
        return false;
    bool is_west = imap_take_byte(input, '-');

    if ((!is_west && !imap_take_byte(input, '+')) || !take_digits(input, 2, &zone_hour) ||
        !take_digits(input, 2, &zone_minute))
        return false;
    if (hour > 23 || minute > 59 || second > 60 || zone_hour > 23 || zone_minute > 59)
        return false;
    int64_t zone = zone_hour * 3600 + zone_minute * 60;

    *seconds_out = hour * 3600 + minute * 60 + second + (is_west ? zone : -zone);
    return true;
}

bool imap_take_date_time(struct bytes *input, int64_t *seconds_out)
{
    struct bytes rest = *input;
    int64_t midnight, seconds;
    int day;

    if (!imap_take_byte(&rest, '"'))
        return false;
    bool is_day =
        imap_take_byte(&rest, ' ') ? take_digits(&rest, 1, &day) : take_digits(&rest, 2, &day);

    if (!is_day || !take_month_and_year(&rest, day, &midnight) || !imap_take_byte(&rest, ' ') ||
        !take_time(&rest, &seconds) || !imap_take_byte(&rest, '"'))
        return false;
    *seconds_out = midnight + seconds;
    *input = rest;
    return true;
}

/* --- flags ------------------------------------------------------------------------------------ */

bool imap_take_flag(struct bytes *input, struct bytes *flag_out)
{
    static const char *const system[] = {"\\Answered", "\\Flagged", "\\Deleted", "\\Seen",
                                         "\\Draft"};
    struct bytes rest = *input, name;
    bool is_system = imap_take_byte(&rest, '\\');

    if (!imap_take_atom(&rest, &name))
        return false;
    struct bytes flag = bytes_slice(*input, 0, name.len + is_system);

    for (size_t i = 0; is_system && i < ARRAY_LEN(system); i++)
        if (bytes_equal_nocase(flag, bytes_of(system[i])))
            is_system = false;
    if (is_system)
        return false;
    *flag_out = flag;
    *input = rest;
    return true;
}

bool imap_take_flag_list(struct bytes *input, struct imap_flag_list *list_out)
{
    struct bytes rest = *input;

    list_out->count = 0;
    if (!imap_take_byte(&rest, '('))
        return false;
    while (!imap_take_byte(&rest, ')')) {
        if (list_out->count == IMAP_FLAGS_MAX || (list_out->count > 0 && !imap_take_space(&rest)) ||
            !imap_take_flag(&rest, &list_out->flags[list_out->count]))
            return false;
        list_out->count++;
    }
    *input = rest;
    return true;
}

/* --- the other way ---------------------------------------------------------------------------- */

/* What is longer is told as a literal. */
enum { QUOTED_MAX = 1024 };

static bool may_be_quoted(struct bytes text)
{
    if (text.len > QUOTED_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] == '\0' || text.ptr[i] == '\r' || text.ptr[i] == '\n' || text.ptr[i] >= 128)
            return false;
    return true;
}

static bool put_quoted(struct buf *out, struct bytes text)
{
    bool fits = buf_append_byte(out, '"');

    for (size_t i = 0; i < text.len && fits; i++) {
        if (text.ptr[i] == '"' || text.ptr[i] == '\\')
            fits = buf_append_byte(out, '\\');
        fits = fits && buf_append_byte(out, text.ptr[i]);
    }
    return fits && buf_append_byte(out, '"');
}

bool imap_put_string(struct buf *out, struct bytes text)
{
    if (may_be_quoted(text))
        return put_quoted(out, text);
    return buf_printf(out, "{%zu}\r\n", text.len) && buf_append(out, text);
}

bool imap_put_nstring(struct buf *out, struct bytes text)
{
    return text.ptr == NULL ? buf_append(out, BYTES("NIL")) : imap_put_string(out, text);
}

bool imap_put_astring(struct buf *out, struct bytes text)
{
    bool is_atom =
        text.len > 0 && text.len <= QUOTED_MAX && !bytes_equal_nocase(text, BYTES("NIL"));

    for (size_t i = 0; i < text.len && is_atom; i++)
        is_atom = imap_is_atom_char(text.ptr[i]);
    return is_atom ? buf_append(out, text) : imap_put_string(out, text);
}
