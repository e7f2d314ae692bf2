/*
 * credential_secret.h - the secret of a credential: made once, shown once, compared often.
 *
 *   rp_<id: 12>_<160 random bits: 32>      letters a to z and digits 2 to 7 (base32, lower case)
 *
 * The prefix is for scanners of published code. The id inside says which credential it is, so that
 * a login as "apikey", which names nobody, is looked up as fast as one by id. Stored are a salted
 * SHA-256, for logins that bring the secret itself (PLAIN, LOGIN, HTTP), and the keys of
 * SCRAM-SHA-256 (RFC 5802, RFC 7677) of the whole text with the same salt. Nobody can try 2^160
 * secrets, so a slow hash would only make logins slow.
 *
 * Pure but for the random bits, which are the kernel's by OpenSSL. Any thread.
 */
#pragma once

#include "directory/snapshot.h"

enum { SECRET_LEN = 3 + CREDENTIAL_ID_LEN + 1 + 32 };

/* Makes a secret and fills name, salt, hash, stored_key and server_key of `row`. The text has
 * SECRET_LEN bytes and no NUL. False: no random bits are to be had. */
must_use bool secret_make(struct directory_credential *row, char text_out[static SECRET_LEN]);
/* The id inside a text of this shape; false: it is no secret of ours. */
must_use bool secret_id(struct bytes text, struct bytes *id_out);
/* Is it the secret of this credential? `row` NULL takes as long and is false: none had that
 * id. Whether the credential may still be used is another question. */
must_use bool secret_is_of(struct bytes text, const struct directory_credential *row);
