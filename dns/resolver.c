/* resolver.c - who asks and is told, the line, and the end of a turn. */
#include "dns/resolver.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/metric.h"
#include "dns/cache.h"
#include "dns/packet.h"
#include "dns/question.h"

enum {
    QUESTIONS_PER_FLIGHT = 64, /* questions kept for each that may be in flight; then DNS_FAILED */
    LINE_MS_MAX = 30000,       /* in line this long: the servers are dead or far too slow */
};

static void turn_ends(struct turn_end *turn_end);
static void line_timed_out(struct timeout *timeout);

/* --- create, destroy -------------------------------------------------------------------------- */

static void set_default(unsigned *value, unsigned value_default)
{
    if (*value == 0)
        *value = value_default;
}

static void fill_settings(struct dns_settings *settings)
{
    set_default(&settings->timeout_ms, 2000);
    set_default(&settings->tries, 3);
    set_default(&settings->ttl_min_s, 5);
    set_default(&settings->ttl_max_s, 86400);
    set_default(&settings->negative_ttl_max_s, 3600);
    set_default(&settings->failure_ttl_s, 30);
    set_default(&settings->stale_s, 3600);
    set_default(&settings->in_flight_max, 1024);
    if (settings->cache_size == 0)
        settings->cache_size = 4 << 20;
}

struct dns_cache *resolver_cache_create(const struct dns_settings *settings)
{
    struct dns_settings filled = *settings;

    fill_settings(&filled);
    return dns_cache_create(filled.cache_size, (int64_t)filled.stale_s * 1000);
}

struct resolver *resolver_create(struct engine *engine, struct dns_cache *cache,
                                 const struct dns_settings *settings, const char **why_out)
{
    struct resolver *resolver = calloc(1, sizeof(*resolver));

    check(resolver != NULL);
    resolver->engine = engine;
    resolver->settings = *settings;
    fill_settings(&resolver->settings);
    if (settings->servers != NULL) {
        resolver->servers = strdup(settings->servers);
        check(resolver->servers != NULL);
        resolver->settings.servers = resolver->servers;
    }
    resolver->cache = cache;
    map_init(&resolver->questions);
    list_init(&resolver->line);
    list_init(&resolver->answered);
    list_init(&resolver->told);
    arena_init(&resolver->arena, DNS_PACKET_ARENA_MAX);
    arc4random_buf(&resolver->vote_key, sizeof(resolver->vote_key));
    turn_end_init(&resolver->turn_end, turn_ends);
    timeout_init(&resolver->line_timeout, line_timed_out);
    if (!flight_open(resolver, why_out))
        resolver_destroy(&resolver);
    return resolver;
}

static void end_question(void *context, struct map_node *node)
{
    struct question *question = container_of(node, struct question, node);

    question_tell(question, context);
    question_free(question);
}

/* Calls those who have been told so far; who asks meanwhile is told later. */
static void call_told(struct resolver *resolver)
{
    struct list now;
    struct list_node *node;

    list_init(&now);
    list_splice(&now, &resolver->told);
    resolver->is_telling = true;
    while ((node = list_pop_front(&now)) != NULL) { /* done() may cancel others of the list */
        struct dns_query *query = container_of(node, struct dns_query, node);
        const struct dns_answer *answer = query->answer;

        query->answer = NULL;
        query->is_waiting = false;
        query->done(query, answer);
        dns_answer_release(&answer);
    }
    resolver->is_telling = false;
}

static void tell_all_failed(struct resolver *resolver)
{
    const struct dns_answer *answer = resolver_failure(resolver, "the resolver is shutting down");

    flight_close(resolver);
    map_for_each(&resolver->questions, end_question, (void *)answer);
    list_for_each(node, &resolver->told) {
        struct dns_query *query = container_of(node, struct dns_query, node);

        dns_answer_release(&query->answer);
        query->answer = dns_answer_keep(answer);
    }
    dns_answer_release(&answer);
    while (!list_is_empty(&resolver->told)) /* bounded: a failure makes nobody ask for ever */
        call_told(resolver);
}

void resolver_destroy(struct resolver **resolver)
{
    struct resolver *r = *resolver;

    *resolver = NULL;
    if (r == NULL)
        return;
    check(!r->is_telling);
    r->is_closing = true;
    tell_all_failed(r);
    check(r->in_flight == 0);
    engine_turn_end_cancel(r->engine, &r->turn_end);
    engine_timeout_cancel(r->engine, &r->line_timeout);
    map_free(&r->questions);
    arena_free(&r->arena);
    free(r->servers);
    free(r);
}

struct engine *resolver_engine(const struct resolver *resolver)
{
    return resolver->engine;
}

/* --- asking --------------------------------------------------------------------------------- */

static void tell_later(struct resolver *resolver, struct dns_query *query,
                       const struct dns_answer *answer)
{
    query->answer = answer;
    list_push_back(&resolver->told, &query->node);
    engine_at_turn_end(resolver->engine, &resolver->turn_end);
}

static void count_hit(const struct dns_answer *answer)
{
    metric_inc(METRIC_DNS_CACHE_HITS);
    if (answer->is_stale)
        metric_inc(METRIC_DNS_STALE_ANSWERS);
    else if (answer->status != DNS_OK)
        metric_inc(METRIC_DNS_NEGATIVE_HITS);
}

static void line_join(struct question *question)
{
    struct resolver *resolver = question->resolver;

    if (list_is_empty(&resolver->line))
        engine_timeout(resolver->engine, &resolver->line_timeout, LINE_MS_MAX);
    list_push_back(&resolver->line, &question->place);
}

