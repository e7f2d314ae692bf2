/* event_head.c - takes the front off an event's line. */
#include "event/event_head.h"

enum { EVENT_ID_LEN_MIN = 4 + 1 + 2 + 1 + 16 + 1 + 1, SHARD_AT = 4, DASH_AT = 6, SERIAL_AT = 7 };

static const int64_t SERIAL_EPOCH_US = 1577836800LL * 1000000; /* 2020-01-01 */

static bool take(struct bytes *input, struct bytes literal)
{
    if (!bytes_equal(bytes_slice(*input, 0, literal.len), literal))
        return false;
    *input = bytes_slice(*input, literal.len, input->len);
    return true;
}

/* A JSON string's inside, escapes and all. */
static bool take_string(struct bytes *input, struct bytes *inside_out)
{
    struct bytes rest = *input;

    if (!take(&rest, BYTES("\"")))
        return false;
    for (size_t i = 0; i < rest.len; i++) {
        if (rest.ptr[i] == '\\') {
            i++;
            continue;
        }
        if (rest.ptr[i] != '"')
            continue;
        *inside_out = bytes_slice(rest, 0, i);
        *input = bytes_slice(rest, i + 1, rest.len);
        return true;
    }
    return false;
}

/* ptr NULL for null. */
static bool take_string_or_null(struct bytes *input, struct bytes *inside_out)
{
    if (take(input, BYTES("null"))) {
        *inside_out = BYTES_NONE;
        return true;
    }
    return take_string(input, inside_out);
}

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

static bool take_seq(struct bytes *input, struct event_head *head)
{
    uint64_t seq;

    if (take(input, BYTES("null")))
        return true;
    if (!bytes_take_u64(input, &seq) || seq > UINT32_MAX)
        return false;
    head->has_seq = true;
    head->seq = (uint32_t)seq;
    return true;
}

bool event_head_parse(struct bytes line, struct event_head *out)
{
    struct event_head head = {.kind = EVENT_KIND_COUNT};
    struct bytes event_id, kind;

    if (line.len < 2 || line.ptr[line.len - 1] != '}')
        return false;
    if (!take(&line, BYTES("{\"schema\":1,\"event_id\":")) || !take_string(&line, &event_id) ||
        event_id.len < EVENT_ID_LEN_MIN || !take(&line, BYTES(",\"seq\":")) ||
        !take_seq(&line, &head) || !take(&line, BYTES(",\"kind\":")) ||
        !take_string(&line, &kind) || !take(&line, BYTES(",\"id\":")) ||
        !take_string_or_null(&line, &head.id_text) ||
        !event_head_parse_id(head.id_text, &head.id) || !take(&line, BYTES(",\"recipient\":")) ||
        !take_string_or_null(&line, &head.recipient) || !take(&line, BYTES(",\"tenant\":")) ||
        !take_string_or_null(&line, &head.tenant) || !take(&line, BYTES(",\"time\":")))
        return false;
    if (!event_kind_parse(kind, &head.kind))
        head.kind = EVENT_KIND_COUNT;
    *out = head;
    return true;
}

int64_t event_head_id_us(struct message_id id)
{
    return (int64_t)(id.value & MESSAGE_ID_SERIAL_MAX) + SERIAL_EPOCH_US;
}
