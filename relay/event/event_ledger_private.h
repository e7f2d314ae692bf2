/*
 * event_ledger_private.h - the ledger, for the two files that it is made of. Private to
 * relay/event.
 *
 * event_ledger.c finds the messages that do not add up, event_suspect.c names what is wrong.
 */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "event/event_file.h"
#include "event/event_ledger.h"

struct ledger_tenant {
    struct map_node node;
    struct ledger_sum sum;
    uint8_t name[];
};

/* A message whose recipients have not all ended. */
struct tally {
    struct map_node node;
    uint64_t id;  /* the key */
    uint64_t sum; /* of the hashes of accepted recipients, less those of ended ones */
    struct ledger_tenant *tenant; /* once it has_accepted */
    uint32_t next_seq;
    uint32_t accepted, ended, ended_later, queued;
    bool has_event, has_accepted;
    bool is_later; /* accepted behind the cut */
    bool is_vague; /* an event named no recipient: only numbers count */
    bool is_wrong; /* a seq was not the next */
};

struct ledger {
    struct ledger_settings settings;
    bool is_cut;
    struct map tallies;
    struct map tenants;
    struct map suspects;
    uint64_t first_accepted[MESSAGE_ID_SHARDS_MAX]; /* by shard: the lowest id; 0: none */
    struct ledger_totals totals;
};

static inline struct bytes ledger_key(const uint64_t *id)
{
    return bytes_range(id, sizeof(*id));
}

/* event_suspect.c */
void ledger_suspect(struct ledger *ledger, const struct tally *tally);
void ledger_free_suspects(struct ledger *ledger);
