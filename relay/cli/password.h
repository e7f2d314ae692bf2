/* password.h - a password that a command needs: of a file, or typed. Never an argument. */
#pragma once

#include "relay/cli/cli.h"

enum { CLI_PASSWORD_MAX = 1024 };

/* The first line of the file, "-" for stdin; where there is none, of the terminal, without echo. An
 * exit code; what went wrong was told. */
must_use int cli_password(const struct cli *cli, const char *file, const char *prompt,
                          char out[static CLI_PASSWORD_MAX]);
