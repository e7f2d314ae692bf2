/* verify.c - marks of load against what they mark. */
#include "bench/sink/verify.h"

#include <string.h>

void verify_unstuff(struct buf *content)
{
    struct bytes b = buf_bytes(content);
    uint8_t *to = content->ptr + content->start;
    bool at_start = true;
    size_t len = 0;

    for (size_t i = 0; i < b.len; i++) {
        bool is_stuffing = at_start && b.ptr[i] == '.';

        at_start = b.ptr[i] == '\n';
        if (!is_stuffing)
            to[len++] = b.ptr[i];
    }
    buf_truncate(content, len);
}

static struct bytes find_field(struct bytes header, struct bytes name)
{
    size_t at = bytes_find_bytes(header, name, 0);
    struct bytes value;

    if (at == header.len)
        return BYTES_NONE;
    header = bytes_slice(header, at + name.len, header.len);
    return bytes_take_until(&header, '\r', &value) ? value : BYTES_NONE;
}

static bool parse_hex(struct bytes text, uint64_t *out)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t value = 0;

    if (text.len != 16)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        const char *digit = memchr(digits, text.ptr[i], sizeof(digits) - 1);

        if (digit == NULL)
            return false;
        value = value << 4 | (uint64_t)(digit - digits);
    }
    *out = value;
    return true;
}

struct bytes verify_id(struct bytes recipient)
{
    struct bytes local = bytes_slice(recipient, 0, bytes_find(recipient, '@', 0));
    const uint8_t *dash = local.len > 0 ? memrchr(local.ptr, '-', local.len) : NULL;

    return dash == NULL ? BYTES_NONE : bytes_range(local.ptr, (size_t)(dash - local.ptr));
}

enum verdict verify(struct bytes content, struct bytes recipient)
{
    size_t header_len = bytes_find_bytes(content, BYTES("\r\n\r\n"), 0);
    struct bytes header = bytes_slice(content, 0, header_len + 2);
    struct bytes body = bytes_slice(content, header_len + 4, content.len);
    struct bytes id = find_field(header, BYTES("\r\nX-Bench-Id: "));
    uint64_t hash;

    if (id.len == 0 || !parse_hex(find_field(header, BYTES("\r\nX-Bench-Hash: ")), &hash))
        return VERDICT_UNMARKED;
    if (body.len < 2 || !bytes_equal(id, verify_id(recipient)))
        return VERDICT_CHANGED;
    return bytes_hash(bytes_slice(body, 0, body.len - 2)) == hash ? VERDICT_SAME : VERDICT_CHANGED;
}
