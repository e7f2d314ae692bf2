/* tenant_book_frame.c - frames of the book, to and from bytes. */
#include "relay/tenant_book_frame.h"

#include <string.h>

#include "queue/bytes_le.h"

enum {
    ENTRY_POSITION = 1,
    ENTRY_COUNTS = 2,
    ENTRY_CLAIM = 3,
    ENTRY_RATE = 4,
    POSITION_LEN = 14,
    COUNTS_LEN = 8 * ALLOWANCE_COUNTS,
    CLAIM_ENTRY_LEN = 1 + CLAIM_LEN + 12,
    RATE_LEN = 25,
};

struct bytes book_magic(void)
{
    return BYTES("ringpost-tenants 1\n");
}

void frame_seal(uint8_t *frame, size_t len)
{
    put_u32(frame, (uint32_t)len);
    put_u32(frame + 4, 0);
    put_u64(frame + 8, bytes_hash(bytes_range(frame + FRAME_HEADER_LEN, len)));
}

bool frame_put_position(struct buf *out, unsigned shard, uint64_t position, uint32_t part)
{
    uint8_t entry[POSITION_LEN] = {ENTRY_POSITION, (uint8_t)shard};

    put_u64(entry + 2, position);
    put_u32(entry + 10, part);
    return buf_append(out, bytes_range(entry, sizeof(entry)));
}

bool frame_put_counts(struct buf *out, struct bytes name,
                      const uint64_t counts[static ALLOWANCE_COUNTS])
{
    uint8_t head[2] = {ENTRY_COUNTS, (uint8_t)name.len}, numbers[COUNTS_LEN];

    check(name.len < 256);
    if (buf_room(out) < sizeof(head) + name.len + sizeof(numbers))
        return false;
    for (unsigned i = 0; i < ALLOWANCE_COUNTS; i++)
        put_u64(numbers + 8 * i, counts[i]);
    return buf_append(out, bytes_range(head, sizeof(head))) && buf_append(out, name) &&
           buf_append(out, bytes_range(numbers, sizeof(numbers)));
}

bool frame_put_claim(struct buf *out, const struct claim *claim, uint64_t id, int64_t since_s)
{
    uint8_t entry[CLAIM_ENTRY_LEN] = {ENTRY_CLAIM};

    claim_encode(claim, entry + 1);
    put_u64(entry + 1 + CLAIM_LEN, id);
    put_u32(entry + 9 + CLAIM_LEN, (uint32_t)MAX(since_s, (int64_t)0));
    return buf_append(out, bytes_range(entry, sizeof(entry)));
}

bool frame_put_rate(struct buf *out, const struct account_rate_noted *noted, int64_t began_s)
{
    uint8_t entry[RATE_LEN] = {ENTRY_RATE};

    put_u32(entry + 1, noted->account);
    put_u32(entry + 5, (uint32_t)MAX(began_s, (int64_t)0));
    put_u32(entry + 9, noted->messages);
    put_u32(entry + 13, noted->recipients);
    put_u32(entry + 17, noted->messages_before);
    put_u32(entry + 21, noted->recipients_before);
    return buf_append(out, bytes_range(entry, sizeof(entry)));
}

/* --- reading ---------------------------------------------------------------------------------- */

static bool visit_position(struct bytes *rest, const struct book_visitor *visitor)
{
    const uint8_t *at;

    if (!take_bytes(rest, POSITION_LEN, &at))
        return false;
    visitor->position(visitor->context, at[1], get_u64(at + 2), get_u32(at + 10));
    return true;
}

static bool visit_counts(struct bytes *rest, const struct book_visitor *visitor)
{
    uint64_t counts[ALLOWANCE_COUNTS];
    const uint8_t *head, *name, *numbers;

    if (!take_bytes(rest, 2, &head) || !take_bytes(rest, head[1], &name) ||
        !take_bytes(rest, COUNTS_LEN, &numbers))
        return false;
    for (unsigned i = 0; i < ALLOWANCE_COUNTS; i++)
        counts[i] = get_u64(numbers + 8 * i);
    visitor->counts(visitor->context, bytes_range(name, head[1]), counts);
    return true;
}

static bool visit_claim(struct bytes *rest, const struct book_visitor *visitor)
{
    struct claim claim;
    const uint8_t *at;

    if (!take_bytes(rest, CLAIM_ENTRY_LEN, &at) ||
        !claim_decode(bytes_range(at + 1, CLAIM_LEN), &claim))
        return false;
    uint64_t id = get_u64(at + 1 + CLAIM_LEN);
    if (id == 0)
        return false;
    visitor->claim(visitor->context, &claim, id, get_u32(at + 9 + CLAIM_LEN));
    return true;
}

static bool visit_rate(struct bytes *rest, const struct book_visitor *visitor)
{
    const uint8_t *at;

    if (!take_bytes(rest, RATE_LEN, &at) || get_u32(at + 1) == 0)
        return false;
    const struct account_rate_noted noted = {
        .account = get_u32(at + 1),
        .messages = get_u32(at + 9),
        .recipients = get_u32(at + 13),
        .messages_before = get_u32(at + 17),
        .recipients_before = get_u32(at + 21),
    };

    visitor->rate(visitor->context, &noted, get_u32(at + 5));
    return true;
}

/* What its checksum holds for was written so: nonsense in it is a bug of the writer, and ends it.
 * */
static bool visit_entries(struct bytes rest, const struct book_visitor *visitor)
{
    while (rest.len > 0) {
        bool is_good = false;

        switch (rest.ptr[0]) {
        case ENTRY_POSITION:
            is_good = visit_position(&rest, visitor);
            break;
        case ENTRY_COUNTS:
            is_good = visit_counts(&rest, visitor);
            break;
        case ENTRY_CLAIM:
            is_good = visit_claim(&rest, visitor);
            break;
        case ENTRY_RATE:
            is_good = visit_rate(&rest, visitor);
            break;
        }
        if (!is_good)
            return false;
    }
    return true;
}

enum book_state book_visit(struct bytes file, const struct book_visitor *visitor, size_t *good_out)
{
    struct bytes rest = file, magic = book_magic();
    const uint8_t *head, *entries;

    *good_out = 0;
    if (!bytes_equal(bytes_slice(file, 0, magic.len), magic))
        return bytes_starts_nocase(file, BYTES("ringpost-tenants ")) ? BOOK_NEWER : BOOK_FOREIGN;
    rest = bytes_slice(file, magic.len, file.len);
    for (;;) {
        *good_out = file.len - rest.len;
        if (rest.len == 0)
            return BOOK_WHOLE;
        if (!take_bytes(&rest, FRAME_HEADER_LEN, &head) ||
            !take_bytes(&rest, get_u32(head), &entries) || get_u32(head + 4) != 0)
            return BOOK_TORN;
        struct bytes frame = bytes_range(entries, get_u32(head));

        if (bytes_hash(frame) != get_u64(head + 8) || !visit_entries(frame, visitor))
            return BOOK_TORN;
    }
}
