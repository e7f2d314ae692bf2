/* events.c - ringpost events: what happened, from the event files. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "event/event.h"
#include "event/event_tail.h"
#include "relay/cli/audit.h"
#include "relay/cli/cli.h"
#include "relay/config_value.h"

enum { FOLLOW_PAUSE_US = 200000, LINE_TEXT_MAX = 65536 };

bool cli_since(const struct cli *cli, const char *text, int64_t *wall_ms_out)
{
    int64_t age_ms;

    if (value_duration(bytes_of(text), &age_ms)) {
        *wall_ms_out = clock_wall_ms() - age_ms;
        return true;
    }
    if (clock_parse_rfc3339(bytes_of(text), wall_ms_out))
        return true;
    cli_misuse(cli,
               "--since %s: expected an age such as 2h, or a time such as "
               "2026-11-24T03:10:00Z",
               text);
    return false;
}

static void print_event(const struct cli *cli, struct bytes line, struct buf *text)
{
    buf_clear(text);
    if (cli->json || !event_tail_text(line, text))
        printf("%.*s\n", BYTES_ARG(line));
    else
        printf("%.*s\n", BYTES_ARG(bytes_trim(buf_bytes(text))));
}

/* Until the files end, or for ever. */
static int print_events(const struct cli *cli, struct event_tail *tail, bool follow)
{
    struct bytes line;
    struct buf text;
    int got;

    buf_init(&text, LINE_TEXT_MAX);
    while ((got = event_tail_next(tail, &line)) > 0 || (got == 0 && follow)) {
        if (got > 0) {
            print_event(cli, line, &text);
            continue;
        }
        if (fflush(stdout) != 0)
            break; /* the reader went away */
        usleep(FOLLOW_PAUSE_US);
    }
    buf_free(&text);
    fflush(stdout);
    return got < 0 ? cli_fail(EXIT_FAILED, "reading events: %s", strerror(-got)) : EXIT_GOOD;
}

/* The shape only: the node in it may be another one's whose files were brought here. */
static bool is_message_id(const char *text)
{
    return strlen(text) == MESSAGE_ID_TEXT_LEN &&
           strspn(text, "0123456789abcdef-") == MESSAGE_ID_TEXT_LEN;
}

static int run_events(struct cli *cli)
{
    struct event_filter filter = {0};
    const char *since = NULL;
    bool follow = false;
    char state_dir[CLI_PATH_MAX], directory[CLI_PATH_MAX];
    struct cli_walk walk = {0};
    struct event_tail *tail;
    int sinks_code;

    if (cli->argc > 1 && strcmp(cli->argv[1], "audit") == 0)
        return cli_audit(cli);
    if (cli_sinks(cli, &sinks_code))
        return sinks_code;
    while (cli_option(cli, &walk)) {
        if (cli_flag(&walk, "--follow", &follow) || cli_value(cli, &walk, "--since", &since) ||
            cli_value(cli, &walk, "--id", &filter.id) ||
            cli_value(cli, &walk, "--recipient", &filter.recipient))
            continue;
        return cli_misuse(cli, "unknown argument %s", walk.name != NULL ? walk.name : walk.word);
    }
    if (walk.is_bad)
        return EXIT_USAGE;
    if (since != NULL && !cli_since(cli, since, &filter.since_ms))
        return EXIT_USAGE;
    if (filter.id != NULL && !is_message_id(filter.id))
        return cli_misuse(cli, "--id %s: expected 20 characters such as a3f100-5f3a9c1b2d4e7",
                          filter.id);
    if (!cli_state_dir(cli, state_dir))
        return EXIT_CONFIG;
    if (!state_dir_file(state_dir, "events", directory, sizeof(directory)))
        return cli_fail(EXIT_CONFIG, "%s: too long a path", state_dir);
    int error = event_tail_open(directory, &filter, false, &tail);
    if (error < 0)
        return cli_fail(EXIT_FAILED, "%s: %s%s", directory, strerror(-error),
                        error == -ENOENT ? "; `ringpost serve` makes it" : "");
    int code = print_events(cli, tail, follow);
    event_tail_close(&tail);
    return code;
}

const struct cli_command cli_events = {
    "events",
    "what happened to mail: from the event files",
    "usage: ringpost [-c FILE] events [--follow] [--since TIME] [--id ID] [--recipient ADDRESS]\n"
    "                [--json]\n"
    "       ringpost [-c FILE] events audit [--since TIME] [--json]\n"
    "       ringpost [-c FILE] events sinks [pause NAME | resume NAME] [--json]\n"
    "       ringpost [-c FILE] events replay --sink NAME --since TIME [--json]\n\n"
    "Prints events in the order they were written, as far back as they are kept. TIME is an age\n"
    "(90s, 30m, 4h, 2d) or an RFC 3339 time; ADDRESS may be @domain. --follow waits for more.\n"
    "--json prints the records themselves; docs/events.md tells every key.\n\n"
    "audit proves, message by message, that accepted = delivered + bounced + expired +\n"
    "cancelled + suppressed + queued, from event files and spool, whether or not the daemon runs.\n"
    "It names what does not add up, and ends with 1 then. --since: only messages accepted since.\n"
    "\n"
    "sinks: a line for each that is told of events (Kafka): its state, how far behind, what is\n"
    "wrong since when. A paused sink keeps its place. replay tells it everything since TIME\n"
    "again, under the same event_ids.\n",
    run_events,
};
