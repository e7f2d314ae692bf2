/* event_privacy.c - rules of tenants, and texts without local parts. */
#include "event/event_privacy.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HASH_LEN = 16, WORD_LEN_MIN = 2, HASHED_MAX = 2048 };

static struct {
    pthread_rwlock_t lock;
    _Atomic bool is_used; /* false: no rule, nothing to look for */
    struct siphash_key key;
    struct privacy_rule *rules;
    size_t count;
    enum privacy_mode other;
} book = {.lock = PTHREAD_RWLOCK_INITIALIZER};

static const char *const names[PRIVACY_MODE_COUNT] = {"none", "hash", "cut"};

const char *privacy_mode_name(enum privacy_mode mode)
{
    return names[mode];
}

bool privacy_mode_parse(struct bytes name, enum privacy_mode *out)
{
    for (unsigned i = 0; i < PRIVACY_MODE_COUNT; i++) {
        if (!bytes_equal(name, bytes_of(names[i])))
            continue;
        *out = (enum privacy_mode)i;
        return true;
    }
    return false;
}

/* --- rules ------------------------------------------------------------------------------------ */

void privacy_set_key(const struct siphash_key *key)
{
    pthread_rwlock_wrlock(&book.lock);
    book.key = *key;
    pthread_rwlock_unlock(&book.lock);
}

void privacy_set_rules(const struct privacy_rule *rules, size_t count, enum privacy_mode other)
{
    struct privacy_rule *made = calloc(count + 1, sizeof(*made));

    check(made != NULL);
    if (count > 0)
        memcpy(made, rules, count * sizeof(*made));
    pthread_rwlock_wrlock(&book.lock);
    struct privacy_rule *old = book.rules;
    book.rules = made;
    book.count = count;
    book.other = other;
    atomic_store(&book.is_used, count > 0 || other != PRIVACY_NONE);
    pthread_rwlock_unlock(&book.lock);
    free(old);
}

enum privacy_mode privacy_of(struct bytes tenant)
{
    if (!atomic_load(&book.is_used) || tenant.len == 0)
        return PRIVACY_NONE;
    pthread_rwlock_rdlock(&book.lock);
    enum privacy_mode mode = book.other;
    for (size_t i = 0; i < book.count; i++) {
        if (!bytes_equal(tenant, bytes_of(book.rules[i].tenant)))
            continue;
        mode = book.rules[i].mode;
        break;
    }
    pthread_rwlock_unlock(&book.lock);
    return mode;
}

/* --- addresses -------------------------------------------------------------------------------- */

struct veil {
    enum privacy_mode mode;
    struct bytes tenant;
    struct siphash_key key;
};

static struct veil veil_of(struct bytes tenant)
{
    struct veil veil = {.mode = privacy_of(tenant), .tenant = tenant};

    if (veil.mode != PRIVACY_NONE) {
        pthread_rwlock_rdlock(&book.lock);
        veil.key = book.key;
        pthread_rwlock_unlock(&book.lock);
    }
    return veil;
}

/* Another one for the same local part at another domain, or of another tenant. Domains have no
 * upper case, local parts have (RFC 5321 section 2.4). */
static uint64_t hash_of(const struct veil *veil, struct bytes local, struct bytes domain)
{
    uint8_t text[HASHED_MAX], *at = text;
    const struct bytes parts[] = {veil->tenant, BYTES("\0"), bytes_slice(local, 0, 1024),
                                  BYTES("\0")};

    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        (void)bytes_put(parts[i], &at);
    for (size_t i = 0; i < domain.len && i < 256; i++)
        *at++ = byte_lower(domain.ptr[i]);
    return siphash(&veil->key, bytes_range(text, (size_t)(at - text)));
}

/* What stands in place of a local part. */
static struct bytes veiled(const struct veil *veil, struct bytes local, struct bytes domain,
                           char out[static HASH_LEN + 1])
{
    if (veil->mode == PRIVACY_CUT)
        return BYTES("*");
    snprintf(out, HASH_LEN + 1, "%016llx", (unsigned long long)hash_of(veil, local, domain));
    return bytes_range(out, HASH_LEN);
}

static size_t last_at(struct bytes address)
{
    size_t at = address.len;

    while (at > 0 && address.ptr[at - 1] != '@')
        at--;
    return at == 0 ? address.len : at - 1;
}

static struct bytes veil_address(const struct veil *veil, struct bytes address, char *out,
                                 size_t out_size)
{
    char hash[HASH_LEN + 1];
    struct bytes local = bytes_slice(address, 0, last_at(address));
    struct bytes rest = bytes_slice(address, local.len, address.len);

    if (address.len == 0)
        return address;
    struct bytes made = veiled(veil, local, bytes_slice(rest, 1, rest.len), hash);
    int len = snprintf(out, out_size, "%.*s%.*s", BYTES_ARG(made), BYTES_ARG(rest));
    return bytes_range(out, MIN((size_t)len, out_size - 1));
}

struct bytes privacy_address(struct bytes tenant, struct bytes address,
                             char out[static PRIVACY_ADDRESS_MAX])
{
    const struct veil veil = veil_of(tenant);

    return veil.mode == PRIVACY_NONE ? address
                                     : veil_address(&veil, address, out, PRIVACY_ADDRESS_MAX);
}

struct bytes privacy_hash(const struct siphash_key *key, struct bytes tenant, struct bytes address,
                          char out[static PRIVACY_ADDRESS_MAX])
{
    const struct veil veil = {.mode = PRIVACY_HASH, .tenant = tenant, .key = *key};

    return veil_address(&veil, address, out, PRIVACY_ADDRESS_MAX);
}

