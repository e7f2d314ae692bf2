/* sinks.c - ringpost events sinks, ringpost events replay: who is told of events, and how far. */
#include <stdio.h>
#include <string.h>

#include "relay/cli/cli.h"

static long long number(const json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}

static void print_sink(void *context, const json_t *sink)
{
    const json_t *problem = json_object_get(sink, "problem");

    (void)context;
    printf("%-16s %-8s %-8s %lld events behind, %.1f s; %lld in flight, %lld answered",
           json_string_value(json_object_get(sink, "sink")),
           json_string_value(json_object_get(sink, "kind")),
           json_string_value(json_object_get(sink, "state")), number(sink, "behind_events"),
           json_real_value(json_object_get(sink, "behind_seconds")), number(sink, "in_flight"),
           number(sink, "answered"));
    if (number(sink, "gap_events") > 0)
        printf("; %lld left out", number(sink, "gap_events"));
    if (json_is_object(problem)) {
        printf("; %s since %s: ", json_string_value(json_object_get(problem, "name")),
               json_string_value(json_object_get(problem, "since")));
        cli_print_text(json_string_value(json_object_get(problem, "text")));
    }
    putchar('\n');
}

static int list_sinks(struct cli *cli)
{
    json_t *done = NULL;

    int code =
        cli_control(cli, json_pack("{s:s}", "command", "events.sinks"), print_sink, NULL, &done);
    if (code == EXIT_GOOD && cli->json)
        cli_print_json(json_incref(done));
    else if (code == EXIT_GOOD)
        printf("%.1f MiB of closed event files wait for sinks, of %.1f MiB that may%s\n",
               (double)number(done, "held_bytes") / 1048576,
               (double)number(done, "budget_bytes") / 1048576,
               json_is_true(json_object_get(done, "full")) ? " - FULL: mail is refused with 452"
                                                           : "");
    json_decref(done);
    return code;
}

/* {"command": ..., "sink": ...}, or NULL after a complaint. */
static json_t *request_of(const struct cli *cli, const char *command, const char *sink)
{
    json_t *request = json_pack("{s:s}", "command", command);

    if (json_object_set_new(request, "sink", json_string(sink)) == 0)
        return request;
    json_decref(request);
    (void)cli_misuse(cli, "the sink's name is not UTF-8");
    return NULL;
}

static int run_sinks(struct cli *cli)
{
    struct cli_walk walk = {.next = 2};
    const char *words[2] = {NULL, NULL};

    while (cli_option(cli, &walk)) {
        size_t at = words[0] == NULL ? 0 : 1;

        if (walk.word == NULL || words[at] != NULL)
            return cli_misuse(cli, "sinks does not take %s",
                              walk.name != NULL ? walk.name : walk.word);
        words[at] = walk.word;
    }
    if (walk.is_bad)
        return EXIT_USAGE;
    if (words[0] == NULL)
        return list_sinks(cli);
    bool is_pause = strcmp(words[0], "pause") == 0;
    if (!is_pause && strcmp(words[0], "resume") != 0)
        return cli_misuse(cli, "sinks %s: expected pause or resume, and a name", words[0]);
    if (words[1] == NULL)
        return cli_misuse(cli, "sinks %s: which one? `ringpost events sinks` lists them", words[0]);
    json_t *request = request_of(cli, is_pause ? "events.pause" : "events.resume", words[1]);
    return request == NULL ? EXIT_USAGE : cli_control(cli, request, NULL, NULL, NULL);
}

static int run_replay(struct cli *cli)
{
    const char *sink = NULL, *since = NULL;
    struct cli_walk walk = {.next = 2};
    json_t *done = NULL;
    int64_t since_ms;

    while (cli_option(cli, &walk)) {
        if (cli_value(cli, &walk, "--sink", &sink) || cli_value(cli, &walk, "--since", &since))
            continue;
        return cli_misuse(cli, "replay does not take %s",
                          walk.name != NULL ? walk.name : walk.word);
    }
    if (walk.is_bad)
        return EXIT_USAGE;
    if (sink == NULL || since == NULL)
        return cli_misuse(cli, "replay takes --sink NAME and --since TIME");
    if (!cli_since(cli, since, &since_ms))
        return EXIT_USAGE;
    json_t *request = request_of(cli, "events.replay", sink);
    if (request == NULL)
        return EXIT_USAGE;
    json_object_set_new(request, "since_ms", json_integer(MAX(since_ms, (int64_t)0)));
    int code = cli_control(cli, request, NULL, NULL, &done);
    if (code == EXIT_GOOD && cli->json)
        cli_print_json(json_incref(done));
    else if (code == EXIT_GOOD)
        printf("%lld events are told to %s again\n", number(done, "events"), sink);
    json_decref(done);
    return code;
}

bool cli_sinks(struct cli *cli, int *code_out)
{
    const char *word = cli->argc < 2 ? "" : cli->argv[1];

    if (strcmp(word, "sinks") == 0)
        *code_out = run_sinks(cli);
    else if (strcmp(word, "replay") == 0)
        *code_out = run_replay(cli);
    else
        return false;
    return true;
}
