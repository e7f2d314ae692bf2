/*
 * sieve_lexer.h - tokens of a script (RFC 5228 section 8.1). Private to this folder.
 */
#pragma once

#include "inbound/sieve/sieve.h"

enum sieve_token_kind {
    SIEVE_TOKEN_IDENTIFIER,
    SIEVE_TOKEN_TAG,
    SIEVE_TOKEN_NUMBER,
    SIEVE_TOKEN_STRING,
    SIEVE_TOKEN_PUNCTUATION, /* one of ; , [ ] ( ) { } */
    SIEVE_TOKEN_END,
    SIEVE_TOKEN_ERROR, /* the lexer's error says it */
};

struct sieve_token {
    enum sieve_token_kind kind;
    unsigned line;     /* where it begins */
    struct bytes text; /* of an identifier; of a tag, without its colon; of a string, its value,
                        * which is the arena's */
    uint64_t number;
    uint8_t mark; /* of punctuation */
};

struct sieve_lexer {
    struct bytes rest;
    unsigned line;
    struct arena *arena;
    struct sieve_error *error;
};

void sieve_lexer_init(struct sieve_lexer *lexer, struct bytes text, struct arena *arena,
                      struct sieve_error *error);
struct sieve_token sieve_lexer_next(struct sieve_lexer *lexer);

/* Sets the error, with `format` in one line of printable text. */
void sieve_error_set(struct sieve_error *error, unsigned line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* `text` as it can be shown in an error: cut, and "?" for what is not printable. */
struct sieve_shown {
    char text[48];
};
struct sieve_shown sieve_show(struct bytes text);
