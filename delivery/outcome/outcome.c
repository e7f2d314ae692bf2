/*
 * outcome.c - settlements: judgements become outcomes, notifications and one commit.
 *
 *   begin -> add... -> commit: (failures may wait for others of the message: gathering.h)
 *         -> (read the beginning of content that a notification returns)
 *         -> (sign the notifications: notice_sign.h) -> shard_commit() -> durable
 */
#include "delivery/outcome/outcome.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "base/metric.h"
#include "delivery/outcome/classify.h"
#include "delivery/outcome/gathering.h"
#include "delivery/outcome/notice_sign.h"
#include "delivery/outcome/place.h"
#include "delivery/outcome/retry.h"
#include "delivery/outcome/settlement.h"
#include "event/event_privacy.h"
#include "queue/flow.h"
#include "queue/tail.h"

enum { ARENA_MAX = 16 * 1024 * 1024 };

struct judgement judgement_of_reply(const struct smtp_reply *reply)
{
    struct classification c = classify_reply(reply->code, reply->enhanced, reply->text);
    enum judgement_kind kind = reply->code < 300   ? JUDGEMENT_DELIVERED
                               : reply->code < 500 ? JUDGEMENT_DEFERRED
                                                   : JUDGEMENT_BOUNCED;

    return (struct judgement){
        .kind = kind,
        .code = (uint16_t)reply->code,
        .enhanced = reply->enhanced,
        .text = reply->text,
        .class = c.class,
        .rule = c.rule,
    };
}

struct judgement judgement_of_ours(enum judgement_kind kind, uint16_t subject, uint16_t detail,
                                   const char *class, const char *rule, struct bytes text)
{
    return (struct judgement){
        .kind = kind,
        .is_ours = true,
        .enhanced = {kind == JUDGEMENT_FILED || kind == JUDGEMENT_FORWARDED     ? 2
                     : kind == JUDGEMENT_BOUNCED || kind == JUDGEMENT_CANCELLED ? 5
                                                                                : 4,
                     subject, detail},
        .text = text,
        .class = class,
        .rule = rule,
    };
}

static struct bytes keep(struct settlement *s, struct bytes text)
{
    struct bytes copy;

    return text.len > 0 && arena_copy(&s->arena, text, &copy) ? copy : BYTES_NONE;
}

static struct attempt_facts copy_facts(struct settlement *s, const struct attempt_facts *facts)
{
    struct attempt_facts copy = *facts;

    copy.source = keep(s, facts->source);
    copy.source_ip = keep(s, facts->source_ip);
    copy.site = keep(s, facts->site);
    copy.mx_host = keep(s, facts->mx_host);
    copy.mx_ip = keep(s, facts->mx_ip);
    copy.tls.reason = keep(s, facts->tls.reason);
    return copy;
}

const struct attempt_facts *settlement_keep_facts(struct settlement *s,
                                                  const struct attempt_facts *facts)
{
    struct attempt_facts *kept = arena_alloc(&s->arena, sizeof(*kept));

    if (kept == NULL)
        return &s->facts;
    *kept = copy_facts(s, facts);
    kept->counts = NULL; /* it was counted when it was decided */
    return kept;
}

struct settlement *settlement_begin(struct outcomes *outcomes, struct shard *shard,
                                    struct message *message, const struct attempt_facts *facts,
                                    size_t recipient_max)
{
    struct settlement *s = slab_alloc(&outcomes->settlements);

    check(s != NULL); /* its maximum is beyond what transactions and clearings can have */
    check(recipient_max > 0);
    arena_init(&s->arena, ARENA_MAX);
    s->outcomes = outcomes;
    s->shard = shard;
    s->message = message != NULL ? message_keep(message) : NULL;
    s->facts = copy_facts(s, facts);
    if (facts->counts != NULL)
        series_keep(facts->counts);
    s->count_max = recipient_max;
    s->recipients = arena_alloc(&s->arena, recipient_max * sizeof(*s->recipients));
    check(s->recipients != NULL);
    list_node_init(&s->commit.node);
    list_node_init(&s->in_gatherings);
    return s;
}

