/* top.c - ringpost top: the relay live in a terminal. */
#include "relay/cli/top.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "relay/config_value.h"

enum { INTERVAL_MS = 2000, INTERVAL_MS_MIN = 100, FIELD_MAX = 48 };

static double real(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static long long number(const json_t *object, const char *section, const char *key)
{
    const json_t *from = section == NULL ? object : json_object_get(object, section);

    return (long long)json_integer_value(json_object_get(from, key));
}

/* Peers write some of these; at most `width` bytes, so that lines stay lines. */
static void print_cut(const json_t *object, const char *key, int width)
{
    const char *text = json_string_value(json_object_get(object, key));
    char cut[FIELD_MAX + 1];

    snprintf(cut, sizeof(cut), "%.*s", MIN(width, (int)FIELD_MAX), text == NULL ? "-" : text);
    for (char *c = cut; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || (unsigned char)*c >= 0x7f)
            *c = '?';
    printf("%-*s", width, cut);
}

static void print_age(long long ms)
{
    long long s = ms / 1000;

    if (s >= 86400)
        printf("%4lldd%02lldh", s / 86400, s % 86400 / 3600);
    else if (s >= 3600)
        printf("%4lldh%02lldm", s / 3600, s % 3600 / 60);
    else
        printf("%4lldm%02llds", s / 60, s % 60);
}

static void print_front(const json_t *top)
{
    const json_t *rates = json_object_get(top, "rates"), *engine;
    size_t i;

    print_cut(top, "hostname", 32);
    printf(" %s  up", json_string_value(json_object_get(top, "time")));
    print_age(number(top, NULL, "uptime_s") * 1000);
    printf("  sessions %lld  engines", number(top, NULL, "sessions"));
    json_array_foreach(json_object_get(top, "engines"), i, engine)
        printf(" %.0f%%", json_real_value(engine) * 100);
    printf("\na second  %.1f accepted, %.1f delivered, %.1f deferred, %.1f bounced, %.1f expired\n",
           real(rates, "accepted"), real(rates, "delivered"), real(rates, "deferred"),
           real(rates, "bounced"), real(rates, "expired"));
    printf("queue     %lld recipients of %lld messages: %lld scheduled, %lld waiting, %lld in an "
           "attempt; %lld connections\n",
           number(top, "queue", "recipients"), number(top, "queue", "messages"),
           number(top, "queue", "scheduled"), number(top, "delivery", "waiting"),
           number(top, "delivery", "in_attempt"), number(top, "delivery", "connections"));
    printf("disk      %.1f GiB free for the spool, %.1f for events; events %.1f MiB behind%s%s\n",
           (double)number(top, "space", "spool_free_bytes") / 1073741824,
           (double)number(top, "space", "events_free_bytes") / 1073741824,
           real(top, "events_lag_bytes") / 1048576,
           json_is_true(json_object_get(json_object_get(top, "space"), "low"))
               ? "  SPOOL LOW: mail is refused"
               : "",
           json_is_true(json_object_get(json_object_get(top, "space"), "events_full"))
               ? "  EVENT FILES FULL: no attempts"
               : "");
    if (number(top, NULL, "unheld") != 0)
        printf("unheld    %lld, which must be 0\n", number(top, NULL, "unheld"));
}

static void print_sinks(const json_t *top)
{
    const json_t *sink;
    size_t i;

    json_array_foreach(json_object_get(top, "sinks"), i, sink)
    {
        fputs("sink      ", stdout);
        print_cut(sink, "sink", 20);
        fputs(" ", stdout);
        print_cut(sink, "state", 8);
        printf(" %lld events, %.0f s behind\n", number(sink, NULL, "behind_events"),
               real(sink, "behind_seconds"));
    }
}

static void print_sites(const json_t *top, size_t rows)
{
    const json_t *site;
    size_t i;

    printf("\n%-36s %10s %10s %10s %9s %6s  %s\n", "SITE", "delivered", "deferred", "bounced",
           "waiting", "conns", "held by");
    json_array_foreach(json_object_get(top, "sites"), i, site)
    {
        if (i >= rows)
            return;
        print_cut(site, "site", 36);
        printf(" %8.1f/s %8.1f/s %8.1f/s %9lld %6lld  ", real(site, "delivered"),
               real(site, "deferred"), real(site, "bounced"), number(site, NULL, "waiting"),
               number(site, NULL, "connections"));
        print_cut(site, "constraint", 24);
        putchar('\n');
    }
}

static void print_waits(const json_t *top)
{
    const json_t *wait;
    size_t i;

    if (json_array_size(json_object_get(top, "waits")) == 0)
        return;
    printf("\n%-8s %-11s %-36s %s\n", "LONGEST", "state", "recipient", "waits for; rule; until");
    json_array_foreach(json_object_get(top, "waits"), i, wait)
    {
        print_age(number(wait, NULL, "age_ms"));
        fputs("  ", stdout);
        print_cut(wait, "state", 11);
        fputs(" ", stdout);
        print_cut(wait, "recipient", 36);
        printf(" ");
        cli_print_text(json_string_value(json_object_get(wait, "constraint")));
        const json_t *rule = json_object_get(wait, "rule");

        if (!json_is_string(rule))
            rule = json_object_get(wait, "detail");
        if (json_is_string(rule)) {
            fputs("; ", stdout);
            cli_print_text(json_string_value(rule));
        }
        if (json_is_string(json_object_get(wait, "until")))
            printf("; %s", json_string_value(json_object_get(wait, "until")));
        putchar('\n');
    }
}

/* What the terminal has left for sites; it may have been resized since the last time. */
static size_t rows_for_sites(void)
{
    enum { OTHER_ROWS = 16, ROWS_MIN = 3, ROWS_DEFAULT = 20 };
    struct winsize size;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row == 0)
        return ROWS_DEFAULT;
    return size.ws_row > OTHER_ROWS + ROWS_MIN ? size.ws_row - OTHER_ROWS : ROWS_MIN;
}

