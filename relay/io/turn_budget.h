/*
 * turn_budget.h - what costly computing may take of a turn, in all: handshakes, signatures.
 *
 * Private-key operations take up to a millisecond each, and two hundred clients may connect at
 * once. Whoever has such work to do asks before each piece of it. Who is told no goes on at the end
 * of this turn, or of a later one (engine_at_turn_end()), and asks again. Nobody is overtaken:
 * while somebody waits, who comes anew waits behind.
 *
 * A turn whose time is over has done at least one piece of work, so waiting ends.
 *
 * Thread: the engine's.
 */
#pragma once

#include "io/engine.h"

enum { TURN_BUDGET_US = 4000 };

/* May a piece of work be done now? `has_waited`: it was told no before. What is done until
 * turn_budget_end() counts. */
must_use bool turn_budget_begin(struct engine *engine, bool has_waited);
/* The same for who does it elsewhere if not now: nobody waits, so nobody is counted as waiting. */
must_use bool turn_budget_try(struct engine *engine);
int64_t turn_budget_end(struct engine *engine); /* how long it took, us */
