/*
 * gate.h - where mail waits for its tenant's rates before it gets in line.
 *
 *   due --> is_gated? --no--------------------------> in line at its destination
 *             | yes                                     ^
 *             v                  a share of the rate    |
 *           gate of its tenant: high, normal, bulk -----'
 *
 * Mail that its tenant's rates held up when it was accepted, and what a start finds untried of what
 * was submitted, asks here before its first attempt; later attempts do not. A tenant of which
 * something waits has a gate on each engine; the engines take what may go from the tenant's
 * allowance, which all of them share (queue/allowance.h). Within a gate classes have their turns
 * as everywhere (classes.h), so a tenant's password reset is not behind its own newsletter. What is
 * let go stands in line as any other mail: a tenant's rate gives it no turns.
 *
 * A gated recipient is READY and in place PENDING_HELD, with pending.is_gated; what a suspension
 * holds has been let through before.
 *
 * Thread: the engine's.
 */
#pragma once

#include "delivery/line/state.h"

struct constraint;

/* READY, unlinked, without bits, and gated: true if it waits at its gate from now on. Else it may
 * go, and is gated no more. */
must_use bool gate_holds(struct delivery *delivery, struct pending *pending);
/* The next that was let through in this turn, out of its gate and gated no more; NULL: none. */
struct pending *gate_next(struct delivery *delivery);
/* It ends without passing: out of its gate, if it is in one, and gated no more. */
void gate_forget(struct delivery *delivery, struct pending *pending);
/* Tenants' limits changed: each gate is asked again, some of them a turn. */
void gates_check_all(struct delivery *delivery);
void gates_drive(struct delivery *delivery);
/* Once a second: what became too old. */
void gates_tick(struct delivery *delivery);
/* At a stop: what waits is just left. */
void gates_drop(struct delivery *delivery);
/* What holds it. */
void gate_constraint(const struct delivery *delivery, const struct pending *pending,
                     struct constraint *out);
static inline bool pending_waits_at_gate(const struct pending *pending)
{
    return pending->is_gated && (pending->flags & PENDING_HELD) != 0;
}
