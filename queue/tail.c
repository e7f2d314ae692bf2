/* tail.c - entries of a message's tail. */
#include "queue/tail.h"

#include <string.h>

#include "queue/bytes_le.h"

enum { ENTRY_LEN = 8 }; /* of its tag and length */

bool tail_add(struct arena *arena, struct bytes *tail, uint32_t tag, struct bytes value)
{
    if (value.len > TAIL_LEN_MAX || tail->len + ENTRY_LEN + value.len > TAIL_LEN_MAX)
        return false;
    uint8_t *longer = arena_alloc(arena, tail->len + ENTRY_LEN + value.len);
    if (longer == NULL)
        return false;
    if (tail->len > 0)
        memcpy(longer, tail->ptr, tail->len);
    put_u32(longer + tail->len, tag);
    put_u32(longer + tail->len + 4, (uint32_t)value.len);
    if (value.len > 0)
        memcpy(longer + tail->len + ENTRY_LEN, value.ptr, value.len);
    *tail = (struct bytes){longer, tail->len + ENTRY_LEN + value.len};
    return true;
}

bool tail_next(struct bytes *tail, uint32_t *tag_out, struct bytes *value_out)
{
    struct bytes rest = *tail;
    const uint8_t *entry;
    const uint8_t *value;

    if (!take_bytes(&rest, ENTRY_LEN, &entry) || !take_bytes(&rest, get_u32(entry + 4), &value))
        return false;
    *tag_out = get_u32(entry);
    *value_out = (struct bytes){value, get_u32(entry + 4)};
    *tail = rest;
    return true;
}

struct bytes tail_find(struct bytes tail, uint32_t tag)
{
    struct bytes value;
    uint32_t found;

    while (tail_next(&tail, &found, &value))
        if (found == tag)
            return value;
    return BYTES_NONE;
}

bool tail_is_valid(struct bytes tail)
{
    struct bytes rest = tail;
    struct bytes value;
    uint32_t tag;

    while (tail_next(&rest, &tag, &value))
        continue;
    return rest.len == 0 && tail.len <= TAIL_LEN_MAX;
}

bool tail_add_session(struct arena *arena, struct bytes *tail, int64_t connected_ms,
                      struct bytes name)
{
    uint8_t value[TAIL_SESSION_MAX];

    check(name.len <= TAIL_SESSION_NAME_MAX);
    put_u64(value, (uint64_t)connected_ms);
    memcpy(value + 8, name.ptr, name.len);
    return tail_add(arena, tail, TAIL_SESSION, (struct bytes){value, 8 + name.len});
}

bool tail_session(struct bytes tail, int64_t *connected_ms_out, struct bytes *name_out)
{
    struct bytes value;
    uint32_t tag;

    while (tail_next(&tail, &tag, &value)) {
        if (tag != TAIL_SESSION || value.len < 8 || value.len > TAIL_SESSION_MAX)
            continue;
        *connected_ms_out = (int64_t)get_u64(value.ptr);
        *name_out = bytes_slice(value, 8, value.len);
        return true;
    }
    return false;
}

/* What stands before a space, and the space. */
static struct bytes take_word(struct bytes *rest)
{
    struct bytes word = bytes_slice(*rest, 0, bytes_find(*rest, ' ', 0));

    *rest = bytes_slice(*rest, word.len + 1, rest->len);
    return word;
}

bool tail_signing(struct bytes tail, struct tail_signing *out)
{
    struct bytes value = tail_find(tail, TAIL_SIGNING);

    if (value.ptr == NULL)
        return false;
    out->word = take_word(&value);
    out->domain = take_word(&value);
    out->selectors = take_word(&value);
    return true;
}

bool tail_add_throttled(struct arena *arena, struct bytes *tail, int64_t until_ms,
                        struct bytes rule)
{
    uint8_t value[8 + TAIL_RULE_MAX];

    rule = bytes_slice(rule, 0, TAIL_RULE_MAX);
    put_u64(value, (uint64_t)until_ms);
    memcpy(value + 8, rule.ptr, rule.len);
    return tail_add(arena, tail, TAIL_THROTTLED, (struct bytes){value, 8 + rule.len});
}

bool tail_throttled(struct bytes tail, int64_t *until_ms_out, struct bytes *rule_out)
{
    struct bytes value = tail_find(tail, TAIL_THROTTLED);

    if (value.len < 8)
        return false;
    *until_ms_out = (int64_t)get_u64(value.ptr);
    *rule_out = bytes_slice(value, 8, value.len);
    return true;
}

unsigned tail_tls(struct bytes tail, unsigned known_max)
{
    struct bytes value = tail_find(tail, TAIL_TLS);

    return value.len == 1 && value.ptr[0] <= known_max ? value.ptr[0] : 0;
}

bool tail_add_account(struct arena *arena, struct bytes *tail, uint32_t account)
{
    uint8_t value[4];

    put_u32(value, account);
    return tail_add(arena, tail, TAIL_ACCOUNT, (struct bytes){value, sizeof(value)});
}

uint32_t tail_account(struct bytes tail)
{
    struct bytes value = tail_find(tail, TAIL_ACCOUNT);

    return value.len == 4 ? get_u32(value.ptr) : 0;
}

bool tail_add_sent(struct arena *arena, struct bytes *tail, uint32_t recipient)
{
    uint8_t value[4];

    put_u32(value, recipient);
    return tail_add(arena, tail, TAIL_SENT, (struct bytes){value, sizeof(value)});
}

bool tail_is_sent(struct bytes tail, uint32_t recipient)
{
    struct bytes value = tail_find(tail, TAIL_SENT);

    return value.len == 4 && get_u32(value.ptr) == recipient;
}

bool tail_add_shown(struct arena *arena, struct bytes *tail, uint32_t recipient, uint32_t of)
{
    uint8_t value[8];

    put_u32(value, recipient);
    put_u32(value + 4, of);
    return tail_add(arena, tail, TAIL_SHOWN, (struct bytes){value, sizeof(value)});
}

bool tail_is_shown(struct bytes tail, uint32_t recipient, uint32_t *of_out)
{
    struct bytes value;
    uint32_t tag;

    while (tail_next(&tail, &tag, &value)) {
        if (tag != TAIL_SHOWN || value.len != 8 || get_u32(value.ptr) != recipient)
            continue;
        *of_out = get_u32(value.ptr + 4);
        return true;
    }
    return false;
}

bool tail_is_copy(struct bytes tail, uint32_t recipient)
{
    uint32_t of;

    return tail_is_sent(tail, recipient) || tail_is_shown(tail, recipient, &of);
}