/* By site, where that is said of them, and by class; of tenants the spool counts. */
static void count_by_name(struct settlement *s, const struct settled *r)
{
    static const uint8_t values[EVENT_KIND_COUNT] = {
        [EVENT_DELIVERED] = 1 + RECIPIENTS_DELIVERED, [EVENT_FILED] = 1 + RECIPIENTS_DELIVERED,
        [EVENT_DEFERRED] = 1 + RECIPIENTS_DEFERRED,   [EVENT_BOUNCED] = 1 + RECIPIENTS_BOUNCED,
        [EVENT_EXPIRED] = 1 + RECIPIENTS_EXPIRED,     [EVENT_CANCELLED] = 1 + RECIPIENTS_CANCELLED,
    };

    check(values[r->kind] != 0); /* a kind that decide() is taught counts as nothing else */
    size_t value = values[r->kind] - 1U;

    if (value < RECIPIENTS_OF_SITES)
        series_add(s->facts.counts != NULL ? s->facts.counts : s->outcomes->nowhere, value, 1);
    if (value < RECIPIENTS_OF_CLASSES)
        class_counts_add(&s->outcomes->classes, r->judgement.class, value);
}

static void count_tls(const struct attempt_tls *tls)
{
    bool is_13 = tls->version != NULL && strcmp(tls->version, "TLSv1.3") == 0;
    bool is_verified = tls->verified == EVENT_YES;

    if (tls->version == NULL)
        metric_inc(METRIC_DELIVERED_PLAIN);
    else if (is_13)
        metric_inc(is_verified ? METRIC_DELIVERED_TLS13_VERIFIED : METRIC_DELIVERED_TLS13);
    else
        metric_inc(is_verified ? METRIC_DELIVERED_TLS12_VERIFIED : METRIC_DELIVERED_TLS12);
}

static void decide(struct settlement *s, struct settled *r)
{
    const struct retry_rule *rule =
        outcomes_retry_rule(s->outcomes, domain_name(pending_domain(r->pending)));
    int64_t accepted = settled_accepted_ms(s, r);
    int64_t counted = outcomes_age_from_ms(s->outcomes, rule, r->pending);

    r->retry_end_ms = retry_end_ms(rule, counted);
    switch (r->judgement.kind) {
    case JUDGEMENT_DELIVERED:
        r->kind = EVENT_DELIVERED;
        metric_inc(METRIC_DELIVERY_DELIVERED);
        count_tls(&s->facts.tls);
        metric_observe_us(HISTOGRAM_DELIVERY,
                          (engine_now_ms(s->outcomes->engine) - accepted) * 1000);
        return;
    case JUDGEMENT_FILED:
        r->kind = EVENT_FILED;
        metric_inc(METRIC_DELIVERY_FILED);
        metric_observe_us(HISTOGRAM_DELIVERY,
                          (engine_now_ms(s->outcomes->engine) - accepted) * 1000);
        return;
    case JUDGEMENT_FORWARDED:
        r->kind = EVENT_DELIVERED;
        metric_inc(METRIC_DELIVERY_FORWARDED);
        return;
    case JUDGEMENT_BOUNCED:
        r->kind = EVENT_BOUNCED;
        metric_inc(METRIC_DELIVERY_BOUNCED);
        return;
    case JUDGEMENT_EXPIRED:
        r->kind = EVENT_EXPIRED;
        metric_inc(METRIC_DELIVERY_EXPIRED);
        return;
    case JUDGEMENT_CANCELLED:
        r->kind = EVENT_CANCELLED;
        metric_inc(METRIC_DELIVERY_CANCELLED);
        return;
    case JUDGEMENT_DEFERRED:
        break;
    }
    r->next_attempt_ms =
        retry_next_ms(rule, r->pending->attempts + 1U, counted, engine_now_ms(s->outcomes->engine));
    r->kind = r->next_attempt_ms != 0 ? EVENT_DEFERRED : EVENT_EXPIRED;
    if (r->kind == EVENT_EXPIRED && !is_for_tls(&r->judgement))
        r->judgement.rule = "retry.max_age";
    else if (r->kind == EVENT_EXPIRED)
        r->judgement.enhanced.class = 5; /* its last word was our own: it is not sent so */
    metric_inc(r->kind == EVENT_DEFERRED ? METRIC_DELIVERY_DEFERRED : METRIC_DELIVERY_EXPIRED);
}

