/*
 * list.h - `ringpost queue list`: a line for each unfinished recipient, with its last reply.
 *
 * The first LIST_KEPT_MAX lines wait for one reading of the event files, which begins where the
 * oldest of them was accepted; what comes behind them is printed as it comes, without replies: a
 * queue of any length is listed in bounded memory.
 */
#pragma once

#include "relay/cli/cli.h"

enum { LIST_KEPT_MAX = 10000 };

/* An exit code; the closing line in *done_out. Takes `request` over. */
int cli_list(const struct cli *cli, json_t *request, json_t **done_out);
