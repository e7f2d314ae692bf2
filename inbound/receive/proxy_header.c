/* proxy_header.c - both versions of the PROXY protocol, as HAProxy's document describes them. */
#include "inbound/receive/proxy_header.h"

#include <string.h>

enum {
    V2_FIXED_LEN = 16,
    V2_VERSION = 12, /* octets: version and command, family and protocol, length */
    V2_FAMILY = 13,
    V2_LENGTH = 14,
    V2_COMMAND_LOCAL = 0x20,
    V2_COMMAND_PROXY = 0x21,
    V2_TCP4 = 0x11,
    V2_TCP6 = 0x21,
    V2_TCP4_LEN = 12,
    V2_TCP6_LEN = 36,
};

static const uint8_t v2_signature[V2_VERSION] = {'\r', '\n', '\r', '\n', 0,   '\r',
                                                 '\n', 'Q',  'U',  'I',  'T', '\n'};

/* --- version 1 -------------------------------------------------------------------------------- */

static bool take_word(struct bytes *line, struct bytes *word_out)
{
    if (bytes_take_until(line, ' ', word_out))
        return word_out->len > 0;
    *word_out = *line;
    *line = bytes_slice(*line, line->len, 0);
    return word_out->len > 0;
}

static bool is_port(struct bytes text)
{
    uint64_t port;

    return bytes_to_u64(text, &port) && port <= UINT16_MAX && text.len <= 5;
}

/* "TCP4 192.0.2.1 198.51.100.1 56324 25", behind "PROXY ". */
static bool parse_line(struct bytes line, struct proxy_header *out)
{
    struct bytes family, source, destination, source_port, port;
    struct address other;

    if (!take_word(&line, &family))
        return false;
    out->is_local = bytes_equal(family, BYTES("UNKNOWN"));
    if (out->is_local)
        return true;
    bool is_v4 = bytes_equal(family, BYTES("TCP4"));
    if (!is_v4 && !bytes_equal(family, BYTES("TCP6")))
        return false;
    if (!take_word(&line, &source) || !take_word(&line, &destination) ||
        !take_word(&line, &source_port) || !take_word(&line, &port) || line.len > 0)
        return false;
    uint8_t mark = is_v4 ? '.' : ':';
    if (bytes_find(source, mark, 0) == source.len || bytes_find(source, '[', 0) != source.len ||
        (is_v4 && bytes_find(source, ':', 0) != source.len))
        return false;
    return is_port(source_port) && is_port(port) && address_parse(source, 0, &out->client) &&
           address_parse(destination, 0, &other);
}

static enum proxy_step take_line(struct bytes *input, struct proxy_header *out)
{
    struct bytes line = bytes_slice(*input, 0, PROXY_LINE_MAX);
    size_t end = bytes_find_bytes(line, BYTES("\r\n"), 0);

    if (end == line.len)
        return line.len == PROXY_LINE_MAX ? PROXY_BAD : PROXY_MORE;
    struct bytes rest = bytes_slice(line, sizeof("PROXY ") - 1, end - (sizeof("PROXY ") - 1));
    if (!parse_line(rest, out))
        return PROXY_BAD;
    *input = bytes_slice(*input, end + 2, input->len);
    return PROXY_DONE;
}

/* --- version 2 -------------------------------------------------------------------------------- */

static bool parse_block(const uint8_t *block, size_t len, struct proxy_header *out)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (block[V2_VERSION] == V2_COMMAND_LOCAL) {
        out->is_local = true;
        return true;
    }
    if (block[V2_VERSION] != V2_COMMAND_PROXY)
        return false;
    switch (block[V2_FAMILY]) {
    case V2_TCP4:
        if (len < V2_TCP4_LEN)
            return false;
        memcpy(&v4, block + V2_FIXED_LEN, sizeof(v4));
        address_from_v4(v4, 0, &out->client);
        return true;
    case V2_TCP6:
        if (len < V2_TCP6_LEN)
            return false;
        memcpy(&v6, block + V2_FIXED_LEN, sizeof(v6));
        address_from_v6(&v6, 0, &out->client);
        return true;
    default: /* unspecified, or a protocol that is not ours: as the document says */
        out->is_local = true;
        return true;
    }
}

static enum proxy_step take_block(struct bytes *input, struct proxy_header *out)
{
    if (input->len < V2_FIXED_LEN)
        return PROXY_MORE;
    size_t len = (size_t)input->ptr[V2_LENGTH] << 8 | input->ptr[V2_LENGTH + 1];
    if (V2_FIXED_LEN + len > PROXY_BLOCK_MAX)
        return PROXY_BAD;
    if (input->len < V2_FIXED_LEN + len)
        return PROXY_MORE;
    if (!parse_block(input->ptr, len, out))
        return PROXY_BAD;
    *input = bytes_slice(*input, V2_FIXED_LEN + len, input->len);
    return PROXY_DONE;
}

/* Whether the input begins as `start` does, as far as it has come. */
static bool may_be(struct bytes input, struct bytes start)
{
    size_t len = MIN(input.len, start.len);

    return bytes_equal(bytes_slice(input, 0, len), bytes_slice(start, 0, len));
}

enum proxy_step proxy_header_take(struct bytes *input, struct proxy_header *out)
{
    static const struct bytes line = BYTES("PROXY ");
    struct bytes block = bytes_range(v2_signature, sizeof(v2_signature));
    struct proxy_header header = {0};
    enum proxy_step step = PROXY_BAD;

    if (input->len == 0)
        return PROXY_MORE;
    if (may_be(*input, line))
        step = input->len < line.len ? PROXY_MORE : take_line(input, &header);
    else if (may_be(*input, block))
        step = input->len < block.len ? PROXY_MORE : take_block(input, &header);
    if (step == PROXY_DONE)
        *out = header;
    return step;
}
