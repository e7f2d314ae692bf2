/* mbox_reader.c - lines of an mbox, one after the other. */
#include "inbound/import/mbox_reader.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "inbound/mailbox/mailbox.h"
#include "inbound/mime/mime_date.h"

enum {
    LINE_MAX_KEPT = 8192,  /* of a line, looked at; the rest is passed on */
    KEYWORDS_MAX = 1 << 16 /* bytes of a message's keywords */
};

/* --- the From_ line --------------------------------------------------------------------------- */

static bool take_word(struct bytes *rest, struct bytes *word_out)
{
    *rest = bytes_trim(*rest);
    if (rest->len == 0)
        return false;
    size_t end = MIN(bytes_find(*rest, ' ', 0), bytes_find(*rest, '\t', 0));

    *word_out = bytes_slice(*rest, 0, end);
    *rest = bytes_slice(*rest, end, rest->len);
    return true;
}

static int month_of(struct bytes word)
{
    static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";

    for (int i = 0; i < 12 && word.len == 3; i++)
        if (bytes_equal_nocase(word, bytes_range(names + (size_t)i * 3, 3)))
            return i;
    return -1;
}

static bool number_below(struct bytes text, uint64_t limit, int *out)
{
    uint64_t value;

    if (text.len > 4 || !bytes_to_u64(text, &value) || value >= limit)
        return false;
    *out = (int)value;
    return true;
}

/* "10:00:00" or "10:00". */
static bool read_time(struct bytes word, struct tm *tm)
{
    struct bytes part;

    tm->tm_sec = 0;
    if (!bytes_take_until(&word, ':', &part) || !number_below(part, 24, &tm->tm_hour))
        return false;
    if (!bytes_take_until(&word, ':', &part))
        return number_below(word, 60, &tm->tm_min);
    return number_below(part, 60, &tm->tm_min) && number_below(word, 61, &tm->tm_sec);
}

/* "+0100"; names of zones say nothing that can be relied on. */
static int zone_of(struct bytes word)
{
    int value;

    if (word.len != 5 || (word.ptr[0] != '+' && word.ptr[0] != '-') ||
        !number_below(bytes_slice(word, 1, 4), 2400, &value))
        return 0;
    value = (value / 100 * 60 + value % 100) * 60;
    return word.ptr[0] == '-' ? -value : value;
}

/* "Mar  2 10:00:00 2026", with a zone before or behind the year. */
static bool read_date(struct bytes rest, int month, int64_t *date_s_out)
{
    struct tm tm = {.tm_mon = month};
    struct bytes word;
    int year = -1, zone_s = 0;

    if (!take_word(&rest, &word) || !number_below(word, 32, &tm.tm_mday) || tm.tm_mday == 0 ||
        !take_word(&rest, &word) || !read_time(word, &tm))
        return false;
    for (int i = 0; i < 3 && take_word(&rest, &word); i++) {
        if (year < 0 && word.len == 4 && number_below(word, 10000, &year))
            continue;
        zone_s = zone_of(word) != 0 ? zone_of(word) : zone_s;
    }
    if (year < 1970)
        return false;
    tm.tm_year = year - 1900;
    *date_s_out = (int64_t)timegm(&tm) - zone_s;
    return true;
}

bool mbox_read_from(struct bytes line, bool *has_date_out, int64_t *date_s_out)
{
    struct bytes rest = line, word;

    if (line.len < 5 || memcmp(line.ptr, "From ", 5) != 0)
        return false;
    rest = bytes_slice(rest, 5, rest.len);
    *has_date_out = false;
    if (bytes_trim(rest).len == 0)
        return true;
    /* Senders may hold blanks: the first place that reads as a date is it. */
    while (take_word(&rest, &word)) {
        int month = month_of(word);

        if (month >= 0 && read_date(rest, month, date_s_out)) {
            *has_date_out = true;
            return true;
        }
    }
    return false;
}

/* --- fields of the mbox ----------------------------------------------------------------------- */

