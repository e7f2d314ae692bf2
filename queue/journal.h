/*
 * journal.h - the spool's records as events: for sinks that follow, catch up or replay.
 *
 * A position is segment sequence << 32 | offset. journal_events() turns the records that
 * shard_hooks.journaled handed over (or that were read back) into events; content is skipped.
 * Pure, or reading closed and open segments with pread: any thread.
 */
#pragma once

#include "event/event.h"

/* Calls visit for every event in a run of whole records that begins at `position`; returns the
 * position behind the last whole one. Compacted copies yield no events: they were told before. */
uint64_t journal_events(unsigned shard, uint64_t position, struct bytes records,
                        void (*visit)(void *context, const struct event *event), void *context);

struct journal_reader;

/* Opens a shard's directory for reading from `position` (0: the oldest there is). */
must_use int journal_open(const char *spool_directory, unsigned shard, uint64_t position,
                          struct journal_reader **reader_out);
/* Visits events until `until` (a position known to be durable); 0 or -errno. Damaged records are
 * skipped and counted. */
must_use int journal_read(struct journal_reader *reader, uint64_t until,
                          void (*visit)(void *context, const struct event *event), void *context);
uint64_t journal_position(const struct journal_reader *reader);
void journal_close(struct journal_reader **reader);