/* A question that nobody has asked yet; NULL when there are too many. */
static struct question *question_start(struct resolver *resolver, const struct dns_name *name,
                                       enum dns_type type)
{
    size_t count_max = (size_t)resolver->settings.in_flight_max * QUESTIONS_PER_FLIGHT;

    if (resolver->questions.count >= count_max || resolver->is_closing)
        return NULL;
    struct question *question = question_new(resolver, name, type);

    if (resolver->in_flight < resolver->settings.in_flight_max && list_is_empty(&resolver->line))
        question_send(question);
    else
        line_join(question);
    return question;
}

static void ask(struct resolver *resolver, struct dns_query *query, const struct dns_name *name,
                enum dns_type type)
{
    uint8_t key[QUESTION_KEY_MAX];
    const struct dns_answer *known = dns_cache_find(resolver->cache, dns_name_bytes(name), type,
                                                    engine_now_ms(resolver->engine));

    if (known != NULL) {
        count_hit(known);
        tell_later(resolver, query, known);
        return;
    }
    metric_inc(METRIC_DNS_CACHE_MISSES);
    struct map_node *node =
        map_find(&resolver->questions, question_key(key, dns_name_bytes(name), type));
    struct question *question = node != NULL ? container_of(node, struct question, node)
                                             : question_start(resolver, name, type);

    if (question != NULL)
        list_push_back(&question->waiters, &query->node);
    else
        tell_later(resolver, query, resolver_failure(resolver, "too many questions wait"));
}

static void ask_parsed(struct resolver *resolver, struct dns_query *query,
                       const struct dns_name *name, enum dns_type type)
{
    check(!query->is_waiting);
    check(query->done != NULL);
    query->is_waiting = true;
    query->answer = NULL;
    list_node_init(&query->node);
    if (name != NULL)
        ask(resolver, query, name, type);
    else
        tell_later(resolver, query,
                   dns_answer_bare(DNS_BAD_NAME, NULL, engine_now_ms(resolver->engine)));
}

void resolver_ask(struct resolver *resolver, struct dns_query *query, struct bytes name,
                  enum dns_type type)
{
    struct dns_name parsed;

    ask_parsed(resolver, query, dns_name_parse(name, &parsed) ? &parsed : NULL, type);
}

void resolver_ask_any(struct resolver *resolver, struct dns_query *query, struct bytes name,
                      enum dns_type type)
{
    struct dns_name parsed;

    ask_parsed(resolver, query, dns_name_parse_any(name, &parsed) ? &parsed : NULL, type);
}

void resolver_cancel(struct resolver *resolver, struct dns_query *query)
{
    (void)resolver;
    if (!query->is_waiting)
        return;
    list_remove(&query->node);
    dns_answer_release(&query->answer);
    query->is_waiting = false;
}

void resolver_flush(struct resolver *resolver, struct bytes name)
{
    struct dns_name parsed;

    if (name.len == 0)
        dns_cache_flush(resolver->cache, BYTES_NONE);
    else if (dns_name_parse(name, &parsed))
        dns_cache_flush(resolver->cache, dns_name_bytes(&parsed));
}

/* --- end of turn ---------------------------------------------------------------------------- */

static void question_settle(struct question *question)
{
    struct resolver *resolver = question->resolver;
    const struct dns_answer *learned = question->answer;

    if (learned->status == DNS_FAILED) {
        metric_inc(METRIC_DNS_FAILURES);
        log_limited(LOG_LEVEL_INFO, "dns=%s type=%d outcome=failed why=%s ms=%lld",
                    LOG_TEXT(question_name(question)), (int)question->type,
                    LOG_STRING(learned->why),
                    (long long)(engine_now_ms(resolver->engine) - question->asked_ms));
    }
    const struct dns_answer *told =
        dns_cache_store(resolver->cache, question_name(question), question->type, learned,
                        engine_now_ms(resolver->engine));

    if (told->is_stale)
        metric_inc(METRIC_DNS_STALE_ANSWERS);
    question_tell(question, told);
    dns_answer_release(&told);
    question_free(question);
}

static void settle_answered(struct resolver *resolver)
{
    struct list now;
    struct list_node *node;

    list_init(&now);
    list_splice(&now, &resolver->answered);
    while ((node = list_pop_front(&now)) != NULL) {
        struct question *question = container_of(node, struct question, place);

        if (question->answer == NULL) /* before those in line: it has begun */
            question_send(question);
        else
            question_settle(question);
    }
}

static void send_from_line(struct resolver *resolver)
{
    while (resolver->in_flight < resolver->settings.in_flight_max) {
        struct list_node *node = list_pop_front(&resolver->line);

        if (node == NULL)
            return;
        question_send(container_of(node, struct question, place));
    }
}

static void turn_ends(struct turn_end *turn_end)
{
    struct resolver *resolver = container_of(turn_end, struct resolver, turn_end);

    settle_answered(resolver);
    call_told(resolver);
    send_from_line(resolver);
    flight_close_idle(resolver);
}

/* Questions that waited in line too long fail, but are not remembered: their names did nothing. */
static void line_timed_out(struct timeout *timeout)
{
    struct resolver *resolver = container_of(timeout, struct resolver, line_timeout);
    const struct dns_answer *answer = resolver_failure(resolver, "the servers are too slow");
    int64_t now_ms = engine_now_ms(resolver->engine);

    list_for_each(node, &resolver->line) { /* oldest first */
        struct question *question = container_of(node, struct question, place);
        int64_t left_ms = question->asked_ms + LINE_MS_MAX - now_ms;

        if (left_ms > 0) {
            engine_timeout(resolver->engine, timeout, left_ms);
            break;
        }
        metric_inc(METRIC_DNS_FAILURES);
        question_tell(question, answer);
        question_free(question);
    }
    dns_answer_release(&answer);
}
