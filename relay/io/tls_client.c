/* tls_client.c - a client's contexts and layers, and what it makes of the peer. */
#include "io/tls_client.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/address.h"
#include "io/conn.h"
#include "io/tls_private.h"

/* Receivers whose TLS is old get what is still worth more than plain text. */
static const char lenient_ciphers[] = "HIGH:!aNULL:!eNULL:!PSK:!SRP:!3DES:!MD5";
static const char lenient_groups[] = "X25519:P-256:P-384:P-521";

enum { LENIENT_LEVEL = 1 /* 80 bits: RSA of 1024 */, NAME_MAX_LEN = 255 };

/* --- contexts --------------------------------------------------------------------------------- */

/* Lists of revoked certificates count where we have one: most issuers' we do not. */
static int on_verify(int is_good, X509_STORE_CTX *verification)
{
    if (is_good || X509_STORE_CTX_get_error(verification) != X509_V_ERR_UNABLE_TO_GET_CRL)
        return is_good;
    X509_STORE_CTX_set_error(verification, X509_V_OK);
    return 1;
}

/* Returns 1: it is ours. With TLS 1.3 it comes behind the handshake, and more than once. */
static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls *tls = SSL_get_app_data(ssl);

    SSL_SESSION_free(tls->session);
    tls->session = session;
    return 1;
}

static SSL_CTX *make_client(struct tls_authorities *authorities,
                            struct tls_certificate *certificate)
{
    SSL_CTX *ctx = tls_context_base(TLS_client_method());

    if (ctx == NULL)
        return NULL;
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, on_new_session);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, on_verify);
    if (authorities != NULL)
        SSL_CTX_set1_cert_store(ctx, authorities->store);
    if (SSL_CTX_dane_enable(ctx) == 1 &&
        (certificate == NULL || SSL_CTX_use_cert_and_key(ctx, certificate->leaf, certificate->key,
                                                         certificate->chain, 1) == 1))
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}

static bool make_lenient(SSL_CTX *ctx)
{
    SSL_CTX_set_security_level(ctx, LENIENT_LEVEL);
    return SSL_CTX_set_cipher_list(ctx, lenient_ciphers) == 1 &&
           SSL_CTX_set1_groups_list(ctx, lenient_groups) == 1;
}

struct tls_context *tls_client_context(struct tls_authorities *authorities,
                                       struct tls_certificate *certificate)
{
    struct tls_context *context = tls_context_allocate(TLS_CLIENT_CHOICES);

    context->is_client = true;
    ERR_clear_error();
    for (size_t i = 0; i < TLS_CLIENT_CHOICES; i++) {
        struct tls_choice *choice = &context->choices[i];

        choice->ctx = make_client(authorities, certificate);
        if (choice->ctx == NULL || (i == TLS_CHOICE_LENIENT && !make_lenient(choice->ctx))) {
            tls_context_release(&context);
            break;
        }
    }
    ERR_clear_error();
    return context;
}

/* --- layers ----------------------------------------------------------------------------------- */

/* NUL-terminated; false: too long, or it holds one. */
static bool copy_name(struct bytes name, char out[static NAME_MAX_LEN + 1])
{
    if (name.len == 0 || name.len > NAME_MAX_LEN || bytes_find(name, '\0', 0) < name.len)
        return false;
    snprintf(out, NAME_MAX_LEN + 1, "%.*s", BYTES_ARG(name));
    return true;
}

static bool is_address(struct bytes name)
{
    struct address address;

    return address_parse(name, 1, &address);
}

static bool set_server_name(SSL *ssl, struct bytes name)
{
    char text[NAME_MAX_LEN + 1];

    if (name.len == 0 || is_address(name))
        return true;
    return copy_name(name, text) && SSL_set_tlsext_host_name(ssl, text) == 1;
}

/* OpenSSL wants the names and the address to match where both are set: one of them is. */
static bool add_name(SSL *ssl, const struct tls_client_setup *setup, size_t number)
{
    char text[NAME_MAX_LEN + 1];

    if (!copy_name(setup->names[number], text))
        return false;
    if (is_address(setup->names[number]))
        return setup->name_count == 1 &&
               X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), text) == 1;
    return SSL_add1_host(ssl, text) == 1;
}

