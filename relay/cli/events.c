/* events.c - ringpost events: what happened, from the event files. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/clock.h"
#include "event/event.h"
#include "event/event_live.h"
#include "event/event_show.h"
#include "event/event_tail.h"
#include "relay/cli/audit.h"
#include "relay/cli/cli.h"
#include "relay/config_value.h"
#include "relay/privacy_rows.h"
#include "relay/state_dir.h"

enum { FOLLOW_PAUSE_MS = 200, LINE_TEXT_MAX = 65536 };

static int cannot_read(const char *directory, int error)
{
    return cli_fail(EXIT_FAILED, "%s: %s%s", directory, strerror(-error),
                    error == -ENOENT ? "; `ringpost serve` makes it" : "");
}

static void print_event(const struct cli *cli, struct bytes line, struct buf *text)
{
    buf_clear(text);
    if (cli->json || !event_show(line, text))
        printf("%.*s\n", BYTES_ARG(line));
    else
        printf("%.*s\n", BYTES_ARG(bytes_trim(buf_bytes(text))));
}

/* Until the files end. */
static int print_events(const struct cli *cli, const char *directory,
                        const struct event_filter *filter)
{
    struct event_tail *tail;
    struct bytes line;
    struct buf text;

    int got = event_tail_open(directory, filter, false, &tail);
    if (got < 0)
        return cannot_read(directory, got);
    buf_init(&text, LINE_TEXT_MAX);
    while ((got = event_tail_next(tail, &line)) > 0)
        print_event(cli, line, &text);
    buf_free(&text);
    event_tail_close(&tail);
    fflush(stdout);
    return got < 0 ? cannot_read(directory, got) : EXIT_GOOD;
}

static void print_gap(const struct cli *cli, const struct event_gap *gap)
{
    struct buf line;

    if (!cli->json) {
        printf("-- %llu events are missing here: their files were removed (%s) before they were "
               "read\n",
               (unsigned long long)gap->events, gap->reason);
        return;
    }
    buf_init(&line, EVENT_GAP_JSON_MAX);
    if (event_gap_json(gap, &line))
        printf("%.*s", BYTES_ARG(buf_bytes(&line)));
    buf_free(&line);
}

/* Until something in the folder changes, as it does with each commit. */
static void wait_for_change(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    char changes[4096];

    if (poll(&poll_fd, 1, FOLLOW_PAUSE_MS) > 0)
        (void)!read(fd, changes, sizeof(changes));
}

/* Gap records are named by the node as the relay's own are. Files without one, which were brought
 * here from elsewhere, are nobody's. */
static void take_node(const char *state_dir)
{
    char why[STATE_DIR_WHY_MAX];
    uint16_t node;

    if (state_dir_look_at_node(state_dir, &node, why) == 0)
        event_set_node(node);
}

/* For ever, or until the reader of ours goes away. */
static int follow_events(const struct cli *cli, const char *directory,
                         const struct event_filter *filter)
{
    struct event_live *live;
    struct bytes line;
    struct buf text;

    int got = event_live_open(directory, filter, &live);
    if (got < 0)
        return cannot_read(directory, got);
    /* Without one it looks five times a second all the same. */
    int changes = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (changes >= 0)
        (void)inotify_add_watch(changes, directory, IN_MOVED_TO | IN_CREATE);
    buf_init(&text, LINE_TEXT_MAX);
    while ((got = event_live_next(live, &line)) >= 0) {
        if (got == EVENT_LIVE_EVENT) {
            print_event(cli, line, &text);
            continue;
        }
        if (got == EVENT_LIVE_GAP) {
            struct event_gap gap = event_live_gap(live);

            print_gap(cli, &gap);
            continue;
        }
        if (fflush(stdout) != 0)
            break;
        wait_for_change(changes);
    }
    if (changes >= 0)
        close(changes);
    buf_free(&text);
    event_live_close(&live);
    return got < 0 ? cannot_read(directory, got) : EXIT_GOOD;
}

/* The shape only: the node in it may be another one's whose files were brought here. */
static bool is_message_id(const char *text)
{
    return strlen(text) == MESSAGE_ID_TEXT_LEN &&
           strspn(text, "0123456789abcdef-") == MESSAGE_ID_TEXT_LEN;
}

