/*
 * tenants.h - tenants: who pays and is limited.
 *
 * Each change is one edit with its line in the audit. Names are lower-case letters, digits, "-",
 * "_" and ".", with a letter or digit first, at most TENANT_NAME_MAX.
 *
 * Thread: the store's.
 */
#pragma once

#include "directory/snapshot.h"
#include "directory/store.h"

enum { TENANT_NAME_MAX = 63 };

struct tenant_row {
    struct directory_tenant tenant;
    int64_t created_s;
    int64_t credentials, domains, accounts; /* how many it has */
};

/* One KEY=VALUE of `tenant set`; 0 takes a limit away. */
struct tenant_setting {
    bool is_null_sender; /* value: 0 or 1; else a limit */
    enum tenant_limit limit;
    uint64_t value;
};

bool tenant_name_is_valid(struct bytes name);
/* STORE_SAME: there is one. */
enum store_result tenant_add(struct store *store, struct bytes name);
enum store_result tenant_set(struct store *store, struct bytes name, size_t count,
                             const struct tenant_setting *settings);
/* STORE_SAME: it is so. */
enum store_result tenant_disable(struct store *store, struct bytes name, bool is_disabled);
/* STORE_CLASH: it has credentials, domains or accounts, and `with_all` is false. Their keys' files
 * stay. */
enum store_result tenant_remove(struct store *store, struct bytes name, bool with_all);
/* Is there one in the database of a state directory? Makes nothing, and false also where it cannot
 * be read. */
bool tenant_is_known(const char *state_dir, struct bytes name);
/* By name; `name` with ptr NULL: every one. */
enum store_result tenant_list(struct store *store, struct bytes name,
                              void (*visit)(void *context, const struct tenant_row *row),
                              void *context);
