/*
 * sieve_check.h - which commands and tests there are, and what each may be given. Private to this
 * folder.
 */
#pragma once

#include "inbound/sieve/sieve_script.h"

enum sieve_argument_kind {
    SIEVE_ARGUMENT_TAG,
    SIEVE_ARGUMENT_NUMBER,
    SIEVE_ARGUMENT_STRING, /* one, without brackets */
    SIEVE_ARGUMENT_LIST,
};

struct sieve_argument {
    enum sieve_argument_kind kind;
    unsigned line;
    struct bytes tag;
    uint64_t number;
    struct sieve_strings strings;
};

/* What the checker knows of the script so far. */
struct sieve_checker {
    const struct sieve_host *host;
    struct arena *arena;
    struct sieve_error *error;
    unsigned required;       /* capabilities, as bits */
    bool is_beyond_requires; /* another command came */
};

enum sieve_tests {
    SIEVE_TESTS_NONE,
    SIEVE_TESTS_ONE,
    SIEVE_TESTS_LIST,
};

/* False: no command (or test) has that name, or it may not be used; the error says it. */
must_use bool sieve_check_verb(struct sieve_checker *checker, struct bytes name, bool is_test,
                               unsigned line, enum sieve_verb *verb_out);
const char *sieve_verb_name(enum sieve_verb verb);
enum sieve_tests sieve_verb_tests(enum sieve_verb verb);
bool sieve_verb_has_block(enum sieve_verb verb);
/* Gives the node its arguments; false: they are not what its verb takes. `previous` stands before
 * it in the same block; NULL: nothing does. */
must_use bool sieve_check_arguments(struct sieve_checker *checker, struct sieve_node *node,
                                    const struct sieve_node *previous, size_t count,
                                    struct sieve_argument *arguments);
