/*
 * import_url.h - where mail is imported from, as it is written: imap://user@host[:port]/, imaps://,
 * maildir:PATH, mbox:PATH, or a path. Pure but for a look at what a path is.
 */
#pragma once

#include "inbound/import/import_source.h"

enum import_kind { IMPORT_MAILDIR, IMPORT_MBOX, IMPORT_IMAP };

enum { IMPORT_URL_MAX = 1024 };

struct import_url {
    enum import_kind kind;
    const char *path; /* of the text */
    /* IMPORT_IMAP */
    char user[IMPORT_URL_MAX], host[256];
    uint16_t port;
    bool is_implicit_tls;
};

/* False with a sentence: there is no such place, or a password stands in it. */
must_use bool import_url_read(const char *text, struct import_url *out,
                              char why[static IMPORT_WHY_MAX]);
