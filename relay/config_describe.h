/*
 * config_describe.h - what the rows of keys say, for people: facts, the list of keys, a starter
 * file.
 *
 * Thread: any.
 */
#pragma once

#include "base/buf.h"
#include "relay/config_key.h"

/* Each key under `keys` with its path, such as "limits.memory" or "sources[].name"; lists before
 * what is in their items. Sections are no keys. What items of a list take over from the keys beside
 * it (base_at) is left out. */
void config_each_key(const struct config_key *keys,
                     void (*visit)(void *context, const struct config_key *key, const char *path),
                     void *context);

enum { CONFIG_FACTS_MAX = 320 };

/* "Default: 25MiB; from 64KiB to 2GiB; needs a restart." */
const char *config_facts(const struct config_key *key, char out[static CONFIG_FACTS_MAX]);
/* The kind as one word, such as "size". */
const char *config_kind_name(const struct config_key *key);

/* Text as a YAML scalar: with quotes where it needs them. False: `out` is full. */
must_use bool config_quote(struct buf *out, const char *text);

/* A key that the starter file sets. */
struct config_starter_value {
    const char *path; /* "hostname", "metrics.listen"; a list: "listeners" */
    const char *yaml; /* the value; of a list its first item */
};

/* The file that `ringpost init` writes: `values` as they are, and as comments those rows that are
 * in_starter, with their examples or defaults. False: `out` is full. */
must_use bool config_write_starter(struct buf *out, const struct config_key *keys,
                                   const struct config_starter_value *values, size_t value_count);
