/*
 * audit.h - ringpost events audit: do event files and spool say the same of every recipient?
 */
#pragma once

#include "relay/cli/cli.h"

/* argv[1] is "audit". An exit code: EXIT_FAILED also where something does not add up. */
int cli_audit(struct cli *cli);
