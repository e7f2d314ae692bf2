/*
 * tls_private.h - what the files of TLS share; nobody else includes it.
 *
 * tls_certificate.c reads what a server shows, tls_tickets.c has the keys of tickets, tls_context.c
 * makes an SSL_CTX of both, tls.c is the layer under a connection, tls_facts.c tells of it.
 * tls_authorities.c reads whom a client believes, tls_client.c makes its contexts and layers.
 */
#pragma once

#include <openssl/ssl.h>
#include <stdatomic.h>

#include "io/conn_layer.h"
#include "io/tls.h"
#include "io/tls_authorities.h"
#include "io/tls_certificate.h"
#include "io/tls_context.h"
#include "io/tls_tickets.h"

struct tls_certificate {
    _Atomic unsigned references;
    X509 *leaf;
    STACK_OF(X509) * chain; /* behind the leaf */
    EVP_PKEY *key;
};

struct tls_authorities {
    _Atomic unsigned references;
    X509_STORE *store;
    size_t count;
    bool has_revoked; /* lists of revoked certificates */
};

/* Of a client: what is strict, for who must be verified, and what is not. */
enum { TLS_CHOICE_STRICT, TLS_CHOICE_LENIENT, TLS_CLIENT_CHOICES };

struct tls_context {
    _Atomic unsigned references;
    bool is_client;
    struct tls_tickets *tickets;
    size_t count; /* of a server: one a certificate, the first is shown by default */
    struct tls_choice {
        SSL_CTX *ctx;
        struct tls_certificate *certificate;
    } choices[];
};

enum { TLS_FAILURE_MAX = 96 };

struct tls {
    struct conn_layer layer;
    struct tls_context *context;
    SSL *ssl;
    struct bytes raw; /* what the BIO has to give */
    struct buf held;  /* came while the handshake waits for its turn */
    bool waits;
    bool is_checked;      /* a client's: it had names or records to hold the peer against */
    SSL_SESSION *session; /* a client's: the newest, until it is taken */
    char failure[TLS_FAILURE_MAX]; /* empty: none */
};

/* tls.c */
extern const struct conn_layer_ops tls_layer_ops;
/* One of a context; NULL: no memory. */
struct tls *tls_create(struct tls_context *context, SSL_CTX *ctx);

/* tls_facts.c: NULL: none, or another layer. */
struct tls *tls_under(const struct conn *conn);

/* tls_certificate.c: a file of a reasonable size as a BIO in memory; NULL with a sentence. */
BIO *tls_read_file(const char *path, char why[static TLS_WHY_MAX]);

/* tls_context.c: a server's that shows this one; NULL with OpenSSL's error. */
SSL_CTX *tls_context_make(const struct tls_certificate *certificate);
/* What both sides are: versions, ciphers; NULL with OpenSSL's error. */
SSL_CTX *tls_context_base(const SSL_METHOD *method);
/* With one reference and nothing in it. */
struct tls_context *tls_context_allocate(size_t count);

/* tls_tickets.c: for SSL_CTX_set_tlsext_ticket_key_evp_cb(); the tickets are those of the context
 * that SSL_CTX_get_app_data() of `ssl`'s names. */
int tls_tickets_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                    EVP_MAC_CTX *mac, int is_sealing);
