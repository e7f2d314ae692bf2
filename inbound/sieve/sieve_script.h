/*
 * sieve_script.h - what a script is once it was read: commands and tests with their arguments.
 * Private to this folder.
 */
#pragma once

#include "inbound/sieve/sieve.h"

enum sieve_verb {
    SIEVE_VERB_REQUIRE,
    SIEVE_VERB_IF,
    SIEVE_VERB_ELSIF,
    SIEVE_VERB_ELSE,
    SIEVE_VERB_STOP,
    SIEVE_VERB_KEEP,
    SIEVE_VERB_DISCARD,
    SIEVE_VERB_FILEINTO,
    SIEVE_VERB_REDIRECT,
    SIEVE_VERB_REJECT,
    SIEVE_VERB_EREJECT,
    SIEVE_VERB_VACATION,
    SIEVE_VERB_SETFLAG,
    SIEVE_VERB_ADDFLAG,
    SIEVE_VERB_REMOVEFLAG,
    SIEVE_VERB_ADDRESS, /* from here on: tests */
    SIEVE_VERB_ALLOF,
    SIEVE_VERB_ANYOF,
    SIEVE_VERB_ENVELOPE,
    SIEVE_VERB_EXISTS,
    SIEVE_VERB_FALSE,
    SIEVE_VERB_HASFLAG,
    SIEVE_VERB_HEADER,
    SIEVE_VERB_NOT,
    SIEVE_VERB_SIZE,
    SIEVE_VERB_TRUE,
    SIEVE_VERB_COUNT,
};

enum sieve_match_type {
    SIEVE_IS,
    SIEVE_CONTAINS,
    SIEVE_MATCHES,
};

enum sieve_comparator {
    SIEVE_ASCII_CASEMAP,
    SIEVE_OCTET,
};

enum sieve_part {
    SIEVE_ALL,
    SIEVE_LOCALPART,
    SIEVE_DOMAIN,
    SIEVE_USER,
    SIEVE_DETAIL,
};

/* Capabilities that require names, as bits. */
enum sieve_capability {
    SIEVE_CAP_NONE = 0,
    SIEVE_CAP_FILEINTO = 1 << 0,
    SIEVE_CAP_ENVELOPE = 1 << 1,
    SIEVE_CAP_ENCODED_CHARACTER = 1 << 2,
    SIEVE_CAP_COPY = 1 << 3,
    SIEVE_CAP_IMAP4FLAGS = 1 << 4,
    SIEVE_CAP_SUBADDRESS = 1 << 5,
    SIEVE_CAP_REJECT = 1 << 6,
    SIEVE_CAP_EREJECT = 1 << 7,
    SIEVE_CAP_VACATION = 1 << 8,
    SIEVE_CAP_OCTET = 1 << 9,
    SIEVE_CAP_ASCII_CASEMAP = 1 << 10,
};

/* A command or a test. Which of the members mean something follows from its verb. */
struct sieve_node {
    enum sieve_verb verb;
    unsigned line;
    enum sieve_match_type match;
    enum sieve_comparator comparator;
    enum sieve_part part;
    bool is_over;               /* size: not ":under" */
    bool copies;                /* ":copy" */
    bool has_flags;             /* ":flags" */
    uint64_t limit;             /* size */
    struct bytes text;          /* a mailbox ("INBOX"; empty for keep), an address, a reason */
    struct sieve_strings names; /* of fields, of parts of the envelope */
    struct sieve_strings keys;  /* and flags of setflag and the like */
    struct sieve_strings flags;
    struct sieve_vacation *vacation;
    struct sieve_node *tests; /* a list */
    struct sieve_node *block; /* a list */
    struct sieve_node *next;
};

struct sieve_script {
    struct arena arena;
    struct sieve_node *commands;
};
