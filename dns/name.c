/* name.c - domain names as text and on the wire. */
#include "dns/name.h"

#include <string.h>

enum {
    HEADER_LEN = 12, /* of a packet: no name stands in it */
    WIRE_NAME_MAX = 255,
    POINTERS_MAX = 127, /* as many as labels fit in a name */
};

/* Bytes of labels we ask and believe: printable, and special in no notation a name is put into. */
static bool byte_is_good(uint8_t c)
{
    static const struct bytes special = {(const uint8_t *)"\"\\.,:;()<>[]@$`", 15};

    return c > 0x20 && c < 0x7f && bytes_find(special, c, 0) == special.len;
}

static bool byte_is_possible(uint8_t c)
{
    return c != '\0';
}

static bool parse(struct bytes text, bool (*byte_is_wanted)(uint8_t c), struct dns_name *out)
{
    size_t label_len = 0;

    if (text.len > 0 && text.ptr[text.len - 1] == '.')
        text.len--;
    if (text.len == 0 || text.len > DNS_NAME_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];

        if (c != '.' && !byte_is_wanted(c))
            return false;
        if (c == '.' && label_len == 0)
            return false;
        label_len = c == '.' ? 0 : label_len + 1;
        if (label_len > DNS_LABEL_MAX)
            return false;
    }
    if (label_len == 0)
        return false;
    for (size_t i = 0; i < text.len; i++)
        out->text[i] = (char)byte_lower(text.ptr[i]);
    out->text[text.len] = '\0';
    out->len = text.len;
    return true;
}

bool dns_name_parse(struct bytes text, struct dns_name *out)
{
    return parse(text, byte_is_good, out);
}

bool dns_name_parse_any(struct bytes text, struct dns_name *out)
{
    return parse(text, byte_is_possible, out);
}

void dns_name_escape(const struct dns_name *name, char out[static DNS_NAME_ESCAPED_MAX + 1])
{
    size_t len = 0;

    for (size_t i = 0; i < name->len; i++) {
        if (name->text[i] == '\\')
            out[len++] = '\\';
        out[len++] = name->text[i];
    }
    out[len] = '\0';
}

/* Adds a label to the name; false if one of its bytes is odd. */
static bool add_label(struct dns_name *out, const uint8_t *label, size_t len)
{
    bool is_good = true;

    check(out->len + len + 1 <= DNS_NAME_MAX + 1);
    if (out->len > 0)
        out->text[out->len++] = '.';
    for (size_t i = 0; i < len; i++) {
        is_good &= byte_is_good(label[i]);
        /* The only byte that would make two names look the same. */
        out->text[out->len++] = (char)(label[i] == '.' ? '\0' : byte_lower(label[i]));
    }
    return is_good;
}

enum dns_name_verdict dns_name_take(struct bytes packet, size_t *position, struct dns_name *out)
{
    size_t at = *position;
    size_t pointer_limit = at; /* pointers go before the name, then before where they led */
    size_t wire_len = 1;       /* the root label */
    unsigned pointers = 0;
    size_t after = 0;
    bool is_odd = false;

    out->len = 0;
    for (;;) { /* bounded: labels by wire_len, pointers by their number */
        if (at >= packet.len)
            return DNS_NAME_BROKEN;
        uint8_t head = packet.ptr[at];

        if (head == 0)
            break;
        if (head >= 0xc0) {
            if (packet.len - at < 2 || ++pointers > POINTERS_MAX)
                return DNS_NAME_BROKEN;
            size_t target = (size_t)(head & 0x3f) << 8 | packet.ptr[at + 1];

            if (target < HEADER_LEN || target >= pointer_limit)
                return DNS_NAME_BROKEN;
            if (pointers == 1)
                after = at + 2;
            pointer_limit = target;
            at = target;
            continue;
        }
        wire_len += (size_t)head + 1;
        if (head > DNS_LABEL_MAX || head > packet.len - at - 1 || wire_len > WIRE_NAME_MAX)
            return DNS_NAME_BROKEN;
        is_odd |= !add_label(out, packet.ptr + at + 1, head);
        at += (size_t)head + 1;
    }
    out->text[out->len] = '\0';
    *position = pointers > 0 ? after : at + 1;
    return is_odd ? DNS_NAME_ODD : DNS_NAME_GOOD;
}

void dns_name_mix_case(struct dns_name *name, uint64_t bits)
{
    unsigned letters = 0;

    for (size_t i = 0; i < name->len; i++) {
        char *c = &name->text[i];
        bool is_upper = *c >= 'A' && *c <= 'Z';

        if (!is_upper && (*c < 'a' || *c > 'z'))
            continue;
        bool wants_upper = (bits >> (letters++ % 64) & 1) != 0;

        if (wants_upper != is_upper)
            *c ^= 0x20;
    }
}

bool dns_name_is_below(struct bytes name, struct bytes ancestor)
{
    if (ancestor.len == 0)
        return true;
    if (!bytes_ends_nocase(name, ancestor))
        return false;
    return name.len == ancestor.len || name.ptr[name.len - ancestor.len - 1] == '.';
}

bool dns_name_is_host(struct bytes name)
{
    bool label_is_number = true;
    struct dns_name parsed;

    if (!dns_name_parse(name, &parsed))
        return false;
    for (size_t i = 0; i < parsed.len; i++) {
        uint8_t c = (uint8_t)parsed.text[i];

        if (c == '.') {
            label_is_number = true;
            continue;
        }
        if (!byte_is_alnum(c) && c != '-' && c != '_')
            return false;
        label_is_number &= byte_is_digit(c);
    }
    return !label_is_number;
}