/* False after a complaint. */
static bool are_kinds(const struct cli *cli, const char *text)
{
    struct bytes list = bytes_of(text), one;
    bool goes_on = true;
    enum event_kind kind;

    while (goes_on) {
        goes_on = bytes_take_until(&list, ',', &one);
        if (!goes_on)
            one = list;
        if (event_kind_parse(one, &kind))
            continue;
        cli_misuse(cli, "--kind %.*s: no such kind; docs/events.md lists them", BYTES_ARG(one));
        return false;
    }
    return true;
}

static int run_events(struct cli *cli)
{
    struct event_filter filter = {0};
    const char *since = NULL;
    bool follow = false;
    char state_dir[CLI_PATH_MAX], directory[CLI_PATH_MAX];
    struct cli_walk walk = {0};
    struct siphash_key key;
    int sinks_code;

    if (cli->argc > 1 && strcmp(cli->argv[1], "audit") == 0)
        return cli_audit(cli);
    if (cli_sinks(cli, &sinks_code))
        return sinks_code;
    while (cli_option(cli, &walk)) {
        if (cli_flag(&walk, "--follow", &follow) || cli_value(cli, &walk, "--since", &since) ||
            cli_value(cli, &walk, "--id", &filter.id) ||
            cli_value(cli, &walk, "--recipient", &filter.recipient) ||
            cli_value(cli, &walk, "--domain", &filter.domain) ||
            cli_value(cli, &walk, "--tenant", &filter.tenant) ||
            cli_value(cli, &walk, "--kind", &filter.kind) ||
            cli_value(cli, &walk, "--tag", &filter.tag))
            continue;
        return cli_misuse(cli, "unknown argument %s", walk.name != NULL ? walk.name : walk.word);
    }
    if (walk.is_bad)
        return EXIT_USAGE;
    if (since != NULL && !cli_since(cli, since, &filter.since_ms))
        return EXIT_USAGE;
    if (filter.kind != NULL && !are_kinds(cli, filter.kind))
        return EXIT_USAGE;
    if (filter.id != NULL && !is_message_id(filter.id))
        return cli_misuse(cli, "--id %s: expected 20 characters such as a3f100-5f3a9c1b2d4e7",
                          filter.id);
    if (!cli_state_dir(cli, state_dir))
        return EXIT_CONFIG;
    if (!state_dir_file(state_dir, "events", directory, sizeof(directory)))
        return cli_fail(EXIT_CONFIG, "%s: too long a path", state_dir);
    if (filter.recipient != NULL && privacy_key_read(state_dir, &key))
        filter.key = &key;
    take_node(state_dir);
    return follow ? follow_events(cli, directory, &filter) : print_events(cli, directory, &filter);
}

const struct cli_command cli_events = {
    "events",
    "what happened to mail: from the event files",
    "usage: ringpost [-c FILE] events [--follow] [--since TIME] [--id ID] [--recipient ADDRESS]\n"
    "                [--domain NAME] [--tenant NAME] [--kind KIND,...] [--tag TAG] [--json]\n"
    "       ringpost [-c FILE] events audit [--since TIME] [--json]\n"
    "       ringpost [-c FILE] events sinks [pause NAME | resume NAME] [--json]\n"
    "       ringpost [-c FILE] events replay --sink NAME --since TIME [--json]\n\n"
    "Prints events in the order they were written, as far back as they are kept. TIME is an age\n"
    "(90s, 30m, 4h, 2d) or an RFC 3339 time; ADDRESS may be @domain; an empty --tenant is mail\n"
    "of none. All that is given must hold. --follow waits for more; where events are removed\n"
    "before they were read it says how many.\n"
    "--json prints the records themselves; docs/events.md tells every key.\n\n"
    "audit proves, message by message, that accepted = delivered + bounced + expired +\n"
    "cancelled + suppressed + queued, from event files and spool, whether or not the daemon runs.\n"
    "It names what does not add up, and ends with 1 then. --since: only messages accepted since.\n"
    "\n"
    "sinks: a line for each that is told of events (Kafka, webhooks): its state, how far behind,\n"
    "what is wrong since when. A paused sink keeps its place. replay tells it everything since\n"
    "TIME again, under the same event_ids.\n",
    run_events,
};
