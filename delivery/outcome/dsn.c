/* dsn.c - writes a notification as a message of ours. */
#include "delivery/outcome/dsn.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/random.h"
#include "delivery/outcome/dsn_7bit.h"
#include "delivery/outcome/dsn_part.h"
#include "smtp/quoted_printable.h"

/* Of all recipients together: each has at most twice the 1,660 octets that its reply becomes, two
 * or three addresses and some 700 for the fields, and there are at most 1,000. */
enum { TEXT_MAX = 8 * 1024 * 1024 };

bool dsn_is_wanted(const struct message *message, const struct recipient *recipient,
                   enum dsn_action action)
{
    unsigned notify = recipient->notify;

    if (message->reverse_path.len == 0 || (notify & SMTP_NOTIFY_NEVER) != 0)
        return false;
    switch (action) {
    case DSN_FAILED: /* RFC 3461 section 4.1: also where nothing was said */
        return notify == 0 || (notify & SMTP_NOTIFY_FAILURE) != 0;
    case DSN_DELAYED:
        return (notify & SMTP_NOTIFY_DELAY) != 0;
    case DSN_RELAYED:
    case DSN_DELIVERED:
    case DSN_EXPANDED:
        return (notify & SMTP_NOTIFY_SUCCESS) != 0;
    }
    return false;
}

static bool has_action(const struct dsn_request *request, enum dsn_action action)
{
    for (size_t i = 0; i < request->count; i++)
        if (request->recipients[i].action == action)
            return true;
    return false;
}

static const char *subject(const struct dsn_request *request)
{
    if (has_action(request, DSN_FAILED))
        return "Undelivered mail returned to sender";
    if (has_action(request, DSN_DELAYED))
        return "Your mail is delayed";
    bool is_handed_on = has_action(request, DSN_RELAYED) || has_action(request, DSN_EXPANDED);

    return is_handed_on ? "Your mail was handed on" : "Your mail was delivered";
}

static bool put_header(const struct dsn_request *request, const struct dsn_part *part,
                       struct buf *out)
{
    char date[CLOCK_TEXT_MAX];
    char id[MESSAGE_ID_TEXT_MAX];

    clock_format_rfc5322(request->now_ms, date);
    message_id_format(request->id, id);
    return buf_printf(out,
                      "From: Mail Delivery System <MAILER-DAEMON@%s>\r\n"
                      "To: <%.*s>\r\n"
                      "Subject: %s\r\n"
                      "Date: %s\r\n"
                      "Message-ID: <%s@%s>\r\n"
                      "Auto-Submitted: auto-replied\r\n" /* RFC 3834 section 5 */
                      "MIME-Version: 1.0\r\n"
                      "Content-Type: multipart/report; report-type=delivery-status;\r\n"
                      "\tboundary=\"%s\"\r\n"
                      "%s"
                      "\r\n"
                      "This is a MIME-encapsulated message.\r\n",
                      request->hostname, BYTES_ARG(request->message->reverse_path),
                      subject(request), date, id, request->hostname, part->boundary,
                      part->is_8bit ? "Content-Transfer-Encoding: 8bit\r\n" : "");
}

static bool put_explanation(const struct dsn_request *request, const struct dsn_part *part,
                            struct buf *out)
{
    static const struct {
        enum dsn_action action;
        const char *text;
    } sections[] = {
        {DSN_FAILED, "Your message could not be delivered to:\r\n"},
        {DSN_DELAYED, "Your message has not been delivered yet. You need not do anything: we\r\n"
                      "keep trying. It still waits to go to:\r\n"},
        {DSN_RELAYED, "Your message was handed to a mail server that does not confirm\r\n"
                      "deliveries, so this is the last you hear of it, for:\r\n"},
        {DSN_DELIVERED, "Your message was put into the mailbox of:\r\n"},
        {DSN_EXPANDED, "Your message was sent on to several others, and this is the last you\r\n"
                       "hear of it unless one of them cannot be reached, for:\r\n"},
    };

    if (!buf_printf(out,
                    "\r\n--%s\r\n"
                    "Content-Description: Notification\r\n"
                    "Content-Type: text/plain; charset=%s\r\n"
                    "%s"
                    "\r\n"
                    "This is the mail system at %s.\r\n",
                    part->boundary, part->is_utf8 ? "utf-8" : "us-ascii",
                    part->is_utf8 ? "Content-Transfer-Encoding: 8bit\r\n" : "", request->hostname))
        return false;
    for (size_t s = 0; s < ARRAY_LEN(sections); s++) {
        if (!has_action(request, sections[s].action))
            continue;
        if (!buf_printf(out, "\r\n%s", sections[s].text))
            return false;
        for (size_t i = 0; i < request->count; i++)
            if (request->recipients[i].action == sections[s].action &&
                !dsn_put_reason(&request->recipients[i], part, out))
                return false;
    }
    return true;
}

static bool put_status(const struct dsn_request *request, const struct dsn_part *part,
                       struct buf *out)
{
    char date[CLOCK_TEXT_MAX];
    char id[MESSAGE_ID_TEXT_MAX];

