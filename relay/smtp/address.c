/* address.c - paths, mailboxes and domains of RFC 5321 section 4.1.2, taken off the front. */
#include "smtp/address.h"

#include <arpa/inet.h>
#include <idn2.h>
#include <string.h>

#include "base/utf8.h"

enum { LABEL_MAX = 63 }; /* octets, RFC 1035 section 2.3.4 */

static bool take_byte(struct bytes *input, uint8_t byte);
static bool take_local_part(struct bytes *input, struct bytes *local_out);
static bool take_domain(struct bytes *input, struct bytes *domain_out);
static bool take_name(struct bytes *input, struct bytes *name_out);
static bool take_mailbox(struct bytes *input, struct smtp_address *out);
static bool take_source_route(struct bytes *input);

bool smtp_take_path(struct bytes *input, struct smtp_address *out)
{
    struct bytes rest = *input;
    struct smtp_address address = {0};

    if (!take_byte(&rest, '<'))
        return false;
    if (take_byte(&rest, '>')) { /* the null reverse-path, RFC 5321 section 4.5.5 */
        *out = address;
        *input = rest;
        return true;
    }
    bool has_route = rest.len > 0 && rest.ptr[0] == '@';
    if (has_route && !take_source_route(&rest))
        return false;
    if (!take_mailbox(&rest, &address) || !take_byte(&rest, '>'))
        return false;
    if (has_route && address.domain.len == 0) /* a route leads to a mailbox, not to postmaster */
        return false;
    if ((size_t)(rest.ptr - input->ptr) > SMTP_PATH_MAX)
        return false;
    *out = address;
    *input = rest;
    return true;
}

bool smtp_parse_address(struct bytes text, struct smtp_address *out)
{
    struct bytes rest = text;
    struct smtp_address address;

    if (text.len > SMTP_PATH_MAX - 2) /* the brackets count */
        return false;
    if (!take_mailbox(&rest, &address) || rest.len != 0)
        return false;
    *out = address;
    return true;
}

bool smtp_domain_is_valid(struct bytes domain, bool *is_utf8_out)
{
    struct bytes rest = domain;
    struct bytes taken;

    if (!take_domain(&rest, &taken) || rest.len != 0)
        return false;
    *is_utf8_out = bytes_has_8bit(domain);
    return true;
}

