/*
 * mirror.h - folders that somebody else fills: who reads them cannot change them.
 *
 * A folder is one while a file says so that lies in it (MAILDIR_MIRROR). Changes of its messages by
 * mailbox_change.h, what would come into it, its removal and another name for it are -EROFS; what
 * others do to its files is taken in as everywhere. It does not count for the account's quota.
 *
 * Thread and errors as in mailbox.h.
 */
#pragma once

#include "inbound/mailbox/mailbox.h"

must_use bool mailbox_is_mirror(struct mailbox *mailbox);
must_use bool mail_account_is_mirror(struct mail_account *account, struct bytes name);
/* It goes, with all that it shows. Nothing happens where there is none of that name. */
must_use int mail_account_drop_mirror(struct mail_account *account, struct bytes name);
