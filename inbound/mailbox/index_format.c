/* index_format.c - frames and entries of the index. */
#include "inbound/mailbox/index_format.h"

#include <string.h>

static const char magic[] = "RPMBOX01";

/* What an entry of each kind consists of, in this order. */
struct field {
    uint16_t offset;
    uint8_t width; /* 0: a length of one byte, and so many bytes */
};
#define FIELD(member) \
    { \
        offsetof(struct index_entry, member), sizeof(((struct index_entry *)0)->member) \
    }
#define TEXT(member) \
    { \
        offsetof(struct index_entry, member), 0 \
    }
enum { FIELDS_MAX = 12 };

static const struct field fields[INDEX_KINDS][FIELDS_MAX + 1] = {
    [INDEX_MESSAGE] = {FIELD(uid), FIELD(flags), FIELD(modseq), FIELD(email_id), FIELD(file_size),
                       FIELD(internal_s), FIELD(saved_s), FIELD(lines_lf), FIELD(letters),
                       FIELD(cache), FIELD(bits), TEXT(name)},
    [INDEX_FLAGS] = {FIELD(uid), FIELD(flags), FIELD(letters), FIELD(bits)},
    [INDEX_EXPUNGE] = {FIELD(uid)},
    [INDEX_LETTERS] = {FIELD(uid), FIELD(letters), FIELD(bits)},
    [INDEX_CACHE] = {FIELD(uid), FIELD(cache)},
    [INDEX_LINES] = {FIELD(uid), FIELD(lines_lf)},
    [INDEX_KEYWORD] = {FIELD(number), FIELD(letter), TEXT(name)},
    [INDEX_VANISHED] = {FIELD(uid), FIELD(modseq)},
    [INDEX_FLOOR] = {FIELD(modseq)},
    [INDEX_STAMP] = {FIELD(stamp)},
    [INDEX_CLOSED] = {FIELD(stamp), FIELD(stamp_cur)},
};

static bool is_last(const struct field *field)
{
    return field->offset == 0 && field->width == 0;
}

/* Of one, four or eight bytes. The host is little-endian, as all we run on. */
static void put_number(void *at, uint64_t value, size_t width)
{
    switch (width) {
    case 1:
        memcpy(at, &value, 1);
        break;
    case 4:
        memcpy(at, &value, 4);
        break;
    default:
        memcpy(at, &value, 8);
        break;
    }
}

static uint64_t get_number(const void *at, size_t width)
{
    uint64_t value = 0;

    switch (width) {
    case 1:
        memcpy(&value, at, 1);
        break;
    case 4:
        memcpy(&value, at, 4);
        break;
    default:
        memcpy(&value, at, 8);
        break;
    }
    return value;
}

static size_t padded(size_t len)
{
    return (len + 7) / 8 * 8;
}

/* --- header ----------------------------------------------------------------------------------- */

void index_header_format(const struct index_header *header, uint8_t out[static INDEX_HEADER])
{
    memset(out, 0, INDEX_HEADER);
    memcpy(out, magic, 8);
    put_number(out + 8, header->uidvalidity, 4);
    memcpy(out + 16, header->id, sizeof(header->id));
    put_number(out + 32, header->snapshot, 8);
    put_number(out + 40, header->messages, 4);
    put_number(out + 44, header->names, 4);
    put_number(out + 56, bytes_hash(bytes_range(out, 56)), 8);
}

bool index_header_parse(struct bytes text, struct index_header *out)
{
    if (text.len < INDEX_HEADER || memcmp(text.ptr, magic, 8) != 0 ||
        get_number(text.ptr + 56, 8) != bytes_hash(bytes_slice(text, 0, 56)) ||
        get_number(text.ptr + 8, 4) == 0)
        return false;
    *out = (struct index_header){
        .uidvalidity = (uint32_t)get_number(text.ptr + 8, 4),
        .snapshot = get_number(text.ptr + 32, 8),
        .messages = (uint32_t)get_number(text.ptr + 40, 4),
        .names = (uint32_t)get_number(text.ptr + 44, 4),
    };
    memcpy(out->id, text.ptr + 16, sizeof(out->id));
    return true;
}

