/* trace.c - ringpost trace: one message from its connection to its last outcome. */
#include "relay/cli/trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "event/event_head.h"
#include "event/event_tail.h"
#include "relay/cli/cli.h"

enum { SINCE_SLACK_MS = 3600 * 1000 /* clocks are set */ };

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* --- for people ------------------------------------------------------------------------------- */

static void print_text(const char *before, const json_t *object, const char *key, const char *after)
{
    const char *text = text_of(object, key);

    if (text == NULL)
        return;
    fputs(before, stdout);
    cli_print_text(text);
    fputs(after, stdout);
}

static int64_t time_of(const json_t *object, const char *key)
{
    const char *text = text_of(object, key);
    int64_t wall_ms;

    return text != NULL && clock_parse_rfc3339(bytes_of(text), &wall_ms) ? wall_ms : 0;
}

static void print_message(const json_t *whole)
{
    const json_t *client = json_object_get(whole, "client");
    const char *sender = text_of(whole, "sender");
    int64_t connected_ms = time_of(client, "connected_time");
    int64_t accepted_ms = time_of(whole, "accepted_time");

    print_text("message   ", whole, "id", "\n");
    if (sender != NULL && sender[0] == '\0')
        puts("from      <> (a notification)");
    else
        print_text("from      ", whole, "sender", "\n");
    print_text("header id ", whole, "header_message_id", "\n");
    print_text("tenant    ", whole, "tenant", "\n");
    print_text("campaign  ", whole, "campaign", "\n");
    if (json_is_integer(json_object_get(whole, "size")))
        printf("size      %lld bytes\n",
               (long long)json_integer_value(json_object_get(whole, "size")));
    if (text_of(client, "ip") != NULL) {
        print_text("client    ", client, "ip", "");
        print_text(" (", client, "ehlo", ")");
        print_text(", ", client, "service", "");
        print_text(", session=", client, "session", "");
        putchar('\n');
    }
    print_text("connected ", client, "connected_time", "\n");
    print_text("accepted  ", whole, "accepted_time", "");
    if (connected_ms != 0 && accepted_ms >= connected_ms)
        printf("  +%.3f s", (double)(accepted_ms - connected_ms) / 1000);
    if (accepted_ms != 0)
        putchar('\n');
}

static void print_times(const json_t *attempt)
{
    static const char *const names[] = {"wait", "dns", "connect", "tls", "envelope", "content"};
    const json_t *times = json_object_get(attempt, "times");
    char key[32];

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(key, sizeof(key), "%s_ms", names[i]);
        const json_t *ms = json_object_get(times, key);

        if (json_is_integer(ms))
            printf(" %s=%lldms", names[i], (long long)json_integer_value(ms));
    }
}

static void print_reply(const json_t *reply)
{
    const json_t *code = json_object_get(reply, "code");

    if (text_of(reply, "from") == NULL)
        return;
    printf("            %s:", strcmp(text_of(reply, "from"), "peer") == 0 ? "they" : "we");
    if (json_is_integer(code))
        printf(" %lld", (long long)json_integer_value(code));
    print_text(" ", reply, "enhanced", "");
    print_text(" ", reply, "text", "");
    putchar('\n');
}

static void print_step(const json_t *step)
{
    const json_t *event = json_object_get(step, "event");
    const json_t *attempt = json_object_get(event, "attempt");
    const json_t *egress = json_object_get(event, "egress");
    const json_t *number = json_object_get(attempt, "number");

    printf("  +%8.3f s ", (double)json_integer_value(json_object_get(step, "ms")) / 1000);
    print_text("", event, "kind", "");
    print_text("  ", event, "time", "");
    if (json_is_integer(number))
        printf("  attempt %lld:", (long long)json_integer_value(number));
    print_times(attempt);
    print_text(" to ", egress, "mx_host", "");
    print_text(" [", egress, "mx_ip", "]");
    print_text(" from ", egress, "source", "");
    putchar('\n');
    print_reply(json_object_get(event, "reply"));
    if (text_of(event, "rule") != NULL) {
        print_text("            class ", event, "class", "");
        print_text(", rule ", event, "rule", "");
        print_text(", next ", event, "next_attempt_time", "");
        putchar('\n');
    }
}

static void print_wait(const json_t *recipient)
{
    const json_t *wait = json_object_get(recipient, "waits");

    if (strcmp(text_of(recipient, "state"), "queued") != 0)
        return;
    if (!json_is_object(wait)) {
        puts("  unfinished; what it waits for only a daemon knows");
        return;
    }
    fputs("  now        ", stdout);
    print_text("", wait, "state", "");
    print_text(", waits for ", wait, "constraint", "");
    print_text(", rule ", wait, "rule", "");
    print_text(", until ", wait, "until", "");
    print_text(", expires ", wait, "expires", "");
    putchar('\n');
}

