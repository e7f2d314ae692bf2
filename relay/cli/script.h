/* script.h - a Sieve script that a command is given. */
#pragma once

#include "base/buf.h"
#include "inbound/sieve/sieve.h"
#include "relay/cli/cli.h"

/* Reads the file, or stdin for "-", into `text`, which is the caller's to free in any case, and its
 * script, which is then NULL or to be freed. An exit code; what is wrong was told. */
int cli_read_script(const struct cli *cli, const char *path, struct buf *text,
                    struct sieve_script **script_out);

/* `ringpost account sieve` */
int cli_account_sieve(struct cli *cli);
/* The script of an account that is removed; what went wrong was told. `address` as the directory
 * has it. */
void cli_drop_script(const char *state_dir, struct bytes address);
