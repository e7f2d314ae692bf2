/* trace_steps.c - puts the events of a message in order, by recipient. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "event/event.h"
#include "event/json_text.h"
#include "relay/cli/trace.h"

struct trace {
    json_t *by_id;      /* events by event_id: a follower may have seen some twice */
    json_t *recipients; /* by address, in the order of acceptance */
    json_t *beside;
    json_t *waits; /* by address */
    bool is_sorted;
};

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static int64_t time_of(const json_t *event, const char *key)
{
    const char *text = text_of(event, key);
    int64_t wall_ms;

    return text != NULL && clock_parse_rfc3339(bytes_of(text), &wall_ms) ? wall_ms : 0;
}

struct trace *trace_create(void)
{
    struct trace *trace = calloc(1, sizeof(*trace));

    check(trace != NULL);
    trace->by_id = json_object();
    trace->recipients = json_object();
    trace->beside = json_array();
    trace->waits = json_object();
    return trace;
}

void trace_free(struct trace **trace)
{
    json_decref((*trace)->by_id);
    json_decref((*trace)->recipients);
    json_decref((*trace)->beside);
    json_decref((*trace)->waits);
    free(*trace);
    *trace = NULL;
}

void trace_add_event(struct trace *trace, json_t *event)
{
    const char *event_id = text_of(event, "event_id");

    if (event_id != NULL)
        json_object_set(trace->by_id, event_id, event);
}

static const char *address_of(const json_t *of)
{
    const char *address = text_of(of, "recipient");

    return address == NULL ? "" : address; /* the spool has lost it */
}

void trace_add_wait(struct trace *trace, json_t *wait)
{
    json_object_set(trace->waits, address_of(wait), wait);
}

/* --- order ------------------------------------------------------------------------------------ */

static int by_seq(const void *a, const void *b)
{
    const json_t *const *first = a, *const *second = b;
    json_int_t difference = json_integer_value(json_object_get(*first, "seq")) -
                            json_integer_value(json_object_get(*second, "seq"));

    return difference < 0 ? -1 : difference > 0;
}

static json_t *steps_of(struct trace *trace, const char *address)
{
    json_t *steps = json_object_get(trace->recipients, address);

    if (steps == NULL) {
        steps = json_array();
        json_object_set_new(trace->recipients, address, steps);
    }
    return steps;
}

static void sort(struct trace *trace)
{
    size_t count = 0;
    const char *event_id;
    json_t *event;

    if (trace->is_sorted)
        return;
    trace->is_sorted = true;
    json_t **events = calloc(json_object_size(trace->by_id) + 1, sizeof(json_t *));
    check(events != NULL);
    json_object_foreach(trace->by_id, event_id, event)
    {
        if (json_is_integer(json_object_get(event, "seq")))
            events[count++] = event;
        else
            json_array_append(trace->beside, event);
    }
    qsort(events, count, sizeof(json_t *), by_seq);
    for (size_t i = 0; i < count; i++)
        json_array_append(steps_of(trace, address_of(events[i])), events[i]);
    free(events);
}

static bool is_final(const json_t *event)
{
    const char *name = text_of(event, "kind");
    enum event_kind kind;

    return name != NULL && event_kind_parse(bytes_of(name), &kind) && event_kind_is_final(kind);
}

static size_t count_open(const json_t *events)
{
    size_t open = 0, i;
    json_t *event;

    json_array_foreach(events, i, event)
    {
        const char *kind = text_of(event, "kind");

        if (kind != NULL && strcmp(kind, "accepted") == 0)
            open++;
        else if (open > 0 && is_final(event))
            open--;
    }
    return open;
}

bool trace_is_unfinished(const struct trace *trace)
{
    const char *address;
    json_t *events;
    bool is_unfinished = json_object_size(trace->by_id) == 0;

    sort((struct trace *)(uintptr_t)trace);
    json_object_foreach(trace->recipients, address, events) is_unfinished =
        is_unfinished || count_open(events) > 0;
    return is_unfinished;
}

/* --- the whole -------------------------------------------------------------------------------- */

static json_t *recipient_json(struct trace *trace, const char *address, json_t *events)
{
    json_t *steps = json_array(), *event, *wait = json_object_get(trace->waits, address);
    const json_t *last = json_array_get(events, json_array_size(events) - 1);
    int64_t before_ms = 0;
    size_t i;

    json_array_foreach(events, i, event)
    {
        int64_t now_ms = time_of(event, "time");

        if (i == 0)
            before_ms = time_of(event, "accepted_time");
        json_array_append_new(steps,
                              json_pack("{s:O?, s:I, s:O}", "time", json_object_get(event, "time"),
                                        "ms", (json_int_t)(now_ms - before_ms), "event", event));
        before_ms = now_ms;
    }
    bool is_open = events == NULL || count_open(events) > 0;
    return json_pack("{s:o, s:o, s:o, s:O?}", "recipient",
                     address[0] == '\0' ? json_null() : json_text_of(address), "state",
                     is_open ? json_string("queued") : json_string(text_of(last, "kind")), "steps",
                     steps, "waits", is_open ? wait : NULL);
}

/* What is true of the message itself, from its first event. */
static json_t *message_json(const char *id, const json_t *first)
{
    static const char *const keys[] = {"sender", "header_message_id", "size",
                                       "tenant", "campaign",          "tags",
                                       "client", "accepted_time"};
    json_t *whole = json_pack("{s:s}", "id", id);

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        json_t *value = json_object_get(first, keys[i]);

        json_object_set(whole, keys[i], value == NULL ? json_null() : value);
    }
    return whole;
}

json_t *trace_finish(struct trace *trace, const char *id)
{
    json_t *recipients = json_array(), *events, *wait;
    const json_t *first = NULL;
    const char *address;

    sort(trace);
    json_object_foreach(trace->recipients, address, events)
    {
        if (first == NULL)
            first = json_array_get(events, 0);
        json_array_append_new(recipients, recipient_json(trace, address, events));
    }
    json_object_foreach(trace->waits, address, wait)
    {
        if (json_object_get(trace->recipients, address) == NULL)
            json_array_append_new(recipients, recipient_json(trace, address, NULL));
    }
    if (json_array_size(recipients) + json_array_size(trace->beside) == 0) {
        json_decref(recipients);
        return NULL;
    }
    json_t *whole = message_json(id, first);
    json_object_set_new(whole, "recipients", recipients);
    json_object_set(whole, "beside", trace->beside);
    return whole;
}
