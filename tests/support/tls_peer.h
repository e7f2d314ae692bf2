/*
 * tls_peer.h - the other side of our TLS: a client or server by OpenSSL over bytes, without a
 * connection of ours; and certificates to show it.
 *
 * What it has to say stands in `wire`; what it hears is fed to it in any pieces.
 */
#pragma once

#include <openssl/ssl.h>

#include "base/buf.h"
#include "io/tls_certificate.h"

struct tls_peer {
    SSL *ssl;
    BIO *in, *out; /* memory; the SSL's */
    struct buf wire;
    bool is_secured, is_ended, has_failed;
};

/* A certificate of its own for `host`, read back from files in a directory that is gone then. */
struct tls_certificate *tls_test_certificate(const char *host);

/* `ctx` NULL: one of OpenSSL's defaults. `session` NULL: none to resume. `host` NULL: no SNI.
 * The ClientHello stands in `wire` at once. */
void tls_peer_begin(struct tls_peer *peer, SSL_CTX *ctx, SSL_SESSION *session, const char *host);
/* A server, which waits for the ClientHello. */
void tls_peer_accept(struct tls_peer *peer, SSL_CTX *ctx);
/* Adds what it makes of them to `plain`. */
void tls_peer_feed(struct tls_peer *peer, struct bytes raw, struct buf *plain);
void tls_peer_write(struct tls_peer *peer, struct bytes plain); /* is_secured */
void tls_peer_end(struct tls_peer *peer);                       /* close_notify */
void tls_peer_free(struct tls_peer *peer);
