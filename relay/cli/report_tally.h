/*
 * report_tally.h - ringpost report dmarc|tls: what is counted for other domains, and sending it.
 */
#pragma once

#include "relay/cli/cli.h"
#include "reporting/tally.h"

/* The walk stands behind the first word. An exit code. */
int report_tally_run(struct cli *cli, struct cli_walk *walk, enum tally_kind kind);
