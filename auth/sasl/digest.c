/* digest.c - the calls of OpenSSL that cannot fail but for want of memory. */
#include "auth/sasl/digest.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

void digest_sha256(struct bytes b, uint8_t out[static SASL_KEY_LEN])
{
    unsigned len = 0;
    int done = EVP_Digest(b.ptr, b.len, out, &len, EVP_sha256(), NULL);

    check(done == 1 && len == SASL_KEY_LEN);
}

void digest_hmac(struct bytes key, struct bytes b, uint8_t out[static SASL_KEY_LEN])
{
    unsigned len = 0;
    const uint8_t *done = HMAC(EVP_sha256(), key.ptr, (int)key.len, b.ptr, b.len, out, &len);

    check(done != NULL && len == SASL_KEY_LEN);
}
