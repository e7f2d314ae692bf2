/*
 * import_source.h - where mail is imported from. Each reads its source once and changes nothing in
 * it.
 *
 * 0: all of it was told; IMPORT_STOPPED; IMPORT_FAILED with a sentence in `why`. Blocks: tools.
 */
#pragma once

#include "inbound/import/import_taker.h"

/* A Maildir with the folders of Maildir++ beside cur/ and new/. */
must_use int import_maildir(const char *path, struct import_taker *taker,
                            char why[static IMPORT_WHY_MAX]);
/* A file, whose messages are INBOX, or a directory of files and directories, each a folder. */
must_use int import_mbox(const char *path, struct import_taker *taker,
                         char why[static IMPORT_WHY_MAX]);

enum import_tls { IMPORT_TLS_IMPLICIT, IMPORT_TLS_STARTTLS, IMPORT_TLS_NONE };

struct import_server {
    const char *host, *user, *password;
    uint16_t port;
    enum import_tls tls;
    bool trusts_anyone;  /* whatever certificate it shows */
    const char *ca_file; /* NULL: the system's */
    unsigned timeout_s;  /* without a byte of the server's */
};
/* Another IMAP server, folder by folder. */
must_use int import_imap(const struct import_server *settings, struct import_taker *taker,
                         char why[static IMPORT_WHY_MAX]);
