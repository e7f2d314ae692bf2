/* control_commands.c - finds the command of a request, and refuses what no row declares. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "event/json_text.h"
#include "relay/control_command.h"
#include "relay/control_walk.h"
#include "relay/program.h"

enum { WHOLE_STEP_US = 20000, NAMES_MAX = 512 };

static void command_help(struct control_client *client, const json_t *request);

static const struct control_command help_commands[] = {
    {.name = "help", .run = command_help, .says = "A line for each command and its arguments."},
    {.name = NULL},
};

static const struct control_command *const tables[] = {
    help_commands,          control_service_commands,
    control_queue_commands, control_suspension_commands,
    control_sink_commands,  control_report_commands,
};

const struct control_command *control_command_at(size_t number)
{
    for (size_t i = 0; i < ARRAY_LEN(tables); i++)
        for (const struct control_command *command = tables[i]; command->name != NULL; command++)
            if (number-- == 0)
                return command;
    return NULL;
}

const char *control_kind_name(enum control_kind kind)
{
    static const char *const names[] = {
        [CONTROL_TEXT] = "text", [CONTROL_NUMBER] = "number", [CONTROL_FLAG] = "boolean"};

    return names[kind];
}

/* --- help ------------------------------------------------------------------------------------- */

static json_t *command_json(const struct control_command *command)
{
    json_t *line = json_object(), *arguments = json_object();

    json_object_set_new(line, "command", json_text_of(command->name));
    json_object_set_new(line, "says", json_text_of(command->says));
    for (const struct control_argument *a = command->arguments; a != NULL && a->name != NULL; a++)
        json_object_set_new(arguments, a->name, json_text_of(control_kind_name(a->kind)));
    json_object_set_new(line, "arguments", arguments);
    return line;
}

static void command_help(struct control_client *client, const json_t *request)
{
    const struct control_command *command;

    (void)request;
    for (size_t i = 0; (command = control_command_at(i)) != NULL; i++)
        if (!control_line(client, command_json(command)))
            return;
    (void)control_line(client, control_done());
}

/* --- what no row declares --------------------------------------------------------------------- */

static void refuse_command(struct control_client *client, const char *name)
{
    char names[NAMES_MAX] = "";
    size_t len = 0;
    const struct control_command *command;

    for (size_t i = 0; (command = control_command_at(i)) != NULL && len < sizeof(names); i++)
        len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s", i == 0 ? "" : ", ",
                                command->name);
    control_fail(client, "unknown command %.80s; expected one of %s",
                 name == NULL ? "(none)" : name, names);
}

static const struct control_argument *find_argument(const struct control_command *command,
                                                    const char *name)
{
    for (const struct control_argument *a = command->arguments; a != NULL && a->name != NULL; a++)
        if (strcmp(a->name, name) == 0)
            return a;
    return NULL;
}

static void refuse_argument(struct control_client *client, const struct control_command *command,
                            const char *name)
{
    char names[NAMES_MAX] = "none";
    size_t len = 0;

    for (const struct control_argument *a = command->arguments;
         a != NULL && a->name != NULL && len < sizeof(names); a++)
        len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s", len == 0 ? "" : ", ",
                                a->name);
    control_fail(client, "%s takes no argument %.80s; expected %s", command->name, name, names);
}

static bool is_of_kind(const json_t *value, enum control_kind kind)
{
    switch (kind) {
    case CONTROL_TEXT:
        return json_is_string(value);
    case CONTROL_NUMBER:
        return json_is_integer(value) && json_integer_value(value) >= 0;
    case CONTROL_FLAG:
        return json_is_boolean(value);
    }
    return false;
}

/* What is misspelt or of another type would be left out, and more would be cancelled than was
 * meant. False after a complaint. */
static bool arguments_are_good(struct control_client *client, const struct control_command *command,
                               const json_t *request)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)request, name, value)
    {
        const struct control_argument *argument = find_argument(command, name);

        if (strcmp(name, "command") == 0)
            continue;
        if (argument == NULL) {
            refuse_argument(client, command, name);
            return false;
        }
        if (!is_of_kind(value, argument->kind)) {
            control_fail(client, "%s: %s is no %s", command->name, name,
                         control_kind_name(argument->kind));
            return false;
        }
    }
    return true;
}

/* --- dispatch --------------------------------------------------------------------------------- */

static void add_whole(struct worker *worker, void *context)
{
    bool *is_whole = context;

    for (unsigned i = 0; i < worker->shard_count; i++)
        *is_whole = *is_whole && shard_is_whole(worker->shards[i]);
}

/* Right after a start the queue is still being read from the spool; who asks about it would see
 * only what is new. */
static bool wait_whole(struct control_client *client)
{
    struct program *program = client->program;

    while (!control_is_broken_off(client)) {
        bool is_whole = true;

        for (unsigned i = 0; i < program->worker_count; i++)
            worker_call(&program->workers[i], add_whole, &is_whole);
        if (is_whole)
            return true;
        usleep(WHOLE_STEP_US);
    }
    return false;
}

static const struct control_command *find_command(const char *name)
{
    const struct control_command *command;

    for (size_t i = 0; (command = control_command_at(i)) != NULL; i++)
        if (strcmp(command->name, name) == 0)
            return command;
    return NULL;
}

void control_dispatch(struct control_client *client, const json_t *request)
{
    const char *name = json_string_value(json_object_get(request, "command"));
    const struct control_command *command = name == NULL ? NULL : find_command(name);

    if (command == NULL)
        refuse_command(client, name);
    else if (!arguments_are_good(client, command, request))
        return;
    else if (atomic_load(&client->program->is_stopping))
        control_answer_stopping(client, name);
    else if (!command->of_queue || wait_whole(client))
        command->run(client, request);
}
