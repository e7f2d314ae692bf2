/*
 * tenant_book.h - what is remembered of submissions over restarts: how much tenants and users sent,
 * and by which keys messages are known.
 *
 *   publisher: each event --> tenant_book_event() --> in memory --> tenant_book_commit() --> file
 *
 * The spool's journal is the source, as it is of the event files: the book says up to which event
 * of each shard it goes, and what comes behind that is told to it again after a crash. So nothing
 * that was answered 250 is missing in it, and nothing is counted twice. Until a start has been told
 * all that was there before it, allowances and claims are not known (allowance.h), and who needs
 * them waits.
 *
 * The file, state_dir/tenants.book, is a log of frames, each with a checksum, written and synced
 * once a second when something changed; when half of it is out of date it is written anew and
 * renamed into place. Where the disk refuses it events go on all the same: then a crash forgets
 * what was sent since.
 *
 * Thread: the publisher's, but for tenant_book_attach(), which is any's, and what is said
 * otherwise.
 */
#pragma once

#include "event/event.h"
#include "queue/allowance.h"

struct tenant_book;

/* Reads the file, if there is one, into allowances and claims. NULL with a sentence: it is of a
 * later version, or cannot be made. One that is damaged counts as far as it goes. */
struct tenant_book *tenant_book_open(const char *state_dir, unsigned shard_count, char *why,
                                     size_t why_len);
void tenant_book_close(struct tenant_book **book); /* commits first */

/* All that the shard has before `position` is from before the start. */
void tenant_book_attach(struct tenant_book *book, unsigned shard, uint64_t position);
/* In the order of each shard; again where it was told before. */
void tenant_book_event(struct tenant_book *book, const struct event *event);
/* Every event of the shard before `position` was told. */
void tenant_book_told(struct tenant_book *book, unsigned shard, uint64_t position);
/* Durable up to here; what fails is told in the log and tried again with the next one. */
void tenant_book_commit(struct tenant_book *book);

/* All of the above as the publisher calls it. */
struct publisher_follower;
void tenant_book_follow(struct tenant_book *book, struct publisher_follower *out);

/* What the file of a state directory has of a tenant; false: nothing. Any thread, also without a
 * daemon. */
bool tenant_book_read(const char *state_dir, struct bytes tenant,
                      uint64_t counts_out[static ALLOWANCE_COUNTS]);