/* What was found of a received message, and what that weighed. */
static void print_checks(const json_t *event)
{
    size_t i;
    json_t *check;

    json_array_foreach(json_object_get(event, "checks"), i, check)
    {
        print_text("  ", check, "check", "");
        print_text("=", check, "result", "");
        print_text(" ", check, "detail", "");
        print_text(" -> ", check, "weight", "");
        putchar('\n');
    }
}

static void print_trace(const json_t *whole)
{
    size_t i, k;
    json_t *recipient, *step;

    print_message(whole);
    json_array_foreach(json_object_get(whole, "recipients"), i, recipient)
    {
        putchar('\n');
        print_text("", recipient, "recipient", "");
        if (text_of(recipient, "recipient") == NULL)
            fputs("(an address that does not read back)", stdout);
        printf(": %s\n", text_of(recipient, "state"));
        json_array_foreach(json_object_get(recipient, "steps"), k, step)
        {
            const char *kind = text_of(json_object_get(step, "event"), "kind");

            if (kind == NULL || strcmp(kind, "accepted") != 0)
                print_step(step);
        }
        print_wait(recipient);
    }
    json_array_foreach(json_object_get(whole, "beside"), i, step)
    {
        print_text("\nbeside: ", step, "kind", "");
        print_text("  ", step, "time", "");
        print_text("  ", json_object_get(step, "reply"), "text", "");
        putchar('\n');
        print_checks(step);
    }
}

/* --- reading ---------------------------------------------------------------------------------- */

static int read_events(const char *directory, const struct event_filter *filter,
                       struct trace *trace)
{
    struct event_tail *tail;
    struct bytes line;

    int got = event_tail_open(directory, filter, false, &tail);
    if (got < 0)
        return got == -ENOENT ? 0 : got; /* a daemon that never ran */
    while ((got = event_tail_next(tail, &line)) > 0) {
        json_t *event = json_loadb((const char *)line.ptr, line.len, 0, NULL);

        trace_add_event(trace, event);
        json_decref(event);
    }
    event_tail_close(&tail);
    return got;
}

static void keep_wait(void *context, const json_t *line)
{
    trace_add_wait(context, (json_t *)(uintptr_t)line);
}

/* Quietly: it may have ended meanwhile, or no daemon runs. */
static void ask_daemon(const struct cli *cli, const char *state_dir, const char *id,
                       struct trace *trace)
{
    struct cli quiet = *cli;

    quiet.json = false; /* lines are kept, not printed */
    quiet.is_quiet = true;
    if (cli_is_served(state_dir))
        (void)cli_control(&quiet, json_pack("{s:s, s:s}", "command", "queue.explain", "id", id),
                          keep_wait, trace, NULL);
}

static int trace_message(const struct cli *cli, const char *id, struct message_id parsed)
{
    char state_dir[CLI_PATH_MAX], directory[CLI_PATH_MAX];
    struct event_filter filter = {
        .id = id,
        .since_ms = MAX(event_head_id_us(parsed) / 1000 - SINCE_SLACK_MS, (int64_t)0),
    };
    struct trace *trace;

    if (!cli_state_dir(cli, state_dir))
        return EXIT_CONFIG;
    if (!state_dir_file(state_dir, "events", directory, sizeof(directory)))
        return cli_fail(EXIT_CONFIG, "%s: too long a path", state_dir);
    trace = trace_create();
    int error = read_events(directory, &filter, trace);
    if (error == 0 && trace_is_unfinished(trace))
        ask_daemon(cli, state_dir, id, trace);
    json_t *whole = error < 0 ? NULL : trace_finish(trace, id);
    trace_free(&trace);
    if (error < 0)
        return cli_fail(EXIT_FAILED, "%s: %s", directory, strerror(-error));
    if (whole == NULL)
        return cli_fail(EXIT_FAILED,
                        "no message %s: neither the event files in %s nor the queue know it", id,
                        directory);
    if (cli->json) {
        cli_print_json(whole);
        return EXIT_GOOD;
    }
    print_trace(whole);
    json_decref(whole);
    return EXIT_GOOD;
}

static int run_trace(struct cli *cli)
{
    struct cli_walk walk = {0};
    const char *id = NULL;
    struct message_id parsed;

    while (cli_option(cli, &walk)) {
        if (walk.word == NULL || id != NULL)
            return cli_misuse(cli, "unknown argument %s",
                              walk.name != NULL ? walk.name : walk.word);
        id = walk.word;
    }
    if (id == NULL)
        return cli_misuse(cli, "nothing named; give a message id");
    if (!event_head_parse_id(bytes_of(id), &parsed))
        return cli_misuse(cli, "%s: expected 20 characters such as a3f100-5f3a9c1b2d4e7", id);
    return trace_message(cli, id, parsed);
}

const struct cli_command cli_trace = {
    "trace",
    "a message's life, from its connection to its last outcome",
    "usage: ringpost [-c FILE] trace ID [--json]\n\n"
    "Puts together what the event files tell of a message and, while it is unfinished, what the\n"
    "daemon says it waits for: of each recipient every attempt with the time since the step\n"
    "before, where that time went, the reply and the rule that decided.\n",
    run_trace,
};
