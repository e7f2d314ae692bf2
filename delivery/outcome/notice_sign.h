/*
 * notice_sign.h - the signatures of the notifications that a settlement causes. Private to the
 * folder.
 *
 * They are signed where somebody's domain is that of our name (signing/signing.h), else they leave
 * as they are, and so they do where a key cannot be had: that a bounce arrives matters more.
 *
 * Thread: the engine's.
 */
#pragma once

#include "delivery/outcome/settlement.h"

/* Calls settlement->signed_all once the notifications, and an answer, are signed, or are not to be;
 * before it returns or later. */
void notice_sign(struct settlement *settlement);
