/*
 * imap_session.h - a client's session with an IMAP server: commands and their responses.
 *
 * One command at a time. Functions return 0, or IMAP_REFUSED where the server said NO or BAD, or
 * below that IMPORT_FAILED (a sentence stands in `why`) or IMPORT_STOPPED.
 */
#pragma once

#include "inbound/import/imap_reply.h"
#include "inbound/import/imap_stream.h"

enum { IMAP_REFUSED = 1 };

struct imap_session {
    struct imap_stream stream;
    struct imap_reader reader;
    struct bytes input; /* of the stream, not taken yet */
    struct arena arena; /* of a response */
    unsigned tags;
    char refusal[IMPORT_WHY_MAX]; /* what NO or BAD said */
    bool has_start_tls, has_auth_plain, has_initial_response, is_login_disabled, has_namespace;
    /* Of responses without a tag. 0 to go on; else what the command returns. */
    void *context;
    int (*untagged)(void *context, const struct imap_reply *reply);
};

/* Connects, and logs in. `content`: of imap_reader. Close it in any case. */
must_use int imap_session_open(struct imap_session *session, const struct import_server *settings,
                               void *context, int (*content)(void *context, struct bytes b),
                               char why[static IMPORT_WHY_MAX]);
void imap_session_close(struct imap_session *session);
/* A command without its tag and CRLF. `untagged` NULL: nothing is looked at. */
must_use int imap_session_ask(struct imap_session *session, struct bytes command,
                              int (*untagged)(void *context, const struct imap_reply *reply));
/* What went wrong with the server, as a sentence; returns IMPORT_FAILED. */
int imap_session_fail(struct imap_session *session, const char *what, const char *why);
/* A name as a quoted string; false: bytes that cannot stand in one. */
must_use bool imap_session_quote(struct buf *out, struct bytes name);
