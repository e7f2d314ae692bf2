/* scram.c - SCRAM's messages: reads the client's, writes the server's (RFC 5802 section 7). */
#include "auth/sasl/scram.h"

#include <string.h>

#include <openssl/crypto.h>

#include "auth/sasl/digest.h"
#include "auth/sasl/prepare.h"
#include "base/base64.h"

enum { CLIENT_NONCE_MAX = 240 };

/* Takes what stands before the next comma, and that; the rest where there is none. */
static struct bytes take_part(struct bytes *message)
{
    struct bytes part;

    if (!bytes_take_until(message, ',', &part)) {
        part = *message;
        *message = BYTES_NONE;
    }
    return part;
}

/* attr-val: a letter, "=", at least one byte, no NUL. */
static bool is_attribute(struct bytes part, uint8_t letter)
{
    return part.len > 2 && part.ptr[0] == letter && part.ptr[1] == '=';
}

static struct bytes value_of(struct bytes part)
{
    return bytes_slice(part, 2, part.len);
}

/* What RFC 5802 does not know yet may follow, and is signed like the rest; "m" may not be there. */
static bool are_extensions(struct bytes parts)
{
    while (parts.ptr != NULL) {
        struct bytes part = take_part(&parts);
        if (part.len < 3 || !byte_is_alpha(part.ptr[0]) || part.ptr[1] != '=' ||
            part.ptr[0] == 'm' || bytes_find(part, '\0', 0) != part.len)
            return false;
    }
    return true;
}

/* saslname: "=2C" is a comma, "=3D" an equals sign, and no other "=" stands there. */
static bool decode_name(struct bytes name, uint8_t out[static SASL_USER_MAX], size_t *len_out)
{
    size_t len = 0;

    for (size_t at = 0; at < name.len; at++) {
        uint8_t c = name.ptr[at];
        if (c == '=') {
            struct bytes escape = bytes_slice(name, at, 3);
            if (!bytes_equal(escape, BYTES("=2C")) && !bytes_equal(escape, BYTES("=3D")))
                return false;
            c = escape.ptr[1] == '2' ? ',' : '=';
            at += 2;
        }
        if (len == SASL_USER_MAX)
            return false;
        out[len++] = c;
    }
    *len_out = len;
    return true;
}

static bool prepare_name(struct bytes part, uint8_t *out, size_t *len_out)
{
    uint8_t name[SASL_USER_MAX];
    size_t len;

    return decode_name(value_of(part), name, &len) &&
           sasl_prepare(bytes_range(name, len), out, SASL_USER_MAX + 1, len_out);
}

/* printable: 0x21-2B, 0x2D-7E */
static bool is_nonce(struct bytes nonce)
{
    for (size_t i = 0; i < nonce.len; i++)
        if (nonce.ptr[i] < 33 || nonce.ptr[i] > 126 || nonce.ptr[i] == ',')
            return false;
    return nonce.len > 0 && nonce.len <= CLIENT_NONCE_MAX;
}

/* What the client says of channel binding (RFC 5802 section 6) against what we know. */
static enum sasl_step judge_flag(const struct sasl *sasl, struct bytes flag,
                                 struct bytes *binding_out)
{
    const struct sasl_channel *channel = &sasl->settings.channel;
    bool is_offered = channel->exporter.len > 0 || channel->end_point.len > 0;
    bool is_plus = sasl->mechanism == SASL_SCRAM_SHA_256_PLUS;

    *binding_out = BYTES_NONE;
    if (bytes_equal(flag, BYTES("n")))
        return is_plus ? SASL_REFUSED : SASL_CHALLENGE;
    if (bytes_equal(flag, BYTES("y"))) /* it was not told of -PLUS: somebody changed our list */
        return is_plus || is_offered ? SASL_REFUSED : SASL_CHALLENGE;
    if (!is_attribute(flag, 'p'))
        return SASL_MALFORMED;
    if (!is_plus)
        return SASL_REFUSED;
    if (bytes_equal(value_of(flag), BYTES("tls-exporter")))
        *binding_out = channel->exporter;
    else if (bytes_equal(value_of(flag), BYTES("tls-server-end-point")))
        *binding_out = channel->end_point;
    return binding_out->len > 0 ? SASL_CHALLENGE : SASL_REFUSED;
}

/* gs2-header and the channel's data, as the last message has to repeat them. */
static void keep_binding(struct sasl *sasl, struct bytes gs2_header, struct bytes data)
{
    struct buf whole;

    buf_init(&whole, SCRAM_TEXT_MAX);
    bool fits = buf_append(&whole, gs2_header) && buf_append(&whole, data) &&
                base64_write(buf_bytes(&whole), &sasl->binding);
    check(fits);
    buf_free(&whole);
}

enum sasl_step scram_first(struct sasl *sasl, struct bytes message)
{
    struct bytes rest = message;
    struct bytes flag = take_part(&rest);
    struct bytes acts_as = take_part(&rest);
    struct bytes bare = rest;
    struct bytes gs2_header = bytes_slice(message, 0, message.len - bare.len);
    struct bytes user = take_part(&rest);
    struct bytes nonce = take_part(&rest);
    struct bytes data;
    uint8_t other[SASL_USER_MAX + 1];
    size_t other_len = 0;

