/*
 * sender_rules.h - whose mail a tenant takes whatever else is said of it, and whose it never takes.
 *
 * What a rule is about is written as one of
 *
 *   alice@good.example   a sender
 *   good.example         every sender of that domain
 *   *.good.example       every sender of the domains below it, and not of itself
 *   192.0.2.0/24         every client of that network; an address is a network of one
 *
 * Of several the most particular one counts: a sender's before a domain's, a domain's before those
 * above it, these before a network's, and of networks the smallest. Each value has one rule.
 *
 * Thread: the store's; sender_rule_find() any, on a snapshot.
 */
#pragma once

#include "base/arena.h"
#include "directory/snapshot.h"
#include "directory/store.h"

enum { SENDER_RULES_MAX = 10000 /* of a tenant */, SENDER_RULE_TEXT_MAX = 512 };

struct sender_rule_row {
    bool is_allowed;
    struct bytes value; /* in its one form */
    int64_t created_s;
};

/* The one form of what is written so. False: it is none of these. */
must_use bool sender_rule_value(struct arena *arena, struct bytes text, struct bytes *value_out);
/* "3:good.example": what snapshots find a rule by. */
must_use bool sender_rule_key(struct arena *arena, uint32_t tenant, struct bytes value,
                              struct bytes *key_out);

/* One edit for all values. A value with the other rule changes over. STORE_SAME: all were so. */
enum store_result sender_rules_set(struct store *store, struct bytes tenant, bool is_allowed,
                                   size_t count, const char *const *values);
/* STORE_NONE: one of them has no rule; then nothing is changed. */
enum store_result sender_rules_remove(struct store *store, struct bytes tenant, size_t count,
                                      const char *const *values);
enum store_result sender_rules_list(struct store *store, struct bytes tenant,
                                    void (*visit)(void *context, const struct sender_rule_row *row),
                                    void *context);

/* The rule that counts for mail from `sender` ("local@domain" in any form; empty: not asked) and
 * `client` (NULL: not asked). NULL: none. */
const struct directory_rule *sender_rule_find(const struct snapshot *snapshot, uint32_t tenant,
                                              struct bytes sender, const struct address *client);
/* Its value. */
struct bytes sender_rule_text(const struct directory_rule *rule);