static void print_top(const struct cli *cli, json_t *top, bool is_live)
{
    if (cli->json) {
        cli_print_json(top);
        return;
    }
    if (is_live) /* home and clear: lines that are too long wrap, and nothing of them stays */
        fputs("\033[H\033[2J", stdout);
    print_front(top);
    print_sinks(top);
    print_sites(top, rows_for_sites());
    print_waits(top);
    json_decref(top);
}

static int show(const struct cli *cli, int64_t interval_ms, bool once)
{
    bool is_live = !once && !cli->json && isatty(STDOUT_FILENO);
    struct top_look before, now;

    int code = top_look(cli, &before);
    if (code != EXIT_GOOD)
        return code;
    do {
        usleep((useconds_t)(interval_ms * 1000));
        code = top_look(cli, &now);
        if (code != EXIT_GOOD)
            break;
        print_top(cli, top_between(&before, &now), is_live);
        top_look_free(&before);
        before = now;
    } while (fflush(stdout) == 0 && (is_live || (cli->json && !once)));
    top_look_free(&before);
    return code;
}

static int run_top(struct cli *cli)
{
    struct cli_walk walk = {0};
    const char *interval = NULL;
    int64_t interval_ms = INTERVAL_MS;
    bool once = false;

    while (cli_option(cli, &walk)) {
        if (cli_flag(&walk, "--once", &once) || cli_value(cli, &walk, "--interval", &interval))
            continue;
        return cli_misuse(cli, "unknown argument %s", walk.name != NULL ? walk.name : walk.word);
    }
    if (walk.is_bad)
        return EXIT_USAGE;
    if (interval != NULL && (!value_duration(bytes_of(interval), &interval_ms) ||
                             interval_ms < INTERVAL_MS_MIN || interval_ms > 3600 * 1000))
        return cli_misuse(cli, "--interval %s: expected an age from 100ms to 1h", interval);
    return show(cli, interval_ms, once);
}

const struct cli_command cli_top = {
    "top",
    "the relay live: rates, sites, the longest waits and why",
    "usage: ringpost [-c FILE] top [--once] [--interval AGE] [--json]\n\n"
    "What is accepted and becomes of mail a second, engines, queue, disk, sinks, the sites with\n"
    "the most mail and what holds it, and in each state (scheduled, ready, ...) who waits for the\n"
    "longest, for what and by which rule, again each AGE (2s). --once, or output that is no\n"
    "terminal: once, after one AGE. --json: an object a time, for ever without --once.\n",
    run_top,
};
