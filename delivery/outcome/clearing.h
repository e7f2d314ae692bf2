/*
 * clearing.h - recipients that come to an end, or are deferred, without a transaction.
 *
 * Their domain does not exist, no host of their site answered, they became too old, an operator
 * cancelled them: the message has to be brought into memory for its envelope, then they are settled
 * like any other. Bounded: at most CLEARING_LOADS_MAX are read at a time, and who would add more
 * than CLEARINGS_FULL has to wait for room.
 *
 * Thread: the engine's.
 */
#pragma once

#include "delivery/outcome/outcome.h"

enum { CLEARING_RECIPIENTS_MAX = 1000 };

bool clearing_has_room(const struct outcomes *outcomes);

/* Takes the waiting recipients from the front of `waiting` that are of the same message as the
 * first one, a message of `shard`, at most recipient_max. They must be READY; `taken` is
 * called for each, takes it out of the list and clears its bits. Text of judgement and facts is
 * copied. Returns how many were taken. */
size_t clearing_start(struct outcomes *outcomes, struct shard *shard, struct list *waiting,
                      size_t recipient_max, const struct judgement *judgement,
                      const struct attempt_facts *facts,
                      void (*taken)(void *context, struct pending *pending), void *context);
/* The same for one pending in no list. */
void clearing_start_one(struct outcomes *outcomes, struct shard *shard, struct pending *pending,
                        const struct judgement *judgement, const struct attempt_facts *facts);

/* Content or envelope of a message do not read back for good: it ends here, with a bounce. */
struct judgement clearing_damaged(void);

/* The program ends: those that are not being read yet stay unfinished. */
void clearing_drop_waiting(struct outcomes *outcomes);

size_t clearing_size(void); /* for the slab */
