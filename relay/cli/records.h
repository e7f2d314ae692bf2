/*
 * records.h - what the commands of the directory share: verbs, the database, how it went.
 *
 * They open the database themselves, with or without a daemon, which notices what they changed.
 */
#pragma once

#include "directory/store.h"
#include "relay/cli/cli.h"

struct records_verb {
    const char *name;
    /* With the plain words behind the verb and the option walk at its end. */
    int (*run)(struct cli *cli);
};

/* Runs the verb in argv[1]; `verbs` ends with name NULL. */
int records_run(struct cli *cli, const struct cli_command *command,
                const struct records_verb *verbs);

/* The plain words behind the verb, between count_min and count_max of them; false after a
 * complaint. For verbs that have no options. */
must_use bool records_words(struct cli *cli, const char **words, int count_min, int count_max,
                            int *count_out);

/* The database of the configuration. NULL after a complaint, with an exit code. */
struct records {
    struct store *store;
    char state_dir[CLI_PATH_MAX];
};
must_use int records_open(const struct cli *cli, struct records *out);
/* Closes it and says how a change went: `done` in words, or as JSON with "changed", where it went
 * well. An exit code. */
int records_close(const struct cli *cli, struct records *records, enum store_result result,
                  const char *done_format, ...) __attribute__((format(printf, 4, 5)));
/* The same for what was only read: says nothing where it went well. */
int records_end(struct records *records, enum store_result result);
/* The exit code of a result; it is complained about with `why`. */
int records_fail(enum store_result result, const char *why);

/* Adds a time as RFC 3339, or null where it is 0. */
void records_put_time(json_t *object, const char *key, int64_t wall_s);
/* The day, or `never`. */
const char *records_day(int64_t wall_s, const char *never, char out[static 16]);
