/* queue.c - ringpost queue: look at unfinished mail and act on it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/cli/cli.h"
#include "relay/cli/content.h"
#include "relay/cli/explain.h"
#include "relay/cli/list.h"
#include "relay/config_value.h"

/* --- how lines look --------------------------------------------------------------------------- */

static const char *text(const json_t *line, const char *key)
{
    const char *value = json_string_value(json_object_get(line, key));

    return value == NULL ? "-" : value;
}

static void print_domain(void *context, const json_t *line)
{
    (void)context;
    printf("%10lld %s\n", (long long)json_integer_value(json_object_get(line, "recipients")),
           text(line, "domain"));
}

static void print_value(const json_t *value)
{
    char *json;

    if (json_is_string(value)) {
        puts(json_string_value(value));
        return;
    }
    json = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    puts(json == NULL ? "-" : json);
    free(json);
}

/* An explanation is an object of a few keys: one a line, a blank line between objects. */
static void print_object(void *context, const json_t *line)
{
    bool *is_later = context;
    const char *key;
    json_t *value;

    if (*is_later)
        putchar('\n');
    *is_later = true;
    json_object_foreach((json_t *)(uintptr_t)line, key, value)
    {
        printf("%-16s ", key);
        print_value(value);
    }
}

static void print_suspension(void *context, const json_t *line)
{
    static const char *const keys[] = {"domain", "sender", "recipient", "id", "until"};

    (void)context;
    printf("%lld", (long long)json_integer_value(json_object_get(line, "number")));
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (json_object_get(line, keys[i]) != NULL)
            printf(" %s=%s", keys[i], text(line, keys[i]));
    putchar('\n');
}

/* --- the subcommands -------------------------------------------------------------------------- */

enum {
    TAKES_FILTER = 1, /* id, --domain, --sender, --recipient */
    TAKES_AGE = 2,    /* --older-than */
    TAKES_DRY_RUN = 4,
    TAKES_FOR = 8,     /* --for DURATION */
    TAKES_NUMBER = 16, /* a suspension's number, or --all */
    TAKES_LIMIT = 32,
    TAKES_CONTENT = 64, /* --content: with an id and nothing else */
};

struct queue_command {
    const char *name;
    const char *command;
    unsigned takes;
    void (*line)(void *context, const json_t *line);
    const char *verb; /* for the closing sentence; NULL: none */
};

static const struct queue_command subcommands[] = {
    {"list", "queue.list", TAKES_FILTER | TAKES_AGE | TAKES_LIMIT, NULL, NULL}, /* cli_list() */
    {"domains", "queue.domains", 0, print_domain, NULL},
    {"show", "queue.show", TAKES_FILTER | TAKES_CONTENT, print_object, NULL},
    {"explain", "queue.explain", TAKES_FILTER, NULL, NULL}, /* cli_explain() */
    {"retry", "queue.retry", TAKES_FILTER | TAKES_AGE | TAKES_DRY_RUN, NULL, "due now"},
    {"cancel", "queue.cancel", TAKES_FILTER | TAKES_AGE | TAKES_DRY_RUN, NULL, "cancelled"},
    {"suspend", "queue.suspend", TAKES_FILTER | TAKES_DRY_RUN | TAKES_FOR, NULL, "suspended"},
    {"resume", "queue.resume", TAKES_FILTER | TAKES_NUMBER, NULL, NULL},
    {"suspensions", "queue.suspensions", 0, print_suspension, NULL},
};

struct queue_arguments {
    const char *id, *domain, *sender, *recipient, *age, *time, *limit;
    bool dry_run, all, content;
};

