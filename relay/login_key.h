/*
 * login_key.h - 32 secret bytes of this node, from which SCRAM makes up salts of users that are not
 * there (auth/sasl/keys.h). They stay: a salt that changed at a restart would tell who is there.
 *
 * Thread: the caller's; does file I/O.
 */
#pragma once

#include <stdint.h>

#include "base/check.h"

enum { LOGIN_KEY_LEN = 32 };

/* Reads state_dir/login.key, or makes it (0600). 0 or -errno; -EBADMSG: it is there and no key. */
must_use int login_key_open(const char *state_dir, uint8_t key_out[static LOGIN_KEY_LEN]);
