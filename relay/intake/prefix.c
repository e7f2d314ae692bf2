/* prefix.c - fields of the service, Received, Message-ID, Date. */
#include "intake/prefix.h"

#include "base/clock.h"
#include "intake/intake.h"
#include "smtp/header.h"

enum { PREFIX_MAX = INTAKE_FIELDS_MAX + 4096 };

/* Missing Message-ID and Date are added (RFC 6409 section 8.2, 8.3); a submission may lack them. */
static bool put_identity(struct message *message, const struct prefix_facts *facts, const char *id,
                         struct buf *prefix)
{
    char date[CLOCK_TEXT_MAX];
    bool fits;

    if (facts->has_message_id) {
        fits = arena_copy(&message->arena, facts->header_message_id, &message->header_message_id);
    } else {
        /* The id names node and shard: unique wherever it goes. */
        fits = arena_printf(&message->arena, &message->header_message_id, "<%s@%.*s>", id,
                            BYTES_ARG(facts->hostname)) &&
               buf_printf(prefix, "Message-ID: %.*s\r\n", BYTES_ARG(message->header_message_id));
    }
    if (!fits || facts->has_date)
        return fits;
    clock_format_rfc5322(facts->wall_ms, date);
    return buf_printf(prefix, "Date: %s\r\n", date);
}

bool prefix_build(struct message *message, const struct prefix_facts *facts)
{
    char id[MESSAGE_ID_TEXT_MAX];
    struct buf prefix;

    message_id_format(message->id, id);
    buf_init(&prefix, PREFIX_MAX);
    struct received received = {
        .ehlo = message->client_ehlo,
        .peer = message->client_ip,
        .by = facts->hostname,
        .with = facts->with,
        .tls = facts->tls,
        .id = bytes_of(id),
        .for_path = facts->for_path,
        .wall_ms = facts->wall_ms,
    };
    bool fits = buf_append(&prefix, facts->fields) && received_format(&received, &prefix) &&
                put_identity(message, facts, id, &prefix) &&
                arena_copy(&message->arena, buf_bytes(&prefix), &message->prefix);
    buf_free(&prefix);
    return fits;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t';
}

bool prefix_field_is_valid(struct bytes name, struct bytes value, bool may_8bit)
{
    bool line_has_text = false; /* the name is text of the first one */

    if (name.len == 0 || name.len > HEADER_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (!header_is_name_byte(name.ptr[i]))
            return false;
    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = value.ptr[i];

        if (c == '\r') {
            bool is_fold =
                value.len - i >= 3 && value.ptr[i + 1] == '\n' && is_space(value.ptr[i + 2]);
            if (!is_fold || !line_has_text)
                return false;
            line_has_text = false;
            i += 2;
        } else if (!is_space(c)) {
            if (c < 32 || c == 127 || (c > 127 && !may_8bit))
                return false;
            line_has_text = true;
        }
    }
    return line_has_text;
}