/* Recipients that were told the same share the copy. */
static struct bytes keep_text(struct settlement *s, struct bytes text)
{
    const struct settled *last = s->count > 0 ? &s->recipients[s->count - 1] : NULL;
    bool is_same = last != NULL && bytes_equal(last->judgement.text, text);

    return is_same ? last->judgement.text : keep(s, text);
}

void settlement_move(struct settlement *to, const struct settled *r,
                     const struct attempt_facts *facts)
{
    struct settled *moved = &to->recipients[to->count];

    check(to->count < to->count_max);
    *moved = *r;
    moved->facts = facts;
    moved->judgement.text = keep_text(to, r->judgement.text);
    to->count++;
}

void settlement_add(struct settlement *s, struct pending *pending,
                    const struct judgement *judgement)
{
    check(s->count < s->count_max);
    check(pending->state == PENDING_READY);
    check(!list_is_linked(&pending->link));
    pending_release(pending);
    struct settled *r = &s->recipients[s->count];

    r->pending = pending;
    r->facts = &s->facts;
    r->judgement = *judgement;
    r->judgement.text = keep_text(s, judgement->text);
    s->count++;
    s->outcomes->settled_count++;
    decide(s, r);
    count_by_name(s, r);
}

/* --- events ---------------------------------------------------------------------------------- */

static struct bytes text_of(const char *text)
{
    return text != NULL ? bytes_of(text) : BYTES_NONE;
}

static void fill_event(struct settlement *s, const struct settled *r, struct event *event)
{
    const struct attempt_facts *f = r->facts;
    const struct message *m = s->message;
    const struct recipient *recipient = settled_recipient(s, r);

    *event = (struct event){
        .kind = r->kind,
        .id = pending_stub(r->pending)->id,
        .is_received = r->pending->flow->is_received ||
                       (m != NULL && tail_is_sent(m->tail, pending_number(r->pending))),
        .attempt_ms = f->is_attempt ? f->started_ms : 0,
        .next_attempt_ms =
            r->kind == EVENT_DEFERRED ? outcomes_wall_ms(s->outcomes, r->next_attempt_ms) : 0,
        .attempt = f->is_attempt ? r->pending->attempts + 1U : r->pending->attempts,
        .times = f->times,
        .source = f->source,
        .source_ip = f->source_ip,
        .site = f->site,
        .mx_host = f->mx_host,
        .mx_ip = f->mx_ip,
        .tls_version = text_of(f->tls.version),
        .tls_cipher = text_of(f->tls.cipher),
        .tls_verified = (uint8_t)f->tls.verified,
        .tls_policy = text_of(f->tls.policy),
        .tls_source = text_of(f->tls.source),
        .tls_result = text_of(f->tls.result),
        .tls_reason = f->tls.reason,
        .reply_is_ours = r->judgement.is_ours,
        .reply_code = r->judgement.code,
        .enhanced_class = r->judgement.enhanced.class,
        .enhanced_subject = r->judgement.enhanced.subject,
        .enhanced_detail = r->judgement.enhanced.detail,
        .reply_text = r->judgement.text,
        .class = bytes_of(r->judgement.class),
        .rule = bytes_of(r->judgement.rule),
    };
    event->checks = settlement_say_answers(s);
    if (m == NULL)
        return;
    event->accepted_ms = m->accepted_ms;
    event->recipient = recipient->address;
    event->orcpt = recipient->orcpt;
    event->sender = m->reverse_path.ptr != NULL ? m->reverse_path : BYTES("");
    event->message_header_id = m->header_message_id;
    event->tenant = m->tenant;
    event->campaign = m->campaign;
    event->tags = m->tags;
    event->metadata = tail_find(m->tail, TAIL_METADATA);
    event->envid = m->envid;
    event->size = m->content.size;
}

