/* report.c - which of the four a message is. */
#include "inbound/report/report.h"

#include "base/buf.h"
#include "inbound/report/aggregate.h"
#include "inbound/report/tls_report.h"
#include "inbound/report/unpack.h"

const char *report_kind_name(enum report_kind kind)
{
    static const char *const names[] = {
        [REPORT_BOUNCE] = "bounce",
        [REPORT_COMPLAINT] = "complaint",
        [REPORT_DMARC] = "dmarc",
        [REPORT_TLS] = "tls",
    };

    check(kind < ARRAY_LEN(names));
    return names[kind];
}

/* The first byte that is no space, behind a byte order mark; '\0': there is none. */
static char first_byte(struct bytes text)
{
    if (bytes_equal(bytes_slice(text, 0, 3), BYTES("\xef\xbb\xbf")))
        text = bytes_slice(text, 3, text.len);
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] > ' ')
            return (char)text.ptr[i];
    return '\0';
}

static bool read_facts(struct bytes text, struct report *out, const char **why_out)
{
    switch (first_byte(text)) {
    case '<':
        out->kind = REPORT_DMARC;
        out->facts = aggregate_read(text, why_out);
        return out->facts != NULL;
    case '{':
        out->kind = REPORT_TLS;
        out->facts = tls_report_read(text, why_out);
        return out->facts != NULL;
    default:
        *why_out = "it is neither a bounce, a complaint, a DMARC nor a TLS report";
        return false;
    }
}

static bool read_packed(struct bytes content, struct report *out, const char **why_out)
{
    struct buf text;

    if (!unpack_is_packed(content))
        return read_facts(content, out, why_out);
    buf_init(&text, REPORT_UNPACKED_MAX);
    bool is_read = unpack(content, &text, why_out) && read_facts(buf_bytes(&text), out, why_out);

    buf_free(&text);
    return is_read;
}

/* Senders call the types of what they attach by many names: what they hold decides. Prose may begin
 * with "<" as well. */
static bool may_hold_facts(const struct mail_part *part)
{
    struct bytes content = part->content;
    char first = first_byte(content);

    if (bytes_equal(part->type, BYTES("text/plain")))
        return bytes_starts_nocase(content, BYTES("<?xml")) ||
               bytes_starts_nocase(content, BYTES("<feedback"));
    return (bytes_equal(part->type, BYTES("text/xml")) ||
            bytes_starts_nocase(part->type, BYTES("application/"))) &&
           (unpack_is_packed(content) || first == '<' || first == '{');
}

static bool read_parts(struct report *out, const char **why_out)
{
    *why_out = "it is neither a bounce, a complaint, a DMARC nor a TLS report";
    out->kind = REPORT_COMPLAINT;
    if (complaint_read(&out->parts, &out->complaint))
        return true;
    out->kind = REPORT_BOUNCE;
    if (bounce_read(&out->parts, &out->bounce))
        return true;
    out->facts = NULL;
    for (size_t i = 0; i < out->parts.count; i++)
        if (may_hold_facts(&out->parts.parts[i]) &&
            read_packed(out->parts.parts[i].content, out, why_out))
            return true;
    return false;
}

bool report_read(struct bytes message, struct report *out, const char **why_out)
{
    char first = first_byte(message);

    out->parts = (struct mail_parts){0};
    out->facts = NULL;
    if (message.len > REPORT_SIZE_MAX) {
        *why_out = "it is larger than a report may be";
        return false;
    }
    if (first == '<' || first == '{' || unpack_is_packed(message))
        return read_packed(message, out, why_out);
    if (!mail_parts_read(message, &out->parts)) {
        *why_out = "it is no message";
        return false;
    }
    if (read_parts(out, why_out))
        return true;
    mail_parts_free(&out->parts);
    return false;
}

void report_free(struct report *report)
{
    if (report->kind == REPORT_DMARC || report->kind == REPORT_TLS)
        json_decref(report->facts);
    mail_parts_free(&report->parts);
}
