/*
 * imap_stream.h - a connection to a server, with TLS or not, for a tool that waits.
 *
 * Certificates are verified, and their name, unless the settings trust anyone. Each wait for the
 * server ends after the settings' time. What went wrong is a sentence in `why`.
 */
#pragma once

#include "inbound/import/import_source.h"

enum { IMAP_STREAM_PIECE = 64 << 10 };

struct imap_stream {
    int fd; /* -1: not connected */
    int timeout_ms;
    void *tls, *tls_context; /* of OpenSSL; NULL: bytes are plain */
    char *why;               /* IMPORT_WHY_MAX */
    uint8_t piece[IMAP_STREAM_PIECE];
};

must_use bool imap_stream_connect(struct imap_stream *stream, const struct import_server *settings,
                                  char why[static IMPORT_WHY_MAX]);
/* From now on; nothing may have been read beyond. */
must_use bool imap_stream_start_tls(struct imap_stream *stream,
                                    const struct import_server *settings);
must_use bool imap_stream_send(struct imap_stream *stream, struct bytes b);
/* At least one byte, until the next call. False: too late, closed, or broken. */
must_use bool imap_stream_receive(struct imap_stream *stream, struct bytes *out);
void imap_stream_close(struct imap_stream *stream);
