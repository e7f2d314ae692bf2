/* record.c - the grammar of SPF records. */
#include "auth/spf/record.h"

#include <arpa/inet.h>
#include <string.h>

#include "auth/spf/macro.h"

enum { IPV4_BITS = 32, IPV6_BITS = 128, ADDRESS_TEXT_MAX = 45 };

static const struct bytes version = {(const uint8_t *)"v=spf1", 6};

static const struct mechanism {
    struct bytes name;
    enum spf_kind kind;
    bool may_name, must_name; /* a domain-spec, behind a colon */
    bool may_prefix;          /* dual-cidr-length */
} mechanisms[] = {
    {{(const uint8_t *)"all", 3}, SPF_ALL, false, false, false},
    {{(const uint8_t *)"include", 7}, SPF_INCLUDE, true, true, false},
    {{(const uint8_t *)"a", 1}, SPF_A, true, false, true},
    {{(const uint8_t *)"mx", 2}, SPF_MX, true, false, true},
    {{(const uint8_t *)"ptr", 3}, SPF_PTR, true, false, false},
    {{(const uint8_t *)"exists", 6}, SPF_EXISTS, true, true, false},
};

bool spf_kind_asks(enum spf_kind kind)
{
    switch (kind) {
    case SPF_INCLUDE:
    case SPF_A:
    case SPF_MX:
    case SPF_PTR:
    case SPF_EXISTS:
    case SPF_REDIRECT:
        return true;
    case SPF_ALL:
    case SPF_IP4:
    case SPF_IP6:
    case SPF_EXP:
    case SPF_MODIFIER:
        return false;
    }
    return false;
}

bool spf_record_is_one(struct bytes text)
{
    return bytes_take_nocase(&text, version) && (text.len == 0 || text.ptr[0] == ' ');
}

/* Decimal without a leading zero, at most `max`. */
static bool parse_prefix(struct bytes text, uint8_t max, uint8_t *out)
{
    uint64_t value;

    if (text.len == 0 || text.len > 3 || (text.len > 1 && text.ptr[0] == '0'))
        return false;
    if (!bytes_to_u64(text, &value) || value > max)
        return false;
    *out = (uint8_t)value;
    return true;
}

/* Where "/digits", or "//digits" behind two slashes, begins at the end of `text`; else its end. */
static size_t find_prefix(struct bytes text, size_t slashes)
{
    size_t at = text.len;

    while (at > 0 && byte_is_digit(text.ptr[at - 1]))
        at--;
    if (at == text.len || at < slashes)
        return text.len;
    for (size_t i = 0; i < slashes; i++)
        if (text.ptr[at - 1 - i] != '/')
            return text.len;
    return at - slashes;
}

/* Cuts dual-cidr-length off the end of what follows a mechanism's name. */
static bool cut_prefixes(struct bytes *rest, struct spf_term *out)
{
    size_t at = find_prefix(*rest, 2);

    if (at < rest->len) {
        if (!parse_prefix(bytes_slice(*rest, at + 2, rest->len), IPV6_BITS, &out->prefix6))
            return false;
        rest->len = at;
    }
    at = find_prefix(*rest, 1);
    if (at < rest->len) {
        if (!parse_prefix(bytes_slice(*rest, at + 1, rest->len), IPV4_BITS, &out->prefix4))
            return false;
        rest->len = at;
    }
    return true;
}

/* ":" network [ "/" prefix ]. */
static bool parse_network(struct bytes rest, struct spf_term *out)
{
    bool is_ip4 = out->kind == SPF_IP4;
    char text[ADDRESS_TEXT_MAX + 1];

    if (!bytes_take_nocase(&rest, BYTES(":")))
        return false;
    size_t slash = bytes_find(rest, '/', 0);

    if (slash < rest.len &&
        !parse_prefix(bytes_slice(rest, slash + 1, rest.len), is_ip4 ? IPV4_BITS : IPV6_BITS,
                      is_ip4 ? &out->prefix4 : &out->prefix6))
        return false;
    if (slash > ADDRESS_TEXT_MAX || bytes_find(rest, '\0', 0) < slash)
        return false;
    memcpy(text, rest.ptr, slash);
    text[slash] = '\0';
    return inet_pton(is_ip4 ? AF_INET : AF_INET6, text, out->network) == 1;
}

