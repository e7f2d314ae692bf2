/*
 * key_file.h - a private key's file: PEM, without a password, of its owner alone.
 *
 * Blocks: not for an engine.
 */
#pragma once

#include "auth/dkim/private_key.h"

struct dkim_key_file {
    struct dkim_key *key; /* the caller's; NULL: none, and `why` says so */
    const char *why;      /* a static string */
    bool is_open;         /* others than its owner may read it */
};

void dkim_key_file_read(const char *path, struct dkim_key_file *out);
