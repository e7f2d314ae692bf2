/* keys.c - derives SCRAM's keys, or makes some up. */
#include "auth/sasl/keys.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "auth/sasl/digest.h"

bool sasl_keys_derive(struct bytes password, struct bytes salt, uint32_t iterations,
                      struct sasl_keys *keys_out)
{
    struct sasl_keys keys = {.iterations = iterations, .salt_len = (uint8_t)salt.len};
    uint8_t salted[SASL_KEY_LEN];
    uint8_t client_key[SASL_KEY_LEN];

    check(iterations > 0 && iterations <= SASL_ITERATIONS_MAX);
    if (salt.len == 0 || salt.len > sizeof(keys.salt))
        return false;
    memcpy(keys.salt, salt.ptr, salt.len);
    int done =
        PKCS5_PBKDF2_HMAC((const char *)password.ptr, (int)password.len, salt.ptr, (int)salt.len,
                          (int)iterations, EVP_sha256(), SASL_KEY_LEN, salted);
    check(done == 1);
    digest_hmac(bytes_range(salted, sizeof(salted)), BYTES("Client Key"), client_key);
    digest_sha256(bytes_range(client_key, sizeof(client_key)), keys.stored_key);
    digest_hmac(bytes_range(salted, sizeof(salted)), BYTES("Server Key"), keys.server_key);
    OPENSSL_cleanse(salted, sizeof(salted));
    OPENSSL_cleanse(client_key, sizeof(client_key));
    *keys_out = keys;
    return true;
}

void sasl_keys_fake(struct bytes key, struct bytes user, uint8_t salt_len, uint32_t iterations,
                    struct sasl_keys *keys_out)
{
    struct sasl_keys keys = {.iterations = iterations, .salt_len = salt_len};
    uint8_t of_user[SASL_KEY_LEN];
    uint8_t lower[SASL_USER_MAX];

    check(salt_len > 0 && salt_len <= sizeof(keys.salt));
    check(user.len <= sizeof(lower));
    for (size_t i = 0; i < user.len; i++)
        lower[i] = byte_lower(user.ptr[i]);
    digest_hmac(key, bytes_range(lower, user.len), of_user);
    struct bytes seed = bytes_range(of_user, sizeof(of_user));
    digest_hmac(seed, BYTES("salt"), keys.salt);
    /* Nobody knows what these are keys of: no proof fits. */
    digest_hmac(seed, BYTES("stored"), keys.stored_key);
    digest_hmac(seed, BYTES("server"), keys.server_key);
    *keys_out = keys;
}
