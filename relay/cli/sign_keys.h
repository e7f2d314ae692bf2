/*
 * sign_keys.h - the keys that `ringpost sign` signs with, from files.
 */
#pragma once

#include "auth/dkim/sign.h"
#include "relay/cli/cli.h"

struct sign_keys {
    size_t count;
    struct dkim_identity identities[DKIM_IDENTITIES_MAX];
};

/* Reads the PEM file and adds it; an exit code, after a complaint if not EXIT_GOOD. Domain and
 * selector outlive the keys. A file that others can read is used, and complained about. */
int sign_keys_add(struct sign_keys *keys, struct bytes domain, struct bytes selector,
                  const char *path);
void sign_keys_free(struct sign_keys *keys);