static void log_outcome(const struct settlement *s, const struct event *event)
{
    char id[MESSAGE_ID_TEXT_MAX];
    struct privacy_room room;
    struct event shown;
    const struct attempt_times *t = &event->times;
    struct bytes tls = event->tls_version.len > 0 ? event->tls_version : BYTES("none");
    int64_t ms = MAX(t->envelope_ms, 0) + MAX(t->content_ms, 0) + MAX(t->connect_ms, 0);

    if (!log_enabled(LOG_LEVEL_INFO))
        return;
    event = privacy_event(event, &shown, &room);
    message_id_format(event->id, id);
    if (event->kind == EVENT_DELIVERED)
        log_info("id=%s to=%s outcome=delivered host=%s ip=%.*s tls=%s verified=%s attempt=%u "
                 "ms=%" PRId64 " code=%u reply=%s",
                 id, LOG_TEXT(event->recipient), LOG_TEXT(event->mx_host), BYTES_ARG(event->mx_ip),
                 LOG_TEXT(tls), event->tls_verified == EVENT_YES ? "yes" : "no", event->attempt, ms,
                 event->reply_code, LOG_TEXT(bytes_slice(event->reply_text, 0, 120)));
    else
        log_info("id=%s to=%s outcome=%s host=%s ip=%.*s tls=%s attempt=%u class=%.*s rule=%.*s "
                 "code=%u status=%u.%u.%u next_s=%" PRId64 " reply=%s",
                 id, LOG_TEXT(event->recipient), event_kind_name(event->kind),
                 LOG_TEXT(event->mx_host), BYTES_ARG(event->mx_ip), LOG_TEXT(tls), event->attempt,
                 BYTES_ARG(event->class), BYTES_ARG(event->rule), event->reply_code,
                 event->enhanced_class, event->enhanced_subject, event->enhanced_detail,
                 event->next_attempt_ms != 0
                     ? (event->next_attempt_ms - engine_wall_ms(s->outcomes->engine)) / 1000
                     : (int64_t)-1,
                 LOG_TEXT(event->reply_text));
}

/* A delay notice is an event of its own, before the deferral it belongs to. */
static void fill_outcomes(struct settlement *s)
{
    struct outcome *outcomes = arena_alloc(&s->arena, 2 * s->count * sizeof(*outcomes));
    enum dsn_action action;
    size_t count = 0;

    check(outcomes != NULL);
    for (size_t i = 0; i < s->count; i++) {
        struct settled *r = &s->recipients[i];
        struct outcome *outcome = &outcomes[count++];

        outcome->pending = r->pending;
        if (r->kind == EVENT_DEFERRED && s->notice != NULL && settled_wants_notice(s, r, &action)) {
            fill_event(s, r, &outcome->event);
            outcome->event.kind = EVENT_DELAYED;
            outcome = &outcomes[count++];
            outcome->pending = r->pending;
        }
        fill_event(s, r, &outcome->event);
        log_outcome(s, &outcome->event);
    }
    s->commit.outcomes = outcomes;
    s->commit.outcome_count = count;
}

/* --- the commit ------------------------------------------------------------------------------ */

static void settlement_free(struct settlement *s)
{
    struct outcomes *outcomes = s->outcomes;

    if (s->failure != NULL)
        message_release(&s->failure);
    if (s->notice != NULL)
        message_release(&s->notice);
    settlement_drop_answers(s);
    if (s->message != NULL)
        message_release(&s->message);
    check(outcomes->settled_count >= s->count);
    outcomes->settled_count -= s->count;
    outcomes->notice_bytes -= s->notice_bytes;
    if (s->facts.counts != NULL)
        series_put(&s->facts.counts);
    arena_free(&s->arena);
    slab_release(&outcomes->settlements, &s);
    outcomes->hooks.room(outcomes->hooks.context);
    outcomes->hooks.ended(outcomes->hooks.context);
}

/* What is accepted with the outcomes. */
static void take_made(struct settlement *s)
{
    if (s->made == NULL) {
        s->made = arena_alloc(&s->arena, (2 + s->answer_count) * sizeof(struct message *));
        check(s->made != NULL);
    }
    s->made_count = 0;
    if (s->failure != NULL)
        s->made[s->made_count++] = s->failure;
    if (s->notice != NULL)
        s->made[s->made_count++] = s->notice;
    for (size_t i = 0; i < s->answer_count; i++)
        s->made[s->made_count++] = s->answers[i];
    s->commit.message = s->made_count > 0 ? s->made[0] : NULL;
    s->commit.more = s->made + 1;
    s->commit.more_count = s->made_count > 0 ? s->made_count - 1 : 0;
}

