/* account_import.h - `ringpost account import`. */
#pragma once

#include "relay/cli/cli.h"

int cli_account_import(struct cli *cli);
