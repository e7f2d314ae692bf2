/*
 * special_folder.h - which folder an account uses for Sent and the like, as its file
 * `ringpost.special` says (inbound/mailbox/special_use.h writes it). Private to this folder.
 */
#pragma once

#include "inbound/store/maildir.h"

/* What a text says: pure. False: nothing. */
must_use bool special_folder_find(struct bytes text, const char *use,
                                  char folder[static MAIL_FOLDER_MAX + 1]);
/* `use`: "Sent". Where the file names a folder for it, that; else `folder` stays as it is. */
void special_folder(const struct maildir *maildir, const char *use,
                    char folder[static MAIL_FOLDER_MAX + 1]);
