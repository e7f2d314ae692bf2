/*
 * trace.h - a message's life, put together out of its events and what the daemon knows of it.
 */
#pragma once

#include <jansson.h>

#include "base/bytes.h"

/*
 * {"id", "sender", "header_message_id", "size", "tenant", "campaign", "tags", "client",
 *  "accepted_time",
 *  "recipients": [{"recipient", "state", "steps": [{"time", "ms", "event"}], "waits"}],
 *  "beside": [events that stand beside the message's own]}
 *
 * "ms" is the time since the step before, of the first since the acceptance. "state" is that of the
 * last step, or "queued" while none is final; "waits" is the daemon's explanation then, else null.
 * Events may come in any order and more than once.
 */
struct trace;

struct trace *trace_create(void);
void trace_free(struct trace **trace);
/* One of the message's events; keeps a reference. */
void trace_add_event(struct trace *trace, json_t *event);
/* What an unfinished recipient waits for, as queue.explain tells it; keeps a reference. */
void trace_add_wait(struct trace *trace, json_t *wait);
/* Some recipient has no final event. */
bool trace_is_unfinished(const struct trace *trace);
/* A new reference; NULL: there is neither event nor wait. */
json_t *trace_finish(struct trace *trace, const char *id);
