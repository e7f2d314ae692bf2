/* tls_peer.c - a TLS client over bytes. */
#include "support/tls_peer.h"

#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { WIRE_MAX = 64 << 20 };

static void write_file(const char *path, struct bytes text)
{
    FILE *file = fopen(path, "we");

    check(file != NULL);
    check(fwrite(text.ptr, 1, text.len, file) == text.len);
    check(fclose(file) == 0);
}

struct tls_certificate *tls_test_certificate(const char *host)
{
    char directory[] = "/tmp/tls_peer.XXXXXX";
    char certificate_path[64], key_path[64], why[TLS_WHY_MAX] = "";
    struct bytes certificate_pem, key_pem;
    enum tls_part part;

    check(mkdtemp(directory) != NULL);
    snprintf(certificate_path, sizeof(certificate_path), "%s/tls.crt", directory);
    snprintf(key_path, sizeof(key_path), "%s/tls.key", directory);
    check(tls_self_signed(host, &certificate_pem, &key_pem));
    write_file(certificate_path, certificate_pem);
    write_file(key_path, key_pem);
    struct tls_certificate *certificate =
        tls_certificate_load(certificate_path, key_path, &part, why);
    if (certificate == NULL)
        fprintf(stderr, "%s\n", why);
    check(certificate != NULL);
    check(unlink(certificate_path) == 0);
    check(unlink(key_path) == 0);
    check(rmdir(directory) == 0);
    tls_pem_free(&certificate_pem);
    tls_pem_free(&key_pem);
    return certificate;
}

static void take_wire(struct tls_peer *peer)
{
    char *text;
    long len = BIO_get_mem_data(peer->out, &text);

    check(buf_append(&peer->wire, bytes_range(text, (size_t)len)));
    (void)BIO_reset(peer->out);
}

static void shake(struct tls_peer *peer)
{
    ERR_clear_error();
    int result = SSL_do_handshake(peer->ssl);

    if (result == 1)
        peer->is_secured = true;
    else if (SSL_get_error(peer->ssl, result) != SSL_ERROR_WANT_READ)
        peer->has_failed = true;
    take_wire(peer);
}

static void create(struct tls_peer *peer, SSL_CTX *ctx)
{
    *peer = (struct tls_peer){.ssl = SSL_new(ctx)};
    check(peer->ssl != NULL);
    peer->in = BIO_new(BIO_s_mem());
    peer->out = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(peer->in, -1);
    SSL_set_bio(peer->ssl, peer->in, peer->out);
    buf_init(&peer->wire, WIRE_MAX);
}

void tls_peer_accept(struct tls_peer *peer, SSL_CTX *ctx)
{
    create(peer, ctx);
    SSL_set_accept_state(peer->ssl);
}

void tls_peer_begin(struct tls_peer *peer, SSL_CTX *ctx, SSL_SESSION *session, const char *host)
{
    SSL_CTX *own = ctx == NULL ? SSL_CTX_new(TLS_client_method()) : NULL;

    create(peer, ctx != NULL ? ctx : own);
    SSL_CTX_free(own);
    if (session != NULL)
        check(SSL_set_session(peer->ssl, session) == 1);
    if (host != NULL)
        check(SSL_set_tlsext_host_name(peer->ssl, host) == 1);
    SSL_set_connect_state(peer->ssl);
    shake(peer);
}

void tls_peer_feed(struct tls_peer *peer, struct bytes raw, struct buf *plain)
{
    uint8_t text[SSL3_RT_MAX_PLAIN_LENGTH];
    size_t len;

    if (raw.len > 0)
        check(BIO_write(peer->in, raw.ptr, (int)raw.len) == (int)raw.len);
    if (!peer->is_secured && !peer->has_failed)
        shake(peer);
    if (!peer->is_secured || peer->is_ended)
        return;
    ERR_clear_error();
    while (SSL_read_ex(peer->ssl, text, sizeof(text), &len) == 1)
        check(buf_append(plain, (struct bytes){text, len}));
    int error = SSL_get_error(peer->ssl, 0);
    peer->is_ended = error == SSL_ERROR_ZERO_RETURN;
    peer->has_failed |= error != SSL_ERROR_ZERO_RETURN && error != SSL_ERROR_WANT_READ;
    take_wire(peer);
}

void tls_peer_write(struct tls_peer *peer, struct bytes plain)
{
    size_t written;

    check(peer->is_secured);
    if (plain.len > 0)
        check(SSL_write_ex(peer->ssl, plain.ptr, plain.len, &written) == 1);
    take_wire(peer);
}

void tls_peer_end(struct tls_peer *peer)
{
    (void)SSL_shutdown(peer->ssl);
    take_wire(peer);
}

void tls_peer_free(struct tls_peer *peer)
{
    SSL_free(peer->ssl);
    buf_free(&peer->wire);
    *peer = (struct tls_peer){0};
}
