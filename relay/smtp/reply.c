/* reply.c - replies line by line; a line is taken only when it is whole, so there is no state
 * inside a line. */
#include "smtp/reply.h"

#include <string.h>

static void begin_reply(struct smtp_reply_reader *reader, unsigned code);
static enum smtp_reply_state broken(struct smtp_reply_reader *reader, struct bytes line);
static bool take_line(struct bytes *input, struct bytes *line_out);
static bool take_code(struct bytes *line, unsigned *code_out, bool *is_last_out);
static void keep_text(struct smtp_reply_reader *reader, struct bytes text);
static void keep_enhanced(struct smtp_reply_reader *reader, struct bytes *text);

void smtp_reply_reader_init(struct smtp_reply_reader *reader)
{
    begin_reply(reader, 0);
    reader->extensions = NULL;
}

static void begin_reply(struct smtp_reply_reader *reader, unsigned code)
{
    reader->code = code;
    reader->lines = 0;
    reader->text_len = 0;
    reader->enhanced = (struct smtp_enhanced){0};
    reader->is_broken = false;
}

enum smtp_reply_state smtp_reply_read(struct smtp_reply_reader *reader, struct bytes *input,
                                      struct smtp_reply *reply_out)
{
    struct bytes line;
    unsigned code;
    bool is_last = false;

    if (reader->is_broken)
        return SMTP_REPLY_BROKEN;
    while (!is_last) {
        if (!take_line(input, &line)) {
            if (input->len >= SMTP_REPLY_LINE_MAX)
                return broken(reader, *input);
            return SMTP_REPLY_PARTIAL;
        }
        struct bytes whole = line;

        if (!take_code(&line, &code, &is_last))
            return broken(reader, whole);
        if (reader->lines == 0)
            begin_reply(reader, code);
        if (code != reader->code) /* RFC 5321 section 4.2.1 */
            return broken(reader, whole);
        if (reader->lines == SMTP_REPLY_LINES_MAX)
            return broken(reader, whole);
        keep_enhanced(reader, &line);
        if (reader->extensions != NULL && reader->lines > 0)
            smtp_extensions_take(line, reader->extensions);
        keep_text(reader, line);
        reader->lines++;
    }
    reader->lines = 0; /* the next call starts a reply; the text lives until then */
    *reply_out = (struct smtp_reply){
        .code = reader->code,
        .enhanced = reader->enhanced,
        .text = bytes_range(reader->text, reader->text_len),
    };
    return SMTP_REPLY_WHOLE;
}

static enum smtp_reply_state broken(struct smtp_reply_reader *reader, struct bytes line)
{
    begin_reply(reader, 0);
    keep_text(reader, line);
    reader->is_broken = true;
    return SMTP_REPLY_BROKEN;
}

struct bytes smtp_reply_broken_line(const struct smtp_reply_reader *reader)
{
    check(reader->is_broken);
    return bytes_range(reader->text, reader->text_len);
}

/* A line within SMTP_REPLY_LINE_MAX, its end taken off: LF and any CRs before it, since some
 * servers send CR CR LF. */
