/* control_queue.c - control commands about unfinished mail: list, show, retry, cancel. */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "event/json_text.h"
#include "queue/flow.h"
#include "relay/control_command.h"
#include "relay/control_walk.h"
#include "relay/operator_event.h"
#include "relay/program.h"
#include "relay/queue_content.h"
#include "relay/queue_explain.h"

/* --- domains ---------------------------------------------------------------------------------- */

struct domain_rows {
    json_t *counts;
};

static void add_domain(void *context, struct domain *domain)
{
    struct domain_rows *rows = context;
    struct bytes name = domain_name(domain);
    char key[300];

    if (domain->pending_count == 0 || name.len >= sizeof(key))
        return;
    memcpy(key, name.ptr, name.len);
    key[name.len] = '\0';
    json_int_t before = json_integer_value(json_object_get(rows->counts, key));
    json_object_set_new_nocheck(rows->counts, key,
                                json_integer(before + (json_int_t)domain->pending_count));
}

static void read_domains(struct worker *worker, void *context)
{
    domains_for_each(worker->flows, add_domain, context);
}

static void command_queue_domains(struct control_client *client, const json_t *request)
{
    struct domain_rows rows = {.counts = json_object()};
    const char *name;
    json_t *count;

    (void)request;
    for (unsigned i = 0; i < client->program->worker_count; i++)
        worker_call(&client->program->workers[i], read_domains, &rows);
    json_object_foreach(rows.counts, name, count)
    {
        if (!control_line(client, json_pack("{s:o, s:I}", "domain", json_text_of(name),
                                            "recipients", json_integer_value(count))))
            break;
    }
    json_decref(rows.counts);
    (void)control_line(client, control_done());
}

/* --- list, retry, cancel ---------------------------------------------------------------------- */

static void queue_walk_command(struct control_client *client, const json_t *request,
                               enum queue_action action)
{
    bool is_dry_run = json_is_true(json_object_get(request, "dry_run"));
    json_int_t limit = json_integer_value(json_object_get(request, "limit"));
    struct queue_walk_result result = {0};
    struct queue_filter filter;
    const char *why = "";

    if (!queue_filter_from_json(request, clock_monotonic_ms(), &filter, &why)) {
        control_fail(client, "%s", why);
        return;
    }
    if (action != QUEUE_LIST && queue_filter_is_empty(&filter)) {
        control_fail(client, "nothing named; give an id, --sender, --recipient, --domain or "
                             "--older-than (--domain '*' means everything)");
        return;
    }
    bool is_whole = control_walk_workers(client, &filter, is_dry_run ? QUEUE_COUNT : action,
                                         "operator", (uint64_t)MAX(limit, (json_int_t)0), &result);
    if (!is_dry_run && action == QUEUE_RETRY && result.acted > 0)
        operator_event_retried(client->program, &filter, &result, !is_whole);
    if (!is_dry_run && action != QUEUE_LIST)
        log_info("matched=%llu acted=%llu busy=%llu domain=%s sender=%s recipient=%s what=%s",
                 (unsigned long long)result.matched, (unsigned long long)result.acted,
                 (unsigned long long)result.busy, LOG_TEXT(bytes_of(filter.domain)),
                 LOG_TEXT(bytes_of(filter.sender)), LOG_TEXT(bytes_of(filter.recipient)),
                 action == QUEUE_RETRY ? "queue-retry" : "queue-cancel");
    control_send_result(client, &result, is_dry_run);
}

static void command_queue_list(struct control_client *client, const json_t *request)
{
    queue_walk_command(client, request, QUEUE_LIST);
}

static void command_queue_retry(struct control_client *client, const json_t *request)
{
    queue_walk_command(client, request, QUEUE_RETRY);
}

static void command_queue_cancel(struct control_client *client, const json_t *request)
{
    queue_walk_command(client, request, QUEUE_CANCEL);
}

/* --- show ------------------------------------------------------------------------------------- */

