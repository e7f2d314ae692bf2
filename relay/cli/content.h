/*
 * content.h - `ringpost queue show ID --content`: the message as it is delivered, on stdout.
 *
 * Its bytes as they are; on a terminal with "?" in place of what one might obey; with --json as
 * lines of {"base64": ...}, each for itself, before the closing line.
 */
#pragma once

#include "relay/cli/cli.h"

/* Takes `request` over. An exit code; what went wrong was told, behind what could be read. */
int cli_content(const struct cli *cli, json_t *request);
