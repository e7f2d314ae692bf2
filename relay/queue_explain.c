/* queue_explain.c - asks the engines what a message or a domain waits for. */
#include "relay/queue_explain.h"

#include <stdatomic.h>

#include "base/clock.h"
#include "relay/program.h"
#include "relay/queue_walk.h"

enum { OUTPUT_MAX = 64 << 20 };

void queue_explain_unknown(struct control_client *client, const char *id)
{
    control_fail(client, "no unfinished message %s; `ringpost events --id %s` tells how it ended",
                 id, id);
}

/* One walk over every worker; what it wrote is sent. */
static void walk_all(struct control_client *client, const struct queue_filter *filter,
                     enum queue_action action, struct delivery_survey *survey,
                     struct queue_walk_result *sum)
{
    struct program *program = client->program;
    struct buf out;

    buf_init(&out, OUTPUT_MAX);
    for (unsigned i = 0; i < program->worker_count; i++) {
        struct queue_walk *walk = queue_walk_create(&program->workers[i], filter, action, NULL, 0);
        bool more = true;

        check(walk != NULL);
        queue_walk_survey(walk, survey);
        while (more && !client->is_gone && !atomic_load(&program->is_stopping)) {
            more = queue_walk_slice(walk, &out);
            (void)control_text(client, buf_bytes(&out)); /* a failure is kept in is_gone */
            buf_clear(&out);
        }
        const struct queue_walk_result *part = queue_walk_result(walk);

        sum->matched += part->matched;
        sum->acted += part->acted;
        sum->unreadable += part->unreadable;
        queue_walk_free(&walk);
    }
    buf_free(&out);
}

static void explain_message(struct control_client *client, const struct queue_filter *filter,
                            const char *id)
{
    struct queue_walk_result sum = {0};

    walk_all(client, filter, QUEUE_EXPLAIN, NULL, &sum);
    if (sum.matched == 0)
        queue_explain_unknown(client, id);
    else
        (void)control_line(client, json_pack("{s:b, s:b, s:I}", "done", 1, "cut",
                                             (int)(sum.acted < sum.matched), "unreadable",
                                             (json_int_t)sum.unreadable));
}

struct engines_call {
    struct bytes domain;
    struct buf out; /* a JSON array, not yet closed */
    bool is_cut;
};

static void add_engine(struct worker *worker, void *context)
{
    struct engines_call *call = context;
    size_t before = buf_len(&call->out);
    bool fits = buf_append_byte(&call->out, before == 0 ? '[' : ',');
    size_t start = buf_len(&call->out);

    fits = fits && delivery_explain_domain(worker->delivery, call->domain, &call->out);
    if (!fits || buf_len(&call->out) == start)
        buf_truncate(&call->out, before);
    call->is_cut = call->is_cut || !fits;
}

static bool finish_domain(struct program *program, const struct delivery_survey *survey,
                          struct engines_call *call, struct buf *out)
{
    for (unsigned i = 0; i < program->worker_count; i++)
        worker_call(&program->workers[i], add_engine, call);
    return (buf_len(&call->out) > 0 || buf_append_byte(&call->out, '[')) &&
           buf_append_byte(&call->out, ']') &&
           delivery_survey_explain(survey, call->domain, buf_bytes(&call->out), out) &&
           buf_append_byte(out, '\n');
}

static void explain_domain(struct control_client *client, const struct queue_filter *filter)
{
    struct engines_call call = {.domain = bytes_of(filter->domain)};
    struct delivery_survey survey = {0};
    struct queue_walk_result sum = {0};
    struct buf out;

    walk_all(client, filter, QUEUE_SURVEY, &survey, &sum);
    if (survey.unfinished == 0) {
        control_fail(client, "no unfinished mail for %s", filter->domain);
        return;
    }
    buf_init(&call.out, OUTPUT_MAX);
    buf_init(&out, OUTPUT_MAX);
    if (finish_domain(client->program, &survey, &call, &out)) {
        (void)control_text(client, buf_bytes(&out));
        (void)control_line(client, json_pack("{s:b, s:b}", "done", 1, "cut", (int)call.is_cut));
    } else {
        control_fail(client, "the explanation of %s is too long", filter->domain);
    }
    buf_free(&out);
    buf_free(&call.out);
}

void queue_explain(struct control_client *client, const json_t *request)
{
    const char *id = json_string_value(json_object_get(request, "id"));
    struct queue_filter filter;
    const char *why = "";

    if (!queue_filter_from_json(request, clock_monotonic_ms(), &filter, &why))
        control_fail(client, "%s", why);
    else if (id != NULL)
        explain_message(client, &filter, id);
    else if (filter.domain[0] == '\0')
        control_fail(client, "nothing named; give a message id or --domain NAME");
    else if (filter.domain[0] == '*')
        control_fail(client,
                     "%s: one domain can be explained, not a pattern; `ringpost queue "
                     "domains` lists them",
                     filter.domain);
    else
        explain_domain(client, &filter);
}
