/*
 * resolver.c - questions, who waits for them, and the cache.
 *
 * A question is one (name, type) that is being asked, however many wait for it:
 *
 *   (asked) --> LINE --room in flight--> FLIGHT --c-ares--> ANSWERED --end of turn--> (told, freed)
 *                 ^                                            |
 *                 '----- the answer ends in a bare CNAME ------'
 *
 * c-ares's callbacks only move questions to `answered`; everything that calls out happens at the
 * end of the turn, so nobody is called from inside what he called, and c-ares never sees itself
 * called from its own callbacks.
 */
#include "dns/resolver.h"

#include <ares.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/metric.h"
#include "base/random.h"
#include "dns/answer.h"
#include "dns/cache.h"
#include "dns/channel.h"
#include "dns/vote.h"

enum {
    CHANNEL_AGE_MS_MAX = 60000, /* channel.h says why */
    CHANNELS_MAX = 4,           /* the one in use and those that finish their queries */
    QUESTIONS_PER_FLIGHT = 64,  /* questions kept for each that may be in flight; then DNS_FAILED */
    LINE_MS_MAX = 30000,        /* in line this long: the servers are dead or far too slow */
    PLAIN_MS = 600 * 1000,      /* servers that do not copy case are asked without it this long */
    NO_TCP_MS = 600 * 1000,     /* those that do not answer over TCP either, without that */
    KEY_TYPE_LEN = 2,
    KEY_MAX = KEY_TYPE_LEN + DNS_NAME_MAX,
};

struct question {
    struct map_node node;
    struct list_node place; /* in line or among the answered */
    struct resolver *resolver;
    struct list waiters; /* of dns_query */
    enum dns_type type;
    int64_t asked_ms;
    int64_t sent_us;
    struct dns_name asked; /* where the CNAME chain has led */
    uint64_t case_bits;    /* of the letters, as they were sent */
    bool is_mixed;
    bool is_tcp;          /* an answer to `asked` came in the wrong case */
    bool is_voting;       /* and TCP does not tell */
    struct dns_vote vote; /* of such answers */
    unsigned chain_len;
    uint32_t chain_ttl_s;
    const struct dns_answer *answer; /* NULL while ANSWERED: ask for `asked` */
    uint8_t key[KEY_MAX];
    size_t key_len;
};

struct resolver {
    struct engine *engine;
    struct dns_settings settings; /* defaults filled in */
    char *servers;
    struct channel *channels[CHANNELS_MAX]; /* the first is in use */
    struct channel *tcp;                    /* NULL while nothing is asked there */
    int64_t plain_until_ms;                 /* questions are asked in lower case */
    int64_t no_tcp_until_ms;                /* answers in the wrong case are voted on at once */
    struct siphash_key vote_key;
    struct dns_cache *cache;
    struct map questions;
    struct list line; /* oldest first */
    struct list answered;
    struct list told; /* dns_query with an answer, to be called */
    size_t in_flight;
    struct turn_end turn_end;
    struct timeout line_timeout;
    struct arena arena; /* of the packet being parsed */
    bool is_telling;
    bool is_closing;
};

static void turn_ends(struct turn_end *turn_end);
static void line_timed_out(struct timeout *timeout);
static void answered(void *context, int status, int timeouts, struct bytes packet);
static void question_send(struct question *question);

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
    resolver->channels[0] = channel_open(engine, &resolver->settings, false, answered, why_out);
    if (resolver->channels[0] == NULL)
        resolver_destroy(&resolver);
    return resolver;
}

static void question_free(struct question *question)
{
    check(list_is_empty(&question->waiters));
    map_remove(&question->resolver->questions, &question->node);
    list_remove(&question->place);
    dns_answer_release(&question->answer);
    free(question);
}

/* Everyone who waits gets `answer` at the end of the turn. */
static void tell_waiters(struct question *question, const struct dns_answer *answer)
{
    struct resolver *resolver = question->resolver;
    struct list_node *node;

    while ((node = list_pop_front(&question->waiters)) != NULL) {
        struct dns_query *query = container_of(node, struct dns_query, node);

        query->answer = dns_answer_keep(answer);
        list_push_back(&resolver->told, &query->node);
    }
    engine_at_turn_end(resolver->engine, &resolver->turn_end);
}