static void take_letters(struct mbox_message *message, struct bytes value)
{
    static const struct {
        char letter;
        uint64_t flag;
    } letters[] = {{'R', MAIL_SEEN},
                   {'A', MAIL_ANSWERED},
                   {'F', MAIL_FLAGGED},
                   {'T', MAIL_DRAFT},
                   {'D', MAIL_DELETED}};

    for (size_t i = 0; i < value.len; i++)
        for (size_t k = 0; k < ARRAY_LEN(letters); k++)
            if (value.ptr[i] == (uint8_t)letters[k].letter)
                message->flags |= letters[k].flag;
}

static void take_status(struct mbox_reader *reader, struct bytes value)
{
    take_letters(&reader->message, value);
}

/* Four hexadecimal digits: read, replied, marked, expunged and not compacted yet. */
static void take_mozilla(struct mbox_reader *reader, struct bytes value)
{
    static const uint64_t flags[] = {MAIL_SEEN, MAIL_ANSWERED, MAIL_FLAGGED, MAIL_DELETED};

    if (value.len != 4)
        return;
    unsigned digit = (unsigned)MAX(byte_hex_value(value.ptr[3]), 0);

    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        if ((digit >> i & 1) != 0)
            reader->message.flags |= flags[i];
}

static void take_keywords(struct mbox_reader *reader, struct bytes value)
{
    struct mbox_message *message = &reader->message;
    struct bytes word;

    while (message->keyword_count < IMPORT_KEYWORDS_MAX && take_word(&value, &word))
        if (arena_copy(&reader->arena, word, &message->keywords[message->keyword_count]))
            message->keyword_count++;
}

static void take_date(struct mbox_reader *reader, struct bytes value)
{
    struct mbox_message *message = &reader->message;
    struct mime_date date;

    if (message->has_date || !mime_date_read(value, &date))
        return;
    message->has_date = true;
    message->date_s = date.unix_s;
}

static void take_subject(struct mbox_reader *reader, struct bytes value)
{
    reader->has_internal_subject =
        bytes_starts_nocase(value, BYTES("DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA"));
}

static void take_internal(struct mbox_reader *reader, struct bytes value)
{
    (void)value;
    reader->has_internal_field = true;
}

static const struct {
    const char *name;
    bool stays; /* in the message */
    void (*take)(struct mbox_reader *reader, struct bytes value);
} fields[] = {
    {"Status", false, take_status},
    {"X-Status", false, take_status},
    {"X-Keywords", false, take_keywords},
    {"X-Mozilla-Status", false, take_mozilla},
    {"X-Mozilla-Status2", false, NULL},
    {"X-Mozilla-Keys", false, take_keywords},
    {"X-UID", false, NULL},
    {"X-IMAP", false, take_internal},
    {"X-IMAPbase", false, NULL},
    {"Content-Length", false, NULL},
    {"Date", true, take_date},
    {"Subject", true, take_subject},
};

/* Whether the field stays in the message. */
static bool take_field(struct mbox_reader *reader, struct bytes line)
{
    struct bytes name, value = line;

    if (!bytes_take_until(&value, ':', &name))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (!bytes_equal_nocase(bytes_trim(name), bytes_of(fields[i].name)))
            continue;
        if (fields[i].take != NULL)
            fields[i].take(reader, bytes_trim(value));
        return fields[i].stays;
    }
    return true;
}

/* --- lines ------------------------------------------------------------------------------------ */

static int tell(struct mbox_reader *reader, struct bytes b)
{
    return b.len == 0 ? 0 : reader->events->data(reader->events->context, b);
}

static int end_message(struct mbox_reader *reader)
{
    struct mbox_message *message = &reader->message;

    reader->held = BYTES_NONE; /* it was the mbox's */
    message->is_internal = reader->has_internal_subject && reader->has_internal_field;
    return reader->events->end(reader->events->context, message);
}

static int begin_message(struct mbox_reader *reader, bool has_date, int64_t date_s)
{
    int result = reader->place == MBOX_START ? 0 : end_message(reader);

    if (result != 0)
        return result;
    arena_clear(&reader->arena);
    reader->message = (struct mbox_message){.number = reader->message.number + 1,
                                            .has_date = has_date,
                                            .date_s = date_s};
    reader->has_internal_subject = reader->has_internal_field = false;
    reader->skips_field = false;
    reader->is_after_empty = false;
    reader->place = MBOX_HEADER;
    return reader->events->begin(reader->events->context);
}