/* --- texts in which addresses stand ----------------------------------------------------------- */

static bool is_local_byte(uint8_t c)
{
    return c >= 0x80 || byte_is_alnum(c) || (c != 0 && strchr("!#$%&'*+-/=?^_`{|}~.", c) != NULL);
}

static bool is_domain_byte(uint8_t c)
{
    return c >= 0x80 || byte_is_alnum(c) || c == '-' || c == '.';
}

struct text {
    char *ptr;
    size_t len, size;
};

static void put(struct text *out, struct bytes b)
{
    size_t len = MIN(b.len, out->size - out->len);

    if (len > 0)
        memcpy(out->ptr + out->len, b.ptr, len);
    out->len += len;
}

/* A run of bytes that may be a local part: before an "@" it is one, and where it is the recipient's
 * it is one too. */
static void put_word(const struct veil *veil, struct bytes word, struct bytes rest,
                     struct bytes recipient, struct text *out)
{
    struct bytes own = bytes_slice(recipient, 0, last_at(recipient));
    struct bytes domain = bytes_slice(recipient, own.len + 1, recipient.len);
    char hash[HASH_LEN + 1];

    if (rest.len > 0 && rest.ptr[0] == '@') {
        size_t len = 1;

        while (len < rest.len && is_domain_byte(rest.ptr[len]))
            len++;
        put(out, veiled(veil, word, bytes_slice(rest, 1, len - 1), hash));
    } else if (own.len >= WORD_LEN_MIN && bytes_equal_nocase(word, own)) {
        put(out, veiled(veil, own, domain, hash));
    } else {
        put(out, word);
    }
}

/* Quoted local parts too: what stands between quotes before an "@". */
static size_t word_len(struct bytes text)
{
    size_t len = 0;

    if (text.ptr[0] == '"') {
        size_t end = bytes_find(text, '"', 1);
        if (end + 1 < text.len && text.ptr[end + 1] == '@')
            return end + 1;
        return 0;
    }
    while (len < text.len && is_local_byte(text.ptr[len]))
        len++;
    return len;
}

static struct bytes veil_text(const struct veil *veil, struct bytes text, struct bytes recipient,
                              char *out_ptr, size_t out_size)
{
    struct text out = {.ptr = out_ptr, .size = out_size};

    while (text.len > 0) {
        size_t len = word_len(text);
        struct bytes word = bytes_slice(text, 0, len);

        if (len == 0)
            put(&out, bytes_slice(text, 0, len = 1));
        else
            put_word(veil, word, bytes_slice(text, len, text.len), recipient, &out);
        text = bytes_slice(text, len, text.len);
    }
    return bytes_range(out.ptr, out.len);
}

struct bytes privacy_text(struct bytes tenant, struct bytes text, struct bytes recipient, char *out,
                          size_t out_size)
{
    const struct veil veil = veil_of(tenant);

    return veil.mode == PRIVACY_NONE ? text : veil_text(&veil, text, recipient, out, out_size);
}

/* "rfc822;" and an address in xtext (RFC 3461 section 4.2). */
static struct bytes veil_orcpt(const struct veil *veil, struct bytes orcpt, char *out, size_t size)
{
    char decoded[PRIVACY_ADDRESS_MAX], address[PRIVACY_ADDRESS_MAX];
    size_t semicolon = bytes_find(orcpt, ';', 0), len = 0;
    struct bytes type = semicolon == orcpt.len ? BYTES_NONE : bytes_slice(orcpt, 0, semicolon + 1);

    if (orcpt.len == 0)
        return orcpt;
    for (size_t at = type.len; at < orcpt.len && len < sizeof(decoded); at++) {
        uint8_t c = orcpt.ptr[at];

        int high = c == '+' && at + 2 < orcpt.len ? byte_hex_upper_value(orcpt.ptr[at + 1]) : -1;
        int low = high < 0 ? -1 : byte_hex_upper_value(orcpt.ptr[at + 2]);

        if (low >= 0) {
            c = (uint8_t)(high << 4 | low);
            at += 2;
        }
        decoded[len++] = (char)c;
    }
    struct bytes made = veil_address(veil, bytes_range(decoded, len), address, sizeof(address));
    int written = snprintf(out, size, "%.*s%.*s", (int)MIN(type.len, (size_t)32),
                           type.ptr == NULL ? "" : (const char *)type.ptr, BYTES_ARG(made));
    return bytes_range(out, MIN((size_t)written, size - 1));
}

const struct event *privacy_event(const struct event *event, struct event *copy,
                                  struct privacy_room *room)
{
    const struct veil veil = veil_of(event->tenant);

    if (veil.mode == PRIVACY_NONE)
        return event;
    *copy = *event;
    copy->recipient =
        veil_address(&veil, event->recipient, room->recipient, sizeof(room->recipient));
    copy->sender = veil_address(&veil, event->sender, room->sender, sizeof(room->sender));
    copy->orcpt = veil_orcpt(&veil, event->orcpt, room->orcpt, sizeof(room->orcpt));
    copy->reply_text =
        veil_text(&veil, event->reply_text, event->recipient, room->reply, sizeof(room->reply));
    copy->rule = veil_text(&veil, event->rule, event->recipient, room->rule, sizeof(room->rule));
    /* Words of its results may be somebody's local part as well: only addresses are meant. */
    copy->checks = veil_text(&veil, event->checks, BYTES_NONE, room->checks, sizeof(room->checks));
    return copy;
}
