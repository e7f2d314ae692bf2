/* zip_names.c - signatures are looked for, and the header behind one is waited for. */
#include "inbound/receive/zip_names.h"

enum {
    FILE_HEADER = 30,      /* bytes before the name: section 4.3.7 */
    DIRECTORY_HEADER = 46, /* section 4.3.12 */
    ENCRYPTED = 1 << 0 | 1 << 6 | 1 << 13,
    UNICODE_PATH = 0x7075,
    UNICODE_PATH_START = 5, /* a version and a sum of the name that it stands for */
};

struct header {
    struct bytes bytes; /* of the signature and what follows it */
    size_t len;         /* before the name */
    uint16_t flags, method, name_len, extra_len;
};

static uint16_t read_u16(struct bytes b, size_t at)
{
    return (uint16_t)(b.ptr[at] | b.ptr[at + 1] << 8);
}

/* The length of the header whose signature `b` begins with; 0: it begins with none. */
static size_t header_len(struct bytes b)
{
    if (b.len < 4 || b.ptr[0] != 'P' || b.ptr[1] != 'K')
        return 0;
    if (b.ptr[2] == 3 && b.ptr[3] == 4)
        return FILE_HEADER;
    return b.ptr[2] == 1 && b.ptr[3] == 2 ? DIRECTORY_HEADER : 0;
}

/* What is packed in no way that is known can be opened by nobody: then these are other bytes. */
static bool read_header(struct header *header)
{
    size_t at = header->len == FILE_HEADER ? 6 : 8;

    header->flags = read_u16(header->bytes, at);
    header->method = read_u16(header->bytes, at + 2);
    header->name_len = read_u16(header->bytes, at + 20);
    header->extra_len = read_u16(header->bytes, at + 22);
    return header->name_len > 0 &&
           (header->method <= 20 || (header->method >= 93 && header->method <= 99));
}

static struct bytes find_unicode(struct bytes extra)
{
    while (extra.len >= 4) {
        uint16_t kind = read_u16(extra, 0), len = read_u16(extra, 2);
        struct bytes value = bytes_slice(extra, 4, len);

        if (kind == UNICODE_PATH && value.len > UNICODE_PATH_START)
            return bytes_slice(value, UNICODE_PATH_START, value.len);
        extra = bytes_slice(extra, 4 + value.len, extra.len);
    }
    return BYTES_NONE;
}

static void take_member(const struct header *header, struct zip_member *out)
{
    size_t name_end = header->len + header->name_len;

    /* Of one that is cut as much as there is. */
    *out = (struct zip_member){
        .name = bytes_slice(header->bytes, header->len, header->name_len),
        .unicode = find_unicode(bytes_slice(header->bytes, name_end, header->extra_len)),
        .is_encrypted = (header->flags & ENCRYPTED) != 0,
    };
}

void zip_names_init(struct zip_names *names)
{
    *names = (struct zip_names){0};
    buf_init(&names->held, ZIP_HEADER_MAX + ZIP_FEED_MAX);
}

void zip_names_feed(struct zip_names *names, struct bytes run)
{
    buf_consume(&names->held, names->done);
    names->done = 0;
    bool fits = buf_append(&names->held, run);
    check(fits);
}

void zip_names_end(struct zip_names *names)
{
    names->is_end = true;
}

enum zip_found zip_names_next(struct zip_names *names, struct zip_member *member_out)
{
    struct bytes held = buf_bytes(&names->held);

    for (;;) {
        names->done = MIN(bytes_find(held, 'P', names->done), held.len);

        struct header header = {.bytes = bytes_slice(held, names->done, held.len)};

        if (header.bytes.len < 4)
            return ZIP_NOTHING;
        header.len = header_len(header.bytes);
        bool is_cut = header.len > header.bytes.len;

        if (is_cut && !names->is_end)
            return ZIP_NOTHING;
        if (header.len == 0 || is_cut || !read_header(&header)) {
            names->done++;
            continue;
        }
        size_t whole = header.len + header.name_len + header.extra_len;

        if (whole <= ZIP_HEADER_MAX && whole > header.bytes.len && !names->is_end)
            return ZIP_NOTHING;
        names->done += 4; /* not `whole`: what it claims to hold may be more headers */
        if (whole > ZIP_HEADER_MAX)
            return ZIP_TOO_LONG;
        take_member(&header, member_out);
        return ZIP_MEMBER;
    }
}

void zip_names_clear(struct zip_names *names)
{
    buf_clear(&names->held);
    names->done = 0;
    names->is_end = false;
}

void zip_names_free(struct zip_names *names)
{
    buf_free(&names->held);
}