static void end_question(void *context, struct map_node *node)
{
    struct question *question = container_of(node, struct question, node);

    tell_waiters(question, context);
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

static const struct dns_answer *failure(const struct resolver *resolver, const char *why)
{
    return dns_answer_bare(DNS_FAILED, why,
                           engine_now_ms(resolver->engine) +
                               (int64_t)resolver->settings.failure_ttl_s * 1000);
}

/* Questions in flight belong to c-ares and come back to answered(), which sees is_closing. */
static void tell_all_failed(struct resolver *resolver)
{
    const struct dns_answer *answer = failure(resolver, "the resolver is shutting down");

    for (size_t i = 0; i < CHANNELS_MAX; i++)
        channel_close(&resolver->channels[i]);
    channel_close(&resolver->tcp);
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

static struct bytes make_key(uint8_t into[static KEY_MAX], struct bytes name, enum dns_type type)
{
    into[0] = (uint8_t)((unsigned)type >> 8);
    into[1] = (uint8_t)type;
    memcpy(into + KEY_TYPE_LEN, name.ptr, name.len);
    return bytes_range(into, KEY_TYPE_LEN + name.len);
}

static struct question *question_new(struct resolver *resolver, const struct dns_name *name,
                                     enum dns_type type)
{
    struct question *question = malloc(sizeof(*question));

    check(question != NULL);
    *question = (struct question){
        .resolver = resolver,
        .type = type,
        .asked = *name,
        .chain_ttl_s = INT32_MAX,
        .asked_ms = engine_now_ms(resolver->engine),
    };
    list_node_init(&question->place);
    list_init(&question->waiters);
    struct bytes key = make_key(question->key, dns_name_bytes(name), type);

    question->key_len = key.len;
    map_insert(&resolver->questions, &question->node, key);
    return question;
}

static struct bytes question_name(const struct question *question)
{
    return bytes_range(question->key + KEY_TYPE_LEN, question->key_len - KEY_TYPE_LEN);
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

void resolver_ask(struct resolver *resolver, struct dns_query *query, struct bytes name,
                  enum dns_type type)
{
    struct dns_name parsed;
    uint8_t key[KEY_MAX];

    check(!query->is_waiting);
    check(query->done != NULL);
    query->is_waiting = true;
    query->answer = NULL;
    list_node_init(&query->node);
    if (!dns_name_parse(name, &parsed)) {
        int64_t now_ms = engine_now_ms(resolver->engine);

        tell_later(resolver, query, dns_answer_bare(DNS_BAD_NAME, NULL, now_ms));
        return;
    }
    const struct dns_answer *known = dns_cache_find(resolver->cache, dns_name_bytes(&parsed), type,
                                                    engine_now_ms(resolver->engine));

    if (known != NULL) {
        count_hit(known);
        tell_later(resolver, query, known);
        return;
    }
    metric_inc(METRIC_DNS_CACHE_MISSES);
    struct map_node *node =
        map_find(&resolver->questions, make_key(key, dns_name_bytes(&parsed), type));
    struct question *question = node != NULL ? container_of(node, struct question, node)
                                             : question_start(resolver, &parsed, type);

    if (question != NULL)
        list_push_back(&question->waiters, &query->node);
    else
        tell_later(resolver, query, failure(resolver, "too many questions wait"));
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

/* --- in flight ------------------------------------------------------------------------------ */

/* The channel in use, replaced when it is old. Old ones finish their queries first; while there is
 * no room for another old one, this one stays in use. */
static struct channel *use_channel(struct resolver *resolver)
{
    struct channel **channels = resolver->channels;
    const char *why;

    if (channel_age_ms(channels[0]) < CHANNEL_AGE_MS_MAX)
        return channels[0];
    for (size_t i = 1; i < CHANNELS_MAX; i++) {
        if (channels[i] != NULL)
            continue;
        struct channel *fresh =
            channel_open(resolver->engine, &resolver->settings, false, answered, &why);

        if (fresh == NULL) {
            log_limited(LOG_LEVEL_WARN, "what=\"cannot open a DNS channel\" why=%s",
                        LOG_STRING(why));
            break;
        }
        channels[i] = channels[0];
        channels[0] = fresh;
        break;
    }
    return channels[0];
}

static void close_idle_channels(struct resolver *resolver)
{
    for (size_t i = 1; i < CHANNELS_MAX; i++)
        if (resolver->channels[i] != NULL && channel_in_flight(resolver->channels[i]) == 0)
            channel_close(&resolver->channels[i]);
    if (resolver->tcp != NULL && channel_in_flight(resolver->tcp) == 0)
        channel_close(&resolver->tcp);
}

/* For a question that must not be forged; NULL if there is none. */
static struct channel *use_tcp(struct resolver *resolver)
{
    const char *why;

    if (resolver->tcp == NULL)
        resolver->tcp = channel_open(resolver->engine, &resolver->settings, true, answered, &why);
    if (resolver->tcp == NULL)
        log_limited(LOG_LEVEL_WARN, "what=\"cannot open a DNS channel\" why=%s", LOG_STRING(why));
    return resolver->tcp;
}

/* As the question is sent. */
static struct dns_name name_sent(const struct question *question)
{
    struct dns_name name = question->asked;

    if (question->is_mixed)
        dns_name_mix_case(&name, question->case_bits);
    return name;
}

static void question_send(struct question *question)
{
    struct resolver *resolver = question->resolver;

    resolver->in_flight++;
    metric_inc(METRIC_DNS_QUERIES);
    metric_inc(METRIC_DNS_IN_FLIGHT);
    question->sent_us = clock_monotonic_us();
    question->is_mixed = engine_now_ms(resolver->engine) >= resolver->plain_until_ms;
    /* Not random_u64(): who sees enough of its numbers can tell the next. */
    arc4random_buf(&question->case_bits, sizeof(question->case_bits));
    struct dns_name name = name_sent(question);
    struct channel *channel = question->is_tcp ? use_tcp(resolver) : use_channel(resolver);

    if (channel == NULL)
        answered(question, ARES_ENOMEM, 0, BYTES_NONE);
    else
        channel_ask(channel, name.text, question->type, question);
}

static int64_t expiry(const struct resolver *resolver, const struct dns_packet *packet)
{
    const struct dns_settings *settings = &resolver->settings;
    unsigned ttl_s = packet->has_ttl ? packet->ttl_s : settings->ttl_min_s;

    switch (packet->status) {
    case DNS_OK:
        ttl_s = MIN(ttl_s, settings->ttl_max_s);
        break;
    case DNS_NO_DATA:
    case DNS_NXDOMAIN:
        ttl_s = MIN(ttl_s, settings->negative_ttl_max_s);
        break;
    case DNS_FAILED:
    case DNS_BAD_NAME:
        ttl_s = settings->failure_ttl_s;
        break;
    }
    return engine_now_ms(resolver->engine) + (int64_t)MAX(ttl_s, settings->ttl_min_s) * 1000;
}

/* c-ares has no packet for us. */
static const struct dns_answer *answer_without_packet(struct resolver *resolver, int status)
{
    switch (status) {
    case ARES_ETIMEOUT:
        metric_inc(METRIC_DNS_TIMEOUTS);
        return failure(resolver, "timeout");
    case ARES_ECONNREFUSED: /* c-ares's word for all that is no time-out, too */
        return failure(resolver, channel_server_count(resolver->channels[0]) == 1
                                     ? "the server cannot be reached"
                                     : "no server could be reached, or would answer");
    case ARES_EBADNAME:
        return failure(resolver, "a name that cannot be asked");
    case ARES_ENOTFOUND: /* ".onion", which is never asked (RFC 7686 section 2) */
        return dns_answer_bare(DNS_NXDOMAIN, NULL,
                               engine_now_ms(resolver->engine) +
                                   (int64_t)resolver->settings.negative_ttl_max_s * 1000);
    case ARES_EDESTRUCTION:
        return failure(resolver, "the resolver is shutting down");
    default:
        return failure(resolver, ares_strerror(status));
    }
}

enum suspicion { BELIEVE, ASK_AGAIN, REFUSE };

static void start_vote(struct question *question)
{
    question->is_tcp = false;
    question->is_voting = true;
    question->vote = (struct dns_vote){0};
}

static void learn_plain(struct question *question)
{
    question->resolver->plain_until_ms = engine_now_ms(question->resolver->engine) + PLAIN_MS;
    log_limited(LOG_LEVEL_INFO,
                "dns=%s plain_s=%d what=\"the servers do not repeat the case of questions\"",
                LOG_TEXT(question_name(question)), PLAIN_MS / 1000);
}

static void learn_no_tcp(struct question *question)
{
    question->resolver->no_tcp_until_ms = engine_now_ms(question->resolver->engine) + NO_TCP_MS;
    log_limited(
        LOG_LEVEL_INFO,
        "dns=%s answers=%d what=\"the servers neither repeat the case of questions nor answer "
        "over TCP: answers that agree are believed\"",
        LOG_TEXT(question_name(question)), DNS_VOTES);
}

static enum suspicion count_vote(struct question *question, const struct dns_packet *packet)
{
    question->chain_ttl_s = packet->ttl_s; /* the least of all that is believed */
    switch (dns_vote_take(&question->vote, &question->resolver->vote_key, packet)) {
    case DNS_VOTE_OPEN:
        return ASK_AGAIN;
    case DNS_VOTE_PASSED:
        learn_no_tcp(question);
        return BELIEVE;
    case DNS_VOTE_SPLIT:
        break;
    }
    return REFUSE;
}

/* What becomes of an answer that does not repeat the case of its question. */
static enum suspicion suspect_case(struct question *question, const struct dns_packet *packet)
{
    struct resolver *resolver = question->resolver;

    if (question->is_tcp) { /* nobody forged this: the servers do so */
        learn_plain(question);
        return BELIEVE;
    }
    metric_inc(METRIC_DNS_CASE_MISMATCHES);
    if (!question->is_voting && engine_now_ms(resolver->engine) < resolver->no_tcp_until_ms)
        start_vote(question);
    if (question->is_voting)
        return count_vote(question, packet);
    log_limited(LOG_LEVEL_INFO,
                "dns=%s type=%d what=\"an answer in another case than its question, "
                "which may be forged: asked again over TCP\"",
                LOG_TEXT(question_name(question)), (int)question->type);
    question->is_tcp = true;
    return ASK_AGAIN;
}

static void follow_chain(struct question *question, const struct dns_packet *packet)
{
    question->is_tcp = false;
    question->is_voting = false;
    question->chain_len += packet->chain_len;
    question->chain_ttl_s = packet->ttl_s;
    question->asked = packet->owner;
}

/* What the packet says; NULL if it only says to ask again, perhaps for another name: `asked`. */
static const struct dns_answer *answer_of_packet(struct question *question, struct bytes bytes)
{
    struct resolver *resolver = question->resolver;
    struct dns_packet packet;
    const struct dns_answer *answer = NULL;
    struct dns_name sent = name_sent(question);
    enum suspicion suspicion = BELIEVE;

    dns_packet_parse(&packet, bytes, dns_name_bytes(&question->asked), question->type,
                     DNS_CNAME_CHAIN_MAX - question->chain_len, &resolver->arena);
    packet.ttl_s = MIN(packet.ttl_s, question->chain_ttl_s);
    if (question->is_mixed && !dns_packet_repeats(bytes, dns_name_bytes(&sent)))
        suspicion = suspect_case(question, &packet);
    if (suspicion == REFUSE)
        answer = failure(resolver, "answers that may be forged, and do not agree");
    else if (suspicion == BELIEVE && packet.is_unfinished)
        follow_chain(question, &packet);
    else if (suspicion == BELIEVE)
        answer = dns_answer_from_packet(&packet, expiry(resolver, &packet));
    arena_clear(&resolver->arena);
    return answer;
}

/* The same without a packet. A question that TCP was to decide is asked by UDP again. */
static const struct dns_answer *answer_of_status(struct question *question, int status)
{
    if (!question->is_tcp)
        return answer_without_packet(question->resolver, status);
    start_vote(question);
    return NULL;
}

static void answered(void *context, int status, int timeouts, struct bytes packet)
{
    struct question *question = context;
    struct resolver *resolver = question->resolver;

    check(question->answer == NULL);
    check(resolver->in_flight > 0);
    resolver->in_flight--;
    metric_dec(METRIC_DNS_IN_FLIGHT);
    metric_add(METRIC_DNS_TRIES_TIMED_OUT, timeouts);
    metric_observe_us(HISTOGRAM_DNS, clock_monotonic_us() - question->sent_us);
    question->answer =
        packet.len > 0 ? answer_of_packet(question, packet) : answer_of_status(question, status);
    list_push_back(&resolver->answered, &question->place);
    engine_at_turn_end(resolver->engine, &resolver->turn_end);
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
    tell_waiters(question, told);
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
    close_idle_channels(resolver);
}

/* Questions that waited in line too long fail, but are not remembered: their names did nothing. */
static void line_timed_out(struct timeout *timeout)
{
    struct resolver *resolver = container_of(timeout, struct resolver, line_timeout);
    const struct dns_answer *answer = failure(resolver, "the servers are too slow");
    int64_t now_ms = engine_now_ms(resolver->engine);

    list_for_each(node, &resolver->line) { /* oldest first */
        struct question *question = container_of(node, struct question, place);
        int64_t left_ms = question->asked_ms + LINE_MS_MAX - now_ms;

        if (left_ms > 0) {
            engine_timeout(resolver->engine, timeout, left_ms);
            break;
        }
        metric_inc(METRIC_DNS_FAILURES);
        tell_waiters(question, answer);
        question_free(question);
    }
    dns_answer_release(&answer);
}
