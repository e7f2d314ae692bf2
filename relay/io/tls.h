/*
 * tls.h - TLS under a connection (conn_layer.h), and what there is to know of it.
 *
 * conn_secure(conn, tls_server_layer(context)) and CONN_SECURED is the whole of it: what is read
 * and written is then under TLS. A handshake works under the budget of a turn (turn_budget.h); how
 * long it may take in all is its owner's to bound, by the connection's deadline. What goes wrong is
 * CONN_ERROR, after which the peer is still told (an alert); conn_tls_failure() says what it was.
 *
 * An idle connection holds no buffers; what OpenSSL keeps of it, about TLS_SESSION_BYTES, is
 * counted in base/budget.h.
 *
 * Thread: the engine's that has the connection.
 */
#pragma once

#include "base/bytes.h"
#include "io/tls_context.h"

struct conn;
struct conn_layer;

enum { TLS_SESSION_BYTES = 16 * 1024 };

/* To be given to conn_secure(), as a client's is (tls_client.h). Keeps the context. NULL: no
 * memory. */
struct conn_layer *tls_server_layer(struct tls_context *context);
/* Of one that was not given away. */
void tls_layer_free(struct conn_layer **layer);

/* Is the connection under TLS, its handshake over? */
bool conn_is_under_tls(const struct conn *conn);

/* Slices and strings live as long as the connection. */
struct tls_facts {
    const char *version;      /* "TLSv1.3" */
    const char *cipher;       /* as the IANA calls it: "TLS_AES_256_GCM_SHA384" */
    struct bytes server_name; /* that the client asked for; empty: none */
    bool is_resumed;
    bool is_compressed; /* by TLS itself (RFC 3749) */
};
/* False: it is not under TLS. */
must_use bool conn_tls_facts(const struct conn *conn, struct tls_facts *out);

/* Channel bindings: what a login may be tied to, so that it is good on this connection alone. */
enum tls_binding {
    TLS_BINDING_EXPORTER,   /* tls-exporter, RFC 9266: TLS 1.3 only */
    TLS_BINDING_SERVER_END, /* tls-server-end-point, RFC 5929 section 4: the server's certificate */
};
enum { TLS_BINDING_MAX = 64 };
/* Its length; 0: there is none on this connection. */
size_t conn_tls_binding(const struct conn *conn, enum tls_binding binding,
                        uint8_t out[static TLS_BINDING_MAX]);

/* Why the handshake failed, or the TLS after it: words for the log. NULL: it did not. */
const char *conn_tls_failure(const struct conn *conn);