/* False: nothing is left of it to be tried. */
static bool commit_again(struct settlement *s, int result)
{
    struct commit *commit = &s->commit;

    if (result == -ESHUTDOWN)
        return false;
    if (result < 0 && s->answer_count > 0) {
        /* What an account says in its owner's absence weighs less than a notification. */
        log_limited(LOG_LEVEL_ERROR, "shard=%u answers=lost error=%d", shard_index(s->shard),
                    result);
        settlement_drop_answers(s);
        take_made(s);
        for (size_t i = 0; i < commit->outcome_count; i++)
            commit->outcomes[i].event.checks = BYTES_NONE;
    } else if (result < 0 && commit->message != NULL) {
        /* An outcome weighs more than its notification, should only both together be too large. */
        log_limited(LOG_LEVEL_ERROR, "shard=%u notification=lost error=%d", shard_index(s->shard),
                    result);
        commit->message = NULL;
        commit->more_count = 0;
    } else if (result == -EMSGSIZE && commit->outcome_count > 1) {
        /* More than a segment holds: one part after the other. */
        size_t count = commit->outcome_count / 2;

        s->behind_count += commit->outcome_count - count;
        commit->outcome_count = count;
    } else if (result == 0 && s->behind_count > 0) {
        commit->outcomes += commit->outcome_count;
        commit->outcome_count = s->behind_count;
        s->behind_count = 0;
    } else {
        return false;
    }
    shard_commit(s->shard, commit);
    return true;
}

static void on_committed(struct commit *commit, int result)
{
    struct settlement *s = container_of(commit, struct settlement, commit);

    if (commit_again(s, result))
        return;
    if (result == 0)
        settlement_tell_answers(s);
    /* A shard that is being closed refuses; the recipients stay unfinished there. */
    if (result < 0)
        log_limited(LOG_LEVEL_WARN, "shard=%u outcomes=%zu not_written=%d", shard_index(s->shard),
                    commit->outcome_count + s->behind_count, result);
    settlement_free(s);
}

static void commit_all(struct settlement *s);

static void finish(struct settlement *s)
{
    if (settlement_has_notice(s)) {
        s->failure = settlement_write_notice(s, true);
        s->notice = settlement_write_notice(s, false);
    }
    if (s->is_reading)
        shard_read_content_end(s->shard, &s->read);
    take_made(s);
    s->signed_all = commit_all;
    notice_sign(s);
}

/* What there is to be told is written and signed. */
static void commit_all(struct settlement *s)
{
    struct outcomes *outcomes = s->outcomes;
    const struct stub *stub = pending_stub(s->recipients[0].pending);

    s->commit.done = on_committed;
    fill_outcomes(s);
    shard_commit(s->shard, &s->commit);
    gathering_ripen(outcomes, stub);
}

static void on_head_read(struct content_read *read, int result, struct bytes piece)
{
    struct settlement *s = container_of(read, struct settlement, read);

    /* Without it the notification still says what matters. */
    s->head = result > 0 ? piece : BYTES_NONE;
    finish(s);
}

void settlement_give(struct settlement *s)
{
    check(s->count > 0);
    if (s->message != NULL && s->message->content.memory.ptr == NULL &&
        s->message->content.size > 0 && settlement_has_notice(s)) {
        list_node_init(&s->read.node);
        s->read.done = on_head_read;
        s->is_reading = true;
        shard_read_content(s->shard, s->message, &s->read);
        return;
    }
    finish(s);
}

void settlement_commit(struct settlement **settlement)
{
    struct settlement *s = *settlement;
    struct outcomes *outcomes = s->outcomes;
    const struct stub *stub = pending_stub(s->recipients[0].pending);

    *settlement = NULL;
    check(s->count > 0);
    gathering_take(s);
    if (s->count > 0) {
        settlement_give(s);
        return;
    }
    settlement_free(s);
    gathering_ripen(outcomes, stub);
}

size_t settlement_size(void)
{
    return sizeof(struct settlement);
}
