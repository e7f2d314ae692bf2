/* dsn_part.c - what a notification says of each recipient, and what it returns. */
#include "delivery/outcome/dsn_part.h"

#include "base/clock.h"
#include "base/utf8.h"

enum {
    LINE_LEN_MAX = 998, /* RFC 5322 section 2.1.1 */
    FOLD_SOFT = 200,    /* from here on a line is folded at a space, ... */
    FOLD_HARD = 800,    /* ... and from here on anywhere: what follows one text fits, too */
};

static const char *const actions[] = {
    [DSN_FAILED] = "failed",       [DSN_DELAYED] = "delayed",   [DSN_RELAYED] = "relayed",
    [DSN_DELIVERED] = "delivered", [DSN_EXPANDED] = "expanded",
};

/* Up to and without the empty line; all of it when there is none. */
static struct bytes header_section(struct bytes content)
{
    if (content.len >= 2 && content.ptr[0] == '\r' && content.ptr[1] == '\n')
        return BYTES_NONE;
    size_t end = bytes_find_bytes(content, BYTES("\r\n\r\n"), 0);

    return end == content.len ? content : bytes_slice(content, 0, end + 2);
}

static bool has_long_line(struct bytes b)
{
    size_t start = 0;

    while (start < b.len) { /* each turn takes a line */
        size_t end = bytes_find(b, '\n', start);

        if (end - start > LINE_LEN_MAX + 1) /* with its CR */
            return true;
        start = end + 1;
    }
    return false;
}

/* Whole lines only. */
static struct bytes cut_lines(struct bytes b, size_t len_max)
{
    if (b.len <= len_max)
        return b;
    while (len_max > 0 && b.ptr[len_max - 1] != '\n')
        len_max--;
    return bytes_slice(b, 0, len_max);
}

void dsn_part_init(struct dsn_part *part, const struct dsn_request *request, bool is_failure)
{
    const struct message *message = request->message;
    bool has_memory = message->content.memory.ptr != NULL;
    struct bytes content = has_memory ? message->content.memory : request->head;
    bool is_complete = content.len == message->content.size;

    *part = (struct dsn_part){.is_utf8 = message->needs_smtputf8, .prefix = message->prefix};
    /* RFC 3461 section 4.3: RET counts for failures; other notices return the header only. So do
     * all of a message with REQUIRETLS, whatever RET says (RFC 8689 section 5). */
    part->is_whole = is_failure && is_complete && message->ret != SMTP_RET_HDRS &&
                     message->tls != MAIL_TLS_REQUIRED &&
                     content.len + message->prefix.len <= request->returned_max &&
                     !has_long_line(content) && !has_long_line(message->prefix);
    part->content =
        part->is_whole ? content : cut_lines(header_section(content), request->returned_max);
    if (part->prefix.len > request->returned_max)
        part->prefix = BYTES_NONE;
    part->is_encoded = has_long_line(part->prefix) || has_long_line(part->content);
    part->is_8bit =
        part->is_utf8 ||
        (!part->is_encoded && (bytes_has_8bit(part->prefix) || bytes_has_8bit(part->content)));
    struct bytes last = part->content.len > 0 ? part->content : part->prefix;

    part->ends_in_crlf = last.len > 0 && last.ptr[last.len - 1] == '\n';
}

/* Blank lines go, and what a line would begin with: it must not consist of spaces only. */
static struct bytes skip_white(struct bytes text)
{
    while (text.len > 0 && (text.ptr[0] == ' ' || text.ptr[0] == '\n'))
        text = bytes_slice(text, 1, text.len);
    return text;
}

/* Bytes of the line that is being written. */
static size_t line_len(const struct buf *out)
{
    struct bytes written = buf_bytes(out);
    size_t len = 0;

    while (len < MIN(written.len, (size_t)LINE_LEN_MAX) &&
           written.ptr[written.len - 1 - len] != '\n')
        len++;
    return len;
}

/* What one character is shown as: itself, or "?" for a control and for what the report's charset
 * does not have. Takes it off the text. */
static struct bytes take_character(struct bytes *text, const struct dsn_part *part)
{
    uint8_t c = text->ptr[0];
    size_t len = part->is_utf8 && c >= 0x80 ? utf8_character(*text) : 1;
    bool is_shown = len > 0 && c >= ' ' && c != 0x7f && (c < 0x80 || part->is_utf8);
    struct bytes character = is_shown ? bytes_slice(*text, 0, len) : BYTES("?");

    *text = bytes_slice(*text, MAX(len, (size_t)1), text->len);
    return character;
}

/* Text of peers in header fields: no controls, and ASCII unless the report is in UTF-8. Lines of a
 * reply become continuation lines, and so do parts of a long one; blank ones go, since to some a
 * line of white space ends the header section (RFC 5322 section 3.2.2). */
