/*
 * dkim_key.h - a key that signs: a PEM file of its owner alone, and what its DNS record says.
 *
 * Files stand below state_dir/keys, one folder a domain, mode 0600, with the owner of state_dir
 * where we are root. RSA has 2048 bits (RFC 8301 section 3.2), Ed25519 is as RFC 8463 says.
 *
 * Thread: any; makes files and waits for them to be durable.
 */
#pragma once

#include "base/buf.h"
#include "directory/snapshot.h"

enum { DKIM_KEY_FILE_MAX = 512, DKIM_PUBLIC_MAX = 1024 /* in base64 */ };

/* Makes a key and its file. `public_out` gets what stands behind p= in its record. 0 or -errno. */
must_use int dkim_key_make(const char *state_dir, struct bytes domain, struct bytes selector,
                           enum signature_algorithm algorithm,
                           char file_out[static DKIM_KEY_FILE_MAX], struct buf *public_out);
/* Its file goes, and the folder with the last one. */
void dkim_key_remove(const char *state_dir, struct bytes file);
/* "v=DKIM1; k=rsa; p=..." (RFC 6376 section 3.6.1); false: no room. */
must_use bool dkim_key_record(enum signature_algorithm algorithm, struct bytes public_key,
                              struct buf *out);
const char *dkim_key_state_name(enum dkim_key_state state); /* "active" */
