/* srs.c - addresses taken apart and put together; the forms are in srs.h. */
#include "auth/srs/srs.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "smtp/address.h"

enum {
    HASH_CHARS = 8, /* of five bits */
    DAY_CHARS = 2,
    DAYS = 1024, /* that they count */
    DIGEST_LEN = 32,
    PREFIX_LEN = 5, /* "SRS0=" */
    TEXT_MAX = 1024,
};
static const int64_t DAY_MS = 86400000;

static const char base32[] = "abcdefghijklmnopqrstuvwxyz234567"; /* RFC 4648, in lower case */

/* --- parts ------------------------------------------------------------------------------------ */

/* Without the quotes; `is_quoted_out` says whether there were any. */
static struct bytes inner_local(struct bytes local, bool *is_quoted_out)
{
    *is_quoted_out = local.len >= 2 && local.ptr[0] == '"';
    return *is_quoted_out ? bytes_slice(local, 1, local.len - 2) : local;
}

static bool is_form(struct bytes inner, char digit)
{
    const uint8_t wanted[] = {'S', 'R', 'S', (uint8_t)digit};

    return inner.len >= PREFIX_LEN &&
           bytes_equal_nocase(bytes_slice(inner, 0, 4), bytes_range(wanted, sizeof(wanted)));
}

bool srs_is_claimed(struct bytes address)
{
    struct bytes inner =
        address.len > 0 && address.ptr[0] == '"' ? bytes_slice(address, 1, address.len) : address;

    return (is_form(inner, '0') || is_form(inner, '1')) && inner.ptr[PREFIX_LEN - 1] == '=';
}

static void put_base32(uint64_t value, size_t chars, char *out)
{
    for (size_t i = 0; i < chars; i++)
        out[i] = base32[value >> (5 * (chars - 1 - i)) & 31];
}

static bool read_base32(struct bytes text, uint64_t *value_out)
{
    uint64_t value = 0;

    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = byte_lower(text.ptr[i]);
        const char *at = c == '\0' ? NULL : strchr(base32, c);

        if (at == NULL)
            return false;
        value = value << 5 | (uint64_t)(at - base32);
    }
    *value_out = value;
    return true;
}

/* --- the hash --------------------------------------------------------------------------------- */

static bool put_lower(struct buf *out, struct bytes text)
{
    bool fits = true;

    for (size_t i = 0; i < text.len && fits; i++)
        fits = buf_append_byte(out, byte_lower(text.ptr[i]));
    return fits;
}

/* Of the form's digit, our domain and what follows the hash. Both are at most TEXT_MAX / 4 long. */
static void make_hash(struct bytes secret, char digit, struct bytes domain,
                      struct bytes signed_text, char out[static HASH_CHARS])
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned digest_len = 0;
    struct buf text;
    uint64_t value = 0;

    check(secret.len >= SRS_KEY_LEN_MIN);
    buf_init(&text, TEXT_MAX);
    bool fits = buf_append_byte(&text, (uint8_t)digit) && put_lower(&text, domain) &&
                buf_append_byte(&text, '\0') && put_lower(&text, signed_text);
    check(fits);
    struct bytes all = buf_bytes(&text);
    const unsigned char *made =
        HMAC(EVP_sha256(), secret.ptr, (int)secret.len, all.ptr, all.len, digest, &digest_len);
    check(made != NULL && digest_len == DIGEST_LEN);
    buf_free(&text);
    for (size_t i = 0; i < 5; i++)
        value = value << 8 | digest[i];
    put_base32(value, HASH_CHARS, out);
}

/* Every byte is looked at, whichever differs first. */
static bool is_same(const char made[static HASH_CHARS], struct bytes given)
{
    unsigned difference = 0;

    if (given.len != HASH_CHARS)
        return false;
    for (size_t i = 0; i < HASH_CHARS; i++)
        difference |= (unsigned)((uint8_t)made[i] ^ byte_lower(given.ptr[i]));
    return difference == 0;
}

static bool is_ours(const struct srs_keys *keys, char digit, struct bytes domain,
                    struct bytes signed_text, struct bytes given)
{
    char made[HASH_CHARS];

    for (size_t i = 0; i < keys->count; i++) {
        make_hash(keys->secret[i], digit, domain, signed_text, made);
        if (is_same(made, given))
            return true;
    }
    return false;
}

/* --- there ------------------------------------------------------------------------------------ */

static bool put_wrapped(const struct srs_keys *keys, char digit, struct bytes signed_text,
                        struct bytes domain, bool is_quoted, struct buf *out)
{
    const char *quote = is_quoted ? "\"" : "";
    char hash[HASH_CHARS];

    make_hash(keys->secret[0], digit, domain, signed_text, hash);
    return buf_printf(out, "%sSRS%c=%.*s=%.*s%s@%.*s", quote, digit, HASH_CHARS, hash,
                      BYTES_ARG(signed_text), quote, BYTES_ARG(domain));
}

/* What the hash is made over, in `text`: a day, a domain and a local part; or the first
 * forwarder's domain and what its own address says. */
static bool put_signed_text(const struct smtp_address *sender, struct bytes inner, int64_t wall_ms,
                            struct buf *text, char *digit_out)
{
    bool is_first = is_form(inner, '0') && strchr("=-+", inner.ptr[PREFIX_LEN - 1]) != NULL;
    char day[DAY_CHARS];