static bool parse_mechanism(struct bytes text, struct spf_term *out)
{
    size_t end = 0;

    while (end < text.len && text.ptr[end] != ':' && text.ptr[end] != '/')
        end++;
    struct bytes name = bytes_slice(text, 0, end);
    struct bytes rest = bytes_slice(text, end, text.len);

    out->prefix4 = IPV4_BITS;
    out->prefix6 = IPV6_BITS;
    if (bytes_equal_nocase(name, BYTES("ip4")) || bytes_equal_nocase(name, BYTES("ip6"))) {
        out->kind = name.ptr[2] == '4' ? SPF_IP4 : SPF_IP6;
        return parse_network(rest, out);
    }
    for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++) {
        const struct mechanism *mechanism = &mechanisms[i];

        if (!bytes_equal_nocase(name, mechanism->name))
            continue;
        out->kind = mechanism->kind;
        if (mechanism->may_prefix && !cut_prefixes(&rest, out))
            return false;
        if (rest.len == 0)
            return !mechanism->must_name;
        out->domain = bytes_slice(rest, 1, rest.len);
        return mechanism->may_name && rest.ptr[0] == ':' && macro_domain_is_valid(out->domain);
    }
    return false;
}

/* The length of a modifier's name with its "="; 0: the term is no modifier. */
static size_t modifier_name_len(struct bytes text)
{
    if (text.len == 0 || !byte_is_alpha(text.ptr[0]))
        return 0;
    for (size_t i = 1; i < text.len; i++) {
        uint8_t c = text.ptr[i];

        if (c == '=')
            return i + 1;
        if (!byte_is_alnum(c) && c != '-' && c != '_' && c != '.')
            return 0;
    }
    return 0;
}

static bool parse_modifier(struct bytes text, size_t name_len, struct spf_term *out)
{
    struct bytes name = bytes_slice(text, 0, name_len - 1);
    struct bytes value = bytes_slice(text, name_len, text.len);

    out->kind = SPF_MODIFIER;
    if (bytes_equal_nocase(name, BYTES("redirect")))
        out->kind = SPF_REDIRECT;
    else if (bytes_equal_nocase(name, BYTES("exp")))
        out->kind = SPF_EXP;
    else
        return macro_string_is_valid(value);
    out->domain = value;
    return macro_domain_is_valid(value);
}

static bool parse_term(struct bytes text, struct spf_term *out)
{
    size_t name_len = modifier_name_len(text);

    *out = (struct spf_term){.text = text, .qualifier = SPF_PASS};
    if (name_len > 0)
        return parse_modifier(text, name_len, out);
    switch (text.ptr[0]) {
    case '-':
        out->qualifier = SPF_FAIL;
        break;
    case '~':
        out->qualifier = SPF_SOFTFAIL;
        break;
    case '?':
        out->qualifier = SPF_NEUTRAL;
        break;
    case '+':
        break;
    default:
        return parse_mechanism(text, out);
    }
    return parse_mechanism(bytes_slice(text, 1, text.len), out);
}

/* Takes the bytes up to the next space, without the spaces before; false where nothing is left. */
static bool take_text(struct bytes *terms, struct bytes *text_out)
{
    size_t start = 0;

    while (start < terms->len && terms->ptr[start] == ' ')
        start++;
    size_t end = bytes_find(*terms, ' ', start);

    *text_out = bytes_slice(*terms, start, end - start);
    *terms = bytes_slice(*terms, end, terms->len);
    return text_out->len > 0;
}

bool spf_record_next(struct bytes *terms, struct spf_term *out)
{
    struct bytes text;

    if (!take_text(terms, &text))
        return false;
    check(parse_term(text, out));
    return true;
}

bool spf_record_parse(struct bytes text, struct spf_record *out, struct bytes *wrong_out)
{
    struct spf_record record = {.terms = bytes_slice(text, version.len, text.len)};
    struct bytes rest = record.terms;
    struct spf_term term;
    struct bytes next;

    check(spf_record_is_one(text));
    while (take_text(&rest, &next)) {
        bool is_good = parse_term(next, &term);

        /* Each of the two at most once (section 6). */
        if (is_good && term.kind == SPF_REDIRECT) {
            is_good = record.redirect.len == 0;
            record.redirect = term.domain;
            record.redirect_term = term.text;
        } else if (is_good && term.kind == SPF_EXP) {
            is_good = record.exp.len == 0;
            record.exp = term.domain;
            record.exp_term = term.text;
        }
        if (!is_good) {
            *wrong_out = next;
            return false;
        }
    }
    *out = record;
    return true;
}