static bool take_argument(struct cli *cli, struct cli_walk *walk, unsigned takes,
                          struct queue_arguments *a)
{
    if (walk->word != NULL && (takes & TAKES_FILTER) != 0 && a->id == NULL) {
        a->id = walk->word;
        return true;
    }
    if ((takes & TAKES_FILTER) != 0 && (cli_value(cli, walk, "--domain", &a->domain) ||
                                        cli_value(cli, walk, "--sender", &a->sender) ||
                                        cli_value(cli, walk, "--recipient", &a->recipient) ||
                                        cli_value(cli, walk, "--id", &a->id)))
        return true;
    return ((takes & TAKES_AGE) != 0 && cli_value(cli, walk, "--older-than", &a->age)) ||
           ((takes & TAKES_FOR) != 0 && cli_value(cli, walk, "--for", &a->time)) ||
           ((takes & TAKES_LIMIT) != 0 && cli_value(cli, walk, "--limit", &a->limit)) ||
           ((takes & TAKES_DRY_RUN) != 0 && cli_flag(walk, "--dry-run", &a->dry_run)) ||
           ((takes & TAKES_NUMBER) != 0 && cli_flag(walk, "--all", &a->all)) ||
           ((takes & TAKES_CONTENT) != 0 && cli_flag(walk, "--content", &a->content));
}

/* Seconds of a duration; false after a complaint. */
static bool seconds(struct cli *cli, const char *name, const char *value, json_int_t *seconds_out)
{
    int64_t ms;

    if (value == NULL)
        return true;
    if (!value_duration(bytes_of(value), &ms) || ms < 1000) {
        cli_misuse(cli, "%s %s: expected a duration such as 90s, 30m, 4h or 2d", name, value);
        return false;
    }
    *seconds_out = ms / 1000;
    return true;
}

/* False after a complaint: without a part of what was named, more would be matched. */
static bool set_text(struct cli *cli, json_t *request, const char *key, const char *value)
{
    if (value == NULL || json_object_set_new(request, key, json_string(value)) == 0)
        return true;
    cli_misuse(cli, "%s is not UTF-8", key);
    return false;
}

/* The request, or NULL after a complaint. */
static json_t *make_request(struct cli *cli, const struct queue_command *sub,
                            const struct queue_arguments *a)
{
    json_int_t age_s = 0, for_s = 0;
    uint64_t number = 0, limit = 0;

    if (!seconds(cli, "--older-than", a->age, &age_s) || !seconds(cli, "--for", a->time, &for_s))
        return NULL;
    if (a->limit != NULL &&
        (!bytes_to_u64(bytes_of(a->limit), &limit) || limit == 0 || limit > (uint64_t)INT64_MAX)) {
        cli_misuse(cli, "--limit %s: expected a number from 1", a->limit);
        return NULL;
    }
    json_t *request = json_pack("{s:s}", "command", sub->command);
    bool is_number =
        (sub->takes & TAKES_NUMBER) != 0 && a->id != NULL && bytes_to_u64(bytes_of(a->id), &number);
    if (is_number)
        json_object_set_new(request, "number", json_integer((json_int_t)number));
    if (!set_text(cli, request, "id", is_number ? NULL : a->id) ||
        !set_text(cli, request, "domain", a->domain) ||
        !set_text(cli, request, "sender", a->sender) ||
        !set_text(cli, request, "recipient", a->recipient)) {
        json_decref(request);
        return NULL;
    }
    if (age_s > 0)
        json_object_set_new(request, "older_than_s", json_integer(age_s));
    if (for_s > 0)
        json_object_set_new(request, "for_s", json_integer(for_s));
    if (limit > 0)
        json_object_set_new(request, "limit", json_integer((json_int_t)limit));
    if (a->dry_run)
        json_object_set_new(request, "dry_run", json_true());
    if (a->all)
        json_object_set_new(request, "all", json_true());
    return request;
}

static void print_total(const struct cli *cli, const struct queue_command *sub, const json_t *done)
{
    long long matched = (long long)json_integer_value(json_object_get(done, "matched"));
    long long acted = (long long)json_integer_value(json_object_get(done, "acted"));
    long long busy = (long long)json_integer_value(json_object_get(done, "busy"));
    long long unreadable = (long long)json_integer_value(json_object_get(done, "unreadable"));

    if (cli->json) {
        char *json = json_dumps(done, JSON_COMPACT);

        puts(json == NULL ? "{}" : json);
        free(json);
        return;
    }
    if (json_is_true(json_object_get(done, "dry_run")))
        printf("%lld recipients match; nothing was changed\n", matched);
    else if (json_object_get(done, "suspension") != NULL)
        printf("suspension %lld holds %lld recipients back now, and what comes\n",
               (long long)json_integer_value(json_object_get(done, "suspension")), matched);
    else if (sub->verb != NULL)
        printf("%lld of %lld recipients %s%s\n", acted, matched, sub->verb,
               busy > 0 ? "; the rest is in an attempt right now" : "");
    if (unreadable > 0)
        fprintf(stderr, "%lld messages could not be read back; `ringpost spool check` tells why\n",
                unreadable);
}

