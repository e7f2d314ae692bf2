/*
 * control_walk.h - one operator's action over the queues of all workers, and what it is told.
 *
 * Thread: the control client's.
 */
#pragma once

#include "relay/control.h"
#include "relay/queue_walk.h"

/* Nobody waits for the rest, or nobody can do it. */
bool control_is_broken_off(const struct control_client *client);
/* Walks worker after worker (queue_walk.h) and sends the lines that come of it, and progress now
 * and then. False where it was broken off: `sum` is what was done until then. */
bool control_walk_workers(struct control_client *client, const struct queue_filter *filter,
                          enum queue_action action, const char *reason, uint64_t limit,
                          struct queue_walk_result *sum);
/* The last line. */
void control_send_result(struct control_client *client, const struct queue_walk_result *result,
                         bool is_dry_run);
