/*
 * event_privacy.h - tenants whose events and log lines show no local parts of addresses.
 *
 * What the spool keeps is whole: delivery needs it, and events are written from it again after a
 * crash. The local parts go where an event becomes JSON (event_json), which is before the event
 * files, and so before everything that reads these: Kafka, webhooks, commands. In a hash the same
 * address is the same text within a tenant, as long as the key is the same; in a cut all are "*".
 *
 * Mail of no tenant is shown as it is. Thread: any; rules are replaced as a whole.
 */
#pragma once

#include "base/siphash.h"
#include "event/event.h"

enum privacy_mode { PRIVACY_NONE, PRIVACY_HASH, PRIVACY_CUT, PRIVACY_MODE_COUNT };

const char *privacy_mode_name(enum privacy_mode mode); /* "hash" */
must_use bool privacy_mode_parse(struct bytes name, enum privacy_mode *out);

struct privacy_rule {
    char tenant[256]; /* NUL-terminated */
    enum privacy_mode mode;
};

void privacy_set_key(const struct siphash_key *key);
/* Copies them. `other` is for tenants that none of them names. */
void privacy_set_rules(const struct privacy_rule *rules, size_t count, enum privacy_mode other);
enum privacy_mode privacy_of(struct bytes tenant);

enum { PRIVACY_ADDRESS_MAX = 1100 };
/* `address` as the tenant's events show it; the same slice where they show it whole, else in `out`.
 * Without an "@" it is all local part; an empty one stays. */
struct bytes privacy_address(struct bytes tenant, struct bytes address,
                             char out[static PRIVACY_ADDRESS_MAX]);

/* A sentence, in which local parts before an "@" and `recipient`'s own are not shown; as above. */
struct bytes privacy_text(struct bytes tenant, struct bytes text, struct bytes recipient, char *out,
                          size_t out_size);

/* `address` as mode hash shows it under that key, in `out`. Pure. */
struct bytes privacy_hash(const struct siphash_key *key, struct bytes tenant, struct bytes address,
                          char out[static PRIVACY_ADDRESS_MAX]);

struct privacy_room {
    char recipient[PRIVACY_ADDRESS_MAX], sender[PRIVACY_ADDRESS_MAX], orcpt[PRIVACY_ADDRESS_MAX];
    char reply[4096], rule[512], checks[4096];
};
/* The event as it is shown: itself, or *copy with texts in `room`. */
const struct event *privacy_event(const struct event *event, struct event *copy,
                                  struct privacy_room *room);
