/* return_path.c - base32 and an HMAC. */
#include "directory/return_path.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <string.h>

static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";

enum {
    ID_LEN = 12, /* message and number */
    MAC_LEN = 10,
    PATH_LEN = ID_LEN + MAC_LEN,
    DOMAIN_MAX = 255,
    TRIES_MAX = 64, /* addresses of a report that are held against the key */
};
_Static_assert(1 + (PATH_LEN * 8 + 4) / 5 == RETURN_PATH_LOCAL_LEN, "a letter, and base32");

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 'a' - 'A') : c;
}

/* --- the domain ------------------------------------------------------------------------------- */

static const struct directory_domain *returns_at(const struct snapshot *snapshot,
                                                 struct bytes domain)
{
    const struct directory_domain *row = snapshot_domain(snapshot, domain);

    return row != NULL && row->is_active && row->is_hosted ? row : NULL;
}

struct bytes return_path_domain(const struct snapshot *snapshot, struct bytes tenant,
                                struct bytes sender)
{
    char name[sizeof(RETURN_PATH_LABEL) - 1 + DOMAIN_MAX];
    const size_t label_len = sizeof(RETURN_PATH_LABEL) - 1;
    size_t at = sender.len;

    while (at > 0 && sender.ptr[at - 1] != '@')
        at--;
    struct bytes domain = bytes_slice(sender, at, sender.len);

    if (at == 0 || domain.len == 0 || domain.len > DOMAIN_MAX)
        return BYTES_NONE;
    for (size_t i = 0; i < domain.len; i++)
        name[i] = (char)lower(domain.ptr[i]);
    const struct directory_domain *row =
        snapshot_domain_above(snapshot, bytes_range(name, domain.len));

    if (row == NULL || row->name.len > DOMAIN_MAX)
        return BYTES_NONE;
    memcpy(name, RETURN_PATH_LABEL, label_len);
    memcpy(name + label_len, row->name.ptr, row->name.len);
    const struct directory_domain *back =
        returns_at(snapshot, bytes_range(name, label_len + row->name.len));
    const struct directory_tenant *owner = snapshot_tenant_of(snapshot, row->tenant);

    if (back == NULL || owner == NULL || back->tenant != row->tenant ||
        !bytes_equal(owner->name, tenant))
        return BYTES_NONE;
    return back->name;
}

bool return_path_is_domain(const struct snapshot *snapshot, struct bytes domain)
{
    struct bytes above = domain;

    if (!bytes_take_nocase(&above, BYTES(RETURN_PATH_LABEL)))
        return false;
    const struct directory_domain *back = returns_at(snapshot, domain);
    const struct directory_domain *row = snapshot_domain(snapshot, above);

    return back != NULL && row != NULL && back->tenant == row->tenant;
}

/* --- the local part --------------------------------------------------------------------------- */

static void put_mac(const uint8_t key[static RETURN_PATH_KEY_LEN], const uint8_t id[static ID_LEN],
                    struct bytes domain, uint8_t out[static MAC_LEN])
{
    uint8_t text[ID_LEN + DOMAIN_MAX], mac[SHA256_DIGEST_LENGTH];
    unsigned len = sizeof(mac);

    check(domain.len <= DOMAIN_MAX);
    memcpy(text, id, ID_LEN);
    memcpy(text + ID_LEN, domain.ptr, domain.len);
    check(HMAC(EVP_sha256(), key, RETURN_PATH_KEY_LEN, text, ID_LEN + domain.len, mac, &len) !=
          NULL);
    memcpy(out, mac, MAC_LEN);
}

void return_path_sign(const uint8_t key[static RETURN_PATH_KEY_LEN], const struct return_path *path,
                      struct bytes domain, char local_out[static RETURN_PATH_LOCAL_LEN])
{
    uint8_t bytes[PATH_LEN + 1] = {0}; /* one more to read over the end */

    for (unsigned i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(path->message >> (56 - 8 * i));
    for (unsigned i = 0; i < 4; i++)
        bytes[8 + i] = (uint8_t)(path->recipient >> (24 - 8 * i));
    put_mac(key, bytes, domain, bytes + ID_LEN);
    local_out[0] = 'b';
    for (unsigned i = 0; i < RETURN_PATH_LOCAL_LEN - 1; i++) {
        unsigned bit = 5 * i;
        unsigned pair = (unsigned)bytes[bit / 8] << 8 | bytes[bit / 8 + 1];

        local_out[1 + i] = alphabet[pair >> (11 - bit % 8) & 31];
    }
}

static int value_of(uint8_t letter)
{
    letter = lower(letter);
    if (letter >= 'a' && letter <= 'z')
        return letter - 'a';
    return letter >= '2' && letter <= '7' ? letter - '2' + 26 : -1;
}

bool return_path_read(const uint8_t key[static RETURN_PATH_KEY_LEN], struct bytes local,
                      struct bytes domain, struct return_path *out)
{
    uint8_t bytes[PATH_LEN + 1] = {0}, mac[MAC_LEN];

    if (local.len != RETURN_PATH_LOCAL_LEN || lower(local.ptr[0]) != 'b' || domain.len > DOMAIN_MAX)
        return false;
    for (unsigned i = 0; i < RETURN_PATH_LOCAL_LEN - 1; i++) {
        unsigned bit = 5 * i;
        int value = value_of(local.ptr[1 + i]);

        if (value < 0)
            return false;
        unsigned pair = (unsigned)value << (11 - bit % 8);
        bytes[bit / 8] |= (uint8_t)(pair >> 8);
        bytes[bit / 8 + 1] |= (uint8_t)pair;
    }
    if (bytes[PATH_LEN] != 0) /* the bits that are left over: one form only */
        return false;
    put_mac(key, bytes, domain, mac);
    if (CRYPTO_memcmp(mac, bytes + ID_LEN, MAC_LEN) != 0)
        return false;
    *out = (struct return_path){0};
    for (unsigned i = 0; i < 8; i++)
        out->message = out->message << 8 | bytes[i];
    for (unsigned i = 0; i < 4; i++)
        out->recipient = out->recipient << 8 | bytes[8 + i];
    return true;
}

bool return_path_find(const uint8_t key[static RETURN_PATH_KEY_LEN], struct bytes text,
                      struct bytes domain, struct return_path *out)
{
    size_t at = 0;

    for (unsigned tries = 0; tries < TRIES_MAX; at++) {
        at = bytes_find(text, '@', at);
        if (at == text.len)
            return false;
        if (at < RETURN_PATH_LOCAL_LEN ||
            !bytes_equal_nocase(bytes_slice(text, at + 1, domain.len), domain))
            continue;
        tries++;
        if (return_path_read(key,
                             bytes_slice(text, at - RETURN_PATH_LOCAL_LEN, RETURN_PATH_LOCAL_LEN),
                             domain, out))
            return true;
    }
    return false;
}
