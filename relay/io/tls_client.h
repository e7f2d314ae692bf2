/*
 * tls_client.h - TLS of connections that we open: whom we ask for, whom we believe, and what was
 * learned for the next time.
 *
 * conn_secure(conn, tls_client_layer(context, setup)) is as with a server's layer (tls.h). Who must
 * be verified and is not ends the handshake with an alert, before anything of ours was sent.
 *
 * A resumed session is as good as the handshake that it comes from, whose certificate was looked at
 * then: who keeps sessions keeps them by host and by what was demanded of it.
 *
 * Thread: the engine's that has the connection.
 */
#pragma once

#include "io/tls.h"

struct tls_authorities;
struct tls_certificate;

/* A client of these authorities (NULL: believes nobody), which shows the certificate (NULL: none)
 * to a server that asks for one. NULL: no memory, or a certificate that cannot be used. */
struct tls_context *tls_client_context(struct tls_authorities *authorities,
                                       struct tls_certificate *certificate);

/* A TLSA record that is usable: DANE-TA(2) or DANE-EE(3), RFC 7672 section 3.1. */
struct tls_record {
    uint8_t usage, selector, matching;
    struct bytes association;
};

/* An opaque one, counted. */
struct tls_session;
void tls_session_release(struct tls_session **session); /* NULL: nothing */

struct tls_client_setup {
    struct bytes server_name; /* SNI; empty: none. An address is none */
    /* Else whatever the peer shows will do, over weaker ciphers too: they are better than none. */
    bool must_verify;
    size_t name_count; /* it is to be one of these; an address is compared with its addresses */
    const struct bytes *names;
    size_t record_count; /* where there are any, they decide in place of the authorities */
    const struct tls_record *records;
    const struct tls_session *session; /* to be resumed if the peer likes; NULL: none */
};

/* What is pointed to is copied. NULL: no memory, or a name or record that OpenSSL does not take. */
struct conn_layer *tls_client_layer(struct tls_context *context,
                                    const struct tls_client_setup *setup);

/* What there is against the peer. */
enum tls_fault {
    TLS_FAULT_NONE,       /* it is who it says */
    TLS_FAULT_NAME,       /* its certificate is for others */
    TLS_FAULT_EXPIRED,    /* or not good yet */
    TLS_FAULT_NO_RECORD,  /* matches none of the TLSA records */
    TLS_FAULT_UNTRUSTED,  /* of nobody whom we believe, or revoked */
    TLS_FAULT_UNVERIFIED, /* not known: the handshake did not come so far, or there was nothing to
                             hold it against */
};
/* Also when it did not have to be verified, and when the handshake failed. `why_out`: words, which
 * live for ever; NULL: none. */
enum tls_fault conn_tls_fault(const struct conn *conn, const char **why_out);

/* The newest session that the peer gave, once; NULL: none since. The caller's. */
struct tls_session *conn_tls_take_session(const struct conn *conn);
