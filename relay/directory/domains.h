/*
 * domains.h - domains that tenants send from and that we receive for, and their DKIM keys.
 *
 * A domain is one tenant's. Adding it makes its keys (dkim_key.h): the files first, then the rows,
 * so that a row always has its file. A crash in between leaves files that nothing names; the next
 * one makes others.
 *
 *   published --(its record was seen in DNS)--> active --(another took over)--> retired --> gone
 *
 * A domain that is active has keys that are: it becomes so with the first ones, whose records were
 * seen by `domain verify`, or need not be (is_active of the wish).
 *
 * Thread: the store's.
 */
#pragma once

#include "directory/snapshot.h"
#include "directory/store.h"

enum { DKIM_SELECTOR_MAX = 63, DKIM_RETIRED_S = 7 * 24 * 3600 };

struct domain_key_row {
    int64_t id;
    enum signature_algorithm algorithm;
    enum dkim_key_state state;
    struct bytes selector, file, public_key; /* file: below state_dir/keys; key: base64 */
    int64_t created_s, changed_s;
};

struct domain_row {
    int64_t id;
    struct bytes name, tenant;
    bool is_active, is_hosted, allows_sub_domains;
    int64_t created_s, verified_s; /* 0: never */
    size_t key_count;
    const struct domain_key_row *keys; /* newest first */
};

struct domain_wish {
    struct bytes tenant, name; /* the name in any form */
    bool is_active, is_hosted, allows_sub_domains;
};

/* STORE_SAME: it was so. Of a domain that is there, what is wished for is turned on, and nothing
 * off; STORE_CLASH: of another tenant. */
enum store_result domain_add(struct store *store, const char *state_dir,
                             const struct domain_wish *wish);
/* Is any hosted, in the database of a state directory? Makes nothing, and false also where it
 * cannot be read. */
bool domains_have_hosted(const char *state_dir);
/* STORE_CLASH: it has accounts or aliases. The files of its keys go too. */
enum store_result domain_remove(struct store *store, const char *state_dir, struct bytes name);
/* Its records were seen: it may be used from now on, and keys that waited sign where none does. */
enum store_result domain_activate(struct store *store, struct bytes name);
/* `name` ptr NULL: all. */
enum store_result domain_list(struct store *store, struct bytes name,
                              void (*visit)(void *context, const struct domain_row *row),
                              void *context);

/*
 * Rotation, in two steps that somebody's DNS lies between. The first makes keys that are published
 * and do not sign (STORE_SAME: there are some). The second, once their records were seen, has them
 * sign in place of those that did, which are retired. What has been retired for DKIM_RETIRED_S
 * goes, with its file, by the next rotation or by the daemon's clock.
 */
enum store_result domain_publish_keys(struct store *store, const char *state_dir,
                                      struct bytes name);
enum store_result domain_switch_keys(struct store *store, const char *state_dir, struct bytes name);
/* Of one domain that has such keys. STORE_SAME: none has. Nothing is written then. */
enum store_result domain_drop_retired(struct store *store, const char *state_dir, int64_t wall_s);
