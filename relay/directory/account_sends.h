/*
 * account_sends.h - as whom an account may send besides itself and the aliases that lead to it:
 * what an operator granted, a list, and how it is written.
 *
 *   "boss@shop.example,@lists.shop.example"   "*"   "none"
 *
 * An address, with or without a "+detail"; "@domain", any address of that; "*", any of its
 * tenant's. All of it is held to the tenant's domains besides (submission/sender.h).
 *
 * Pure. Thread: any.
 */
#pragma once

#include "base/arena.h"

enum { ACCOUNT_SENDS_MAX = 4096 /* bytes of a list */ };

/* As it is kept: addresses as directory_address() says, each once; "none" is empty. False: not such
 * a list, or too long. */
must_use bool account_sends_parse(struct arena *arena, struct bytes text, struct bytes *list_out);
/* `address` as directory_address() says. */
must_use bool account_sends_has(struct bytes list, struct bytes address);
