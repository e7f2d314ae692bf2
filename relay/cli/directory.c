/* directory.c - ringpost directory: the database as a whole. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "directory/backup.h"
#include "relay/cli/records.h"

enum { AUDIT_SHOWN = 100, AUDIT_SHOWN_MAX = 1000000 };

static int backup(struct cli *cli)
{
    struct records records;
    const char *path;
    int count;

    if (!records_words(cli, &path, 1, 1, &count))
        return EXIT_USAGE;
    int code = records_open(cli, &records);
    if (code != EXIT_GOOD)
        return code;
    return records_close(cli, &records, directory_backup(records.store, path),
                         "directory written to %s; the keys in %s/keys are not in it", path,
                         records.state_dir);
}

static int restore(struct cli *cli)
{
    char state_dir[CLI_PATH_MAX], aside[STORE_PATH_MAX], why[STORE_WHY_MAX];
    const char *path;
    int count;

    if (!records_words(cli, &path, 1, 1, &count))
        return EXIT_USAGE;
    if (!cli_state_dir(cli, state_dir))
        return EXIT_CONFIG;
    enum store_result result = directory_restore(state_dir, path, aside, why);
    if (result != STORE_OK)
        return records_fail(result, why);
    if (cli->json)
        cli_print_json(json_pack("{s:o,s:o}", "restored", json_text_of(path), "damaged",
                                 aside[0] == '\0' ? json_null() : json_text_of(aside)));
    else if (aside[0] != '\0')
        printf("directory restored from %s; the damaged one is %s\n", path, aside);
    else
        printf("directory restored from %s\n", path);
    return EXIT_GOOD;
}

static void print_entry(void *context, const struct audit_row *row)
{
    const struct cli *cli = context;
    char time[CLOCK_TEXT_MAX], text[1400];

    clock_format_rfc3339(row->wall_s * 1000, time);
    if (cli->json) {
        cli_print_json(json_pack("{s:I,s:s,s:o,s:o,s:o,s:o}", "id", (json_int_t)row->id, "time",
                                 time, "who", json_text(row->who), "what", json_text(row->what),
                                 "subject", json_text(row->subject), "detail",
                                 json_text(row->detail)));
        return;
    }
    snprintf(text, sizeof(text), "%s %.*s %.*s %.*s %.*s", time, BYTES_ARG(row->who),
             BYTES_ARG(row->what), BYTES_ARG(row->subject), BYTES_ARG(row->detail));
    cli_print_text(text);
    putchar('\n');
}

static int audit(struct cli *cli)
{
    struct cli_walk walk = {.next = 2};
    const char *limit_text = NULL;
    uint64_t limit = AUDIT_SHOWN;
    struct records records;

    while (cli_option(cli, &walk)) {
        if (!cli_value(cli, &walk, "--limit", &limit_text))
            return cli_misuse(cli, "audit does not take %s",
                              walk.word != NULL ? walk.word : walk.name);
    }
    if (walk.is_bad)
        return EXIT_USAGE;
    if (limit_text != NULL &&
        (!bytes_to_u64(bytes_of(limit_text), &limit) || limit < 1 || limit > AUDIT_SHOWN_MAX))
        return cli_misuse(cli, "--limit %s: expected a number from 1 to %d", limit_text,
                          AUDIT_SHOWN_MAX);
    int code = records_open(cli, &records);
    if (code != EXIT_GOOD)
        return code;
    return records_end(&records, audit_list(records.store, 0, (unsigned)limit, print_entry, cli));
}

static int run(struct cli *cli)
{
    static const struct records_verb verbs[] = {{"backup", backup},
                                                {"restore", restore},
                                                {"audit", audit},
                                                {NULL, NULL}};

    return records_run(cli, &cli_directory, verbs);
}

const struct cli_command cli_directory = {
    "directory",
    "tenants, credentials, domains, accounts as one: backup, restore, audit",
    "usage: ringpost [-c FILE] directory SUBCOMMAND [--json]\n\n"
    "  backup  FILE           all of it as one file, which must not exist; the daemon may run.\n"
    "                         The keys below state_dir/keys are files of their own\n"
    "  restore FILE           puts it in place of what there is, whole or not at all; a daemon\n"
    "                         takes it over within a second. What is damaged is moved aside\n"
    "  audit   [--limit N]    who changed what and when, the newest first (100)\n",
    run,
};
