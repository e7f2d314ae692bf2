/*
 * sink_host.h - the thread that sinks run on: one of its own for each sink of Kafka, one for all
 * webhooks together.
 *
 * A round: what others asked, what each sink that was touched has to do, events for those that want
 * them, cursors that are to be saved, status; then it waits. Nothing in a round waits for another
 * side, and of reading each round has a slice (sink_readers.h), so no sink delays another.
 *
 * Thread: any.
 */
#pragma once

#include "sink/sink.h"

struct sink_host;

/* `directory` has the event files. NULL with a sentence in `why`. */
struct sink_host *sink_host_start(const struct sink_kind *kind, const char *directory,
                                  struct event_bounds *bounds, char *why, size_t why_len);
/* There may be more to read. */
void sink_host_wake(struct sink_host *host);
/* Long looks through files are broken off from now on. */
void sink_host_hurry(struct sink_host *host);
/* All its sinks were joined. */
void sink_host_stop(struct sink_host **host);