static void command_queue_show(struct control_client *client, const json_t *request)
{
    const char *id = json_string_value(json_object_get(request, "id"));
    struct queue_walk_result result = {0};
    struct queue_filter filter;
    const char *why = "";

    if (id == NULL)
        control_fail(client, "nothing named; give a message id");
    else if (!queue_filter_from_json(request, clock_monotonic_ms(), &filter, &why))
        control_fail(client, "%s", why);
    else
        (void)control_walk_workers(client, &filter, QUEUE_LIST, NULL, 0,
                                   &result); /* nothing to undo */
    if (result.matched + result.unreadable > 0)
        control_send_result(client, &result, false);
    else if (id != NULL && *why == '\0')
        queue_explain_unknown(client, id);
}

/* --- unfinished ------------------------------------------------------------------------------- */

/* Who compares this with the event files reads these on until they hold all that had happened when
 * the last line was made: up to `journals`, a position a shard. */
static void command_queue_unfinished(struct control_client *client, const json_t *request)
{
    struct program *program = client->program;
    struct queue_walk_result result = {0};
    struct queue_filter everything = {0};
    json_t *journals = json_array();

    (void)request;
    if (!control_walk_workers(client, &everything, QUEUE_UNFINISHED, NULL, 0, &result)) {
        json_decref(journals);
        return;
    }
    for (unsigned shard = 0; shard < program->shared.shard_count; shard++)
        json_array_append_new(journals,
                              json_pack("{s:i, s:I}", "shard", (int)shard, "position",
                                        (json_int_t)publisher_pushed(program->shared.publisher,
                                                                     shard)));
    if (result.acted < result.matched) {
        json_decref(journals);
        control_fail(client, "no room to tell of every message");
        return;
    }
    (void)control_line(client, json_pack("{s:b, s:I, s:o}", "done", 1, "recipients",
                                         (json_int_t)result.acted, "journals", journals));
}

static const struct control_argument list_arguments[] = {
    CONTROL_FILTER_ARGUMENTS,
    {"older_than_s", CONTROL_NUMBER, "seconds since acceptance"},
    {"limit", CONTROL_NUMBER, "recipients at most; 0: all"},
    {"dry_run", CONTROL_FLAG, "count, and do nothing"},
    {.name = NULL},
};
static const struct control_argument show_arguments[] = {
    CONTROL_FILTER_ARGUMENTS,
    {.name = NULL},
};
static const struct control_argument content_arguments[] = {
    {"id", CONTROL_TEXT, "the message"},
    {.name = NULL},
};
static const struct control_argument explain_arguments[] = {
    {"id", CONTROL_TEXT, "the message"},
    {"domain", CONTROL_TEXT, "or the domain"},
    {.name = NULL},
};

const struct control_command control_queue_commands[] = {
    {.name = "queue.list",
     .run = command_queue_list,
     .arguments = list_arguments,
     .of_queue = true,
     .says = "A line for each unfinished recipient."},
    {.name = "queue.domains",
     .run = command_queue_domains,
     .of_queue = true,
     .says = "A line for each domain with unfinished recipients."},
    {.name = "queue.unfinished",
     .run = command_queue_unfinished,
     .of_queue = true,
     .says = "A line for each message: how many of its recipients are unfinished."},
    {.name = "queue.show",
     .run = command_queue_show,
     .arguments = show_arguments,
     .of_queue = true,
     .says = "The unfinished recipients of the message named by id."},
    {.name = "queue.content",
     .run = queue_content,
     .arguments = content_arguments,
     .of_queue = true,
     .says = "The message as it is delivered: raw lines and their bytes."},
    {.name = "queue.explain",
     .run = queue_explain,
     .arguments = explain_arguments,
     .of_queue = true,
     .says = "What a message or a domain waits for."},
    {.name = "queue.retry",
     .run = command_queue_retry,
     .arguments = list_arguments,
     .of_queue = true,
     .says = "Make recipients due now."},
    {.name = "queue.cancel",
     .run = command_queue_cancel,
     .arguments = list_arguments,
     .of_queue = true,
     .says = "End recipients without a bounce."},
    {.name = NULL},
};
