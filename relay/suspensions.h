/*
 * suspensions.h - the operator's rules that hold mail back, kept in state_dir/suspensions.json.
 *
 * One set for the process; every worker's delivery gets the same. Written whole (temporary file,
 * fsync, rename), so a crash leaves the old or the new set. Thread: the control thread.
 */
#pragma once

#include <jansson.h>

#include "delivery/delivery.h"

enum { SUSPENSIONS_MAX = 10000 };

struct suspensions;

/* Reads the file; absent is empty. NULL with a sentence in why_out if it cannot be read. */
struct suspensions *suspensions_load(const char *state_dir, char *why_out, size_t why_size);
void suspensions_free(struct suspensions **suspensions);
/* {"domain":..,"sender":..,"recipient":..,"id":..,"for_s":..} becomes a rule; its number, or
 * -errno. */
must_use int suspensions_add(struct suspensions *suspensions, const json_t *request,
                             int64_t wall_ms, const char **why_out);
/* Takes out rule `number`, or every rule with this domain/sender/recipient/id, or all; how many. */
unsigned suspensions_remove(struct suspensions *suspensions, const json_t *request);
/* Drops rules whose time is over; true if any was. */
bool suspensions_expire(struct suspensions *suspensions, int64_t wall_ms);
must_use int suspensions_save(const struct suspensions *suspensions);
/* The rules as delivery takes them; valid until the next change. */
const struct suspension *suspensions_rules(const struct suspensions *suspensions,
                                           size_t *count_out);
json_t *suspension_to_json(const struct suspension *rule);
