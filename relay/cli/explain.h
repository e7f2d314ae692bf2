/*
 * explain.h - ringpost queue explain: what mail waits for, and what happened to it last.
 *
 * The daemon knows the rules and the times but keeps no reply of a deferred recipient in memory:
 * the last outcome is read from the event files.
 */
#pragma once

#include "relay/cli/cli.h"

/* Takes `request` over. An exit code; what went wrong was told. */
int cli_explain(const struct cli *cli, json_t *request);