static int show_content(struct cli *cli, const struct queue_arguments *a)
{
    if (a->id == NULL || a->domain != NULL || a->sender != NULL || a->recipient != NULL)
        return cli_misuse(cli, "show --content takes the id of a message, and nothing else");
    json_t *request = json_pack("{s:s}", "command", "queue.content");
    if (!set_text(cli, request, "id", a->id)) {
        json_decref(request);
        return EXIT_USAGE;
    }
    return cli_content(cli, request);
}

static int run_sub(struct cli *cli, const struct queue_command *sub)
{
    struct queue_arguments arguments = {0};
    struct cli_walk walk = {.next = 2};
    bool is_later = false;
    json_t *done = NULL;

    while (cli_option(cli, &walk)) {
        if (!take_argument(cli, &walk, sub->takes, &arguments))
            return cli_misuse(cli, "%s does not take %s", sub->name,
                              walk.name != NULL ? walk.name : walk.word);
    }
    if (walk.is_bad)
        return EXIT_USAGE;
    if (arguments.content)
        return show_content(cli, &arguments);
    json_t *request = make_request(cli, sub, &arguments);
    if (request == NULL)
        return EXIT_USAGE;
    if (strcmp(sub->name, "explain") == 0)
        return cli_explain(cli, request);
    int code = strcmp(sub->name, "list") == 0
                   ? cli_list(cli, request, &done)
                   : cli_control(cli, request, sub->line, &is_later, &done);
    if (code == EXIT_GOOD && (sub->verb != NULL || cli->json))
        print_total(cli, sub, done);
    else if (code == EXIT_GOOD && strcmp(sub->name, "resume") == 0)
        printf("%lld suspensions removed\n",
               (long long)json_integer_value(json_object_get(done, "removed")));
    json_decref(done);
    return code;
}

static int run_queue(struct cli *cli)
{
    if (cli->argc < 2 || cli->help) {
        printf("%s", cli_queue.usage);
        return cli->help ? EXIT_GOOD : EXIT_USAGE;
    }
    for (size_t i = 0; i < ARRAY_LEN(subcommands); i++)
        if (strcmp(cli->argv[1], subcommands[i].name) == 0)
            return run_sub(cli, &subcommands[i]);
    return cli_misuse(cli, "unknown subcommand %s", cli->argv[1]);
}

const struct cli_command cli_queue = {
    "queue",
    "look at unfinished mail: list, explain, retry, cancel, suspend ...",
    "usage: ringpost [-c FILE] queue SUBCOMMAND [WHICH] [--json]\n\n"
    "  list        [WHICH] [--older-than AGE] [--limit N]   a line for each recipient,\n"
    "                                                       with its last reply\n"
    "  domains                                              how many wait for each domain\n"
    "  show        ID                                       one message's recipients\n"
    "  show        ID --content                             the message as it is delivered\n"
    "  explain     ID | --domain NAME       what it waits for, which rule, until when, and what\n"
    "                                       happened last\n"
    "  retry       WHICH [--older-than AGE] [--dry-run]     make due now\n"
    "  cancel      WHICH [--older-than AGE] [--dry-run]     end, with an event and no bounce mail\n"
    "  suspend     WHICH [--for DURATION] [--dry-run]       hold back, also what will come\n"
    "  resume      NUMBER | WHICH | --all                   let go again\n"
    "  suspensions                                          the rules that hold mail back\n\n"
    "WHICH: ID, --domain NAME (or *.suffix, or *), --sender ADDRESS (or @domain, or <>),\n"
    "       --recipient ADDRESS (or @domain); all that are given must hold.\n"
    "--dry-run counts and changes nothing. AGE and DURATION: 90s, 30m, 4h, 2d.\n",
    run_queue,
};
