/*
 * sieve_flag.h - sets of flags (RFC 5232 section 2). Private to this folder.
 */
#pragma once

#include "inbound/sieve/sieve_script.h"

/* The next flag of a string of several, parted by spaces; what is no flag of IMAP that can be set
 * is passed over. */
bool sieve_take_flag(struct bytes *text, struct bytes *flag_out);
void sieve_flags_add(struct sieve_flags *flags, const struct sieve_strings *list);
void sieve_flags_remove(struct sieve_flags *flags, const struct sieve_strings *list);
