/*
 * suspend.h - the rules by which operators hold mail back, and the recipients they hold.
 *
 * Rules of domain and message are looked at before a recipient gets in line; rules of sender and
 * recipient once the message is in memory, since addresses stand on disk. A held recipient stays in
 * delivery's hands, in one list, and is looked at again when rules change or end, and for its age.
 *
 * Thread: the engine's.
 */
#pragma once

#include "delivery/line/state.h"

struct suspensions *suspensions_create(void);
void suspensions_free(struct suspensions **suspensions);
void suspensions_set(struct suspensions *suspensions, size_t count, const struct suspension *rules);
bool suspensions_is_empty(const struct suspensions *suspensions);
/* Drops rules whose time is over; true if there were any. */
bool suspensions_expire(struct suspensions *suspensions, int64_t now_ms);

/* The first rule that holds it. Without a message only rules that need none are looked at. */
const struct suspension *suspensions_match(const struct suspensions *suspensions,
                                           const struct pending *pending,
                                           const struct message *message);

/* READY, unlinked, without bits: into the held list. */
void suspend_hold(struct delivery *delivery, struct pending *pending);
/* Out of it, for whoever takes it. */
void suspend_unhold(struct delivery *delivery, struct pending *pending);
/* Rules changed: everything held gets in line again, some of it a turn. */
void suspend_check_all(struct delivery *delivery);
/* The next of these, out of the held list; NULL: all have been. */
struct pending *suspend_next(struct delivery *delivery);
/* Once a second: rules that are over, held recipients that became too old. */
void suspend_tick(struct delivery *delivery);
