/* digest.h - SHA-256, and HMAC on it, into 32 bytes. Private to the folder. */
#pragma once

#include "auth/sasl/keys.h"

void digest_sha256(struct bytes b, uint8_t out[static SASL_KEY_LEN]);
void digest_hmac(struct bytes key, struct bytes b, uint8_t out[static SASL_KEY_LEN]);
