/* tls.c - OpenSSL between a connection's ops and its owner. */
#include "io/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/budget.h"
#include "base/metric.h"
#include "io/conn_layer.h"
#include "io/tls_private.h"
#include "io/turn_budget.h"

enum { HELD_MAX = 160 * 1024 /* above the largest ClientHello that OpenSSL takes */ };

static struct tls *tls_of(struct conn_layer *layer)
{
    return container_of(layer, struct tls, layer);
}

/* --- the BIO: bytes that are there, and room for those to come -------------------------------- */

static int bio_read(BIO *bio, char *to, int len)
{
    struct tls *tls = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (tls->raw.len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t taken = MIN((size_t)len, tls->raw.len);
    memcpy(to, tls->raw.ptr, taken);
    tls->raw = bytes_slice(tls->raw, taken, tls->raw.len);
    return (int)taken;
}

static int bio_write(BIO *bio, const char *from, int len)
{
    struct tls *tls = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    return buf_append(&tls->layer.wire, bytes_range(from, (size_t)len)) ? len : -1;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *bio_method;

static void make_bio_method(void)
{
    bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "connection");
    check(bio_method != NULL);
    check(BIO_meth_set_read(bio_method, bio_read) == 1);
    check(BIO_meth_set_write(bio_method, bio_write) == 1);
    check(BIO_meth_set_ctrl(bio_method, bio_control) == 1);
}

static bool attach_bio(struct tls *tls)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    check(pthread_once(&once, make_bio_method) == 0);
    BIO *bio = BIO_new(bio_method);
    if (bio == NULL)
        return false;
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    SSL_set_bio(tls->ssl, bio, bio);
    return true;
}

/* --- failures --------------------------------------------------------------------------------- */

static enum metric metric_of_alert(int alert)
{
    return alert >= SSL_AD_BAD_CERTIFICATE && alert <= SSL_AD_CERTIFICATE_UNKNOWN
               ? METRIC_TLS_FAILED_CERTIFICATE
           : alert == SSL_AD_UNKNOWN_CA       ? METRIC_TLS_FAILED_CERTIFICATE
           : alert == SSL_AD_PROTOCOL_VERSION ? METRIC_TLS_FAILED_VERSION
                                              : METRIC_TLS_FAILED_ALERT;
}

static enum metric metric_of(unsigned long error)
{
    int reason = ERR_GET_REASON(error);

    if (ERR_GET_LIB(error) != ERR_LIB_SSL)
        return METRIC_TLS_FAILED_OTHER;
    if (reason > SSL_AD_REASON_OFFSET)
        return metric_of_alert(reason - SSL_AD_REASON_OFFSET);
    switch (reason) {
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_WRONG_VERSION_NUMBER:
        return METRIC_TLS_FAILED_NOT_TLS;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_NO_PROTOCOLS_AVAILABLE:
        return METRIC_TLS_FAILED_VERSION;
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SHARED_GROUPS:
        return METRIC_TLS_FAILED_CIPHER;
    default:
        return METRIC_TLS_FAILED_OTHER;
    }
}

/* OpenSSL has said no; what it wants the peer to hear stands in `wire`. */
static int fail(struct tls *tls, const char *otherwise)
{
    unsigned long error = ERR_peek_error();
    const char *reason = ERR_reason_error_string(error);

    snprintf(tls->failure, sizeof(tls->failure), "%s", reason != NULL ? reason : otherwise);
    if (tls->layer.is_secured)
        metric_inc(METRIC_TLS_BROKEN);
    else if (!tls->context->is_client)
        metric_inc(metric_of(error));
    ERR_clear_error();
    return -EPROTO;
}

/* --- the handshake ---------------------------------------------------------------------------- */

static void handshake_is_over(struct tls *tls)
{
    tls->layer.is_secured = true;
    metric_inc(METRIC_TLS_SESSIONS);
    if (tls->context->is_client) {
        metric_inc(SSL_version(tls->ssl) == TLS1_3_VERSION ? METRIC_TLS_OUT_HANDSHAKES_13
                                                           : METRIC_TLS_OUT_HANDSHAKES_12);
        if (SSL_session_reused(tls->ssl))
            metric_inc(METRIC_TLS_OUT_RESUMED);
        return;
    }
    metric_inc(SSL_version(tls->ssl) == TLS1_3_VERSION ? METRIC_TLS_HANDSHAKES_13
                                                       : METRIC_TLS_HANDSHAKES_12);
    if (SSL_session_reused(tls->ssl))
        metric_inc(METRIC_TLS_RESUMED);
}

static int shake(struct tls *tls)
{
    ERR_clear_error();
    int result = SSL_do_handshake(tls->ssl);

    if (result == 1) {
        handshake_is_over(tls);
        return 0;
    }
    return SSL_get_error(tls->ssl, result) == SSL_ERROR_WANT_READ
               ? 0
               : fail(tls, "the handshake was broken off");
}

