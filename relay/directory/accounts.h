/*
 * accounts.h - hosted users and aliases: addresses that we receive for, of domains of tenants.
 *
 * Addresses are as directory_address() says and are taken in any form. An address is an account or
 * an alias, never both; "@domain" is an alias for all that is neither.
 *
 * Thread: the store's.
 */
#pragma once

#include "directory/store.h"

enum { ALIAS_TARGETS_MAX = 1000 };

struct account_row {
    struct bytes address, tenant;
    struct bytes sends_as; /* account_sends.h */
    bool is_disabled;
    bool files_sent; /* what it submits is filed in its Sent too */
    unsigned shows;  /* bits of enum account_shows */
    uint64_t quota;  /* bytes; 0: no limit */
    int64_t created_s, credentials;
};

struct alias_row {
    struct bytes address, tenant;
    struct bytes targets; /* "a@x.example,b@y.example" */
};

/* Its domain must be hosted. STORE_SAME: there is one with that quota. */
enum store_result account_add(struct store *store, struct bytes address, uint64_t quota);
enum store_result account_set_quota(struct store *store, struct bytes address, uint64_t quota);
enum store_result account_set_sent(struct store *store, struct bytes address, bool files_sent);
/* Which folders of its tenant's it has (account_shows.h). STORE_CLASH: as many as may have some do
 * (SHOWING_ACCOUNTS_MAX). */
enum store_result account_set_shows(struct store *store, struct bytes address, unsigned shows);
/* As whom it may send besides its own addresses, as account_sends_parse() takes it. */
enum store_result account_set_sends_as(struct store *store, struct bytes address,
                                       struct bytes text);
enum store_result account_disable(struct store *store, struct bytes address, bool is_disabled);
/* Its credentials go too; its mail stays where it is. */
enum store_result account_remove(struct store *store, struct bytes address);
/* That the account's script, of `size` bytes, is another now, or gone: the audit's line alone. */
enum store_result account_note_script(struct store *store, struct bytes address, bool is_gone,
                                      size_t size);
/* `address` ptr NULL: all. */
enum store_result account_list(struct store *store, struct bytes address,
                               void (*visit)(void *context, const struct account_row *row),
                               void *context);

/* Targets are added to those it has. STORE_SAME: it had them. */
enum store_result alias_add(struct store *store, struct bytes address, size_t count,
                            const struct bytes *targets);
enum store_result alias_remove(struct store *store, struct bytes address);
enum store_result alias_list(struct store *store,
                             void (*visit)(void *context, const struct alias_row *row),
                             void *context);

/* For the folder. */
enum store_result store_find_account(struct store *store, struct bytes address, int64_t *id_out,
                                     int64_t *tenant_out);
