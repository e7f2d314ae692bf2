/* modules: dkim */
/* fuzz_dkim_key_record.c - key records of any bytes: a key that can be used, or a reason. */
#include <stddef.h>
#include <stdint.h>

#include "auth/dkim/key_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t digest[DKIM_HASH_LEN], signature[256];

    for (int i = SIGNATURE_RSA_SHA256; i <= SIGNATURE_ED25519_SHA256; i++) {
        enum signature_algorithm algorithm = (enum signature_algorithm)i;
        struct dkim_public_key key;
        const char *reason = NULL;

        if (!dkim_key_record_parse(bytes_range(data, size), algorithm, &key, &reason)) {
            check(reason != NULL);
            continue;
        }
        check(key.bits > 0 && key.bits <= KEY_BITS_MAX);
        /* Ones that nobody made; what matters is that it ends. */
        bool is_good = dkim_public_key_verify(&key, algorithm, digest,
                                              bytes_range(signature, (key.bits + 7) / 8 % 257));
        (void)is_good;
        dkim_public_key_free(&key);
    }
    return 0;
}
