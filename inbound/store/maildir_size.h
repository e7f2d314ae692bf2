/*
 * maildir_size.h - how full an account is: the file maildirsize of Maildir++, kept for all
 * programs that share the account.
 *
 * Its first line says the quota ("1073741824S"), each other line what was added or taken since it
 * was begun ("2048 1", "-2048 -1"); their sum is what lies there. It is counted anew, from the
 * names of the files, when it is missing, damaged, too long, of another quota, or when the caller
 * doubts it; and where it says that there is no room, unless it was counted a moment ago: others
 * may have removed mail without saying so.
 *
 * Blocks; any thread, one an account. Errors are -errno.
 */
#pragma once

#include "inbound/store/maildir.h"

enum { MAILDIR_SIZE_FILE_MAX = 5120 /* bytes: longer is counted anew */, MAILDIR_SIZE_OLD_S = 60 };

/* What lies there. `in_doubt`: count it. `needed`: bytes that are to find room. */
must_use int maildir_size_read(const struct maildir *maildir, uint64_t quota, bool in_doubt,
                               uint64_t needed, struct maildir_usage *usage_out);
/* What came (or, below 0, went) since. */
must_use int maildir_size_add(const struct maildir *maildir, int64_t bytes, int64_t messages);
/* It has no quota any more: others must not find one. */
must_use int maildir_size_drop(const struct maildir *maildir);

/* Pure: the sum of what a file says; false: it is damaged, or of another quota. */
must_use bool maildir_size_parse(struct bytes text, uint64_t quota,
                                 struct maildir_usage *usage_out);
