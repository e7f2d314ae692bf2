/*
 * suspension_file.h - the operator's rules that hold mail back, kept in state_dir/suspensions.json.
 *
 * One set for the process; every worker's delivery gets the same. Written whole (temporary file,
 * fsync, rename), so a crash leaves the old or the new set. Ends are monotonic here: a rule that
 * was made for two hours holds for two hours, whoever sets the clock meanwhile. In the file they
 * are dates, so that has to be saved again when the clock was set. Thread: the control thread.
 */
#pragma once

#include <jansson.h>

#include "base/clock.h"
#include "delivery/line/delivery.h"

enum { SUSPENSIONS_MAX = 10000 };

struct suspension_file;

/* Reads the file; absent is empty. NULL with a sentence in why_out if it cannot be read. */
struct suspension_file *suspension_file_load(const char *state_dir, struct clocks clocks,
                                             char *why_out, size_t why_size);
void suspension_file_free(struct suspension_file **suspensions);
/* {"domain":..,"sender":..,"recipient":..,"id":..,"for_s":..} becomes a rule; its number, or
 * -errno. */
must_use int suspension_file_add(struct suspension_file *suspensions, const json_t *request,
                                 int64_t now_ms, const char **why_out);
/* Takes back what the last change did, which was an add that went well: it could not be saved. */
void suspension_file_undo_add(struct suspension_file *suspensions);
/* Takes out rule `number`, or every rule with this domain/sender/recipient/id, or all; how many. */
unsigned suspension_file_remove(struct suspension_file *suspensions, const json_t *request);
/* Drops rules whose time is over; true if any was. */
bool suspension_file_expire(struct suspension_file *suspensions, int64_t now_ms);
must_use int suspension_file_save(const struct suspension_file *suspensions, struct clocks clocks);
/* The rules as delivery takes them; valid until the next change. */
const struct suspension *suspension_file_rules(const struct suspension_file *suspensions,
                                               size_t *count_out);
/* Those that the last removal or expiry took out; valid until the next change. */
const struct suspension *suspension_file_removed(const struct suspension_file *suspensions,
                                                 size_t *count_out);
json_t *suspension_to_json(const struct suspension *rule, struct clocks clocks);