    if (is_form(inner, '1') && inner.ptr[PREFIX_LEN - 1] == '=') {
        size_t hash_end = bytes_find(inner, '=', PREFIX_LEN);
        struct bytes rest = bytes_slice(inner, hash_end + 1, inner.len);

        *digit_out = '1';
        if (rest.len > 0 && bytes_find(rest, '=', 0) < rest.len)
            return buf_append(text, rest);
    }
    *digit_out = is_first ? '1' : '0';
    if (is_first)
        return buf_append(text, sender->domain) && buf_append_byte(text, '=') &&
               buf_append(text, bytes_slice(inner, PREFIX_LEN - 1, inner.len));
    put_base32((uint64_t)(wall_ms / DAY_MS) % DAYS, DAY_CHARS, day);
    return buf_printf(text, "%.*s=%.*s=%.*s", DAY_CHARS, day, BYTES_ARG(sender->domain),
                      BYTES_ARG(inner));
}

enum srs_result srs_forward(const struct srs_keys *keys, struct bytes sender, struct bytes domain,
                            int64_t wall_ms, struct buf *out)
{
    struct smtp_address parsed;
    struct buf text, made;
    bool is_quoted;
    char digit;

    if (!smtp_parse_address(sender, &parsed) || parsed.domain.len == 0 ||
        domain.len > SRS_ADDRESS_MAX || wall_ms < 0)
        return SRS_REFUSED;
    struct bytes inner = inner_local(parsed.local, &is_quoted);

    buf_init(&text, SRS_ADDRESS_MAX);
    buf_init(&made, SRS_ADDRESS_MAX);
    /* A literal's brackets need quotes within a local part. */
    is_quoted |= parsed.domain.ptr[0] == '[';
    bool fits = put_signed_text(&parsed, inner, wall_ms, &text, &digit) &&
                put_wrapped(keys, digit, buf_bytes(&text), domain, is_quoted, &made) &&
                buf_append(out, buf_bytes(&made));
    buf_free(&text);
    buf_free(&made);
    return fits ? SRS_OK : SRS_REFUSED;
}

/* --- back ------------------------------------------------------------------------------------- */

/* Is the day within the last SRS_DAYS_MAX, or almost? */
static bool is_in_time(uint64_t day, int64_t wall_ms)
{
    uint64_t today = (uint64_t)(wall_ms / DAY_MS) % DAYS;
    uint64_t age = (today + DAYS + SRS_DAYS_AHEAD_MAX - day) % DAYS;

    return age <= SRS_DAYS_MAX + SRS_DAYS_AHEAD_MAX;
}

/* "DAY=domain=local" */
static enum srs_result unwrap_sender(struct bytes text, bool is_quoted, int64_t wall_ms,
                                     struct buf *out)
{
    const char *quote = is_quoted ? "\"" : "";
    struct bytes day, domain;
    uint64_t number;

    if (!bytes_take_until(&text, '=', &day) || day.len != DAY_CHARS || !read_base32(day, &number) ||
        !bytes_take_until(&text, '=', &domain))
        return SRS_FORGED;
    if (!is_in_time(number, wall_ms))
        return SRS_EXPIRED;
    return buf_printf(out, "%s%.*s%s@%.*s", quote, BYTES_ARG(text), quote, BYTES_ARG(domain))
               ? SRS_OK
               : SRS_REFUSED;
}

/* "host=-h=d=from.example=user": the first byte of the rest is the separator that host used. */
static enum srs_result unwrap_first(struct bytes text, bool is_quoted, struct buf *out)
{
    const char *quote = is_quoted ? "\"" : "";
    struct bytes host;

    if (!bytes_take_until(&text, '=', &host))
        return SRS_FORGED;
    return buf_printf(out, "%sSRS0%.*s%s@%.*s", quote, BYTES_ARG(text), quote, BYTES_ARG(host))
               ? SRS_OK
               : SRS_REFUSED;
}

enum srs_result srs_reverse(const struct srs_keys *keys, struct bytes address, int64_t wall_ms,
                            struct buf *out)
{
    struct smtp_address parsed, made_of;
    struct bytes hash;
    struct buf made;
    bool is_quoted;

    if (!smtp_parse_address(address, &parsed) || !srs_is_claimed(parsed.local) || wall_ms < 0)
        return SRS_FORGED;
    struct bytes inner = inner_local(parsed.local, &is_quoted);
    char digit = (char)inner.ptr[3];
    struct bytes rest = bytes_slice(inner, PREFIX_LEN, inner.len);

    if (!bytes_take_until(&rest, '=', &hash) || !is_ours(keys, digit, parsed.domain, rest, hash))
        return SRS_FORGED;
    buf_init(&made, SRS_ADDRESS_MAX);
    enum srs_result result = digit == '0' ? unwrap_sender(rest, is_quoted, wall_ms, &made)
                                          : unwrap_first(rest, is_quoted, &made);
    if (result == SRS_OK &&
        (!smtp_parse_address(buf_bytes(&made), &made_of) || !buf_append(out, buf_bytes(&made))))
        result = SRS_REFUSED;
    buf_free(&made);
    return result;
}
