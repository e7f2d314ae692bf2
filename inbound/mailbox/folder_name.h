/*
 * folder_name.h - a folder's directory back into the mailbox's name. Pure.
 */
#pragma once

#include "inbound/mailbox/account.h"

/* Of what mail_folder_encode() makes, and no other: ".Lists.c" is "Lists/c". UTF-8. */
must_use bool folder_name_decode(struct bytes folder, uint8_t out[static MAILBOX_NAME_MAX],
                                 size_t *len_out);
