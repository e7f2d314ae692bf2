/*
 * tls_certificate.h - a certificate with its chain and key, read from PEM files.
 *
 * Immutable once loaded, and counted: any thread.
 */
#pragma once

#include <stdint.h>

#include "base/bytes.h"

struct tls_certificate;

enum { TLS_WHY_MAX = 512 };

/* Which of the two files is wrong. */
enum tls_part { TLS_PART_CERTIFICATE, TLS_PART_KEY };

/* Reads both and holds one against the other. NULL: one sentence without a full stop in `why`,
 * which begins with the file's path. Blocks: not on an engine. */
struct tls_certificate *tls_certificate_load(const char *certificate_path, const char *key_path,
                                             enum tls_part *part_out, char why[static TLS_WHY_MAX]);
struct tls_certificate *tls_certificate_keep(struct tls_certificate *certificate);
void tls_certificate_release(struct tls_certificate **certificate);

int64_t tls_certificate_not_before_ms(const struct tls_certificate *certificate); /* wall */
int64_t tls_certificate_not_after_ms(const struct tls_certificate *certificate);
/* Is it for this host (RFC 6125 section 6.4)? Its wildcards count. */
bool tls_certificate_is_for(const struct tls_certificate *certificate, struct bytes host);
/* Some of the names that it is for, such as "mx.example.net, *.example.net"; "nobody". */
enum { TLS_NAMES_MAX = 256 };
void tls_certificate_names(const struct tls_certificate *certificate,
                           char out[static TLS_NAMES_MAX]);
/* Every certificate of the file but the last was issued by the one behind it. */
bool tls_certificate_is_in_order(const struct tls_certificate *certificate);
bool tls_certificate_is_self_signed(const struct tls_certificate *certificate);

/* Makes a key (ECDSA, P-256) and a certificate of its own for `host`, good for ten years, as PEM.
 * False: OpenSSL failed. */
must_use bool tls_self_signed(const char *host, struct bytes *certificate_out,
                              struct bytes *key_out);
/* Wipes and frees what that made. */
void tls_pem_free(struct bytes *pem);
