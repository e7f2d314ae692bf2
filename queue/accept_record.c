/* accept_record.c - ACCEPT records, to and from bytes. */
#include "queue/accept_record.h"

#include <string.h>

#include "queue/bytes_le.h"
#include "queue/tail.h"

/* The fixed part; its first field is its length, and what is behind what we know is skipped. */
enum {
    ACCEPT_ID = 8,
    ACCEPT_TIME = 16,
    ACCEPT_CONTENT_SIZE = 24,
    ACCEPT_INLINE_LEN = 32,
    ACCEPT_EXTENTS = 36,
    ACCEPT_RECIPIENTS = 40,
    ACCEPT_NEXT_SEQ = 44,
    ACCEPT_RET = 48,
    ACCEPT_BODY = 49,
    ACCEPT_BITS = 50,
    ACCEPT_FIXED_LEN_1 = 52, /* of version 1 */
    ACCEPT_CLASS = 51,
    ACCEPT_NOT_BEFORE = 56,
    ACCEPT_CREDENTIAL = 64,
    ACCEPT_FIXED_LEN = 72,

    ACCEPT_STRINGS_1 = 10,
    ACCEPT_STRINGS = 11,
    EXTENT_LEN = 16,
    STATE_LEN = 12,
    /* address, domain, orcpt with their lengths, notify */
    RECIPIENT_LEN_MIN = 2 + 2 + 2 + 1,

    BIT_SMTPUTF8 = 1,
    BIT_NEEDS_SMTPUTF8 = 2,
    BIT_DSN = 4,
    BIT_ASCII_HEADER = 8, /* unset in records of before it was known */

    STATE_FINAL = 1,
};

static void accept_strings(const struct message *message, struct bytes strings[ACCEPT_STRINGS])
{
    struct bytes all[ACCEPT_STRINGS] = {
        message->reverse_path,      message->envid,  message->client_ip, message->client_ehlo,
        message->service,           message->tenant, message->campaign,  message->tags,
        message->header_message_id, message->prefix, message->tail,
    };

    memcpy(strings, all, sizeof(all));
}

size_t accept_encoded_len(const struct message *message, uint32_t inline_len, bool is_moved)
{
    struct bytes strings[ACCEPT_STRINGS];
    size_t len = ACCEPT_FIXED_LEN;

    if (message->tail.len > TAIL_LEN_MAX)
        return 0;
    accept_strings(message, strings);
    for (size_t i = 0; i < ACCEPT_STRINGS; i++)
        len += 4 + strings[i].len;
    if (inline_len == 0)
        len += message->content.extent_count * EXTENT_LEN;
    for (size_t i = 0; i < message->recipient_count; i++) {
        const struct recipient *r = &message->recipients[i];

        if (MAX(r->address.len, MAX(r->domain.len, r->orcpt.len)) > UINT16_MAX)
            return 0;
        len += RECIPIENT_LEN_MIN + r->address.len + r->domain.len + r->orcpt.len;
        if (is_moved)
            len += STATE_LEN;
    }
    return len <= RECORD_PAYLOAD_MAX ? len : 0;
}

static uint8_t *put_string(uint8_t *at, struct bytes s)
{
    put_u32(at, (uint32_t)s.len);
    if (s.len > 0)
        memcpy(at + 4, s.ptr, s.len);
    return at + 4 + s.len;
}

static uint8_t *put_short_string(uint8_t *at, struct bytes s)
{
    put_u16(at, (uint16_t)s.len);
    if (s.len > 0)
        memcpy(at + 2, s.ptr, s.len);
    return at + 2 + s.len;
}

static uint8_t *put_state(uint8_t *at, const struct recipient_state *state)
{
    at[0] = state->is_final ? STATE_FINAL : 0;
    at[1] = state->flags;
    put_u16(at + 2, state->attempts);
    put_u64(at + 4, (uint64_t)state->due_ms);
    return at + STATE_LEN;
}

