/* spool.c - ringpost spool: look at a stopped spool. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "queue/inspect.h"
#include "relay/cli/cli.h"

static void print_line(void *context, const char *line)
{
    (void)context;
    puts(line);
}

static int check_spool(const struct cli *cli, const char *directory)
{
    struct spool_report r = {0};
    int error = spool_check(directory, &r, cli->json ? NULL : print_line, NULL);

    if (error == -EBUSY)
        return cli_fail(EXIT_BUSY, "%s is being served; stop ringpost first", directory);
    if (error < 0)
        return cli_fail(EXIT_FAILED, "%s: %s", directory, strerror(-error));
    const char *format =
        cli->json ? "{\"shards\":%llu,\"segments\":%llu,\"records\":%llu,\"messages\":%llu,"
                    "\"recipients\":%llu,\"bytes\":%llu,\"bytes_live\":%llu,\"torn_tails\":%llu,"
                    "\"torn_bytes\":%llu,\"damaged_records\":%llu,"
                    "\"messages_lost\":%llu,\"orphan_contents\":%llu}\n"
                  : "%llu shards, %llu segments, %llu records\n"
                    "live: %llu messages, %llu unfinished recipients\n"
                    "bytes: %llu in segments, %llu live\n"
                    "torn: %llu tails, %llu bytes (a crash leaves them; nothing acknowledged is "
                    "in them)\n"
                    "damaged: %llu records, the content of %llu unfinished messages\n"
                    "contents without an accept record: %llu\n";
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    printf(format, (unsigned long long)r.shards, (unsigned long long)r.segments,
           (unsigned long long)r.records, (unsigned long long)r.messages,
           (unsigned long long)r.recipients_live, (unsigned long long)r.bytes,
           (unsigned long long)r.bytes_live, (unsigned long long)r.torn_tails,
           (unsigned long long)r.torn_bytes, (unsigned long long)r.damaged_records,
           (unsigned long long)r.messages_lost, (unsigned long long)r.orphan_contents);
#pragma GCC diagnostic pop
    return r.damaged_records == 0 ? EXIT_GOOD : EXIT_FAILED;
}

static int dump_spool(const char *directory)
{
    int error = spool_dump(directory, print_line, NULL);

    if (error == -EBUSY)
        return cli_fail(EXIT_BUSY, "%s is being served; stop ringpost first", directory);
    return error < 0 ? cli_fail(EXIT_FAILED, "%s: %s", directory, strerror(-error)) : EXIT_GOOD;
}

static int run_spool(struct cli *cli)
{
    bool is_check = cli->argc == 2 && strcmp(cli->argv[1], "check") == 0;
    bool is_dump = cli->argc == 2 && strcmp(cli->argv[1], "dump") == 0;

    if (cli->help) {
        printf("%s", cli_spool.usage);
        return EXIT_GOOD;
    }
    if (!is_check && !is_dump)
        return cli_misuse(cli, "expected check or dump");
    struct config *config = cli_config(cli);
    if (config == NULL)
        return EXIT_CONFIG;
    int code =
        is_check ? check_spool(cli, config->spool.directory) : dump_spool(config->spool.directory);
    config_release(&config);
    return code;
}

const struct cli_command cli_spool = {
    "spool",
    "look at a stopped spool: check, dump",
    "usage: ringpost [-c FILE] spool check|dump [--json]\n\n"
    "check  reads everything, verifies every checksum, changes nothing; exit code 1 if a record\n"
    "       is damaged. dump prints a JSON object for each record. Both want the daemon stopped.\n",
    run_spool,
};