static bool put_text(struct bytes text, const struct dsn_part *part, struct buf *out)
{
    size_t column = line_len(out);

    while (text.len > 0) { /* each turn takes a character */
        bool is_space = text.ptr[0] == ' ';
        struct bytes next = BYTES("\r\n    ");

        if (text.ptr[0] == '\n' || (is_space && column >= FOLD_SOFT)) {
            text = skip_white(text);
            if (text.len == 0)
                break;
            column = 0;
        } else if (column >= FOLD_HARD) {
            column = 0;
        } else {
            next = take_character(&text, part);
        }
        if (!buf_append(out, next))
            return false;
        column += next.len;
    }
    return true;
}

static bool put_code(const struct dsn_recipient *recipient, struct buf *out)
{
    const struct smtp_enhanced *e = &recipient->enhanced;

    if (recipient->code != 0 && !buf_printf(out, "%u ", recipient->code))
        return false;
    return recipient->is_ours || e->class == 0 ||
           buf_printf(out, "%u.%u.%u ", e->class, e->subject, e->detail);
}

bool dsn_put_reason(const struct dsn_recipient *recipient, const struct dsn_part *part,
                    struct buf *out)
{
    if (!buf_printf(out, "\r\n<") || !put_text(recipient->recipient->address, part, out) ||
        !buf_printf(out, ">:\r\n    "))
        return false;
    if (recipient->is_ours)
        return put_text(recipient->text, part, out) && buf_printf(out, "\r\n");
    if (recipient->mx_host.len > 0 &&
        !buf_printf(out, "%.*s said:\r\n    ", BYTES_ARG(recipient->mx_host)))
        return false;
    return put_code(recipient, out) && put_text(recipient->text, part, out) &&
           buf_printf(out, "\r\n");
}

bool dsn_put_envelope_id(const struct message *message, const struct dsn_part *part,
                         struct buf *out)
{
    struct arena arena;
    struct bytes envid;

    if (message->envid.len == 0)
        return true;
    arena_init(&arena, 1024);
    bool ok = !smtp_xtext_decode(&arena, message->envid, &envid) ||
              (buf_printf(out, "Original-Envelope-Id: ") && put_text(envid, part, out) &&
               buf_printf(out, "\r\n"));

    arena_free(&arena);
    return ok;
}

/* RFC 3461 section 6.3: the type as given and the address decoded; one that needs it is of type
 * utf-8 (RFC 6533 section 3), whatever was given. */
static bool put_original_recipient(struct bytes orcpt, const struct dsn_part *part, struct buf *out)
{
    struct bytes type;
    struct bytes address;
    struct arena arena;

    if (orcpt.len == 0 || !bytes_take_until(&orcpt, ';', &type))
        return true;
    arena_init(&arena, 2048);
    bool is_decoded = smtp_xtext_decode(&arena, orcpt, &address);
    if (is_decoded && bytes_has_8bit(address))
        type = BYTES("utf-8");
    bool ok = !is_decoded || (buf_printf(out, "Original-Recipient: %.*s;", BYTES_ARG(type)) &&
                              put_text(address, part, out) && buf_printf(out, "\r\n"));

    arena_free(&arena);
    return ok;
}

bool dsn_put_recipient(const struct dsn_recipient *recipient, const struct dsn_part *part,
                       struct buf *out)
{
    struct bytes address = recipient->recipient->address;
    char date[CLOCK_TEXT_MAX];

    if (!buf_printf(out, "\r\n") || !put_original_recipient(recipient->recipient->orcpt, part, out))
        return false;
    /* RFC 6533 section 3: an address that needs it is of type utf-8. */
    if (!buf_printf(out, "Final-Recipient: %s;", bytes_has_8bit(address) ? "utf-8" : "rfc822") ||
        !put_text(address, part, out) ||
        !buf_printf(out, "\r\nAction: %s\r\nStatus: %u.%u.%u\r\n", actions[recipient->action],
                    recipient->status.class, recipient->status.subject, recipient->status.detail))
        return false;
    if (recipient->mx_host.len > 0 &&
        !buf_printf(out, "Remote-MTA: dns; %.*s\r\n", BYTES_ARG(recipient->mx_host)))
        return false;
    if (recipient->text.len > 0 || recipient->code != 0) {
        if (!buf_printf(out, "Diagnostic-Code: %s; ", recipient->is_ours ? "X-Ringpost" : "smtp") ||
            !put_code(recipient, out) || !put_text(recipient->text, part, out) ||
            !buf_printf(out, "\r\n"))
            return false;
    }
    if (recipient->attempt_ms != 0) {
        clock_format_rfc5322(recipient->attempt_ms, date);
        if (!buf_printf(out, "Last-Attempt-Date: %s\r\n", date))
            return false;
    }
    if (recipient->action != DSN_DELAYED || recipient->retry_until_ms == 0)
        return true;
    clock_format_rfc5322(recipient->retry_until_ms, date);
    return buf_printf(out, "Will-Retry-Until: %s\r\n", date);
}
