/*
 * config_reader.h - a YAML document walked along tables of keys.
 *
 * libyaml gives nodes with line and column; a table (config_key.h) says which keys a mapping may
 * have, of which kind, and where in the C struct the value goes. Whatever does not fit is told with
 * file, line, key and what was expected; reading goes on, so that one run shows every error, up to
 * CONFIG_ERRORS_MAX of them: an alias can repeat an error as often as a file of 16 MiB is able to.
 *
 * A circle of config_describe.c, config_reader.c, config_scalar.c and config_suggest.c: the walk
 * takes scalars by their kinds, and whatever refuses one describes what was expected, or looks
 * through the tables for the key that was meant.
 */
#pragma once

#include <yaml.h>

#include "base/arena.h"
#include "relay/config_key.h"

enum { CONFIG_ERRORS_MAX = 100 };

struct config_reader {
    const char *path;
    const struct config_key *root; /* where an unknown key may stand instead; NULL: nowhere */
    yaml_document_t *document;
    struct arena *arena;
    unsigned error_count;
    const char *only; /* the one key that is wanted, the others are not looked at; NULL: all */
    bool is_full;     /* the arena; told once */
    void (*error)(void *context, const char *text);
    void *context;
    char key_path[256]; /* "limits.message_size", for messages */
};

/* Zeroed memory of the arena. NULL when the configuration is too large, which was told. */
void *config_alloc(struct config_reader *reader, size_t size);
/* A copy in the arena; "" when the configuration is too large, which was told. */
const char *config_string(struct config_reader *reader, struct bytes text);

/* Sets what `keys` have as `standard`. */
void config_set_standards(struct config_reader *reader, const struct config_key *keys,
                          void *object);
/* Reads `node` (a mapping) into `object`, which has the standards, along `keys`. */
void config_read_mapping(struct config_reader *reader, yaml_node_t *node,
                         const struct config_key *keys, void *object);

/* The value of a top-level key, an item of a list: where to point at in cross checks. NULL: the key
 * is not in the file. */
const yaml_node_t *config_node(const struct config_reader *reader, const char *key);
/* Where a key of a mapping stands; 0: it does not. */
size_t config_key_line(const struct config_reader *reader, const yaml_node_t *mapping,
                       const char *name);
const yaml_node_t *config_item(const struct config_reader *reader, const yaml_node_t *list,
                               size_t number);
/* `node` NULL: about the file, without a line. */
void config_error(struct config_reader *reader, const yaml_node_t *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
