/* checks.h - what the commands of the program in checks.c share. */
#pragma once

#include "auth/lookup.h"

enum { CHECKS_RECORDS_MAX = 1000 };

/* Takes the next word off the front. */
struct bytes checks_word(struct bytes *rest);
/* A word's bytes, the caller's until checks_free. */
struct bytes checks_hex(struct bytes word);
void checks_free(struct bytes *text);
/* A space and the text as a word. */
void checks_print(struct bytes text);
/* Asks whoever runs this program; valid until the next call. */
const struct lookup_answer *checks_ask(const struct lookup *lookup);

/* The commands. */
void checks_spf(struct bytes arguments);
void checks_dkim(struct bytes arguments);
void checks_arc(struct bytes arguments);
void checks_seal(struct bytes arguments);
void checks_iprev(struct bytes arguments);
