/*
 * webhook_key.h - the key that a webhook's requests are signed with: ECDSA on P-256.
 *
 * One a webhook, in state_dir/keys/webhooks/NAME.pem, made when it is first asked for. What is
 * signed is what SendGrid's event webhook signs, so its receivers' helpers verify ours: SHA-256 of
 * the timestamp's text and the body behind it; the signature in DER, in base64.
 *
 * Thread: any; one key by one thread at a time. Making and reading block.
 */
#pragma once

#include "base/buf.h"

struct webhook_key;

enum { WEBHOOK_SIGNATURE_MAX = 128, WEBHOOK_PUBLIC_MAX = 160 };

/* Reads it, or makes it where there is none. 0; -EBADMSG: the file is no such key; -errno. */
must_use int webhook_key_open(const char *state_dir, const char *name,
                              struct webhook_key **key_out);
void webhook_key_free(struct webhook_key **key);
/* The file goes. */
void webhook_key_remove(const char *state_dir, const char *name);
/* SubjectPublicKeyInfo in DER, in base64: one line without NUL. */
must_use bool webhook_key_public(const struct webhook_key *key, struct buf *out);
must_use bool webhook_key_sign(const struct webhook_key *key, struct bytes timestamp,
                               struct bytes body, struct buf *out);
