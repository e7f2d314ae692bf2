/*
 * snapshot_feed.h - the newest snapshot, from the thread that makes them to those that read.
 *
 *   const struct snapshot *snapshot = snapshot_begin(reader);
 *   ... look up, copy what is kept ...
 *   snapshot_end(reader);
 *
 * Nobody waits: a reader announces the snapshot it looks at, and the maker frees an older one only
 * when no reader announces it. What was looked up is dead after snapshot_end(): an engine ends
 * before its turn does, and whoever asks later begins again and meets a newer state of things.
 *
 * Thread: a reader belongs to one thread at a time (an engine has one). snapshot_publish() and
 * snapshot_reclaim() are the maker's. Readers are made and freed by any.
 */
#pragma once

#include "directory/snapshot.h"

struct snapshot_feed;
struct snapshot_reader;

/* With an empty snapshot: there is always one. */
struct snapshot_feed *snapshot_feed_create(void);
/* No reader may be left. Frees the newest snapshot too. */
void snapshot_feed_free(struct snapshot_feed **feed);
/* Takes the snapshot over. */
void snapshot_publish(struct snapshot_feed *feed, const struct snapshot *snapshot);
/* Frees those that are not the newest and that nobody looks at. */
void snapshot_reclaim(struct snapshot_feed *feed);
/* The maker's: stays until it publishes another. */
const struct snapshot *snapshot_newest(const struct snapshot_feed *feed);

struct snapshot_reader *snapshot_reader_create(struct snapshot_feed *feed);
/* Its notes of use are still taken. */
void snapshot_reader_free(struct snapshot_reader **reader);
/* The newest, never NULL. May be nested: until the outermost snapshot_end() it is the same. */
const struct snapshot *snapshot_begin(struct snapshot_reader *reader);
void snapshot_end(struct snapshot_reader *reader);

/*
 * A login was right: told to whoever writes down when a credential was last used. Never waits: when
 * too many are told at once, some are forgotten until the next login.
 */
void snapshot_note_use(struct snapshot_reader *reader,
                       const struct directory_credential *credential, int64_t wall_s);
/* The maker's: takes one such note of any reader; false: there are none. */
must_use bool snapshot_take_use(struct snapshot_feed *feed, uint32_t *credential_out,
                                int64_t *wall_s_out);
