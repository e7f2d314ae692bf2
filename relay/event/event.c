/* event.c - the names in events: kinds and message ids. */
#include "event/event.h"

#include <stdatomic.h>

enum { SHARD_AT = 4, DASH_AT = 6, SERIAL_AT = 7 };

static const struct {
    const char *name;
    bool is_final;
    bool is_counted;
} kinds[EVENT_KIND_COUNT] = {
    [EVENT_ACCEPTED] = {"accepted", false, true},
    [EVENT_REJECTED] = {"rejected", false, true},
    [EVENT_DELIVERED] = {"delivered", true, true},
    [EVENT_DEFERRED] = {"deferred", false, true},
    [EVENT_BOUNCED] = {"bounced", true, true},
    [EVENT_EXPIRED] = {"expired", true, true},
    [EVENT_CANCELLED] = {"cancelled", true, true},
    [EVENT_SUPPRESSED] = {"suppressed", true, true},
    [EVENT_DELAYED] = {"delayed", false, true},
    [EVENT_COMPLAINED] = {"complained", false, false},
    [EVENT_OPENED] = {"opened", false, true},
    [EVENT_CLICKED] = {"clicked", false, true},
    [EVENT_UNSUBSCRIBED] = {"unsubscribed", false, true},
    [EVENT_RECEIVED] = {"received", false, false},
    [EVENT_DAMAGED] = {"damaged", false, false},
    [EVENT_RETRIED] = {"retried", false, false},
    [EVENT_SUSPENDED] = {"suspended", false, false},
    [EVENT_RESUMED] = {"resumed", false, false},
    [EVENT_THROTTLED] = {"throttled", false, true},
    [EVENT_CHANGED] = {"changed", false, false},
    [EVENT_FILED] = {"filed", true, true},
    [EVENT_FORWARDED] = {"forwarded", false, true},
    [EVENT_REPORTED] = {"reported", false, false},
};

static _Atomic uint16_t node_number;

void event_set_node(uint16_t node)
{
    atomic_store_explicit(&node_number, node, memory_order_relaxed);
}

uint16_t event_node(void)
{
    return atomic_load_explicit(&node_number, memory_order_relaxed);
}

const char *event_kind_name(enum event_kind kind)
{
    check((unsigned)kind < EVENT_KIND_COUNT);
    return kinds[kind].name;
}

bool event_kind_parse(struct bytes name, enum event_kind *kind_out)
{
    for (unsigned kind = 0; kind < EVENT_KIND_COUNT; kind++) {
        if (bytes_equal(name, bytes_of(kinds[kind].name))) {
            *kind_out = (enum event_kind)kind;
            return true;
        }
    }
    return false;
}

bool event_kind_is_final(enum event_kind kind)
{
    check((unsigned)kind < EVENT_KIND_COUNT);
    return kinds[kind].is_final;
}

bool event_kind_is_counted(enum event_kind kind)
{
    check((unsigned)kind < EVENT_KIND_COUNT);
    return kinds[kind].is_counted;
}

static void put_hex(char *out, uint64_t value, unsigned digits)
{
    for (unsigned i = 0; i < digits; i++)
        out[i] = "0123456789abcdef"[(value >> (4 * (digits - 1 - i))) & 15];
}

static bool take_hex(const uint8_t *text, unsigned digits, uint64_t *value_out)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < digits; i++) {
        uint8_t c = text[i];

        if (c >= '0' && c <= '9')
            value = value << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    *value_out = value;
    return true;
}

void message_id_format(struct message_id id, char out[static MESSAGE_ID_TEXT_MAX])
{
    put_hex(out, event_node(), SHARD_AT);
    put_hex(out + SHARD_AT, message_id_shard(id), DASH_AT - SHARD_AT);
    out[DASH_AT] = '-';
    put_hex(out + SERIAL_AT, id.value & MESSAGE_ID_SERIAL_MAX, MESSAGE_ID_TEXT_LEN - SERIAL_AT);
    out[MESSAGE_ID_TEXT_LEN] = '\0';
}

bool message_id_parse(struct bytes text, struct message_id *id_out)
{
    uint64_t node;
    uint64_t shard;
    uint64_t serial;

    if (text.len != MESSAGE_ID_TEXT_LEN || text.ptr[DASH_AT] != '-')
        return false;
    if (!take_hex(text.ptr, SHARD_AT, &node) ||
        !take_hex(text.ptr + SHARD_AT, DASH_AT - SHARD_AT, &shard) ||
        !take_hex(text.ptr + SERIAL_AT, MESSAGE_ID_TEXT_LEN - SERIAL_AT, &serial))
        return false;
    struct message_id id = {shard << 56 | serial};
    if (node != event_node() || !message_id_is_valid(id))
        return false;
    *id_out = id;
    return true;
}