/* The A-label form of a valid name that has U-labels, into `ascii`; its length or 0. */
static size_t name_to_ascii(struct bytes name, char ascii[static SMTP_DOMAIN_MAX + 1])
{
    uint8_t text[SMTP_DOMAIN_MAX + 1];
    uint8_t *looked_up = NULL;

    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    /* UTS 46 without its IDNA 2003 transition: what browsers and other MTAs do with names that
     * people type. */
    if (idn2_lookup_u8(text, &looked_up, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK)
        return 0;
    size_t len = strnlen((const char *)looked_up, SMTP_DOMAIN_MAX + 1);
    if (len <= SMTP_DOMAIN_MAX)
        memcpy(ascii, looked_up, len);
    idn2_free(looked_up);
    return len <= SMTP_DOMAIN_MAX ? len : 0;
}

bool smtp_domain_normalise(struct arena *arena, struct bytes domain, struct bytes *normalised_out)
{
    char ascii[SMTP_DOMAIN_MAX + 1];
    bool is_utf8;

    if (domain.len > 1 && domain.ptr[domain.len - 1] == '.')
        domain.len--;
    if (!smtp_domain_is_valid(domain, &is_utf8))
        return false;
    if (is_utf8) {
        domain = bytes_range(ascii, name_to_ascii(domain, ascii));
        /* The mapping makes dots and letters of look-alikes: what came out must be a name too. */
        if (!smtp_domain_is_valid(domain, &is_utf8) || is_utf8)
            return false;
    }
    uint8_t *normalised = arena_alloc(arena, domain.len + 1);
    if (normalised == NULL)
        return false;
    for (size_t i = 0; i < domain.len; i++)
        normalised[i] = byte_lower(domain.ptr[i]);
    *normalised_out = (struct bytes){normalised, domain.len};
    return true;
}

static bool take_byte(struct bytes *input, uint8_t byte)
{
    if (input->len == 0 || input->ptr[0] != byte)
        return false;
    *input = bytes_slice(*input, 1, input->len - 1);
    return true;
}

/* "local@domain", or "postmaster" alone (RFC 5321 section 4.1.1.3). */
static bool take_mailbox(struct bytes *input, struct smtp_address *out)
{
    struct bytes rest = *input;
    struct smtp_address address = {0};

    if (!take_local_part(&rest, &address.local))
        return false;
    if (take_byte(&rest, '@')) {
        if (!take_domain(&rest, &address.domain))
            return false;
    } else if (!bytes_equal_nocase(address.local, BYTES("postmaster"))) {
        return false;
    }
    address.text = bytes_slice(*input, 0, input->len - rest.len);
    address.is_utf8 = bytes_has_8bit(address.text);
    *out = address;
    *input = rest;
    return true;
}

/* Length of the atext character at the front (RFC 5322 section 3.2.3, RFC 6531 section 3.3). */
static size_t atext(struct bytes b)
{
    static const char specials[] = "!#$%&'*+-/=?^_`{|}~";

    if (b.len == 0)
        return 0;
    if (b.ptr[0] > 127)
        return utf8_character(b);
    if (byte_is_alnum(b.ptr[0]))
        return 1;
    return memchr(specials, b.ptr[0], sizeof(specials) - 1) != NULL ? 1 : 0;
}

/* Length of the QcontentSMTP at the front: qtextSMTP, quoted-pairSMTP or UTF-8. */
static size_t quoted_content(struct bytes b)
{
    if (b.len == 0)
        return 0;
    if (b.ptr[0] > 127)
        return utf8_character(b);
    if (b.ptr[0] == '\\')
        return b.len >= 2 && b.ptr[1] >= 32 && b.ptr[1] <= 126 ? 2 : 0;
    return b.ptr[0] >= 32 && b.ptr[0] <= 126 && b.ptr[0] != '"' ? 1 : 0;
}

static size_t quoted_string_len(struct bytes b)
{
    size_t at = 1;
    size_t len;

    while ((len = quoted_content(bytes_slice(b, at, b.len - at))) != 0)
        at += len;
    return at < b.len && b.ptr[at] == '"' ? at + 1 : 0;
}

static size_t dot_string_len(struct bytes b)
{
    size_t at = 0;
    size_t atom_start = 0;

    for (;;) {
        size_t len = atext(bytes_slice(b, at, b.len - at));
        if (len != 0) {
            at += len;
            continue;
        }
        if (at == atom_start) /* no atom before the dot or behind it */
            return 0;
        if (at == b.len || b.ptr[at] != '.')
            return at;
        at++;
        atom_start = at;
    }
}

/* What forwarders make holds a whole address and their own signs. */
static size_t local_part_max(struct bytes b)
{
    struct bytes plain = b.len > 0 && b.ptr[0] == '"' ? bytes_slice(b, 1, b.len) : b;

    if (bytes_starts_nocase(plain, BYTES("SRS0=")) || bytes_starts_nocase(plain, BYTES("SRS1=")))
        return SMTP_LOCAL_ROOM;
    return SMTP_LOCAL_PART_MAX;
}

static bool take_local_part(struct bytes *input, struct bytes *local_out)
{
    size_t len_max = local_part_max(*input);
    /* One octet more than allowed is enough to see that it is too long. */
    struct bytes b = bytes_slice(*input, 0, len_max + 1);
    bool is_quoted = b.len > 0 && b.ptr[0] == '"';
    size_t len = is_quoted ? quoted_string_len(b) : dot_string_len(b);

    if (len == 0 || len > len_max)
        return false;
    *local_out = bytes_slice(*input, 0, len);
    *input = bytes_slice(*input, len, input->len - len);
    return true;
}

/*
 * Length of the sub-domain at the front: letters, digits and inner hyphens, or a U-label. The
 * A-label form of a U-label is what has 63 octets at most; normalising knows that one.
 */
static size_t label_len(struct bytes b)
{
    size_t at = 0;
    bool is_ascii = true;

    while (at < b.len) {
        size_t len = 1;
        if (b.ptr[at] > 127) {
            is_ascii = false;
            len = utf8_character(bytes_slice(b, at, b.len - at));
            if (len == 0)
                return 0;
        } else if (!byte_is_alnum(b.ptr[at]) && b.ptr[at] != '-') {
            break;
        }
        at += len;
    }
    if (at == 0 || b.ptr[0] == '-' || b.ptr[at - 1] == '-')
        return 0;
    return is_ascii && at > LABEL_MAX ? 0 : at;
}

static bool is_number(struct bytes b)
{
    for (size_t i = 0; i < b.len; i++)
        if (!byte_is_digit(b.ptr[i]))
            return false;
    return true;
}

static bool take_name(struct bytes *input, struct bytes *name_out)
{
    struct bytes b = bytes_slice(*input, 0, SMTP_DOMAIN_MAX + 1);
    size_t at = 0;
    size_t len;

    for (;;) {
        len = label_len(bytes_slice(b, at, b.len - at));
        if (len == 0)
            return false;
        if (at + len == b.len || b.ptr[at + len] != '.')
            break;
        at += len + 1;
    }
    if (at + len > SMTP_DOMAIN_MAX)
        return false;
    if (is_number(bytes_slice(b, at, len))) /* RFC 1123 section 2.1 */
        return false;
    *name_out = bytes_slice(*input, 0, at + len);
    *input = bytes_slice(*input, at + len, input->len - at - len);
    return true;
}

/* "::" stands for two groups of zeros or more (RFC 5321 section 4.1.3), which inet_pton() does not
 * ask for. `address` is valid but for that. */
static bool compresses_enough(struct bytes address)
{
    size_t groups = 0;

    if (bytes_find_bytes(address, BYTES("::"), 0) == address.len)
        return true;
    while (address.len > 0) {
        size_t len = bytes_find(address, ':', 0);
        bool is_dotted = bytes_find(bytes_slice(address, 0, len), '.', 0) < len;

        groups += is_dotted ? 2 : len > 0;
        address = bytes_slice(address, len + 1, address.len);
    }
    return groups <= 6;
}

/* "[192.0.2.1]", "[IPv6:2001:db8::1]" (RFC 5321 section 4.1.3). */
static bool take_literal(struct bytes *input, struct bytes *literal_out)
{
    struct bytes inner;
    struct bytes rest = *input;
    char text[INET6_ADDRSTRLEN];
    uint8_t address[16];

    if (!take_byte(&rest, '[') || !bytes_take_until(&rest, ']', &inner))
        return false;
    size_t len = inner.len + 2;
    int family = bytes_take_nocase(&inner, BYTES("IPv6:")) ? AF_INET6 : AF_INET;
    if (inner.len >= sizeof(text) || bytes_find(inner, '\0', 0) != inner.len)
        return false;
    memcpy(text, inner.ptr, inner.len);
    text[inner.len] = '\0';
    if (inet_pton(family, text, address) != 1)
        return false;
    if (family == AF_INET6 && !compresses_enough(inner))
        return false;
    *literal_out = bytes_slice(*input, 0, len);
    *input = rest;
    return true;
}

static bool take_domain(struct bytes *input, struct bytes *domain_out)
{
    if (input->len > 0 && input->ptr[0] == '[')
        return take_literal(input, domain_out);
    return take_name(input, domain_out);
}

/* "@a,@b:" of RFC 5321 section 4.1.2; what it says is dropped (section 4.1.1.3). */
static bool take_source_route(struct bytes *input)
{
    struct bytes rest = *input;
    struct bytes hop;

    do {
        if (!take_byte(&rest, '@') || !take_name(&rest, &hop))
            return false;
    } while (take_byte(&rest, ','));
    if (!take_byte(&rest, ':'))
        return false;
    *input = rest;
    return true;
}