void accept_encode(const struct message *message, uint32_t inline_len, uint32_t next_seq,
                   const struct recipient_state *states, uint8_t *out)
{
    const struct content *content = &message->content;
    size_t extent_count = inline_len > 0 ? 0 : content->extent_count;
    struct bytes strings[ACCEPT_STRINGS];
    uint8_t *at = out;

    check(message->not_before_ms >= 0);
    check((unsigned)message->class < MAIL_CLASSES);
    check(tail_is_valid(message->tail));
    memset(at, 0, ACCEPT_FIXED_LEN);
    put_u32(at, ACCEPT_FIXED_LEN);
    put_u64(at + ACCEPT_ID, message->id.value);
    put_u64(at + ACCEPT_TIME, (uint64_t)message->accepted_ms);
    put_u64(at + ACCEPT_CONTENT_SIZE, content->size);
    put_u32(at + ACCEPT_INLINE_LEN, inline_len);
    put_u32(at + ACCEPT_EXTENTS, (uint32_t)extent_count);
    put_u32(at + ACCEPT_RECIPIENTS, (uint32_t)message->recipient_count);
    put_u32(at + ACCEPT_NEXT_SEQ, next_seq);
    at[ACCEPT_RET] = (uint8_t)message->ret;
    at[ACCEPT_BODY] = (uint8_t)message->body;
    at[ACCEPT_BITS] = (uint8_t)((message->smtputf8 ? BIT_SMTPUTF8 : 0) |
                                (message->needs_smtputf8 ? BIT_NEEDS_SMTPUTF8 : 0) |
                                (message->has_ascii_header ? BIT_ASCII_HEADER : 0) |
                                (message->is_dsn ? BIT_DSN : 0));
    at[ACCEPT_CLASS] = (uint8_t)message->class;
    put_u64(at + ACCEPT_NOT_BEFORE, (uint64_t)message->not_before_ms);
    put_u64(at + ACCEPT_CREDENTIAL, message->credential);
    at += ACCEPT_FIXED_LEN;
    accept_strings(message, strings);
    for (size_t i = 0; i < ACCEPT_STRINGS; i++)
        at = put_string(at, strings[i]);
    for (size_t i = 0; i < extent_count; i++) {
        put_u32(at, content->extents[i].segment);
        put_u32(at + 4, content->extents[i].offset);
        put_u32(at + 8, content->extents[i].len);
        put_u32(at + 12, content->extents[i].checksum);
        at += EXTENT_LEN;
    }
    for (size_t i = 0; i < message->recipient_count; i++) {
        const struct recipient *r = &message->recipients[i];

        at = put_short_string(at, r->address);
        at = put_short_string(at, r->domain);
        at = put_short_string(at, r->orcpt);
        *at++ = r->notify;
        if (states != NULL)
            at = put_state(at, &states[i]);
    }
}

static bool take_string(struct bytes *input, struct bytes *out)
{
    const uint8_t *at;

    if (!take_bytes(input, 4, &at))
        return false;
    size_t len = get_u32(at);
    if (!take_bytes(input, len, &at))
        return false;
    *out = (struct bytes){at, len};
    return true;
}

static bool take_short_string(struct bytes *input, struct bytes *out)
{
    const uint8_t *at;

    if (!take_bytes(input, 2, &at))
        return false;
    size_t len = get_u16(at);
    if (!take_bytes(input, len, &at))
        return false;
    *out = (struct bytes){at, len};
    return true;
}

static bool decode_fixed_2(const uint8_t *at, struct accept *out)
{
    if (at[ACCEPT_CLASS] >= MAIL_CLASSES || get_u64(at + ACCEPT_NOT_BEFORE) > INT64_MAX)
        return false;
    out->class = at[ACCEPT_CLASS];
    out->not_before_ms = (int64_t)get_u64(at + ACCEPT_NOT_BEFORE);
    out->credential = get_u64(at + ACCEPT_CREDENTIAL);
    return true;
}