    clock_format_rfc5322(request->message->accepted_ms, date);
    message_id_format(request->message->id, id);
    if (!buf_printf(out,
                    "\r\n--%s\r\n"
                    "Content-Description: Delivery report\r\n"
                    "Content-Type: message/%sdelivery-status\r\n"
                    "%s"
                    "\r\n"
                    "Reporting-MTA: dns; %s\r\n",
                    part->boundary, part->is_utf8 ? "global-" : "",
                    part->is_utf8 ? "Content-Transfer-Encoding: 8bit\r\n" : "", request->hostname))
        return false;
    if (!dsn_put_envelope_id(request->message, part, out) ||
        !buf_printf(out, "X-Ringpost-Message-Id: %s\r\nArrival-Date: %s\r\n", id, date))
        return false;
    for (size_t i = 0; i < request->count; i++)
        if (!dsn_put_recipient(&request->recipients[i], part, out))
            return false;
    return true;
}

static bool put_bytes(struct bytes b, const struct dsn_part *part, struct buf *out)
{
    return part->is_encoded ? quoted_printable_encode(b, out) : buf_append(out, b);
}

static bool put_returned(const struct dsn_part *part, struct buf *out)
{
    const char *type = part->is_whole  ? (part->is_utf8 ? "message/global" : "message/rfc822")
                       : part->is_utf8 ? "message/global-headers"
                                       : "text/rfc822-headers";

    return buf_printf(out,
                      "\r\n--%s\r\n"
                      "Content-Description: %s\r\n"
                      "Content-Type: %s\r\n"
                      "%s"
                      "\r\n",
                      part->boundary,
                      part->is_whole ? "Undelivered message" : "Undelivered message's header", type,
                      part->is_encoded ? "Content-Transfer-Encoding: quoted-printable\r\n"
                      : part->is_8bit  ? "Content-Transfer-Encoding: 8bit\r\n"
                                       : "") &&
           put_bytes(part->prefix, part, out) && put_bytes(part->content, part, out) &&
           buf_printf(out, "%s\r\n--%s--\r\n", part->ends_in_crlf ? "" : "\r\n", part->boundary);
}

static bool put_all(const struct dsn_request *request, const struct dsn_part *part, struct buf *out)
{
    return put_header(request, part, out) && put_explanation(request, part, out) &&
           put_status(request, part, out) && put_returned(part, out);
}

static bool fill_envelope(struct message *dsn, const struct dsn_request *request,
                          const struct dsn_part *part)
{
    const struct message *original = request->message;
    struct recipient *recipient = arena_alloc(&dsn->arena, sizeof(*recipient));
    struct smtp_address address;
    char id[MESSAGE_ID_TEXT_MAX];

    if (recipient == NULL || !arena_copy(&dsn->arena, original->reverse_path, &recipient->address))
        return false;
    if (!smtp_parse_address(recipient->address, &address) ||
        !smtp_domain_normalise(&dsn->arena, address.domain, &recipient->domain))
        return false;
    recipient->notify = SMTP_NOTIFY_NEVER; /* RFC 3461 section 6.1: nobody is told about this one */
    message_id_format(request->id, id);
    dsn->id = request->id;
    dsn->reverse_path = BYTES("");
    dsn->is_dsn = true;
    dsn->body = part->is_8bit ? SMTP_BODY_8BITMIME : SMTP_BODY_7BIT;
    /* The parts can be encoded on the way (dsn_7bit.h); the address and its field To cannot. */
    dsn->needs_smtputf8 = bytes_has_8bit(original->reverse_path);
    dsn->smtputf8 = dsn->needs_smtputf8;
    dsn->recipient_count = 1;
    dsn->recipients = recipient;
    dsn->service = BYTES("dsn");
    if (!message_ask_tls(dsn, original->tls)) /* RFC 8689 sections 5 and 6 */
        return false;
    return arena_copy(&dsn->arena, original->tenant, &dsn->tenant) &&
           arena_copy(&dsn->arena, original->campaign, &dsn->campaign) &&
           arena_printf(&dsn->arena, &dsn->header_message_id, "<%s@%s>", id, request->hostname);
}

/* What is longer than a chunk is not in memory when it is sent, so that it can be encoded only
 * now. */
static struct message *fit_to_memory(struct message *dsn)
{
    struct message *plain = NULL;

    if (dsn->body == SMTP_BODY_8BITMIME && dsn->content.size > CONTENT_CHUNK_MAX)
        plain = dsn_as_7bit(dsn);
    if (plain == NULL)
        return dsn;
    message_release(&dsn);
    return plain;
}

struct message *dsn_create(const struct dsn_request *request)
{
    struct dsn_part part;
    struct buf out;

    check(request->count > 0);
    check(request->message->reverse_path.len > 0);
    dsn_part_init(&part, request, has_action(request, DSN_FAILED));
    snprintf(part.boundary, sizeof(part.boundary), "=_%016" PRIx64 "%016" PRIx64, random_u64(),
             request->id.value);
    struct message *dsn = message_create();

    /* Encoded, every byte may become three and each line break one more. */
    buf_init(&out, TEXT_MAX + 4 * request->returned_max);
    if (dsn == NULL || !fill_envelope(dsn, request, &part))
        goto fail;
    if (!put_all(request, &part, &out))
        goto fail;
    if (!arena_copy(&dsn->arena, buf_bytes(&out), &dsn->content.memory))
        goto fail;
    dsn->content.size = dsn->content.memory.len;
    buf_free(&out);
    return fit_to_memory(dsn);
fail:
    buf_free(&out);
    if (dsn != NULL)
        message_release(&dsn);
    return NULL;
}
