/*
 * config_key.h - how a key of ringpost.yaml is declared: one row says all that is known of it.
 *
 * From the rows follow the reading with its errors (config_reader.h), whether a reload may change a
 * key, what `ringpost check --keys` lists and `ringpost init` writes (config_describe.h), and what
 * ringpost.yaml(5) must say, which tests/unit/relay/test_config_keys.c compares. A wing is a file
 * config_<wing>.c with one row of kind CONFIG_PART, which stands in the list of wings in config.c.
 *
 * Rows are constants: any thread.
 */
#pragma once

#include <stddef.h>

#include "base/bytes.h"

struct config;
struct config_reader;
struct yaml_node_s; /* yaml_node_t of libyaml */

/* Beside each: the field's type. Numbers fill 4 or 8 bytes, as the field has. */
enum config_kind {
    CONFIG_END,          /* no row: the table ends here */
    CONFIG_TEXT,         /* const char *; is_valid says which, any but "" without it */
    CONFIG_BOOL,         /* bool */
    CONFIG_COUNT,        /* a whole number */
    CONFIG_SIZE,         /* bytes */
    CONFIG_SECONDS,      /* a duration */
    CONFIG_MILLISECONDS, /* a duration */
    CONFIG_PERCENT,      /* 0 to 100 */
    CONFIG_NUMBER,       /* double */
    CONFIG_RATE,         /* double, a second; at least 1 a day */
    CONFIG_NAME,         /* int or enum: which of `names` */
    CONFIG_PATTERN,      /* const char *: "*", "*.suffix" or a domain, in lower case */
    CONFIG_ADDRESS,      /* struct address, with a port */
    CONFIG_IPV4,         /* struct address, without a port */
    CONFIG_IPV6,         /* struct address, without a port */
    CONFIG_NETWORK,      /* struct network */
    CONFIG_SECTION,      /* a mapping of `keys`; a struct, or nothing: they are of the same one */
    CONFIG_PART,         /* no key of its own: `keys` stand in the mapping that the row is in */
    CONFIG_LIST,         /* T *, and how many in count_at; `item` tells of T */
    CONFIG_OPTIONS,      /* struct config_option *, and how many in count_at: any keys */
};

/* A field of the struct that a table of rows is for. Size 0: none. */
struct config_place {
    unsigned offset, size;
};

/* What CONFIG_OPTIONS reads. */
struct config_option {
    const char *name, *value;
};
enum { CONFIG_OPTION_WHY_MAX = 512 };

#define CONFIG_PLACE(type, member) \
    { \
        offsetof(type, member), sizeof(((type *)0)->member) \
    }

struct config_key {
    const char *name; /* NULL for CONFIG_PART and items of lists */
    enum config_kind kind;
    struct config_place at;
    const char *says;     /* one sentence for operators */
    const char *standard; /* the default, as one would write it; NULL: there is none in the field */
    const char *default_said; /* the default in words, where it is not `standard` or "none" */
    const char *example;      /* for the starter file, and for who left out what is_required */
    uint64_t min, max;        /* of a number, in its unit; of a list's items. max 0: no bound */
    const char *word;         /* CONFIG_COUNT, CONFIG_RATE: may stand instead, and is 0 */
    const char *expected;     /* what errors say of it; NULL: what they say of its kind */
    const char *const *names; /* CONFIG_NAME; ends with NULL */
    bool (*is_valid)(struct bytes text); /* CONFIG_TEXT; no NUL is in it */
    /* CONFIG_OPTIONS: else a sentence in `why`. */
    bool (*option_is_good)(const struct config_option *option, char why[CONFIG_OPTION_WHY_MAX]);
    unsigned port;      /* CONFIG_ADDRESS: if none is written; 0: one must be */
    bool is_required;   /* in each item of the list that it is in */
    bool is_unique;     /* CONFIG_TEXT: no two items of the list have the same */
    bool needs_restart; /* a reload that changes it is refused whole */
    bool in_starter;
    struct config_place given_at;  /* bool: the key is in the file */
    struct config_place text_at;   /* const char *: CONFIG_ADDRESS as it is written */
    struct config_place count_at;  /* CONFIG_LIST, CONFIG_OPTIONS: size_t */
    struct config_place base_at;   /* CONFIG_LIST: what each item starts as. It is read first */
    const struct config_key *item; /* CONFIG_LIST: a row without a name; at.size is T's */
    const struct config_key *keys; /* CONFIG_SECTION, CONFIG_PART; ends with CONFIG_END */
    /* CONFIG_SECTION: after its keys were read without error; `object` is what they are of. */
    void (*verify)(struct config_reader *reader, const struct yaml_node_s *node, void *object);
    /* A wing's: defaults that depend on the machine, before the file is read. */
    void (*prepare)(struct config *config);
    /* A wing's: what must fit together and what follows from it, after all was read without error,
     * in the order of the wings. */
    void (*finish)(struct config_reader *reader, struct config *config);
};

/* The field of a row. */
static inline void *config_at(void *object, struct config_place place)
{
    return (char *)object + place.offset;
}

static inline const void *config_const_at(const void *object, struct config_place place)
{
    return (const char *)object + place.offset;
}

/* Enough for every path of keys that are declared. */
enum { CONFIG_PATH_MAX = 128 };

/* The first key under `keys` that needs a restart and differs in two objects; false: none does. */
must_use bool config_key_differs(const struct config_key *keys, const void *old, const void *next,
                                 char path_out[static CONFIG_PATH_MAX]);
