/* mx_probe.c - one SMTP conversation that ends behind STARTTLS. */
#include "relay/cli/mx_probe.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "smtp/reply.h"

enum { STEP_MS = 10 * 1000 }; /* for a connection, and for what comes next */

struct talk {
    struct mx_probe *probe;
    int fd;
    int64_t until_ms;
    struct buf in;
    struct smtp_reply_reader reader;
    struct smtp_extensions extensions;
};

static bool end(struct talk *talk, enum mx_probe_result result, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool end(struct talk *talk, enum mx_probe_result result, const char *format, ...)
{
    va_list args;

    talk->probe->result = result;
    va_start(args, format);
    (void)vsnprintf(talk->probe->why, sizeof(talk->probe->why), format, args);
    va_end(args);
    return false;
}

static const char *why_of(int error)
{
    return error == ETIMEDOUT ? "no answer" : strerror(error);
}

/* False with errno. However little comes at a time, it comes to an end. */
static bool await(const struct talk *talk, short what)
{
    struct pollfd poll_fd = {.fd = talk->fd, .events = what};
    int64_t left_ms = MIN(talk->until_ms - clock_monotonic_ms(), (int64_t)STEP_MS);
    int count = poll(&poll_fd, 1, (int)MAX(left_ms, 0));

    if (count == 0)
        errno = ETIMEDOUT;
    return count > 0;
}

static bool connect_to(const struct talk *talk, const struct address *address)
{
    int error = 0;
    socklen_t len = sizeof(error);

    if (connect(talk->fd, &address->any, address_len(address)) == 0)
        return true;
    if (errno != EINPROGRESS || !await(talk, POLLOUT) ||
        getsockopt(talk->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        return false;
    errno = error;
    return error == 0;
}

/* False: it is told why, here and in all that follows. */
static bool begin(struct talk *talk)
{
    const struct address *address = &talk->probe->address;

    talk->fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (talk->fd < 0 || !connect_to(talk, address))
        return end(talk, MX_PROBE_UNREACHED, "not reached from here: %s", why_of(errno));
    return true;
}

static bool read_reply(struct talk *talk, const char *behind, struct smtp_reply *out)
{
    for (;;) {
        struct bytes input = buf_bytes(&talk->in);
        enum smtp_reply_state state = smtp_reply_read(&talk->reader, &input, out);

        buf_consume(&talk->in, buf_len(&talk->in) - input.len);
        if (state == SMTP_REPLY_WHOLE)
            return true;
        uint8_t *room = state == SMTP_REPLY_PARTIAL ? buf_reserve(&talk->in, 1024) : NULL;

        if (room == NULL)
            return end(talk, MX_PROBE_WRONG, "behind %s comes no reply of SMTP", behind);
        ssize_t len = await(talk, POLLIN) ? recv(talk->fd, room, 1024, 0) : -1;

        if (len <= 0)
            return end(talk, MX_PROBE_WRONG, "behind %s: %s", behind,
                       len == 0 ? "the connection ends" : why_of(errno));
        buf_extend(&talk->in, (size_t)len);
    }
}

/* The reply's code is `wanted`. */
static bool expect(struct talk *talk, const char *behind, unsigned wanted)
{
    struct smtp_reply reply;

    if (!read_reply(talk, behind, &reply))
        return false;
    if (reply.code != wanted)
        return end(talk, MX_PROBE_WRONG, "behind %s: %u %.*s", behind, reply.code,
                   (int)MIN(bytes_find(reply.text, '\n', 0), reply.text.len),
                   (const char *)reply.text.ptr);
    return true;
}

static bool say(struct talk *talk, const char *text)
{
    size_t len = strlen(text);

    if (send(talk->fd, text, len, MSG_NOSIGNAL) == (ssize_t)len)
        return true;
    return end(talk, MX_PROBE_WRONG, "the connection ends");
}

static bool start_tls(struct talk *talk)
{
    char hello[300];

    (void)snprintf(hello, sizeof(hello), "EHLO %s\r\n", talk->probe->hello);
    if (!expect(talk, "the connection", 220) || !say(talk, hello))
        return false;
    talk->reader.extensions = &talk->extensions;
    if (!expect(talk, "EHLO", 250))
        return false;
    talk->reader.extensions = NULL;
    if (!talk->extensions.starttls)
        return end(talk, MX_PROBE_CLEAR, "it offers no STARTTLS");
    if (!say(talk, "STARTTLS\r\n") || !expect(talk, "STARTTLS", 220))
        return false;
    if (buf_len(&talk->in) > 0)
        return end(talk, MX_PROBE_WRONG, "it says more in clear text behind STARTTLS");
    return true;
}

/* --- TLS -------------------------------------------------------------------------------------- */

static bool prepare(struct talk *talk, SSL_CTX *ctx, SSL *ssl)
{
    const char *file = talk->probe->authorities;

    if (ctx == NULL || ssl == NULL ||
        (file != NULL ? SSL_CTX_load_verify_locations(ctx, file, NULL)
                      : SSL_CTX_set_default_verify_paths(ctx)) != 1 ||
        SSL_set1_host(ssl, talk->probe->host) != 1 ||
        SSL_set_tlsext_host_name(ssl, talk->probe->host) != 1 || SSL_set_fd(ssl, talk->fd) != 1)
        return end(talk, MX_PROBE_UNREACHED, "TLS cannot be begun from here%s%s",
                   file != NULL ? ": delivery.tls_ca is " : "", file != NULL ? file : "");
    /* What is wrong is told behind the handshake. */
    SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
    return true;
}

/* NULL, or why there is no TLS. */
static const char *handshake(const struct talk *talk, SSL *ssl)
{
    for (;;) {
        int result = SSL_connect(ssl);
        int wanted = SSL_get_error(ssl, result);

        if (result == 1)
            return NULL;
        if (wanted != SSL_ERROR_WANT_READ && wanted != SSL_ERROR_WANT_WRITE) {
            const char *reason = ERR_reason_error_string(ERR_get_error());

            return reason != NULL ? reason : "the connection ends";
        }
        if (!await(talk, wanted == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT))
            return why_of(errno);
    }
}

static bool shake_hands(struct talk *talk, SSL *ssl)
{
    const char *host = talk->probe->host;
    const char *failure = handshake(talk, ssl);

    if (failure != NULL)
        return end(talk, MX_PROBE_WRONG, "the TLS handshake fails: %s", failure);
    long verified = SSL_get_verify_result(ssl);

    if (verified == X509_V_ERR_HOSTNAME_MISMATCH)
        return end(talk, MX_PROBE_WRONG, "its certificate is not for %s", host);
    if (verified != X509_V_OK)
        return end(talk, MX_PROBE_WRONG, "its certificate cannot be verified: %s",
                   X509_verify_cert_error_string(verified));
    (void)end(talk, MX_PROBE_GOOD, "%s, with a certificate for %s", SSL_get_version(ssl), host);
    return true;
}

static void secure(struct talk *talk)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = ctx != NULL ? SSL_new(ctx) : NULL;

    ERR_clear_error();
    if (prepare(talk, ctx, ssl) && shake_hands(talk, ssl))
        (void)!SSL_write(ssl, "QUIT\r\n", 6);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    ERR_clear_error();
}

void mx_probe_run(struct mx_probe *probe)
{
    struct talk talk = {
        .probe = probe,
        .until_ms = clock_monotonic_ms() + probe->patience_ms,
    };

    buf_init(&talk.in, (size_t)4 * SMTP_REPLY_LINE_MAX);
    smtp_reply_reader_init(&talk.reader);
    if (begin(&talk) && start_tls(&talk))
        secure(&talk);
    if (talk.fd >= 0)
        close(talk.fd);
    buf_free(&talk.in);
}
