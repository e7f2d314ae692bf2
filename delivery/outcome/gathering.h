/*
 * gathering.h - failures of one message that wait for each other, so that one notification tells
 * of all.
 *
 *   settlement --its failures--> gathering --no sibling left, or notice_wait over--> commit
 *
 * Recipients of one message fail in transactions of their own, at different hosts, within seconds.
 * A failure whose sender is to be told waits while another recipient of the message may still fail:
 * while one is READY, for notice_wait_s at most. Only failures wait. What was delivered is
 * committed at once, for a crash would deliver it again; what was refused is READY and busy until
 * the commit that holds its outcome and the notification, so that after kill -9 it is tried and
 * refused once more: one final event and no lost notification, as without waiting.
 *
 * A circle of gathering.c and outcome.c: a settlement that is committed lends its failures to a
 * gathering, and a gathering is a settlement that it commits.
 *
 * Bounded: GATHERINGS_MAX of an engine (the oldest makes room), CLEARING_RECIPIENTS_MAX failures of
 * each. Thread: the engine's.
 */
#pragma once

#include "delivery/outcome/outcome.h"

/* Takes the failures that wait out of a settlement; it may be empty afterwards. */
void gathering_take(struct settlement *settlement);
/* Something of this message was given to the shard: commits its failures if nothing is left that
 * they wait for. `stub` is not looked at if none wait. */
void gathering_ripen(struct outcomes *outcomes, const struct stub *stub);

/* All of them at once: the program stops. */
void gathering_commit_all(struct outcomes *outcomes);

void gathering_init(struct outcomes *outcomes);
