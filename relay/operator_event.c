/* operator_event.c - writes what an operator's command did into the spool's journal. */
#include "relay/operator_event.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "delivery/line/constraint.h"
#include "event/event.h"

/* More than an event keeps of it (4 KiB). */
enum { SENTENCE_MAX = 8192 };

/* Which recipients a command or a rule means; NULL and 0: any. */
struct meant {
    uint64_t message;
    const char *domain, *sender, *recipient;
    int64_t older_than_s;
};

struct sentence {
    size_t len;
    char text[SENTENCE_MAX];
};

static void add(struct sentence *sentence, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add(struct sentence *sentence, const char *format, ...)
{
    size_t room = sizeof(sentence->text) - sentence->len;
    va_list args;

    va_start(args, format);
    int len = vsnprintf(sentence->text + sentence->len, room, format, args);
    va_end(args);
    sentence->len += MIN((size_t)MAX(len, 0), room - 1);
}

/* "domain=*.x.example sender=shop@y.example: " */
static void add_meant(struct sentence *sentence, const struct meant *meant)
{
    char id[MESSAGE_ID_TEXT_MAX], time[CLOCK_TEXT_MAX];
    const char *before = "";

    message_id_format((struct message_id){meant->message}, id);
    clock_format_rfc3339(clock_wall_ms() - meant->older_than_s * 1000, time);
    const struct {
        const char *key, *value;
    } parts[] = {
        {"id", meant->message != 0 ? id : NULL},
        {"domain", meant->domain},
        {"sender", meant->sender},
        {"recipient", meant->recipient},
        {"accepted-before", meant->older_than_s != 0 ? time : NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (parts[i].value == NULL)
            continue;
        /* A file of rules that was mended by hand may hold longer ones than a command takes. */
        add(sentence, "%s%s=%.1024s", before, parts[i].key, parts[i].value);
        before = " ";
    }
    add(sentence, ": ");
}

/* Only one whole address is told as such: a pattern would be none to who reads it. */
static struct bytes address(const char *text)
{
    if (text == NULL || text[0] == '@')
        return BYTES_NONE;
    return strcmp(text, "<>") == 0 ? BYTES("") : bytes_of(text);
}

static void note(struct worker *worker, void *context)
{
    const struct event *event = context;
    struct shard *shard = worker_shard(worker, message_id_shard(event->id));
    char id[MESSAGE_ID_TEXT_MAX] = "-";

    /* A message of a shard that is not there any more: the filter took it all the same. */
    if (shard_note(shard != NULL ? shard : worker->shards[0], event))
        return;
    if (event->id.value != 0)
        message_id_format(event->id, id);
    log_error(
        "id=%s kind=%s text=%s what=\"an event is lost: the disk is full, or the spool closes\"",
        id, event_kind_name(event->kind), LOG_TEXT(event->reply_text));
}

static void tell(struct program *program, enum event_kind kind, const struct meant *meant,
                 const struct sentence *sentence, const char *rule)
{
    struct message_id id = {meant->message};
    /* Shards beyond the engines are dealt out in turn (worker.c). */
    struct worker *worker = &program->workers[message_id_shard(id) % program->worker_count];
    struct event event = {
        .kind = kind,
        .id = id,
        .times = {-1, -1, -1, -1, -1, -1},
        .recipient = address(meant->recipient),
        .sender = address(meant->sender),
        .reply_is_ours = true,
        .reply_text = bytes_range(sentence->text, sentence->len),
        .class = BYTES("operator"),
        .rule = bytes_of(rule),
    };

    worker_call(worker, note, &event);
}

static const char *text_or_any(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

void operator_event_retried(struct program *program, const struct queue_filter *filter,
                            const struct queue_walk_result *result, bool is_cut)
{
    const struct meant meant = {
        .message = filter->id.value,
        .domain = text_or_any(filter->domain),
        .sender = text_or_any(filter->sender),
        .recipient = text_or_any(filter->recipient),
        .older_than_s = filter->older_than_s,
    };
    struct sentence sentence = {0};

    add_meant(&sentence, &meant);
    add(&sentence, "%" PRIu64 " recipients match, %" PRIu64 " are due now", result->matched,
        result->acted);
    if (result->busy > 0)
        add(&sentence, ", %" PRIu64 " are in an attempt", result->busy);
    if (result->unreadable > 0)
        add(&sentence, ", %" PRIu64 " messages could not be read", result->unreadable);
    if (is_cut)
        add(&sentence, "; broken off before the end of the queue");
    tell(program, EVENT_RETRIED, &meant, &sentence, "queue retry");
}

static void tell_rule(struct program *program, enum event_kind kind, const struct suspension *rule,
                      const struct meant *meant, const struct sentence *sentence)
{
    struct constraint constraint = {0};

    constraint_name_suspension(rule, &constraint);
    tell(program, kind, meant, sentence, constraint.rule);
}

static struct meant meant_by(const struct suspension *rule)
{
    return (struct meant){
        .message = rule->message,
        .domain = rule->domain,
        .sender = rule->sender,
        .recipient = rule->recipient,
    };
}

void operator_event_suspended(struct program *program, const struct suspension *rule,
                              uint64_t matched)
{
    const struct meant meant = meant_by(rule);
    struct sentence sentence = {0};
    char until[CLOCK_TEXT_MAX];

    clock_format_rfc3339(clocks_to_wall(clocks_read(), rule->until_ms), until);
    add_meant(&sentence, &meant);
    add(&sentence, "%" PRIu64 " recipients match; they and what comes are held back until %s",
        matched, rule->until_ms != 0 ? until : "resumed");
    tell_rule(program, EVENT_SUSPENDED, rule, &meant, &sentence);
}

void operator_event_resumed(struct program *program, const struct suspension *rule, const char *why)
{
    const struct meant meant = meant_by(rule);
    struct sentence sentence = {0};

    add_meant(&sentence, &meant);
    add(&sentence, "let go again, %s", why);
    tell_rule(program, EVENT_RESUMED, rule, &meant, &sentence);
}

void operator_event_changed(struct program *program, const struct audit_row *row)
{
    const struct meant meant = {0};
    struct sentence sentence = {0};
    char time[CLOCK_TEXT_MAX], rule[64];

    clock_format_rfc3339(row->wall_s * 1000, time);
    add(&sentence, "%.*s %.*s by %.*s, %s: %.*s", BYTES_ARG(row->what), BYTES_ARG(row->subject),
        BYTES_ARG(row->who), time, BYTES_ARG(row->detail));
    snprintf(rule, sizeof(rule), "audit %lld", (long long)row->id);
    tell(program, EVENT_CHANGED, &meant, &sentence, rule);
}
