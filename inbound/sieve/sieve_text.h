/*
 * sieve_text.h - comparing texts (RFC 5228 section 2.7), and encoded characters (section 2.4.2.4).
 * Private to this folder.
 */
#pragma once

#include "inbound/sieve/sieve_script.h"

/*
 * Replaces ${hex:...} and ${unicode:...} in *text, which is the arena's then. NULL; or what is
 * wrong with it.
 */
must_use const char *sieve_decode_characters(struct arena *arena, struct bytes *text);

struct sieve_comparison {
    enum sieve_match_type match;
    enum sieve_comparator comparator;
    uint64_t *work; /* steps that may still be taken; 0: the answer is of no use */
};

bool sieve_text_matches(const struct sieve_comparison *comparison, struct bytes value,
                        struct bytes key);