static bool take_line(struct bytes *input, struct bytes *line_out)
{
    struct bytes b = bytes_slice(*input, 0, SMTP_REPLY_LINE_MAX);
    size_t lf = bytes_find(b, '\n', 0);

    if (lf == b.len)
        return false;
    struct bytes line = bytes_slice(b, 0, lf);
    while (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    *line_out = line;
    *input = bytes_slice(*input, lf + 1, input->len - lf - 1);
    return true;
}

/* "250-", "250 " or "250" and the end of the line (RFC 5321 section 4.2). */
static bool take_code(struct bytes *line, unsigned *code_out, bool *is_last_out)
{
    const uint8_t *c = line->ptr;

    if (line->len < 3 || c[0] < '2' || c[0] > '5' || !byte_is_digit(c[1]) || !byte_is_digit(c[2]))
        return false;
    if (line->len > 3 && c[3] != ' ' && c[3] != '-')
        return false;
    *code_out = (unsigned)((c[0] - '0') * 100 + (c[1] - '0') * 10 + (c[2] - '0'));
    *is_last_out = line->len == 3 || c[3] == ' ';
    *line = bytes_slice(*line, 4, line->len);
    return true;
}

/* The first enhanced code of a reply counts; lines that repeat it lose it too (RFC 2034). */
static void keep_enhanced(struct smtp_reply_reader *reader, struct bytes *text)
{
    struct bytes rest = *text;
    struct smtp_enhanced enhanced;
    const struct smtp_enhanced *first = &reader->enhanced;

    if (!smtp_enhanced_take(&rest, &enhanced) || enhanced.class != reader->code / 100)
        return;
    if (first->class != 0 &&
        (first->subject != enhanced.subject || first->detail != enhanced.detail))
        return;
    reader->enhanced = enhanced;
    *text = rest;
}

/* What a log line or a notification could stumble over (NUL, bare CR, escapes) becomes "?". */
static void keep_text(struct smtp_reply_reader *reader, struct bytes text)
{
    size_t len = reader->text_len;

    if (reader->lines > 0 && len < SMTP_REPLY_TEXT_MAX)
        reader->text[len++] = '\n';
    for (size_t i = 0; i < text.len && len < SMTP_REPLY_TEXT_MAX; i++) {
        uint8_t c = text.ptr[i];
        bool is_control = (c < 32 && c != '\t') || c == 127;
        reader->text[len++] = is_control ? '?' : (char)c;
    }
    reader->text_len = len;
}

/* One to three digits (RFC 3463 section 2). */
static bool take_number(struct bytes *input, uint16_t *number_out)
{
    struct bytes rest = *input;
    uint64_t number;

    if (!bytes_take_u64(&rest, &number) || input->len - rest.len > 3)
        return false;
    *number_out = (uint16_t)number;
    *input = rest;
    return true;
}

bool smtp_enhanced_take(struct bytes *text, struct smtp_enhanced *out)
{
    struct bytes rest = *text;
    struct smtp_enhanced enhanced = {0};

    if (rest.len < 2 || (rest.ptr[0] != '2' && rest.ptr[0] != '4' && rest.ptr[0] != '5'))
        return false;
    enhanced.class = (uint8_t)(rest.ptr[0] - '0');
    rest = bytes_slice(rest, 1, rest.len);
    if (!bytes_take_nocase(&rest, BYTES(".")) || !take_number(&rest, &enhanced.subject))
        return false;
    if (!bytes_take_nocase(&rest, BYTES(".")) || !take_number(&rest, &enhanced.detail))
        return false;
    if (rest.len > 0 && rest.ptr[0] != ' ' && rest.ptr[0] != '\t' && rest.ptr[0] != '\n')
        return false;
    while (rest.len > 0 && (rest.ptr[0] == ' ' || rest.ptr[0] == '\t'))
        rest = bytes_slice(rest, 1, rest.len);
    *out = enhanced;
    *text = rest;
    return true;
}

/* "RCPTMAX=100 MAILMAX=10" (RFC 9422 section 4); limits it does not know are skipped. */
static void parse_limits(struct bytes argument, struct smtp_extensions *out)
{
    const struct {
        struct bytes name;
        uint64_t *limit;
    } limits[] = {
        {BYTES("RCPTMAX="), &out->rcpt_max},
        {BYTES("MAILMAX="), &out->mail_max},
        {BYTES("RCPTDOMAINMAX="), &out->rcpt_domain_max},
    };

    while (argument.len > 0) {
        struct bytes word = argument;
        uint64_t value;

        if (!bytes_take_until(&argument, ' ', &word))
            argument = BYTES_NONE;
        for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
            struct bytes number = word;

            if (!bytes_take_nocase(&number, limits[i].name) || !bytes_to_u64(number, &value))
                continue;
            if (value > 0 && (*limits[i].limit == 0 || value < *limits[i].limit))
                *limits[i].limit = value;
        }
    }
}

static void take_size(struct bytes argument, struct smtp_extensions *out)
{
    uint64_t size_max;

    if (!bytes_to_u64(argument, &size_max))
        size_max = 0;
    if (!out->has_size)
        out->size_max = size_max;
    else if (out->size_max != 0)
        out->size_max = size_max == 0 ? 0 : MAX(out->size_max, size_max);
    out->has_size = true;
}

void smtp_extensions_take(struct bytes line, struct smtp_extensions *out)
{
    const struct {
        struct bytes keyword;
        bool *flag;
    } extensions[] = {
        {BYTES("PIPELINING"), &out->pipelining},
        {BYTES("8BITMIME"), &out->eightbitmime},
        {BYTES("SMTPUTF8"), &out->smtputf8},
        {BYTES("CHUNKING"), &out->chunking},
        {BYTES("DSN"), &out->dsn},
        {BYTES("ENHANCEDSTATUSCODES"), &out->enhanced_status_codes},
        {BYTES("STARTTLS"), &out->starttls},
        {BYTES("REQUIRETLS"), &out->requiretls},
    };
    size_t space = bytes_find(line, ' ', 0);
    struct bytes keyword = bytes_slice(line, 0, space);
    struct bytes argument = bytes_trim(bytes_slice(line, space, line.len));

    for (size_t i = 0; i < ARRAY_LEN(extensions); i++)
        if (bytes_equal_nocase(keyword, extensions[i].keyword))
            *extensions[i].flag = true;
    if (bytes_equal_nocase(keyword, BYTES("SIZE")))
        take_size(argument, out);
    else if (bytes_equal_nocase(keyword, BYTES("LIMITS")))
        parse_limits(argument, out);
}
