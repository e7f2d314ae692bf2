/*
 * operator_event.h - what operators' commands did, as events: to the queue (retried, suspended,
 * resumed) and to the directory (changed).
 *
 * Each stands for a command and not for its recipients, of which there may be a million. It goes
 * through the spool of an engine like every other event: that of the message that the command
 * named, else the first. Not waited for: it is durable with the next flush.
 *
 * Thread: any but the workers'. Two calls one after the other are told in this order where they
 * name the same message, or none.
 */
#pragma once

#include "relay/program.h"
#include "relay/queue_walk.h"

/* `is_cut`: the walk was broken off, its numbers are those until then. */
void operator_event_retried(struct program *program, const struct queue_filter *filter,
                            const struct queue_walk_result *result, bool is_cut);
/* After the rule was saved. `matched`: recipients that wait now. */
void operator_event_suspended(struct program *program, const struct suspension *rule,
                              uint64_t matched);
/* After the rule was taken away; `why` is a clause. */
void operator_event_resumed(struct program *program, const struct suspension *rule,
                            const char *why);
/* A change of the directory; before the workers are stopped. */
void operator_event_changed(struct program *program, const struct audit_row *row);
