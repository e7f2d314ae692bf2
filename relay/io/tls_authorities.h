/*
 * tls_authorities.h - whom a client believes: certification authorities, and what they revoked.
 *
 * Immutable once loaded, and counted: any thread. Engines share them; OpenSSL locks them for a
 * moment in each handshake that is no resumption.
 */
#pragma once

#include "io/tls_certificate.h"

struct tls_authorities;

/* Those of a PEM file, or of the system's where `path` is NULL; a system may have none. Lists of
 * revoked certificates (CRLs) that stand in the file count for whom their issuers certified. NULL:
 * one sentence without a full stop in `why`. Blocks: not on an engine. */
struct tls_authorities *tls_authorities_load(const char *path, char why[static TLS_WHY_MAX]);
struct tls_authorities *tls_authorities_keep(struct tls_authorities *authorities);
void tls_authorities_release(struct tls_authorities **authorities); /* NULL: nothing */
size_t tls_authorities_count(const struct tls_authorities *authorities);
