/*
 * tls_context.h - what TLS sessions of one side have in common: versions, ciphers, certificates.
 *
 * A server's context is of one generation of certificates, and one an engine has for itself:
 * engines share neither locks nor counts. It is made off the engines, because that takes a
 * millisecond a certificate; sessions keep it, so a reload that brings another one disturbs nobody.
 *
 * TLS 1.3 and 1.2 only; in 1.2 only ECDHE with an AEAD. No renegotiation, no compression, no early
 * data. A client's is in tls_client.h.
 *
 * Thread: made by any, used by one engine at a time, counted atomically: released by any.
 */
#pragma once

#include <stddef.h>

struct tls_certificate;
struct tls_context;
struct tls_tickets;

/* A server that shows the first certificate, or the first that is for the name a client asks for
 * (SNI, RFC 6066 section 3). `tickets` outlives it; NULL there: no session is resumed. NULL: no
 * memory. */
struct tls_context *tls_server_context(struct tls_certificate *const *certificates, size_t count,
                                       struct tls_tickets *tickets);
struct tls_context *tls_context_keep(struct tls_context *context);
void tls_context_release(struct tls_context **context);