static int hold(struct tls *tls, struct bytes raw)
{
    tls->waits = true;
    tls->layer.owes_turn = true;
    if (buf_append(&tls->held, raw))
        return 0;
    snprintf(tls->failure, sizeof(tls->failure), "more than a handshake can be");
    metric_inc(METRIC_TLS_FAILED_OTHER);
    return -ENOBUFS;
}

/* What is left of `raw` then stands in tls->raw: it was sent under the new keys. */
static int go_on_shaking(struct tls *tls, struct bytes raw)
{
    struct engine *engine = tls->layer.engine;

    /* One that waits is called again when it is its turn. */
    if (tls->waits && raw.len > 0)
        return hold(tls, raw);
    if (!turn_budget_begin(engine, tls->waits))
        return hold(tls, raw);
    if (buf_len(&tls->held) > 0)
        raw = buf_bytes(&tls->held);
    tls->waits = false;
    tls->raw = raw;
    int error = shake(tls);
    turn_budget_end(engine);
    return error;
}

static int tls_begin(struct conn_layer *layer)
{
    struct tls *tls = tls_of(layer);

    return tls->context->is_client ? shake(tls) : 0;
}

/* --- afterwards ------------------------------------------------------------------------------- */

static int read_all(struct tls *tls, struct buf *input)
{
    uint8_t plain[SSL3_RT_MAX_PLAIN_LENGTH];
    size_t len;

    ERR_clear_error();
    while (SSL_read_ex(tls->ssl, plain, sizeof(plain), &len) == 1)
        if (!buf_append(input, (struct bytes){plain, len}))
            return -ENOBUFS;
    switch (SSL_get_error(tls->ssl, 0)) {
    case SSL_ERROR_WANT_READ:
        check(tls->raw.len == 0);
        return 0;
    case SSL_ERROR_ZERO_RETURN:
        tls->layer.is_ended = true;
        return 0;
    default:
        return fail(tls, "a record cannot be read");
    }
}

static int tls_open(struct conn_layer *layer, struct bytes raw, struct buf *input)
{
    struct tls *tls = tls_of(layer);
    int error = 0;

    if (layer->is_secured)
        tls->raw = raw;
    else
        error = go_on_shaking(tls, raw);
    if (error == 0 && layer->is_secured)
        error = read_all(tls, input);
    tls->raw = BYTES_NONE;
    if (!layer->owes_turn)
        buf_free(&tls->held);
    return error;
}

static int tls_seal(struct conn_layer *layer, struct bytes plain)
{
    struct tls *tls = tls_of(layer);
    size_t written;

    ERR_clear_error();
    return SSL_write_ex(tls->ssl, plain.ptr, plain.len, &written) == 1
               ? 0
               : fail(tls, "a record cannot be written");
}

/* close_notify; that there is no room for it is no matter. */
static void tls_end(struct conn_layer *layer)
{
    ERR_clear_error();
    (void)SSL_shutdown(tls_of(layer)->ssl);
    ERR_clear_error();
}

static void tls_free(struct conn_layer **layer)
{
    struct tls *tls = tls_of(*layer);

    *layer = NULL;
    if (tls->layer.is_secured)
        metric_dec(METRIC_TLS_SESSIONS);
    else if (!tls->context->is_client && tls->failure[0] == '\0' && tls->layer.has_begun)
        metric_inc(METRIC_TLS_FAILED_GONE);
    SSL_free(tls->ssl);
    SSL_SESSION_free(tls->session);
    ERR_clear_error();
    buf_free(&tls->held);
    buf_free(&tls->layer.wire);
    tls_context_release(&tls->context);
    budget_add(-(int64_t)TLS_SESSION_BYTES);
    free(tls);
}

const struct conn_layer_ops tls_layer_ops = {
    .begin = tls_begin,
    .open = tls_open,
    .seal = tls_seal,
    .end = tls_end,
    .free = tls_free,
};

struct tls *tls_create(struct tls_context *context, SSL_CTX *ctx)
{
    struct tls *tls = calloc(1, sizeof(*tls));

    check(tls != NULL);
    tls->layer.ops = &tls_layer_ops;
    tls->context = tls_context_keep(context);
    tls->ssl = SSL_new(ctx);
    /* Who makes us answer (key updates) and does not read is cut off there. */
    buf_init(&tls->layer.wire, CONN_LAYER_WIRE_MAX);
    buf_init(&tls->held, HELD_MAX);
    budget_add(TLS_SESSION_BYTES);
    if (tls->ssl != NULL && attach_bio(tls))
        return tls;
    struct conn_layer *layer = &tls->layer;
    tls_free(&layer);
    return NULL;
}

struct conn_layer *tls_server_layer(struct tls_context *context)
{
    check(!context->is_client);
    struct tls *tls = tls_create(context, context->choices[0].ctx);

    if (tls == NULL)
        return NULL;
    SSL_set_accept_state(tls->ssl);
    return &tls->layer;
}

void tls_layer_free(struct conn_layer **layer)
{
    if (*layer != NULL)
        tls_free(layer);
}
