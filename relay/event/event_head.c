/* event_head.c - what the front of an event's line means. */
#include "event/event_head.h"

#include "event/event_line.h"

enum { EVENT_ID_LEN_MIN = 4 + 1 + 2 + 1 + 16 + 1 + 1, SHARD_AT = 4, DASH_AT = 6, SERIAL_AT = 7 };
enum { EVENT_SHARD_AT = 5, POSITION_AT = 8, PART_AT = 25 }; /* of event_id */

static const int64_t SERIAL_EPOCH_US = 1577836800LL * 1000000; /* 2020-01-01 */

static bool parse_hex(struct bytes text, uint64_t *value_out)
{
    uint64_t value = 0;

    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];

        if (!byte_is_digit(c) && (c < 'a' || c > 'f'))
            return false;
        value = value << 4 | (uint64_t)(byte_is_digit(c) ? c - '0' : c - 'a' + 10);
    }
    *value_out = value;
    return true;
}

/* Files may have been brought here from another node, so the node is nobody's in particular. */
bool event_head_parse_id(struct bytes text, struct message_id *id_out)
{
    uint64_t node, shard, serial;

    *id_out = (struct message_id){0};
    if (text.ptr == NULL)
        return true;
    if (text.len != MESSAGE_ID_TEXT_LEN || text.ptr[DASH_AT] != '-' ||
        !parse_hex(bytes_slice(text, 0, SHARD_AT), &node) ||
        !parse_hex(bytes_slice(text, SHARD_AT, DASH_AT - SHARD_AT), &shard) ||
        !parse_hex(bytes_slice(text, SERIAL_AT, text.len), &serial))
        return false;
    *id_out = (struct message_id){shard << 56 | serial};
    return message_id_is_valid(*id_out);
}

static void parse_place(struct bytes event_id, struct event_head *head)
{
    uint64_t shard, position, part;

    if (event_id.ptr[POSITION_AT - 1] != '-' || event_id.ptr[PART_AT - 1] != '-' ||
        !parse_hex(bytes_slice(event_id, EVENT_SHARD_AT, 2), &shard) ||
        !parse_hex(bytes_slice(event_id, POSITION_AT, 16), &position) ||
        !bytes_to_u64(bytes_slice(event_id, PART_AT, event_id.len), &part))
        return;
    head->shard = (unsigned)shard;
    head->position = position;
    head->part = part;
}

bool event_head_parse(struct bytes line, struct event_head *out)
{
    struct event_head head = {.kind = EVENT_KIND_COUNT};
    struct event_line parts;

    if (line.len < 2 || line.ptr[line.len - 1] != '}' || !event_line_split(line, &parts) ||
        parts.schema != 1 || parts.event_id.len < EVENT_ID_LEN_MIN || parts.seq > UINT32_MAX ||
        !event_head_parse_id(parts.id, &head.id))
        return false;
    head.has_seq = parts.has_seq;
    head.seq = (uint32_t)parts.seq;
    head.id_text = parts.id;
    head.recipient = parts.recipient;
    head.tenant = parts.tenant;
    parse_place(parts.event_id, &head);
    if (!event_kind_parse(parts.kind, &head.kind))
        head.kind = EVENT_KIND_COUNT;
    *out = head;
    return true;
}

int64_t event_head_id_us(struct message_id id)
{
    return (int64_t)(id.value & MESSAGE_ID_SERIAL_MAX) + SERIAL_EPOCH_US;
}
