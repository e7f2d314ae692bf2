/* control_sinks.c - control commands about the sinks: their state, pause, resume, replay. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "event/json_text.h"
#include "relay/control_command.h"
#include "relay/program.h"

static json_t *problem_json(const struct sink_status *status)
{
    char since[CLOCK_TEXT_MAX];

    if (status->problem == SINK_WELL)
        return json_null();
    clock_format_rfc3339(status->since_ms, since);
    return json_pack("{s:s, s:s, s:o}", "name", sink_problem_name(status->problem), "since", since,
                     "text", json_text_of(status->text));
}

static json_t *sink_json(const struct sink_status *status)
{
    const char *state = status->is_paused              ? "paused"
                        : status->problem != SINK_WELL ? "failing"
                        : status->behind_events > 0    ? "behind"
                                                       : "current";

    return json_pack("{s:s, s:s, s:s, s:I, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "sink",
                     status->name, "kind", status->kind, "state", state, "behind_events",
                     (json_int_t)status->behind_events, "behind_seconds",
                     (double)status->behind_ms / 1000, "in_flight", (json_int_t)status->in_flight,
                     "answered", (json_int_t)status->answered, "restarts",
                     (json_int_t)status->restarts, "gaps", (json_int_t)status->gaps, "gap_events",
                     (json_int_t)status->gap_events, "oldest_file", (json_int_t)status->needs,
                     "problem", problem_json(status));
}

json_t *control_sinks_json(const struct program *program)
{
    size_t count;
    struct sink_status *all = sinks_status(program->sinks, &count);
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, sink_json(&all[i]));
    free(all);
    return list;
}

static void command_sinks(struct control_client *client, const json_t *request)
{
    struct sinks_held held;
    json_t *list = control_sinks_json(client->program), *sink;
    size_t i;

    (void)request;
    sinks_held(client->program->sinks, &held);
    json_array_foreach(list, i, sink)
    {
        if (!control_line(client, json_incref(sink)))
            break;
    }
    json_decref(list);
    (void)control_line(client, json_pack("{s:b, s:I, s:I, s:b}", "done", 1, "held_bytes",
                                         (json_int_t)held.bytes, "budget_bytes",
                                         (json_int_t)held.budget, "full", held.is_full));
}

/* True when it could be done; else that was told. */
static bool is_good(struct control_client *client, const char *name, int error)
{
    if (error == -ENOENT)
        control_fail(client, "there is no sink %.80s; `ringpost events sinks` lists them", name);
    else if (error == -ECANCELED)
        control_fail(client, "broken off: ringpost is stopping");
    else if (error < 0)
        control_fail(client, "sink %.80s: %s", name, strerror(-error));
    return error == 0;
}

/* NULL after a complaint. */
static const char *sink_argument(struct control_client *client, const json_t *request)
{
    const char *name = json_string_value(json_object_get(request, "sink"));

    if (name == NULL)
        control_fail(client, "no sink is named");
    return name;
}

static void set_paused(struct control_client *client, const json_t *request, bool is_paused)
{
    const char *name = sink_argument(client, request);

    if (name != NULL && is_good(client, name, sinks_pause(client->program->sinks, name, is_paused)))
        (void)control_line(client, control_done());
}

static void command_pause(struct control_client *client, const json_t *request)
{
    set_paused(client, request, true);
}

static void command_resume(struct control_client *client, const json_t *request)
{
    set_paused(client, request, false);
}

static void command_replay(struct control_client *client, const json_t *request)
{
    const char *name = sink_argument(client, request);
    const json_t *since = json_object_get(request, "since_ms");
    uint64_t count = 0;

    if (name == NULL)
        return;
    if (since == NULL) {
        control_fail(client, "no since_ms: from when on?");
        return;
    }
    int error = sinks_replay(client->program->sinks, name, json_integer_value(since), &count);
    if (is_good(client, name, error))
        (void)control_line(client, json_pack("{s:b, s:I}", "done", 1, "events", (json_int_t)count));
}

static const struct control_argument sink_arguments[] = {
    {"sink", CONTROL_TEXT, "its name"},
    {.name = NULL},
};
static const struct control_argument replay_arguments[] = {
    {"sink", CONTROL_TEXT, "its name"},
    {"since_ms", CONTROL_NUMBER, "wall time of the first event"},
    {.name = NULL},
};

const struct control_command control_sink_commands[] = {
    {.name = "events.sinks",
     .run = command_sinks,
     .says = "A line for each sink of events: state, how far behind, what is wrong."},
    {.name = "events.pause",
     .run = command_pause,
     .arguments = sink_arguments,
     .says = "Hold a sink where it is, also over restarts."},
    {.name = "events.resume",
     .run = command_resume,
     .arguments = sink_arguments,
     .says = "Let a sink go on."},
    {.name = "events.replay",
     .run = command_replay,
     .arguments = replay_arguments,
     .says = "Tell a sink everything since a time again."},
    {.name = NULL},
};
