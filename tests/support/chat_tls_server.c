/* chat_tls_server.c - see chat_tls_server.h. */
#include "support/chat_tls_server.h"

#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/tls_authorities.h"
#include "support/tls_forge.h"
#include "support/tls_peer.h"

enum { RIGHT, WRONG_NAME, EXPIRED, SELF_SIGNED, OLD, KINDS };

struct wired {
    struct tls_peer peer;
    struct buf *wire;
};

static struct forge root, leaves[KINDS];
static SSL_CTX *contexts[KINDS];
static unsigned shown;

static SSL_CTX *make_context(const struct forge *leaf, bool is_old)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    check(ctx != NULL);
    check(SSL_CTX_use_certificate(ctx, leaf->certificate) == 1);
    check(SSL_CTX_use_PrivateKey(ctx, leaf->key) == 1);
    if (is_old)
        check(SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION) == 1);
    return ctx;
}

static void make_all(void)
{
    if (root.key != NULL)
        return;
    root = forge_make(NULL, NULL, 10);
    leaves[RIGHT] = forge_make(&root, "DNS:mx.rcpt.example", 10);
    leaves[WRONG_NAME] = forge_make(&root, "DNS:mx.other.example", 10);
    leaves[EXPIRED] = forge_make(&root, "DNS:mx.rcpt.example", -2);
    leaves[SELF_SIGNED] = forge_make(NULL, "DNS:mx.rcpt.example", 10);
    leaves[OLD] = forge_make(&root, "DNS:mx.rcpt.example", 10);
    for (unsigned i = 0; i < KINDS; i++)
        contexts[i] = make_context(&leaves[i], i == OLD);
}

bool chat_tls_server_show(struct bytes kind)
{
    static const char *const names[KINDS] = {"right", "wrong-name", "expired", "self-signed",
                                             "1.2"};

    for (unsigned i = 0; i < KINDS; i++) {
        if (!bytes_equal(kind, bytes_of(names[i])))
            continue;
        shown = i;
        return true;
    }
    return false;
}

struct tls_context *chat_tls_server_clients(void)
{
    char path[] = "/tmp/chat_tls.XXXXXX", why[TLS_WHY_MAX];
    int fd = mkstemp(path);

    check(fd >= 0);
    close(fd);
    make_all();
    forge_write(&root, path, false);
    struct tls_authorities *authorities = tls_authorities_load(path, why);
    check(authorities != NULL);
    check(unlink(path) == 0);
    struct tls_context *context = tls_client_context(authorities, NULL);
    check(context != NULL);
    tls_authorities_release(&authorities);
    return context;
}

void chat_tls_server_forget(void)
{
    for (unsigned i = 0; i < KINDS; i++) {
        SSL_CTX_free(contexts[i]);
        contexts[i] = NULL;
        forge_free(&leaves[i]);
    }
    forge_free(&root);
    shown = RIGHT;
}

/* --- for the runner --------------------------------------------------------------------------- */

static void move_wire(struct wired *wired)
{
    check(buf_append(wired->wire, buf_bytes(&wired->peer.wire)));
    buf_clear(&wired->peer.wire);
}

static void *begin(struct buf *wire)
{
    struct wired *wired = calloc(1, sizeof(*wired));

    check(wired != NULL);
    make_all();
    wired->wire = wire;
    tls_peer_accept(&wired->peer, contexts[shown]);
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

const struct chat_tls chat_tls_server = {begin, is_secured, open_raw, seal, end, free_wired};
