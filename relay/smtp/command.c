/* command.c - command lines: where they end, which verb they carry, EHLO's and BDAT's arguments. */
#include "smtp/command.h"

#include <string.h>

static const struct {
    struct bytes name;
    enum smtp_verb verb;
} verbs[] = {
    {BYTES("EHLO"), SMTP_EHLO}, {BYTES("HELO"), SMTP_HELO},         {BYTES("MAIL"), SMTP_MAIL},
    {BYTES("RCPT"), SMTP_RCPT}, {BYTES("DATA"), SMTP_DATA},         {BYTES("BDAT"), SMTP_BDAT},
    {BYTES("RSET"), SMTP_RSET}, {BYTES("NOOP"), SMTP_NOOP},         {BYTES("VRFY"), SMTP_VRFY},
    {BYTES("EXPN"), SMTP_EXPN}, {BYTES("HELP"), SMTP_HELP},         {BYTES("QUIT"), SMTP_QUIT},
    {BYTES("AUTH"), SMTP_AUTH}, {BYTES("STARTTLS"), SMTP_STARTTLS},
};

enum smtp_line smtp_line_take(struct bytes *input, size_t max, struct bytes *line_out)
{
    struct bytes b = bytes_slice(*input, 0, max);
    size_t lf = bytes_find(b, '\n', 0);

    if (lf == b.len)
        return b.len == max ? SMTP_LINE_TOO_LONG : SMTP_LINE_PARTIAL;
    bool ends_in_crlf = lf > 0 && b.ptr[lf - 1] == '\r';
    struct bytes line = bytes_slice(b, 0, ends_in_crlf ? lf - 1 : lf);
    *line_out = line;
    *input = bytes_slice(*input, lf + 1, input->len - lf - 1);
    /* Found at once: a peer that sends nothing else would wait for ever. */
    if (!ends_in_crlf)
        return SMTP_LINE_BARE_LF;
    if (bytes_find(line, '\r', 0) != line.len || bytes_find(line, '\0', 0) != line.len)
        return SMTP_LINE_BARE;
    return SMTP_LINE_WHOLE;
}

void smtp_command_parse(struct bytes line, struct smtp_command *out)
{
    size_t space = bytes_find(line, ' ', 0);
    struct bytes verb = bytes_slice(line, 0, space);
    struct bytes argument = bytes_slice(line, space + 1, line.len);

    /* White space before the CRLF is tolerated: RFC 5321 section 4.1.1. */
    while (argument.len > 0 &&
           (argument.ptr[argument.len - 1] == ' ' || argument.ptr[argument.len - 1] == '\t'))
        argument.len--;
    *out = (struct smtp_command){SMTP_VERB_UNKNOWN, verb, argument};
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        if (bytes_equal_nocase(verb, verbs[i].name)) {
            out->verb = verbs[i].verb;
            return;
        }
    }
}

bool smtp_bdat_parse(struct bytes argument, uint64_t *size_out, bool *last_out)
{
    uint64_t size;

    if (!bytes_take_u64(&argument, &size))
        return false;
    bool is_last = bytes_equal_nocase(argument, BYTES(" LAST"));
    if (argument.len != 0 && !is_last)
        return false;
    *size_out = size;
    *last_out = is_last;
    return true;
}

bool smtp_ehlo_parse(struct bytes argument, struct bytes *name_out, bool *is_strict_out)
{
    bool is_utf8;

    if (argument.len == 0 || argument.len > SMTP_DOMAIN_MAX)
        return false;
    for (size_t i = 0; i < argument.len; i++)
        if (argument.ptr[i] < 33 || argument.ptr[i] > 126) /* ASCII: RFC 6531 section 3.7.1 */
            return false;
    *name_out = argument;
    *is_strict_out = smtp_domain_is_valid(argument, &is_utf8);
    return true;
}
