/* chat_tls.c - TLS for scripts. */
#include "support/chat_tls.h"

#include <stdlib.h>

#include "support/tls_peer.h"

struct wired {
    struct tls_peer peer;
    struct buf *wire;
};

static struct tls_certificate *certificate;
static SSL_CTX *ctx;

/* What the peer has to say goes where the runner wants it. */
static void move_wire(struct wired *wired)
{
    check(buf_append(wired->wire, buf_bytes(&wired->peer.wire)));
    buf_clear(&wired->peer.wire);
}

static void *begin(struct buf *wire)
{
    struct wired *wired = calloc(1, sizeof(*wired));

    check(wired != NULL);
    if (ctx == NULL)
        ctx = SSL_CTX_new(TLS_client_method());
    wired->wire = wire;
    tls_peer_begin(&wired->peer, ctx, NULL, "relay.example");
    move_wire(wired);
    return wired;
}

static bool is_secured(const void *tls)
{
    return ((const struct wired *)tls)->peer.is_secured;
}

static bool open_raw(void *tls, struct bytes raw, struct buf *plain)
{
    struct wired *wired = tls;

    tls_peer_feed(&wired->peer, raw, plain);
    move_wire(wired);
    return !wired->peer.has_failed && !wired->peer.is_ended;
}

static void seal(void *tls, struct bytes plain)
{
    struct wired *wired = tls;

    tls_peer_write(&wired->peer, plain);
    move_wire(wired);
}

static void end(void *tls)
{
    struct wired *wired = tls;

    tls_peer_end(&wired->peer);
    move_wire(wired);
}

static void free_wired(void *tls)
{
    struct wired *wired = tls;

    tls_peer_free(&wired->peer);
    free(wired);
}

const struct chat_tls chat_tls = {begin, is_secured, open_raw, seal, end, free_wired};

struct tls_context *chat_tls_context(void)
{
    if (certificate == NULL)
        certificate = tls_test_certificate("relay.example");
    struct tls_context *context = tls_server_context(&certificate, 1, NULL);

    check(context != NULL);
    return context;
}

void chat_tls_forget(void)
{
    tls_certificate_release(&certificate);
    SSL_CTX_free(ctx);
    ctx = NULL;
}
