/*
 * config_reader.h - a YAML document walked along tables of keys.
 *
 * libyaml gives nodes with line and column; a table says which keys a mapping may have, of which
 * kind, and where in the C struct the value goes. Whatever does not fit is told with file, line,
 * key and what was expected; reading goes on, so that one run shows every error.
 */
#pragma once

#include <yaml.h>

#include "base/arena.h"

enum config_kind {
    CONFIG_STRING,       /* const char * */
    CONFIG_BOOL,         /* bool */
    CONFIG_COUNT,        /* unsigned */
    CONFIG_SIZE,         /* uint64_t, bytes */
    CONFIG_SIZE_SMALL,   /* unsigned, bytes */
    CONFIG_SECONDS,      /* unsigned */
    CONFIG_MILLISECONDS, /* unsigned */
    CONFIG_PERCENT,      /* unsigned */
    CONFIG_NUMBER,       /* double */
    CONFIG_RATE,         /* double, a second; "none" is 0 */
    CONFIG_SECTION,      /* a mapping; `keys` says which */
    CONFIG_CUSTOM,       /* `read` does it */
};

struct config_reader {
    const char *path;
    yaml_document_t *document;
    struct arena *arena;
    unsigned error_count;
    bool ignores_others; /* unknown keys are not errors: only a part is wanted */
    bool is_full;        /* the arena; told once */
    void (*error)(void *context, const char *text);
    void *context;
    char key_path[256]; /* "limits.message_size", for messages */
};

struct config_key {
    const char *name;
    enum config_kind kind;
    size_t offset;                 /* of the field in the struct that the table is for */
    uint64_t min, max;             /* of the value in its unit; max 0: no bound */
    const struct config_key *keys; /* CONFIG_SECTION: the same struct, ends with name NULL */
    void (*read)(struct config_reader *reader, yaml_node_t *node, void *field);
};

/* Zeroed memory of the arena. NULL when the configuration is too large, which was told. */
void *config_alloc(struct config_reader *reader, size_t size);

/* Reads `node` (a mapping) into `object` along `keys`. */
void config_read_mapping(struct config_reader *reader, yaml_node_t *node,
                         const struct config_key *keys, void *object);
/* For CONFIG_CUSTOM readers: an array of elements of `size` bytes, one a sequence item. `defaults`
 * (may be NULL) is what each element starts as. */
void *config_read_list(struct config_reader *reader, yaml_node_t *node, size_t size,
                       const void *defaults,
                       void (*element)(struct config_reader *reader, yaml_node_t *item,
                                       void *element),
                       size_t *count_out);
/* The scalar's bytes, or an error and false. */
bool config_scalar(struct config_reader *reader, yaml_node_t *node, const char *expected,
                   struct bytes *text_out);
/* A copy in the arena; "" when the configuration is too large, which was told. */
const char *config_string(struct config_reader *reader, struct bytes text);
/* The value of a top-level key, an item of a list: where to point at in cross checks. NULL: the key
 * is not in the file. */
const yaml_node_t *config_node(const struct config_reader *reader, const char *key);
const yaml_node_t *config_item(const struct config_reader *reader, const yaml_node_t *list,
                               size_t number);
/* `node` NULL: about the file, without a line. */
void config_error(struct config_reader *reader, const yaml_node_t *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
