/* tls_context.c - how we speak TLS. */
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "io/tls_private.h"

/* Forward secrecy and an AEAD in all of them; those of TLS 1.3 are all of that kind. */
static const char ciphers[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                              "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                              "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
static const char groups[] = "X25519:P-256:P-384";
static const char signatures[] = "ed25519:ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:"
                                 "RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:"
                                 "RSA+SHA256:RSA+SHA384:RSA+SHA512";

enum { SECURITY_LEVEL = 2 /* 112 bits: RSA of 2048 and more, no SHA-1 */ };

SSL_CTX *tls_context_base(const SSL_METHOD *method)
{
    SSL_CTX *ctx = SSL_CTX_new(method);

    if (ctx == NULL)
        return NULL;
    SSL_CTX_set_security_level(ctx, SECURITY_LEVEL);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
    if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
        SSL_CTX_set_cipher_list(ctx, ciphers) == 1 && SSL_CTX_set1_groups_list(ctx, groups) == 1)
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}

SSL_CTX *tls_context_make(const struct tls_certificate *certificate)
{
    /* Of the same value for all: a ticket is good whatever name it was given under. */
    static const unsigned char id[] = "ringpost";
    SSL_CTX *ctx = tls_context_base(TLS_server_method());

    if (ctx == NULL)
        return NULL;
    /* One ticket a session: each resumption gives the next. */
    if (SSL_CTX_set1_sigalgs_list(ctx, signatures) == 1 &&
        SSL_CTX_set_session_id_context(ctx, id, sizeof(id) - 1) == 1 &&
        SSL_CTX_set_num_tickets(ctx, 1) == 1 && SSL_CTX_set_max_early_data(ctx, 0) == 1 &&
        SSL_CTX_use_cert_and_key(ctx, certificate->leaf, certificate->key, certificate->chain, 1) ==
            1)
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}

/* The client named the host that it wants to speak to. Whom we do not know gets the first
 * certificate: an error would cost a client its mail that never looks at it. */
static int choose(SSL *ssl, int *alert, void *argument)
{
    const struct tls_context *context = argument;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

    (void)alert;
    if (name == NULL)
        return SSL_TLSEXT_ERR_NOACK;
    struct bytes host = {(const uint8_t *)name, strlen(name)};
    for (size_t i = 0; i < context->count; i++) {
        if (!tls_certificate_is_for(context->choices[i].certificate, host))
            continue;
        if (i > 0 && SSL_set_SSL_CTX(ssl, context->choices[i].ctx) == NULL)
            return SSL_TLSEXT_ERR_ALERT_FATAL;
        return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_OK;
}

static void set_tickets(SSL_CTX *ctx, struct tls_context *context)
{
    SSL_CTX_set_app_data(ctx, context);
    if (context->tickets == NULL) {
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
        check(SSL_CTX_set_num_tickets(ctx, 0) == 1);
        return;
    }
    SSL_CTX_set_timeout(ctx, TLS_TICKETS_LIFE_MS / 1000);
    check(SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, tls_tickets_key) == 1);
}

struct tls_context *tls_context_allocate(size_t count)
{
    struct tls_context *context = calloc(1, sizeof(*context) + count * sizeof(context->choices[0]));

    check(context != NULL);
    atomic_init(&context->references, 1);
    context->count = count;
    return context;
}

struct tls_context *tls_server_context(struct tls_certificate *const *certificates, size_t count,
                                       struct tls_tickets *tickets)
{
    check(count > 0);
    struct tls_context *context = tls_context_allocate(count);

    context->tickets = tickets;
    for (size_t i = 0; i < count; i++) {
        struct tls_choice *choice = &context->choices[i];

        choice->certificate = tls_certificate_keep(certificates[i]);
        choice->ctx = tls_context_make(certificates[i]);
        if (choice->ctx == NULL) {
            tls_context_release(&context);
            return NULL;
        }
        set_tickets(choice->ctx, context);
    }
    check(SSL_CTX_set_tlsext_servername_callback(context->choices[0].ctx, choose) == 1);
    check(SSL_CTX_set_tlsext_servername_arg(context->choices[0].ctx, context) == 1);
    return context;
}

struct tls_context *tls_context_keep(struct tls_context *context)
{
    unsigned before = atomic_fetch_add(&context->references, 1);

    check(before > 0);
    return context;
}

void tls_context_release(struct tls_context **context)
{
    struct tls_context *released = *context;

    *context = NULL;
    if (released == NULL || atomic_fetch_sub(&released->references, 1) > 1)
        return;
    for (size_t i = 0; i < released->count; i++) {
        SSL_CTX_free(released->choices[i].ctx);
        tls_certificate_release(&released->choices[i].certificate);
    }
    ERR_clear_error();
    free(released);
}
