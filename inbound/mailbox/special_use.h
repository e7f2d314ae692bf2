/*
 * special_use.h - which folders are Sent, Drafts and so on (RFC 6154): by their names, unless the
 * account's file `ringpost.special` says another: a line each, "Sent .Gesendet". Pure. Private to
 * this folder.
 */
#pragma once

#include "base/buf.h"
#include "inbound/mailbox/account.h"

struct special_uses {
    char folder[SPECIAL_COUNT][MAIL_FOLDER_MAX + 1]; /* encoded; "": by name */
};

void special_uses_parse(struct special_uses *uses, struct bytes text);
void special_uses_format(const struct special_uses *uses, struct buf *out);
enum special_use special_use_of(const struct special_uses *uses, const char *folder);
