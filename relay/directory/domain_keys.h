/*
 * domain_keys.h - the DKIM keys of a domain: their files and their rows. Private to the folder.
 *
 * A circle of domains.c and domain_keys.c: adding a domain makes keys, and rotating keys looks a
 * domain up.
 *
 * Files are made before the edit that names them, for making a key takes long and others wait to
 * write; what an edit lets go is removed after it.
 *
 * Thread: the store's.
 */
#pragma once

#include "base/arena.h"
#include "directory/dkim_key.h"
#include "directory/domains.h"
#include "directory/store_private.h"

enum { DOMAIN_KEYS_MAX = 32 /* shown of one domain */ };

/* Made, and not in the database yet. */
struct new_keys {
    struct new_key {
        enum signature_algorithm algorithm;
        char selector[DKIM_SELECTOR_MAX + 1], file[DKIM_KEY_FILE_MAX];
        struct buf public_key;
    } keys[2];
    size_t count;
};

/* One of each algorithm. `domain` in its one form, which files are called after. */
enum store_result new_keys_make(struct store *store, const char *state_dir, struct bytes domain,
                                struct new_keys *out);
/* Their rows, within an edit. */
enum store_result new_keys_insert(struct store *store, int64_t domain, const struct new_keys *keys,
                                  enum dkim_key_state state);
/* Frees them; their files go where the edit came to nothing. */
void new_keys_end(struct new_keys *keys, const char *state_dir, enum store_result result);

/* Files of keys that are to go, once the rows are gone. Starts empty: {0}. */
struct doomed_keys {
    struct arena arena;
    size_t count;
    struct bytes files[DOMAIN_KEYS_MAX];
};

/* `retired_before_s` 0: all of the domain's. */
enum store_result doomed_keys_find(struct store *store, int64_t domain, int64_t retired_before_s,
                                   struct doomed_keys *out);
/* After the edit. */
void doomed_keys_end(struct doomed_keys *doomed, const char *state_dir, enum store_result result);

/* The newest first; texts in the arena. */
enum store_result domain_keys_read(struct store *store, int64_t domain, struct arena *arena,
                                   struct domain_key_row keys[static DOMAIN_KEYS_MAX],
                                   size_t *count_out);
/* Those that wait sign from now on, where no other does; within an edit. */
enum store_result domain_keys_begin(struct store *store, int64_t domain);
