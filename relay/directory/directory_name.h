/*
 * directory_name.h - names as the directory keeps and looks them up. Pure.
 */
#pragma once

#include "base/arena.h"

/* A domain as smtp_domain_normalise() says, no address literal and no wildcard. False: not one. */
must_use bool directory_domain_name(struct arena *arena, struct bytes text, struct bytes *name_out);
/*
 * An account's or alias' address: the local part in lower case (ASCII; case does not tell our
 * accounts apart) and without quotes where it needs none, the domain normalised. "@domain" only
 * where `takes_all`. False: not one.
 */
must_use bool directory_address(struct arena *arena, struct bytes text, bool takes_all,
                                struct bytes *address_out);
/* The part behind the last "@". */
struct bytes directory_address_domain(struct bytes address);
