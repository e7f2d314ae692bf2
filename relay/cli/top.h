/*
 * top.h - the relay as it is between two looks at it: `ringpost top`, and what it stands on.
 */
#pragma once

#include "relay/cli/cli.h"

extern const struct cli_command cli_top;

/* What the daemon said at one moment. */
struct top_look {
    int64_t at_ms;   /* monotonic */
    json_t *status;  /* of "status" */
    json_t *sites;   /* {site: line of "sites"}; lines of several engines are added up */
    json_t *metrics; /* {"name{label=\"value\"}": number}: counters of sites */
    json_t *waits;   /* of "queue.explain", of the oldest of each state, with "age_ms" */
};

/* An exit code; what went wrong was told. */
int top_look(const struct cli *cli, struct top_look *out);
void top_look_free(struct top_look *look);

/* What happened between two looks, a second, and how it stands at the second; a new reference:
 * {"time", "hostname", "version", "uptime_s", "sessions", "rates": {outcome: a second},
 *  "engines": [busy, 0 to 1], "queue", "space", "events_lag_bytes", "sinks", "unheld",
 *  "sites": [{"site", "delivered", "deferred", "bounced", "expired", "waiting", "connections",
 *  "constraint"}], "waits"} */
json_t *top_between(const struct top_look *before, const struct top_look *now);

/* Takes "name{site="x"} 5" apart, as the exposition has it: false for any other line. The site is
 * left as it stands between the quotes. */
must_use bool top_site_line(struct bytes line, struct bytes *name_out, struct bytes *site_out,
                            double *value_out);
