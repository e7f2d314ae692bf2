/*
 * last_outcome.h - why recipients were not delivered when they were last tried, out of the event
 * files: the daemon keeps no replies of what waits.
 */
#pragma once

#include "event/event_tail.h"
#include "relay/cli/cli.h"

/* Hands out an object for each deferral that passes the filter, in the order of the files: the last
 * one of a recipient is its last outcome. `outcome` is given back behind the call. False after a
 * complaint; what was handed out until then is good. */
bool last_outcomes_read(const struct cli *cli, const struct event_filter *filter,
                        void (*each)(void *context, const char *id, const char *recipient,
                                     json_t *outcome),
                        void *context);
/* The checks of a received message, as its event has them; a new reference. NULL: it was not
 * received, or the files do not say. */
json_t *last_outcome_checks(const struct cli *cli, const char *id, int64_t since_ms);
/* Milliseconds since 1970 of the time under `key`; 0: none. */
int64_t last_outcome_wall_ms(const json_t *line, const char *key);