    if (bare.len == 0 || (acts_as.len > 0 && !is_attribute(acts_as, 'a')) ||
        !is_attribute(user, 'n') || !is_attribute(nonce, 'r') || !is_nonce(value_of(nonce)) ||
        !are_extensions(rest))
        return SASL_MALFORMED;
    enum sasl_step step = judge_flag(sasl, flag, &data);
    if (step != SASL_CHALLENGE)
        return step;
    if (!prepare_name(user, sasl->user, &sasl->user_len))
        return SASL_REFUSED;
    if (acts_as.len > 0 && !prepare_name(acts_as, other, &other_len))
        return SASL_REFUSED;
    if (other_len > 0 && !bytes_equal(bytes_range(other, other_len), sasl_user(sasl)))
        sasl->is_refused = true;
    keep_binding(sasl, gs2_header, data);
    bool fits = buf_append(&sasl->transcript, bare) && buf_append(&sasl->challenge, BYTES("r=")) &&
                buf_append(&sasl->challenge, value_of(nonce));
    check(fits);
    return SASL_ASKS_KEYS;
}

enum sasl_step scram_challenge(struct sasl *sasl)
{
    const struct sasl_keys *keys = &sasl->keys;
    struct buf *out = &sasl->challenge; /* "r=" and the client's nonce */

    check(keys->salt_len > 0 && keys->salt_len <= sizeof(keys->salt));
    bool fits = buf_append(out, sasl->settings.nonce);
    sasl->nonce_at = buf_len(&sasl->transcript) + BYTES(",r=").len;
    sasl->nonce_len = buf_len(out) - BYTES("r=").len;
    fits =
        fits && buf_append(out, BYTES(",s=")) &&
        base64_write(bytes_range(keys->salt, keys->salt_len), out) &&
        buf_printf(out, ",i=%u", keys->iterations) && buf_append(&sasl->transcript, BYTES(",")) &&
        buf_append(&sasl->transcript, buf_bytes(out)) && buf_append(&sasl->transcript, BYTES(","));
    check(fits);
    return SASL_CHALLENGE;
}

/* Does the proof fit the keys? RFC 5802 section 3. */
static bool is_proven(const struct sasl *sasl, const uint8_t proof[static SASL_KEY_LEN])
{
    const struct sasl_keys *keys = &sasl->keys;
    uint8_t client_key[SASL_KEY_LEN];
    uint8_t stored_key[SASL_KEY_LEN];

    digest_hmac(bytes_range(keys->stored_key, SASL_KEY_LEN), buf_bytes(&sasl->transcript),
                client_key);
    for (size_t i = 0; i < sizeof(client_key); i++)
        client_key[i] ^= proof[i];
    digest_sha256(bytes_range(client_key, sizeof(client_key)), stored_key);
    OPENSSL_cleanse(client_key, sizeof(client_key));
    return CRYPTO_memcmp(stored_key, keys->stored_key, SASL_KEY_LEN) == 0;
}

static void sign(struct sasl *sasl)
{
    uint8_t signature[SASL_KEY_LEN];

    digest_hmac(bytes_range(sasl->keys.server_key, SASL_KEY_LEN), buf_bytes(&sasl->transcript),
                signature);
    buf_clear(&sasl->challenge);
    bool fits = buf_append(&sasl->challenge, BYTES("v=")) &&
                base64_write(bytes_range(signature, sizeof(signature)), &sasl->challenge);
    check(fits);
}

/* Takes the last part, which is the proof, off the message; the comma before it stays with none. */
static bool take_proof(struct bytes *message, uint8_t proof_out[static SASL_KEY_LEN])
{
    struct bytes rest = *message;
    struct bytes part = take_part(&rest);
    struct buf proof;

    while (rest.ptr != NULL)
        part = take_part(&rest);
    if (!is_attribute(part, 'p') || part.len == message->len)
        return false;
    buf_init(&proof, SASL_KEY_LEN);
    bool is_good = base64_read(value_of(part), &proof) && buf_len(&proof) == SASL_KEY_LEN;
    if (is_good)
        memcpy(proof_out, buf_bytes(&proof).ptr, SASL_KEY_LEN);
    buf_free(&proof);
    *message = bytes_slice(*message, 0, message->len - part.len - 1);
    return is_good;
}

static bool is_same(struct bytes a, struct bytes b)
{
    return a.len == b.len && CRYPTO_memcmp(a.ptr, b.ptr, a.len) == 0;
}

enum sasl_step scram_final(struct sasl *sasl, struct bytes message)
{
    uint8_t proof[SASL_KEY_LEN];
    const struct bytes nonces =
        bytes_slice(buf_bytes(&sasl->transcript), sasl->nonce_at, sasl->nonce_len);
    bool is_bound;

    if (!take_proof(&message, proof))
        return SASL_MALFORMED;
    struct bytes rest = message;
    struct bytes binding = take_part(&rest);
    struct bytes nonce = take_part(&rest);
    if (!is_attribute(binding, 'c') || !is_attribute(nonce, 'r') || !are_extensions(rest))
        return SASL_MALFORMED;
    is_bound = is_same(value_of(binding), buf_bytes(&sasl->binding));
    bool is_ours = is_same(value_of(nonce), nonces);
    bool fits = buf_append(&sasl->transcript, message);
    check(fits);
    bool is_right = is_proven(sasl, proof);
    if (!is_bound || !is_ours || !is_right || !sasl->is_known || sasl->is_refused)
        return SASL_REFUSED;
    sign(sasl);
    return SASL_CHALLENGE;
}