/* False: none of them can be used. */
static bool add_records(SSL *ssl, const struct tls_client_setup *setup)
{
    char text[NAME_MAX_LEN + 1];
    bool is_any = false;

    if (setup->name_count == 0 || !copy_name(setup->names[0], text) ||
        SSL_dane_enable(ssl, text) != 1)
        return false;
    (void)SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
    for (size_t i = 0; i < setup->record_count; i++) {
        const struct tls_record *r = &setup->records[i];
        int result = SSL_dane_tlsa_add(ssl, r->usage, r->selector, r->matching, r->association.ptr,
                                       r->association.len);

        if (result < 0)
            return false;
        is_any = is_any || result > 0;
    }
    return is_any;
}

/* A copy of it: a connection that ends without close_notify spoils the session that it has. */
static bool resume(SSL *ssl, const SSL_SESSION *session)
{
    SSL_SESSION *copy = SSL_SESSION_dup(session);
    bool is_good = copy != NULL && SSL_set_session(ssl, copy) == 1;

    SSL_SESSION_free(copy);
    return is_good;
}

static bool set_up(struct tls *tls, const struct tls_client_setup *setup)
{
    SSL *ssl = tls->ssl;
    bool has_records = setup->record_count > 0;

    SSL_set_app_data(ssl, tls);
    SSL_set_connect_state(ssl);
    if (!set_server_name(ssl, setup->server_name) || (has_records && !add_records(ssl, setup)))
        return false;
    /* Names stand among the alternative ones (RFC 8461 section 4.1); DANE knows the old way too. */
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                               (has_records ? 0 : X509_CHECK_FLAG_NEVER_CHECK_SUBJECT));
    for (size_t i = has_records ? 1 : 0; i < setup->name_count; i++)
        if (!add_name(ssl, setup, i))
            return false;
    tls->is_checked = setup->name_count > 0;
    if (setup->must_verify)
        SSL_set_verify(ssl, SSL_VERIFY_PEER, on_verify);
    return setup->session == NULL || resume(ssl, (const SSL_SESSION *)setup->session);
}

struct conn_layer *tls_client_layer(struct tls_context *context,
                                    const struct tls_client_setup *setup)
{
    enum { STRICT = TLS_CHOICE_STRICT, LENIENT = TLS_CHOICE_LENIENT };

    check(context->is_client);
    check(!setup->must_verify || setup->name_count > 0);
    ERR_clear_error();
    struct tls *tls =
        tls_create(context, context->choices[setup->must_verify ? STRICT : LENIENT].ctx);
    if (tls == NULL)
        return NULL;
    struct conn_layer *layer = &tls->layer;
    bool is_good = set_up(tls, setup);
    ERR_clear_error();
    if (!is_good)
        tls_layer_free(&layer);
    return layer;
}

/* --- what was learned ------------------------------------------------------------------------- */

static enum tls_fault fault_of(long result)
{
    switch (result) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return TLS_FAULT_NAME;
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return TLS_FAULT_EXPIRED;
    case X509_V_ERR_DANE_NO_MATCH:
        return TLS_FAULT_NO_RECORD;
    default:
        return TLS_FAULT_UNTRUSTED;
    }
}

enum tls_fault conn_tls_fault(const struct conn *conn, const char **why_out)
{
    const struct tls *tls = tls_under(conn);

    *why_out = NULL;
    if (tls == NULL || !tls->context->is_client)
        return TLS_FAULT_UNVERIFIED;
    long result = SSL_get_verify_result(tls->ssl);

    if (result != X509_V_OK) {
        *why_out = X509_verify_cert_error_string(result);
        return fault_of(result);
    }
    /* OK is also what it says before it has seen any. */
    if (!tls->layer.is_secured || !tls->is_checked || SSL_get0_peer_certificate(tls->ssl) == NULL)
        return TLS_FAULT_UNVERIFIED;
    return TLS_FAULT_NONE;
}

struct tls_session *conn_tls_take_session(const struct conn *conn)
{
    struct tls *tls = tls_under(conn);

    if (tls == NULL || tls->session == NULL)
        return NULL;
    /* A copy, as in resume(). */
    SSL_SESSION *session =
        SSL_SESSION_is_resumable(tls->session) == 1 ? SSL_SESSION_dup(tls->session) : NULL;

    SSL_SESSION_free(tls->session);
    tls->session = NULL;
    return (struct tls_session *)session;
}

void tls_session_release(struct tls_session **session)
{
    SSL_SESSION_free((SSL_SESSION *)*session);
    *session = NULL;
}
