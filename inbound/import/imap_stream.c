/* imap_stream.c - a socket that is waited for, and OpenSSL on it. */
#include "inbound/import/imap_stream.h"

#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

static bool fail(struct imap_stream *stream, const char *what, const char *why)
{
    snprintf(stream->why, IMPORT_WHY_MAX, "%.120s: %.120s", what, why);
    return false;
}

/* Until the socket is ready; a signal does not shorten it. */
static bool wait_for(struct imap_stream *stream, short events)
{
    int64_t until_ms = clock_monotonic_ms() + stream->timeout_ms;

    for (;;) {
        struct pollfd look = {.fd = stream->fd, .events = events};
        int64_t left_ms = until_ms - clock_monotonic_ms();
        int ready = left_ms <= 0 ? 0 : poll(&look, 1, (int)left_ms);

        if (ready > 0)
            return true;
        if (ready < 0 && errno == EINTR)
            continue;
        return fail(stream, "the server",
                    ready == 0 ? "no answer in time" : strerrordesc_np(errno));
    }
}

/* --- TLS -------------------------------------------------------------------------------------- */

static const char *tls_reason(SSL *tls)
{
    long verified = SSL_get_verify_result(tls);
    unsigned long error = ERR_get_error();

    if (verified != X509_V_OK)
        return X509_verify_cert_error_string(verified);
    return error == 0 ? "the connection broke" : ERR_reason_error_string(error);
}

/* Whether to try again, after a wait. */
static bool tls_again(struct imap_stream *stream, int result, const char *what)
{
    int error = SSL_get_error(stream->tls, result);

    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return wait_for(stream, error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT);
    const char *reason =
        error == SSL_ERROR_ZERO_RETURN ? "it closed the connection" : tls_reason(stream->tls);

    return fail(stream, what, reason != NULL ? reason : "TLS failed");
}

static bool make_context(struct imap_stream *stream, const struct import_server *settings)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());

    check(context != NULL);
    stream->tls_context = context;
    (void)SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (settings->trusts_anyone)
        return true;
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    if (settings->ca_file == NULL ? SSL_CTX_set_default_verify_paths(context) == 1
                                  : SSL_CTX_load_verify_file(context, settings->ca_file) == 1)
        return true;
    return fail(stream, settings->ca_file == NULL ? "the system's certificates" : settings->ca_file,
                "they cannot be read");
}

bool imap_stream_start_tls(struct imap_stream *stream, const struct import_server *settings)
{
    X509_VERIFY_PARAM *parameters;

    if (!make_context(stream, settings))
        return false;
    SSL *tls = SSL_new(stream->tls_context);

    check(tls != NULL && SSL_set_fd(tls, stream->fd) == 1);
    stream->tls = tls;
    parameters = SSL_get0_param(tls);
    if (X509_VERIFY_PARAM_set1_ip_asc(parameters, settings->host) != 1) {
        check(SSL_set1_host(tls, settings->host) == 1);
        (void)SSL_set_tlsext_host_name(tls, settings->host);
    }
    for (;;) {
        ERR_clear_error();
        int result = SSL_connect(tls);

        if (result == 1)
            return true;
        if (!tls_again(stream, result, "TLS"))
            return false;
    }
}

/* --- the socket ------------------------------------------------------------------------------- */

static bool connect_to(struct imap_stream *stream, const struct addrinfo *to)
{
    int error = 0;
    socklen_t len = sizeof(error);

    stream->fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (stream->fd < 0)
        return fail(stream, "a socket", strerrordesc_np(errno));
    if (connect(stream->fd, to->ai_addr, to->ai_addrlen) < 0) {
        if (errno != EINPROGRESS)
            return fail(stream, "the server", strerrordesc_np(errno));
        if (!wait_for(stream, POLLOUT))
            return false;
        (void)getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    }
    return error == 0 || fail(stream, "the server", strerrordesc_np(error));
}

bool imap_stream_connect(struct imap_stream *stream, const struct import_server *settings,
                         char why[static IMPORT_WHY_MAX])
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    bool is_connected = false;
    char port[8];

    stream->fd = -1;
    stream->tls = stream->tls_context = NULL;
    stream->why = why;
    stream->timeout_ms = (int)settings->timeout_s * 1000;
    snprintf(port, sizeof(port), "%u", settings->port);
    int error = getaddrinfo(settings->host, port, &hints, &found);

    if (error != 0)
        return fail(stream, settings->host, gai_strerror(error));
    for (const struct addrinfo *to = found; to != NULL && !is_connected; to = to->ai_next) {
        is_connected = connect_to(stream, to);
        if (!is_connected && stream->fd >= 0)
            close(stream->fd);
        if (!is_connected)
            stream->fd = -1;
    }
    freeaddrinfo(found);
    return is_connected &&
           (settings->tls != IMPORT_TLS_IMPLICIT || imap_stream_start_tls(stream, settings));
}

bool imap_stream_send(struct imap_stream *stream, struct bytes b)
{
    while (b.len > 0) {
        if (stream->tls != NULL) {
            ERR_clear_error();
            int sent = SSL_write(stream->tls, b.ptr, (int)MIN(b.len, (size_t)IMAP_STREAM_PIECE));

            if (sent > 0)
                b = bytes_slice(b, (size_t)sent, b.len);
            else if (!tls_again(stream, sent, "the server"))
                return false;
            continue;
        }
        ssize_t sent = send(stream->fd, b.ptr, b.len, MSG_NOSIGNAL);

        if (sent > 0)
            b = bytes_slice(b, (size_t)sent, b.len);
        else if (errno != EINTR && errno != EAGAIN)
            return fail(stream, "the server", strerrordesc_np(errno));
        else if (!wait_for(stream, POLLOUT))
            return false;
    }
    return true;
}

bool imap_stream_receive(struct imap_stream *stream, struct bytes *out)
{
    for (;;) {
        if (stream->tls != NULL) {
            ERR_clear_error();
            int got = SSL_read(stream->tls, stream->piece, IMAP_STREAM_PIECE);

            if (got > 0) {
                *out = bytes_range(stream->piece, (size_t)got);
                return true;
            }
            if (!tls_again(stream, got, "the server"))
                return false;
            continue;
        }
        ssize_t got = recv(stream->fd, stream->piece, IMAP_STREAM_PIECE, 0);

        if (got > 0) {
            *out = bytes_range(stream->piece, (size_t)got);
            return true;
        }
        if (got == 0)
            return fail(stream, "the server", "it closed the connection");
        if (errno != EINTR && errno != EAGAIN)
            return fail(stream, "the server", strerrordesc_np(errno));
        if (!wait_for(stream, POLLIN))
            return false;
    }
}

void imap_stream_close(struct imap_stream *stream)
{
    SSL_free(stream->tls);
    SSL_CTX_free(stream->tls_context);
    if (stream->fd >= 0)
        close(stream->fd);
    stream->tls = stream->tls_context = NULL;
    stream->fd = -1;
}
