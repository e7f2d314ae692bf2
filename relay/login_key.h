/*
 * login_key.h - secrets of this node, 32 bytes each, in files that are made once.
 *
 * From login.key SCRAM makes up salts of users that are not there (auth/sasl/keys.h); a salt that
 * changed at a restart would tell who is there. By return.key return paths are signed
 * (directory/return_path.h); with another one nobody's bounce is taken any more.
 *
 * Thread: the caller's; does file I/O.
 */
#pragma once

#include <stdint.h>

#include "base/check.h"

enum { LOGIN_KEY_LEN = 32 };

/* Reads state_dir/NAME, or makes it (0600). 0 or -errno; -EBADMSG: it is there and no key. */
must_use int login_key_open(const char *state_dir, const char *name,
                            uint8_t key_out[static LOGIN_KEY_LEN]);
/* Whether it would open: 0, also where it has to be made, or -errno. Makes nothing. */
must_use int login_key_look(const char *state_dir, const char *name);
