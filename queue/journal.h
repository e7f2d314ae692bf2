/*
 * journal.h - the spool's records as events: for sinks that follow, catch up or replay.
 *
 * A position is segment sequence << 32 | offset. journal_events() turns the records that
 * shard_hooks.journaled handed over (or that were read back) into events; content is skipped.
 * Pure, or reading closed and open segments with pread: any thread.
 */
#pragma once

#include "event/event.h"

/* Calls visit for every event in a run of whole records that begins at `position` and was checked
 * before (what shard_hooks.journaled hands over); returns the position behind the last whole one.
 * Compacted copies yield no events: they were told before. An accept record yields one accepted
 * event a recipient, part and seq counting from 0. */
uint64_t journal_events(unsigned shard, uint64_t position, struct bytes records,
                        void (*visit)(void *context, const struct event *event), void *context);

/* Appends only those records of a run that yield events: a hand-over need not copy content.
 * journal_events() takes the result like any run. False (nothing appended) without room. */
must_use bool journal_copy_told(struct bytes records, struct buf *out);

struct journal_reader;

/* Opens a shard's directory for reading from `position`, the place of a record (0: the oldest there
 * is). -ENOENT when there is no such directory. */
must_use int journal_open(const char *spool_directory, unsigned shard, uint64_t position,
                          struct journal_reader **reader_out);
/* Visits events until `until` (a position known to be durable); 0 or -errno, after which the same
 * call goes on where it stopped, at a segment. Reads [position, until) of one segment into memory
 * at a time. -ENOTSUP: it comes to a record of a later version, which the log has told of; events
 * before it in its segment were visited and will be again. Damaged records are skipped and counted,
 * and so are segments that do not open; files that are no segment yet are passed. Where events are
 * lost that way a damaged event stands in their place. */
must_use int journal_read(struct journal_reader *reader, uint64_t until,
                          void (*visit)(void *context, const struct event *event), void *context);
uint64_t journal_position(const struct journal_reader *reader);
uint64_t journal_damaged(const struct journal_reader *reader); /* spots since it was opened */
void journal_close(struct journal_reader **reader);
