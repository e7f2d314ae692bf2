/* last_outcome.c - deferrals, read from the event files. */
#include "relay/cli/last_outcome.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "event/event.h"

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* What of a deferred event tells why it was not delivered. */
static json_t *outcome_of(const json_t *event)
{
    static const char *const keys[] = {"time", "recipient", "reply", "class", "rule"};
    static const char *const of_egress[] = {"mx_host", "mx_ip", "source"};
    json_t *egress = json_object_get(event, "egress");
    json_t *outcome = json_object();

    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        json_object_set(outcome, keys[i], json_object_get(event, keys[i]));
    json_object_set(outcome, "attempt",
                    json_object_get(json_object_get(event, "attempt"), "number"));
    for (size_t i = 0; i < ARRAY_LEN(of_egress); i++)
        json_object_set(outcome, of_egress[i], json_object_get(egress, of_egress[i]));
    return outcome;
}

bool last_outcomes_read(const struct cli *cli, const struct event_filter *filter,
                        void (*each)(void *context, const char *id, const char *recipient,
                                     json_t *outcome),
                        void *context)
{
    char state_dir[CLI_PATH_MAX], directory[CLI_PATH_MAX];
    struct event_tail *tail;
    struct bytes line;

    if (!cli_state_dir(cli, state_dir) ||
        !state_dir_file(state_dir, "events", directory, sizeof(directory)))
        return false;
    int got = event_tail_open(directory, filter, false, &tail);
    bool is_open = got == 0;

    while (is_open && (got = event_tail_next(tail, &line)) > 0) {
        if (bytes_find_bytes(line, BYTES("deferred"), 0) == line.len)
            continue; /* most are none: not to be parsed */
        json_t *event = json_loadb((const char *)line.ptr, line.len, 0, NULL);
        const char *kind = text_of(event, "kind");
        const char *id = text_of(event, "id");
        const char *recipient = text_of(event, "recipient");

        if (kind != NULL && id != NULL && recipient != NULL && strcmp(kind, "deferred") == 0) {
            json_t *outcome = outcome_of(event);

            each(context, id, recipient, outcome);
            json_decref(outcome);
        }
        json_decref(event);
    }
    if (is_open)
        event_tail_close(&tail);
    if (got < 0)
        fprintf(stderr, "ringpost: last outcomes cannot be read from %s: %s\n", directory,
                strerror(-got));
    return got == 0;
}

static json_t *checks_of(struct bytes line)
{
    json_t *event = json_loadb((const char *)line.ptr, line.len, 0, NULL);
    const char *kind = text_of(event, "kind");
    json_t *checks = NULL;

    if (kind != NULL && strcmp(kind, "received") == 0)
        checks = json_incref(json_object_get(event, "checks"));
    json_decref(event);
    return checks;
}

json_t *last_outcome_checks(const struct cli *cli, const char *id, int64_t since_ms)
{
    const struct event_filter filter = {.id = id, .since_ms = since_ms};
    char state_dir[CLI_PATH_MAX], directory[CLI_PATH_MAX];
    struct event_tail *tail;
    struct bytes line;
    json_t *checks = NULL;

    if (!cli_state_dir(cli, state_dir) ||
        !state_dir_file(state_dir, "events", directory, sizeof(directory)) ||
        event_tail_open(directory, &filter, false, &tail) < 0)
        return NULL;
    while (checks == NULL && event_tail_next(tail, &line) > 0)
        if (bytes_find_bytes(line, BYTES("\"received\""), 0) != line.len)
            checks = checks_of(line);
    event_tail_close(&tail);
    return checks;
}

int64_t last_outcome_wall_ms(const json_t *line, const char *key)
{
    const char *text = text_of(line, key);
    int64_t wall_ms;

    return text != NULL && clock_parse_rfc3339(bytes_of(text), &wall_ms) ? wall_ms : 0;
}
