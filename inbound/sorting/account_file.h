/*
 * account_file.h - a small file of an account: state_dir/sieve/DOMAIN/LOCAL and a suffix.
 *
 * Names are those of the store (mail_name.h). Private to this folder.
 *
 * Blocks; any thread, a file one at a time. Errors are -errno; -ENAMETOOLONG: such an account has
 * none.
 */
#pragma once

#include "base/buf.h"

/* Appends all of it; -ENOENT: there is none; -EFBIG: longer than that. Nothing is followed through
 * a link. `suffix` has at most 15 bytes. */
must_use int account_file_read(const char *directory, struct bytes domain, struct bytes local,
                               const char *suffix, size_t size_max, struct buf *out);
/* In place of the one that there was, whole or not at all, and durable afterwards. Makes the
 * directories (0700) that are missing; what is made gets the owner of the parent. */
must_use int account_file_write(const char *directory, struct bytes domain, struct bytes local,
                                const char *suffix, struct bytes text);
/* -ENOENT: there was none. */
must_use int account_file_remove(const char *directory, struct bytes domain, struct bytes local,
                                 const char *suffix);