static int header_line(struct mbox_reader *reader, struct bytes line, struct bytes text)
{
    if (text.len == 0) {
        reader->place = MBOX_BODY;
        reader->is_after_empty = true;
        return tell(reader, line);
    }
    if (text.ptr[0] != ' ' && text.ptr[0] != '\t')
        reader->skips_field = !take_field(reader, text);
    return reader->skips_field ? 0 : tell(reader, line);
}

static int body_line(struct mbox_reader *reader, struct bytes line, struct bytes text)
{
    size_t quotes = 0;
    int result = tell(reader, reader->held);

    reader->held = BYTES_NONE;
    reader->is_after_empty = text.len == 0;
    if (result != 0)
        return result;
    if (text.len == 0) {
        reader->held = line.len == 2 ? BYTES("\r\n") : BYTES("\n");
        return 0;
    }
    while (quotes < text.len && text.ptr[quotes] == '>')
        quotes++;
    if (quotes > 0 && bytes_equal(bytes_slice(text, quotes, 5), BYTES("From ")))
        line = bytes_slice(line, 1, line.len);
    return tell(reader, line);
}

/* A line with its end, or the beginning of one that is long, or the last one without. */
static int take_line(struct mbox_reader *reader, struct bytes line)
{
    struct bytes text = line;
    bool has_date;
    int64_t date_s = 0;

    if (text.len > 0 && text.ptr[text.len - 1] == '\n')
        text.len--;
    if (text.len > 0 && text.len < line.len && text.ptr[text.len - 1] == '\r')
        text.len--;
    if (reader->place != MBOX_HEADER && reader->is_after_empty &&
        mbox_read_from(text, &has_date, &date_s))
        return begin_message(reader, has_date, date_s);
    switch (reader->place) {
    case MBOX_START:
        return text.len == 0 ? 0 : -EILSEQ;
    case MBOX_HEADER:
        return header_line(reader, line, text);
    case MBOX_BODY:
        return body_line(reader, line, text);
    }
    return 0;
}

/* Behind the beginning of a long line. */
static int take_more(struct mbox_reader *reader, struct bytes more)
{
    return reader->place == MBOX_HEADER && reader->skips_field ? 0 : tell(reader, more);
}

void mbox_begin(struct mbox_reader *reader, const struct mbox_events *events)
{
    *reader = (struct mbox_reader){.events = events, .is_after_empty = true};
    arena_init(&reader->arena, KEYWORDS_MAX);
    buf_init(&reader->line, LINE_MAX_KEPT);
}

void mbox_free(struct mbox_reader *reader)
{
    arena_free(&reader->arena);
    buf_free(&reader->line);
}

static int flush_line(struct mbox_reader *reader)
{
    struct bytes line = buf_bytes(&reader->line);
    int result = reader->is_in_long_line ? take_more(reader, line) : take_line(reader, line);

    buf_clear(&reader->line);
    return result;
}

int mbox_feed(struct mbox_reader *reader, struct bytes b)
{
    int result = 0;

    while (b.len > 0 && result == 0) {
        size_t end = MIN(bytes_find(b, '\n', 0) + 1, b.len);
        size_t len = MIN(end, buf_room(&reader->line));
        bool fits = buf_append(&reader->line, bytes_slice(b, 0, len));

        check(fits);
        bool is_whole = b.ptr[len - 1] == '\n';

        b = bytes_slice(b, len, b.len);
        if (!is_whole && buf_room(&reader->line) > 0)
            break;
        result = flush_line(reader);
        reader->is_in_long_line = !is_whole;
    }
    return result;
}

int mbox_finish(struct mbox_reader *reader)
{
    int result = buf_len(&reader->line) > 0 ? flush_line(reader) : 0;

    reader->is_in_long_line = false;
    if (result != 0 || reader->place == MBOX_START)
        return result;
    result = end_message(reader);
    reader->place = MBOX_START;
    return result;
}
