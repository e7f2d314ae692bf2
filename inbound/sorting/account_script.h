/*
 * account_script.h - the Sieve scripts of accounts on disk: state_dir/sieve/DOMAIN/LOCAL.sieve.
 *
 * Names are those of the store (mail_name.h). Scripts are not beside the mail: what lies in a
 * Maildir is shown, moved and deleted by other programs, and who gets write access there would get
 * the mail of tomorrow as well (RFC 5228 section 10).
 *
 * Blocks; any thread. Errors are -errno. -ENAMETOOLONG: such an account has no script.
 */
#pragma once

#include "base/buf.h"
#include "inbound/sieve/sieve.h"

/* `domain` and `local` as the directory has them. Appends all of the script; -ENOENT: it has none;
 * -EFBIG: longer than a script may be. Nothing is followed through a link. */
must_use int account_script_read(const char *directory, struct bytes domain, struct bytes local,
                                 struct buf *out);
/* In place of the one that there was, whole or not at all, and durable afterwards. Makes the
 * directories (0700) that are missing; what is made gets the owner of the parent. */
must_use int account_script_write(const char *directory, struct bytes domain, struct bytes local,
                                  struct bytes text);
/* -ENOENT: it had none. */
must_use int account_script_remove(const char *directory, struct bytes domain, struct bytes local);

/* What the store and delivery do for scripts. */
extern const struct sieve_host account_script_host;