/* --- frames ----------------------------------------------------------------------------------- */

bool index_frame_take(struct bytes *text, struct index_frame *out)
{
    if (text->len < INDEX_FRAME_HEAD)
        return false;
    uint64_t len = get_number(text->ptr, 4);

    if (len < INDEX_FRAME_HEAD - 8 || len > INDEX_FRAME_MAX || 8 + padded(len) > text->len)
        return false;
    struct bytes body = bytes_slice(*text, 8, len);

    if ((uint32_t)bytes_hash(body) != get_number(text->ptr + 4, 4))
        return false;
    *out = (struct index_frame){
        .number = get_number(body.ptr, 8),
        .modseq = get_number(body.ptr + 8, 8),
        .ceiling = get_number(body.ptr + 16, 8),
        .uidnext = (uint32_t)get_number(body.ptr + 24, 4),
        .is_snapshot = get_number(body.ptr + 28, 4) != 0,
        .entries = bytes_slice(body, INDEX_FRAME_HEAD - 8, body.len),
    };
    *text = bytes_slice(*text, 8 + padded(len), text->len);
    return true;
}

size_t index_frame_begin(struct buf *out)
{
    static const uint8_t zeros[INDEX_FRAME_HEAD];
    size_t place = buf_len(out);

    check(buf_append(out, bytes_range(zeros, sizeof(zeros))));
    return place;
}

void index_frame_end(struct buf *out, size_t place, const struct index_frame *frame)
{
    static const uint8_t zeros[8];
    size_t len = buf_len(out) - place - 8;

    check(len <= INDEX_FRAME_MAX);
    check(buf_append(out, bytes_range(zeros, padded(len) - len)));
    uint8_t *at = out->ptr + out->start + place;

    put_number(at, len, 4);
    put_number(at + 8, frame->number, 8);
    put_number(at + 16, frame->modseq, 8);
    put_number(at + 24, frame->ceiling, 8);
    put_number(at + 32, frame->uidnext, 4);
    put_number(at + 36, frame->is_snapshot, 4);
    put_number(at + 4, (uint32_t)bytes_hash(bytes_range(at + 8, len)), 4);
}

/* --- entries ---------------------------------------------------------------------------------- */

void index_entry_put(struct buf *out, const struct index_entry *entry)
{
    uint8_t text[400];
    size_t len = 1;

    text[0] = (uint8_t)entry->kind;
    for (const struct field *field = fields[entry->kind]; !is_last(field); field++) {
        const uint8_t *member = (const uint8_t *)entry + field->offset;

        if (field->width > 0) {
            put_number(text + len, get_number(member, field->width), field->width);
            len += field->width;
            continue;
        }
        struct bytes value;

        memcpy(&value, member, sizeof(value));
        check(value.len <= MAIL_NAME_MAX);
        text[len++] = (uint8_t)value.len;
        if (value.len > 0)
            memcpy(text + len, value.ptr, value.len);
        len += value.len;
    }
    check(buf_append(out, bytes_range(text, len)));
}

bool index_entry_take(struct bytes *entries, struct index_entry *out)
{
    struct bytes rest = *entries;

    if (rest.len == 0 || rest.ptr[0] == 0 || rest.ptr[0] >= INDEX_KINDS)
        return false;
    memset(out, 0, sizeof(*out));
    out->kind = (enum index_kind)rest.ptr[0];
    rest = bytes_slice(rest, 1, rest.len);
    for (const struct field *field = fields[out->kind]; !is_last(field); field++) {
        uint8_t *member = (uint8_t *)out + field->offset;
        size_t width = field->width > 0 ? field->width : 1;

        if (rest.len < width)
            return false;
        uint64_t value = get_number(rest.ptr, width);

        rest = bytes_slice(rest, width, rest.len);
        if (field->width > 0) {
            put_number(member, value, width);
            continue;
        }
        if (rest.len < value)
            return false;
        struct bytes part = bytes_slice(rest, 0, value);

        memcpy(member, &part, sizeof(part));
        rest = bytes_slice(rest, value, rest.len);
    }
    *entries = rest;
    return true;
}
