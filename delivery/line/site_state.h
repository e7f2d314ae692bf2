/*
 * site_state.h - what a site waits for: one state at a time, changed by site_enter() alone.
 *
 *                       WORKING: what its last drive left it with
 *                  .--------------------------------------------------.
 *        mail      |  CONNECTING  SERVING  THROTTLED  LIMITED  STARVED |
 *   IDLE --------> |      any of them to any other of them             |
 *    ^ <---------- |                                                   |
 *    | |  none is  '--------------------------------------------------'
 *    | |  left                    | no host can be tried any more
 *    | '--------------------------+---------------------------.
 *    |                            | a connection failed       | none did: they are at rest
 *    |                            v                           v
 *    '---- the rest is over --- FAILING --- all are told ---> RESTING
 *    '---- over, or an operator's retry ------------------------'
 *
 * Each drive looks at all anew, so any working state may follow any other. What drives it again:
 *
 *   CONNECTING  a connection that is ready, or failed        THROTTLED  a share of the rate
 *   SERVING     a connection that wants more, or ended       LIMITED    a slot that comes free
 *   STARVED     outcomes that are durable, room on disk      all        mail, settings, an operator
 *
 * Until FAILING and RESTING are over there is no connection, and none is asked for. The rest begins
 * with FAILING; who is told of the failure has had an attempt, who comes later is given back until
 * the rest is over. A drive that finds mail which its idle connections take at once leaves it IDLE.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct site;

enum site_state {
    SITE_IDLE,       /* nothing waits */
    SITE_CONNECTING, /* no connection is ready yet */
    SITE_SERVING,    /* connections are, and take what waits as they can */
    SITE_THROTTLED,  /* for a share of the message rate */
    SITE_LIMITED,    /* for a connection slot: of a rule, of the process, or of the receiver's */
    SITE_STARVED,    /* for room among clearings and commits, in the spool and the event files */
    SITE_FAILING,    /* what waits is being told that no host can be reached */
    SITE_RESTING,    /* no host is tried until a time */
    SITE_STATE_COUNT
};

const char *site_state_name(enum site_state state);
/* Whether the second may follow the first; of the same: no. */
bool site_may_enter(enum site_state state, enum site_state next);

/* A new one, IDLE, and one that goes, for the gauges. */
void site_state_init(struct site *site);
void site_state_end(struct site *site);
/* The only writer of a site's state. To stay where it is, is nothing. */
void site_enter(struct site *site, enum site_state next);

/* As operators are told; the time is monotonic, 0: not known. */
const char *site_constraint(const struct site *site, int64_t *until_ms_out);