static bool decode_fixed(struct bytes *input, unsigned version, struct accept *out)
{
    size_t len_min = version == 1 ? ACCEPT_FIXED_LEN_1 : ACCEPT_FIXED_LEN;
    const uint8_t *at;

    if (input->len < 4 || get_u32(input->ptr) < len_min)
        return false;
    if (!take_bytes(input, get_u32(input->ptr), &at))
        return false;
    out->id.value = get_u64(at + ACCEPT_ID);
    out->accepted_ms = (int64_t)get_u64(at + ACCEPT_TIME);
    out->content_size = get_u64(at + ACCEPT_CONTENT_SIZE);
    out->inline_len = get_u32(at + ACCEPT_INLINE_LEN);
    out->extent_count = get_u32(at + ACCEPT_EXTENTS);
    out->recipient_count = get_u32(at + ACCEPT_RECIPIENTS);
    out->next_seq = get_u32(at + ACCEPT_NEXT_SEQ);
    if (at[ACCEPT_RET] > SMTP_RET_HDRS || at[ACCEPT_BODY] > SMTP_BODY_8BITMIME)
        return false;
    out->ret = at[ACCEPT_RET];
    out->body = at[ACCEPT_BODY];
    out->smtputf8 = (at[ACCEPT_BITS] & BIT_SMTPUTF8) != 0;
    out->needs_smtputf8 = (at[ACCEPT_BITS] & BIT_NEEDS_SMTPUTF8) != 0;
    out->has_ascii_header = (at[ACCEPT_BITS] & BIT_ASCII_HEADER) != 0;
    out->is_dsn = (at[ACCEPT_BITS] & BIT_DSN) != 0;
    return version == 1 || decode_fixed_2(at, out);
}

bool accept_decode(const struct record *record, struct accept *out)
{
    struct accept accept = {.is_moved = (record->flags & RECORD_MOVED) != 0};
    struct bytes input = record->payload;
    const uint8_t *at;
    struct bytes *strings[ACCEPT_STRINGS] = {
        &accept.reverse_path,      &accept.envid,  &accept.client_ip, &accept.client_ehlo,
        &accept.service,           &accept.tenant, &accept.campaign,  &accept.tags,
        &accept.header_message_id, &accept.prefix, &accept.tail,
    };
    size_t string_count = record->version == 1 ? ACCEPT_STRINGS_1 : ACCEPT_STRINGS;

    if (record->type != RECORD_ACCEPT || !record_is_known(record) ||
        !decode_fixed(&input, record->version, &accept))
        return false;
    for (size_t i = 0; i < string_count; i++)
        if (!take_string(&input, strings[i]))
            return false;
    if (!tail_is_valid(accept.tail))
        return false;
    accept.tls = (enum mail_tls)tail_tls(accept.tail, MAIL_TLS_COUNT - 1);
    size_t extents_len = (size_t)accept.extent_count * EXTENT_LEN;
    if (!take_bytes(&input, extents_len, &at))
        return false;
    accept.extents = (struct bytes){at, extents_len};
    size_t each = RECIPIENT_LEN_MIN + (accept.is_moved ? STATE_LEN : 0);
    if (accept.recipient_count == 0 || accept.recipient_count > MESSAGE_RECIPIENTS_MAX ||
        accept.recipient_count > input.len / each || !message_id_is_valid(accept.id))
        return false;
    accept.recipients = input;
    *out = accept;
    return true;
}

bool accept_next_extent(struct accept *accept, struct extent *out)
{
    const uint8_t *at;

    if (!take_bytes(&accept->extents, EXTENT_LEN, &at))
        return false;
    *out = (struct extent){
        .segment = get_u32(at),
        .offset = get_u32(at + 4),
        .len = get_u32(at + 8),
        .checksum = get_u32(at + 12),
    };
    return true;
}

bool accept_next_recipient(struct accept *accept, struct recipient *out,
                           struct recipient_state *state_out)
{
    struct bytes input = accept->recipients;
    struct recipient recipient = {0};
    struct recipient_state state = {0};
    const uint8_t *at;

    if (!take_short_string(&input, &recipient.address) ||
        !take_short_string(&input, &recipient.domain) ||
        !take_short_string(&input, &recipient.orcpt) || !take_bytes(&input, 1, &at))
        return false;
    recipient.notify = at[0];
    if (accept->is_moved) {
        if (!take_bytes(&input, STATE_LEN, &at))
            return false;
        state.is_final = (at[0] & STATE_FINAL) != 0;
        state.flags = at[1];
        state.attempts = get_u16(at + 2);
        state.due_ms = (int64_t)get_u64(at + 4);
    }
    accept->recipients = input;
    *out = recipient;
    if (state_out != NULL)
        *state_out = state;
    return true;
}
