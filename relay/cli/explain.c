/* explain.c - the daemon's explanation, with the last outcome out of the event files. */
#include "relay/cli/explain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/cli/last_outcome.h"

struct explanation {
    const struct cli *cli;
    json_t *lines; /* the daemon's, in order */
};

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* --- the last outcome ------------------------------------------------------------------------- */

static void keep_outcome(void *context, const char *id, const char *recipient, json_t *outcome)
{
    (void)id; /* of the message asked for, or of any of the domain */
    json_object_set(context, recipient, outcome);
}

static json_t *latest(json_t *outcomes)
{
    json_t *found = NULL, *outcome;
    const char *recipient;

    json_object_foreach(outcomes, recipient, outcome)
    {
        /* RFC 3339 in UTC with milliseconds: the order of texts is that of times. */
        if (found == NULL || strcmp(text_of(outcome, "time"), text_of(found, "time")) > 0)
            found = outcome;
    }
    return found;
}

/* Before what the engines know, which is long. */
static void set_outcome(json_t *line, json_t *outcome)
{
    json_t *engines = json_incref(json_object_get(line, "engines"));

    json_object_del(line, "engines");
    json_object_set(line, "last_outcome", outcome != NULL ? outcome : json_null());
    if (engines != NULL)
        json_object_set_new(line, "engines", engines);
}

/* A message's lines say what was checked of it, where it came from the world. */
static void add_checks(const struct explanation *e, const char *id)
{
    const json_t *first = json_array_get(e->lines, 0);
    json_t *checks = last_outcome_checks(e->cli, id, last_outcome_wall_ms(first, "accepted"));
    json_t *line;
    size_t i;

    if (checks == NULL)
        return;
    json_array_foreach(e->lines, i, line) json_object_set(line, "checks", checks);
    json_decref(checks);
}

/* Lines of a message get their recipient's last outcome, a domain's line the last of them all. A
 * failure leaves them as they are: the explanation is good without. */
static void add_outcomes(const struct explanation *e, const char *id, const char *domain)
{
    char at_domain[300];
    const json_t *first = json_array_get(e->lines, 0);
    struct event_filter filter = {.id = id};
    json_t *outcomes = json_object(), *line;
    size_t i;

    snprintf(at_domain, sizeof(at_domain), "@%s", domain != NULL ? domain : "");
    if (id == NULL)
        filter.recipient = at_domain;
    filter.since_ms = last_outcome_wall_ms(first, id != NULL ? "accepted" : "oldest_accepted");
    if (!last_outcomes_read(e->cli, &filter, keep_outcome, outcomes))
        goto out;
    json_array_foreach(e->lines, i, line)
    {
        const char *recipient = text_of(line, "recipient");
        json_t *outcome = id == NULL          ? latest(outcomes)
                          : recipient != NULL ? json_object_get(outcomes, recipient)
                                              : NULL;

        set_outcome(line, outcome);
    }
out:
    json_decref(outcomes);
}

/* --- for people ------------------------------------------------------------------------------- */

static void print_members(const json_t *object, int indent);

static void print_value(const json_t *value, int indent)
{
    size_t i;
    json_t *item;

    if (json_is_object(value)) {
        putchar('\n');
        print_members(value, indent + 2);
        return;
    }
    if (json_is_array(value)) {
        putchar('\n');
        json_array_foreach(value, i, item)
        {
            printf("%*s%zu:", indent + 2, "", i + 1);
            print_value(item, indent + 2);
        }
        return;
    }
    putchar(' ');
    if (json_is_string(value))
        cli_print_text(json_string_value(value));
    else if (json_is_integer(value))
        printf("%lld", (long long)json_integer_value(value));
    else
        putchar('-');
    putchar('\n');
}

static void print_members(const json_t *object, int indent)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        printf("%*s%-*s", indent, "", json_is_object(value) || json_is_array(value) ? 0 : 15, key);
        print_value(value, indent);
    }
}

static void print_lines(const struct explanation *e)
{
    size_t i;
    json_t *line;

    json_array_foreach(e->lines, i, line)
    {
        if (!e->cli->json) {
            if (i > 0)
                putchar('\n');
            print_members(line, 0);
            continue;
        }
        char *text = json_dumps(line, JSON_COMPACT);

        puts(text == NULL ? "{}" : text);
        free(text);
    }
}

/* --- the command ------------------------------------------------------------------------------ */

static void keep_line(void *context, const json_t *line)
{
    struct explanation *e = context;

    json_array_append(e->lines, (json_t *)(uintptr_t)line);
}

int cli_explain(const struct cli *cli, json_t *request)
{
    struct cli kept = *cli;
    struct explanation e = {.cli = cli, .lines = json_array()};
    json_t *id = json_incref(json_object_get(request, "id"));
    json_t *domain = json_incref(json_object_get(request, "domain"));
    json_t *done = NULL;

    kept.json = false; /* lines are to be kept, not printed */
    int code = cli_control(&kept, request, keep_line, &e, &done);

    if (code == EXIT_GOOD && json_array_size(e.lines) > 0) {
        add_outcomes(&e, json_string_value(id), json_string_value(domain));
        if (id != NULL)
            add_checks(&e, json_string_value(id));
        print_lines(&e);
        if (json_is_true(json_object_get(done, "cut")))
            fprintf(stderr, "ringpost: too long; the rest is left out\n");
    }
    json_decref(id);
    json_decref(domain);
    json_decref(done);
    json_decref(e.lines);
    return code;
}
