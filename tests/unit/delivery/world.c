/* world.c - a shard in memory and MX sets from a table, for tests. */
#include "unit/delivery/world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/random.h"
#include "delivery/client/smtp_client.h"
#include "delivery/line/destination.h"
#include "support/chat.h"

enum { PIECE_MAX = 5000, STOP_MS_MAX = 20000, WRITTEN_MESSAGES_MAX = 8 };

/* --- messages -------------------------------------------------------------------------------- */

struct message *message_create(void)
{
    struct message *message = calloc(1, sizeof(*message));

    check(message != NULL);
    message->references = 1;
    arena_init(&message->arena, 64 << 20);
    return message;
}

struct message *message_keep(struct message *message)
{
    check(message->references > 0);
    message->references++;
    return message;
}

void message_release(struct message **message)
{
    struct message *released = *message;

    *message = NULL;
    if (released == NULL)
        return;
    check(released->references > 0);
    if (--released->references > 0)
        return;
    arena_free(&released->arena);
    free(released);
}

/* --- the shard ------------------------------------------------------------------------------- */

struct record {
    struct list_node node;
    struct message *message;
    bool is_on_disk, is_large, is_unreadable, is_damaged, is_known_damaged;
    int64_t *due_ms;  /* of each pending */
    struct stub stub; /* last: it ends in an array */
};

struct written {
    struct list_node node;
    struct commit *commit;
    size_t count;
    int result; /* of all of it */
    struct outcome *outcomes;
    struct message *messages[WRITTEN_MESSAGES_MAX];
    size_t message_count;
};

struct shard {
    struct world *world;
    struct turn_hook hook;
    struct timeout timeout;
    struct list records;
    struct list scheduled; /* of pendings */
    int64_t next_due_ms;   /* of these, or earlier */
    struct list written;   /* commits on their way */
    struct list loads;
    struct list reads;
    uint64_t next_serial;
};

static struct record *record_of(struct stub *stub)
{
    return container_of(stub, struct record, stub);
}

unsigned shard_index(const struct shard *shard)
{
    (void)shard;
    return 0;
}

bool shard_is_adopted(const struct shard *shard)
{
    return shard->world->is_adopted;
}

int shard_why_full(const struct shard *shard)
{
    return shard->world->is_full ? -ENOSPC : 0;
}

bool shard_is_full(const struct shard *shard)
{
    return shard->world->is_full;
}

size_t shard_outcome_room(const struct shard *shard)
{
    return shard->world->outcome_room;
}

struct message_id shard_next_id(struct shard *shard)
{
    return (struct message_id){shard->next_serial++};
}

static void schedule(struct shard *shard, struct pending *pending, int64_t due_ms)
{
    struct record *record = record_of(pending_stub(pending));

    check((pending->flags & ~(PENDING_DELAY_TOLD | PENDING_WAITS)) == 0);
    pending->state = PENDING_SCHEDULED;
    pending->due_s = (uint32_t)((due_ms + 999) / 1000);
    record->due_ms[pending_number(pending)] = due_ms;
    shard->next_due_ms = MIN(shard->next_due_ms, due_ms);
    list_push_back(&shard->scheduled, &pending->link);
    int64_t after_ms = due_ms - engine_now_ms(shard->world->engine);

    if (!list_is_linked(&shard->timeout.node) ||
        engine_now_ms(shard->world->engine) + after_ms < shard->timeout.at_ms)
        engine_timeout(shard->world->engine, &shard->timeout, MAX(after_ms, (int64_t)0));
}

void shard_let_go(struct shard *shard, struct pending *pending)
{
    check(pending->state == PENDING_READY);
    shard->world->let_go_count++;
}

void shard_postpone(struct shard *shard, struct pending *pending, int64_t due_ms)
{
    check(pending->state == PENDING_READY);
    if (shard->world->facts != NULL)
        chat_fact(shard->world->facts, "postponed");
    schedule(shard, pending, due_ms);
}

static void fact_outcome(struct world *world, const struct event *e, const struct stub *stub,
                         int64_t now_ms)
{
    char text[4096];
    int len = snprintf(
        text, sizeof(text),
        "%s %.*s %u.%u.%u code=%u class=%.*s rule=%.*s attempt=%u site=%.*s host=%.*s ip=%.*s "
        "source=%.*s next_s=%lld ours=%d reply=%.*s",
        event_kind_name(e->kind), BYTES_ARG(e->recipient), e->enhanced_class, e->enhanced_subject,
        e->enhanced_detail, e->reply_code, BYTES_ARG(e->class), BYTES_ARG(e->rule), e->attempt,
        BYTES_ARG(e->site), BYTES_ARG(e->mx_host), BYTES_ARG(e->mx_ip), BYTES_ARG(e->source),
        e->next_attempt_ms != 0 ? (long long)(e->next_attempt_ms - now_ms) / 1000 : -1LL,
        e->reply_is_ours, BYTES_ARG(e->reply_text));

    check(e->id.value == stub->id.value);
    chat_fact_bytes(world->facts, "event", bytes_range(text, MIN((size_t)len, sizeof(text) - 1)));
    if (world->tls == NULL)
        return;
    len = snprintf(text, sizeof(text),
                   "%.*s version=%.*s verified=%u policy=%.*s by=%.*s result=%.*s ms=%d why=%.*s",
                   BYTES_ARG(e->recipient), BYTES_ARG(e->tls_version), e->tls_verified,
                   BYTES_ARG(e->tls_policy), BYTES_ARG(e->tls_source), BYTES_ARG(e->tls_result),
                   e->times.tls_ms, BYTES_ARG(e->tls_reason));
    chat_fact_bytes(world->facts, "tls", bytes_range(text, MIN((size_t)len, sizeof(text) - 1)));
}

static void fact_dsn(struct world *world, const struct message *dsn)
{
    struct bytes rest = dsn->content.memory;
    struct bytes line;

    chat_fact(world->facts, "dsn from=<%.*s> to=%.*s domain=%.*s notify=%u is_dsn=%d utf8=%d",
              BYTES_ARG(dsn->reverse_path), BYTES_ARG(dsn->recipients[0].address),
              BYTES_ARG(dsn->recipients[0].domain), dsn->recipients[0].notify, dsn->is_dsn,
              dsn->needs_smtputf8);
    while (bytes_take_until(&rest, '\n', &line))
        chat_fact_bytes(world->facts, "dsn-line", bytes_slice(line, 0, line.len - 1));
}

void shard_commit(struct shard *shard, struct commit *commit)
{
    struct world *world = shard->world;
    struct written *written = calloc(1, sizeof(*written));

    check(written != NULL);
    list_node_init(&written->node);
    written->commit = commit;
    if (world->outcomes_max != 0 && commit->outcome_count > world->outcomes_max) {
        written->result = -EMSGSIZE;
        list_push_back(&shard->written, &written->node);
        engine_turn_again(world->engine);
        return;
    }
    written->count = commit->outcome_count;
    written->outcomes = calloc(MAX(written->count, (size_t)1), sizeof(struct outcome));
    check(written->outcomes != NULL);
    for (size_t i = 0; i < written->count; i++) {
        struct outcome *outcome = &written->outcomes[i];
        enum event_kind kind = commit->outcomes[i].event.kind;

        *outcome = commit->outcomes[i];
        check(outcome->pending->state == PENDING_READY);
        check(!list_is_linked(&outcome->pending->link));
        check((outcome->pending->flags & ~(PENDING_DELAY_TOLD | PENDING_UNTRIED)) == 0);
        if (world->facts != NULL)
            fact_outcome(world, &outcome->event, pending_stub(outcome->pending),
                         engine_wall_ms(world->engine));
        if (!outcome_is_mark(kind))
            outcome->pending->state = PENDING_COMMITTING;
    }
    written->message_count = commit->message != NULL ? 1 + commit->more_count : 0;
    check(written->message_count <= WRITTEN_MESSAGES_MAX);
    for (size_t i = 0; i < written->message_count; i++) {
        struct message *message = i == 0 ? commit->message : commit->more[i - 1];

        if (world->facts != NULL)
            fact_dsn(world, message);
        if (world->last_dsn != NULL)
            message_release(&world->last_dsn);
        world->last_dsn = message_keep(message);
        written->messages[i] = message_keep(message);
    }
    list_push_back(&shard->written, &written->node);
    engine_turn_again(world->engine);
}

static struct record *accept_message(struct shard *shard, struct message *message)
{
    size_t count = message->recipient_count;
    int64_t now_ms = engine_now_ms(shard->world->engine);
    int64_t due_ms = now_ms + shard->world->hold_ms;
    struct record *record =
        calloc(1, sizeof(*record) + count * sizeof(struct pending) + sizeof(uint32_t));

    check(record != NULL);
    record->due_ms = calloc(count, sizeof(int64_t));
    check(record->due_ms != NULL);
    record->message = message;
    if (message->id.value == 0)
        message->id = shard_next_id(shard);
    message->accepted_ms = engine_wall_ms(shard->world->engine);
    record->stub.id = message->id;
    stub_set_message(&record->stub, message);
    stub_set_accepted_ms(&record->stub, engine_now_ms(shard->world->engine));
    stub_set_count(&record->stub, (uint32_t)count);
    if (due_ms > now_ms) {
        record->stub.pendings[0].flags = PENDING_WAITS;
        stub_set_not_before_ms(&record->stub, due_ms, now_ms);
    }
    list_node_init(&record->node);
    list_push_back(&shard->records, &record->node);
    for (size_t i = 0; i < count; i++) {
        struct pending *pending = &record->stub.pendings[i];

        list_node_init(&pending->link);
        pending_place(&record->stub, (uint32_t)i);
        const struct flow_part part = flow_part_of(message);

        pending->flow = flow_get(shard->world->flows, &part, message->recipients[i].domain);
        flow_up(pending->flow);
        schedule(shard, pending, due_ms);
    }
    return record;
}

static void record_free(struct record *record)
{
    list_remove(&record->node);
    message_release(&record->message);
    free(record->due_ms);
    free(record);
}

static void finish_pending(struct shard *shard, struct pending *pending)
{
    struct stub *stub = pending_stub(pending);
    struct domain *idle;

    pending->state = PENDING_FINAL;
    flow_down(shard->world->flows, &pending->flow, &idle);
    if (idle != NULL) {
        delivery_domain_idle(shard->world->delivery, idle);
        domain_forget(shard->world->flows, &idle);
    }
    if (--stub->live_count == 0)
        record_free(record_of(stub));
}

static void apply(struct shard *shard, const struct outcome *outcome)
{
    struct pending *pending = outcome->pending;
    int64_t wall_ms = engine_wall_ms(shard->world->engine);

    if (outcome->event.kind == EVENT_DELAYED) {
        pending->flags |= PENDING_DELAY_TOLD;
        return;
    }
    if (outcome->event.kind == EVENT_FORWARDED) {
        pending->is_forwarded = 1;
        return;
    }
    check(pending->state == PENDING_COMMITTING);
    if (outcome->event.kind == EVENT_DEFERRED) {
        pending_set_attempts(pending, pending->attempts + 1U);
        pending->flags &= (uint8_t)~PENDING_UNTRIED;
        schedule(shard, pending,
                 engine_now_ms(shard->world->engine) + outcome->event.next_attempt_ms - wall_ms);
        return;
    }
    check(event_kind_is_final(outcome->event.kind));
    finish_pending(shard, pending);
}

static void write_one(struct shard *shard, struct written *written)
{
    for (size_t i = 0; i < written->count; i++)
        apply(shard, &written->outcomes[i]);
    for (size_t i = 0; i < written->message_count; i++) {
        if (shard->world->delivers_dsns)
            accept_message(shard, message_keep(written->messages[i]));
        message_release(&written->messages[i]);
    }
    written->commit->done(written->commit, written->result);
    free(written->outcomes);
    free(written);
}

void shard_load(struct shard *shard, struct load *load)
{
    list_push_back(&shard->loads, &load->node);
    engine_turn_again(shard->world->engine);
}

bool shard_is_damaged(const struct shard *shard, const struct stub *stub)
{
    (void)shard;
    return container_of(stub, struct record, stub)->is_known_damaged;
}

/* A copy without its content, as large messages are loaded. */
static struct message *without_content(const struct message *message)
{
    struct message *copy = message_create();
    struct arena arena = copy->arena;

    *copy = *message;
    copy->arena = arena;
    copy->references = 1;
    copy->content.memory = BYTES_NONE;
    return copy;
}

static void load_one(struct shard *shard, struct load *load)
{
    struct record *record = record_of(load->stub);
    int error = (int)shard->world->load_error;

    if (!shard->world->load_errors_stay)
        shard->world->load_error = 0;
    if (error != 0 || record->is_unreadable || (record->is_damaged && !load->envelope_only))
        load->done(load, error != 0 ? -error : -EBADMSG, NULL);
    else if (record->is_large || record->is_damaged || (record->is_on_disk && load->envelope_only))
        load->done(load, 0, without_content(record->message));
    else
        load->done(load, 0, message_keep(record->message));
}

struct reading {
    uint64_t id;
    uint32_t offset;
    void *buffer;
};

void shard_read_content(struct shard *shard, struct message *message, struct content_read *read)
{
    struct reading *reading = read->owner_private;

    check(!list_is_linked(&read->node));
    if (reading == NULL) {
        reading = calloc(1, sizeof(*reading));
        check(reading != NULL);
        reading->id = message->id.value;
        read->owner_private = reading;
    }
    list_push_back(&shard->reads, &read->node);
    engine_turn_again(shard->world->engine);
}

void shard_read_content_end(struct shard *shard, struct content_read *read)
{
    struct reading *reading = read->owner_private;

    (void)shard;
    check(!list_is_linked(&read->node));
    check(reading != NULL);
    free(reading->buffer);
    free(reading);
    read->owner_private = NULL;
}

static struct record *find(struct shard *shard, uint64_t id)
{
    list_for_each(node, &shard->records) {
        struct record *record = container_of(node, struct record, node);

        if (record->stub.id.value == id)
            return record;
    }
    return NULL;
}

static void read_one(struct shard *shard, struct content_read *read)
{
    struct reading *reading = read->owner_private;
    struct record *record = find(shard, reading->id);

    check(record != NULL);
    struct bytes piece = bytes_slice(record->message->content.memory, reading->offset, PIECE_MAX);

    if (shard->world->read_error != 0 || record->is_damaged) {
        read->done(read, record->is_damaged ? -EBADMSG : -(int)shard->world->read_error,
                   BYTES_NONE);
        return;
    }
    /* In a buffer of its own size, so that it is seen when a piece is used too long. */
    free(reading->buffer);
    reading->buffer = malloc(MAX(piece.len, (size_t)1));
    check(reading->buffer != NULL);
    if (piece.len > 0)
        memcpy(reading->buffer, piece.ptr, piece.len);
    reading->offset += (uint32_t)piece.len;
    read->done(read, (int)piece.len, bytes_range(reading->buffer, piece.len));
}

static void hand_out_due(struct shard *shard)
{
    int64_t now_ms = engine_now_ms(shard->world->engine);
    int64_t next_ms = INT64_MAX;
    struct list due;
    struct list_node *node;

    if (shard->next_due_ms > now_ms)
        return; /* many may wait, and turns are many more */
    list_init(&due);
    list_for_each(each, &shard->scheduled) {
        struct pending *pending = container_of(each, struct pending, link);
        int64_t due_ms = record_of(pending_stub(pending))->due_ms[pending_number(pending)];

        if (due_ms > now_ms) {
            next_ms = MIN(next_ms, due_ms);
            continue;
        }
        list_remove(&pending->link);
        list_push_back(&due, &pending->link);
    }
    shard->next_due_ms = next_ms;
    if (next_ms != INT64_MAX)
        engine_timeout(shard->world->engine, &shard->timeout, next_ms - now_ms);
    while ((node = list_pop_front(&due)) != NULL) {
        struct pending *pending = container_of(node, struct pending, link);

        pending->state = PENDING_READY;
        delivery_due(shard->world->delivery, shard, pending);
    }
}

static void on_turn(struct turn_hook *hook)
{
    struct shard *shard = container_of(hook, struct shard, hook);
    struct list now;
    struct list_node *node;

    list_init(&now);
    if (!shard->world->has_no_space)
        list_splice(&now, &shard->written);
    while ((node = list_pop_front(&now)) != NULL)
        write_one(shard, container_of(node, struct written, node));
    list_splice(&now, &shard->loads);
    while ((node = list_pop_front(&now)) != NULL)
        load_one(shard, container_of(node, struct load, node));
    list_splice(&now, &shard->reads);
    while ((node = list_pop_front(&now)) != NULL)
        read_one(shard, container_of(node, struct content_read, node));
    hand_out_due(shard);
}

static void on_due(struct timeout *timeout)
{
    struct shard *shard = container_of(timeout, struct shard, timeout);

    engine_turn_again(shard->world->engine);
}

/* --- names ----------------------------------------------------------------------------------- */

struct mx_lookup {
    struct list_node node;
    struct world *world;
    struct turn_end turn_end;
    mx_done *done;
    void *context;
    uint16_t port;
    bool is_host;
    char domain[256];
};

struct mx_line {
    struct list_node node;
    struct bytes domain;
    struct bytes rest;
};

static const struct {
    const char *word;
    enum mx_status status;
    const char *note;
} statuses[] = {
    {"nxdomain", MX_NXDOMAIN, "the domain does not exist"},
    {"null", MX_NULL, "the domain does not take mail (null MX)"},
    {"no-address", MX_NO_ADDRESS, "no host of the domain has an address"},
    {"loop", MX_LOOP, "mail for the domain loops back to us"},
    {"unroutable", MX_UNROUTABLE, "the domain's hosts cannot be reached from here"},
    {"failed", MX_FAILED, "the name servers did not answer"},
};

static bool parse_host(struct world *world, struct bytes text, struct mx_set *set)
{
    struct mx_host *host = &set->hosts[set->host_count];
    struct bytes address;
    struct bytes name;
    bool is_equal = bytes_take_nocase(&text, BYTES("="));

    *host = (struct mx_host){0};
    host->preference = (uint16_t)(set->host_count == 0 ? 10
                                  : is_equal           ? host[-1].preference
                                                       : host[-1].preference + 10);
    if (!bytes_take_until(&text, '/', &name))
        return false;
    host->name = name;
    host->canonical = name;
    while (text.len > 0 && host->address_count < MX_ADDRESSES_MAX) {
        if (!bytes_take_until(&text, ',', &address)) {
            address = text;
            text = BYTES_NONE;
        }
        if (!address_parse(address, world->port, &host->addresses[host->address_count++]))
            return false;
    }
    set->host_count++;
    return true;
}

static bool parse_set(struct world *world, struct bytes rest, struct mx_set *set)
{
    struct bytes word;

    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        if (!bytes_equal(rest, bytes_of(statuses[i].word)))
            continue;
        set->status = statuses[i].status;
        set->note = statuses[i].note;
        return true;
    }
    set->is_secure = bytes_take_nocase(&rest, BYTES("dnssec "));
    set->site = rest;
    while (rest.len > 0 && set->host_count < MX_HOSTS_MAX) {
        if (!bytes_take_until(&rest, ' ', &word)) {
            word = rest;
            rest = BYTES_NONE;
        }
        if (!parse_host(world, word, set))
            return false;
    }
    return set->host_count > 0;
}

static void on_answer(struct turn_end *turn_end)
{
    struct mx_lookup *lookup = container_of(turn_end, struct mx_lookup, turn_end);
    struct world *world = lookup->world;
    struct mx_host hosts[MX_HOSTS_MAX];
    struct mx_set set = {
        .note = "",
        .hosts = hosts,
        .expires_ms = engine_now_ms(world->engine) + 300 * 1000,
    };
    char text[512];
    int len = snprintf(text, sizeof(text), "%s%s/127.0.0.1", lookup->is_host ? "" : "mx.",
                       lookup->domain);
    struct bytes rest = bytes_range(text, (size_t)len);

    list_for_each(node, &world->mx) {
        struct mx_line *line = container_of(node, struct mx_line, node);

        if (bytes_equal(line->domain, bytes_of(lookup->domain)))
            rest = line->rest;
    }
    check(parse_set(world, rest, &set));
    for (size_t i = 0; lookup->is_host && i < set.host_count; i++)
        for (size_t a = 0; a < hosts[i].address_count; a++)
            address_set_port(&hosts[i].addresses[a], lookup->port);
    list_remove(&lookup->node);
    lookup->done(lookup->context, &set);
    free(lookup);
}

static struct mx_lookup *look_up(struct world *world, struct bytes domain, mx_done *done,
                                 void *context)
{
    struct mx_lookup *lookup = calloc(1, sizeof(*lookup));

    check(lookup != NULL);
    lookup->world = world;
    lookup->done = done;
    lookup->context = context;
    snprintf(lookup->domain, sizeof(lookup->domain), "%.*s", BYTES_ARG(domain));
    list_node_init(&lookup->node);
    list_push_back(&world->lookups, &lookup->node);
    turn_end_init(&lookup->turn_end, on_answer);
    if (!world->lookups_wait)
        engine_at_turn_end(world->engine, &lookup->turn_end);
    return lookup;
}

void world_answer_lookups(struct world *world)
{
    world->lookups_wait = false;
    list_for_each(node, &world->lookups)
        engine_at_turn_end(world->engine, &container_of(node, struct mx_lookup, node)->turn_end);
}

struct mx_lookup *mx_lookup_start(struct resolver *resolver, const struct mx_rules *rules,
                                  struct bytes domain, mx_done *done, void *context)
{
    struct world *world = (struct world *)(void *)resolver;

    (void)rules;
    if (world->facts != NULL)
        chat_fact(world->facts, "lookup %.*s", BYTES_ARG(domain));
    return look_up(world, domain, done, context);
}

struct mx_lookup *mx_lookup_host(struct resolver *resolver, const struct mx_rules *rules,
                                 struct bytes host, uint16_t port, mx_done *done, void *context)
{
    struct world *world = (struct world *)(void *)resolver;
    struct mx_lookup *lookup = look_up(world, host, done, context);

    (void)rules;
    lookup->is_host = true;
    lookup->port = port;
    return lookup;
}

void mx_lookup_cancel(struct mx_lookup **lookup)
{
    engine_turn_end_cancel((*lookup)->world->engine, &(*lookup)->turn_end);
    list_remove(&(*lookup)->node);
    free(*lookup);
    *lookup = NULL;
}

struct engine *resolver_engine(const struct resolver *resolver)
{
    return ((const struct world *)(const void *)resolver)->engine;
}

/* Its sets are not secure, so nobody asks what else DNS says of TLS. */
void resolver_ask(struct resolver *resolver, struct dns_query *query, struct bytes name,
                  enum dns_type type)
{
    (void)resolver;
    (void)query;
    (void)name;
    (void)type;
    check(false);
}

void resolver_cancel(struct resolver *resolver, struct dns_query *query)
{
    (void)resolver;
    check(!query->is_waiting);
}

void resolver_flush(struct resolver *resolver, struct bytes name)
{
    (void)resolver;
    (void)name;
}

bool world_mx(struct world *world, struct bytes text)
{
    struct mx_line *line = arena_alloc(&world->arena, sizeof(*line));
    struct bytes copy;

    if (line == NULL || !arena_copy(&world->arena, text, &copy) ||
        !bytes_take_until(&copy, ' ', &line->domain))
        return false;
    struct mx_host hosts[MX_HOSTS_MAX];
    struct mx_set set = {.hosts = hosts};

    line->rest = copy;
    list_node_init(&line->node);
    list_push_back(&world->mx, &line->node);
    return parse_set(world, line->rest, &set);
}

/* --- the world ------------------------------------------------------------------------------- */

void world_init(struct world *world, struct engine *engine, struct buf *facts)
{
    *world = (struct world){.engine = engine, .facts = facts, .port = 25, .outcome_room = SIZE_MAX};
    list_init(&world->mx);
    list_init(&world->lookups);
    arena_init(&world->arena, 1 << 20);
    world->flows = flows_create();
    world->sources[0] = (struct source){.name = "default", .ehlo = "relay.example", .weight = 1};
    world->retry = (struct retry_rule){
        .match = "*", .first_s = 300, .factor = 2, .max_s = 14400, .max_age_s = 259200};
    world->egress = (struct egress_rule){.match = "*"};
    world->settings = (struct delivery_settings){
        .hostname = "relay.example",
        .source_count = 1,
        .sources = world->sources,
        .retry_count = 1,
        .retries = &world->retry,
        .egress_rule_count = 1,
        .egress_rules = &world->egress,
        .mx = {.use_ipv4 = true, .use_ipv6 = true},
    };
    struct shard *shard = calloc(1, sizeof(*shard));

    check(shard != NULL);
    world->shard = shard;
    shard->world = world;
    shard->next_serial = 1000;
    shard->next_due_ms = INT64_MAX;
    list_init(&shard->records);
    list_init(&shard->scheduled);
    list_init(&shard->written);
    list_init(&shard->loads);
    list_init(&shard->reads);
    timeout_init(&shard->timeout, on_due);
    shard->hook = (struct turn_hook){.run = on_turn};
    list_node_init(&shard->hook.node);
    engine_add_turn_hook(engine, &shard->hook);
}

void world_start(struct world *world)
{
    world->settings.mx.port = world->port;
    if (world->egresses == NULL)
        world->egresses = egress_table_create(world->settings.connections_max);
    world->clients = smtp_clients_create();
    smtp_clients_speak_tls(world->clients, world->tls);
    struct delivery_setup setup = {
        .engine = world->engine,
        .resolver = (struct resolver *)(void *)world,
        .flows = world->flows,
        .egresses = world->egresses,
        .carriers = smtp_clients_kind(world->clients),
        .home = world->shard,
        .settings = &world->settings,
        .ages_sure_from_ms = world->ages_sure_from_ms,
    };

    world->delivery = delivery_create(&setup);
}

static struct bytes copy_text(struct message *message, const char *text)
{
    struct bytes copy = BYTES_NONE;

    if (text != NULL && text[0] != '\0')
        check(arena_copy(&message->arena, bytes_of(text), &copy));
    return copy;
}

static void fill_recipients(struct message *message, const struct world_message *from)
{
    struct bytes rest = bytes_of(from->to);
    size_t count = 1;

    for (size_t i = 0; i < rest.len; i++)
        count += rest.ptr[i] == ',';
    message->recipients = arena_alloc(&message->arena, count * sizeof(struct recipient));
    check(message->recipients != NULL);
    message->recipient_count = count;
    for (size_t i = 0; i < count; i++) {
        struct recipient *recipient = &message->recipients[i];
        struct bytes address;

        if (!bytes_take_until(&rest, ',', &address))
            address = rest;
        check(arena_copy(&message->arena, address, &recipient->address));
        struct bytes domain = address;

        while (bytes_find(domain, '@', 0) < domain.len)
            domain = bytes_slice(domain, bytes_find(domain, '@', 0) + 1, SIZE_MAX);
        check(smtp_domain_normalise(&message->arena, domain, &recipient->domain));
        recipient->orcpt = copy_text(message, from->orcpt);
        recipient->notify = (uint8_t)from->notify;
    }
}

static void find_at_start(struct world *world, struct record *record, unsigned age_s)
{
    stub_set_accepted_ms(&record->stub, engine_now_ms(world->engine) - (int64_t)age_s * 1000);
    for (uint32_t i = 0; i < record->stub.recipient_count; i++)
        record->stub.pendings[i].flags |= PENDING_UNTRIED;
}

struct message_id world_submit(struct world *world, const struct world_message *from)
{
    struct message *message = message_create();
    const char *content =
        from->content != NULL ? from->content : "Subject: hello\r\n\r\nHello.\r\n";
    size_t len = from->content_len != 0 ? from->content_len : bytes_of(content).len;

    message->reverse_path = copy_text(message, from->from);
    if (message->reverse_path.ptr == NULL)
        message->reverse_path = BYTES("");
    message->prefix = copy_text(message, from->prefix);
    message->envid = copy_text(message, from->envid);
    message->tenant = copy_text(message, from->tenant);
    message->class = from->class;
    check(message_ask_tls(message, from->tls));
    message->ret = from->ret;
    message->body = from->is_8bit ? SMTP_BODY_8BITMIME : SMTP_BODY_7BIT;
    message->has_ascii_header = !from->is_utf8;
    message->needs_smtputf8 =
        from->is_utf8 || bytes_has_8bit(bytes_of(from->from)) || bytes_has_8bit(bytes_of(from->to));
    message->smtputf8 = message->needs_smtputf8;
    message->header_message_id = BYTES("<1@client.example>");
    fill_recipients(message, from);
    check(arena_copy(&message->arena, bytes_range(content, len), &message->content.memory));
    message->content.size = len;
    struct record *record = accept_message(world->shard, message);

    record->is_on_disk =
        from->is_on_disk || from->is_large || from->is_unreadable || from->is_damaged;
    record->is_large = from->is_large;
    record->is_unreadable = from->is_unreadable;
    record->is_damaged = from->is_damaged;
    record->is_known_damaged = from->is_known_damaged;
    if (record->is_on_disk)
        stub_set_message(&record->stub, NULL);
    if (from->found_age_s > 0)
        find_at_start(world, record, from->found_age_s);
    engine_turn_again(world->engine);
    return record->stub.id;
}

void world_status(const struct world *world, struct delivery_status *out)
{
    const struct delivery *delivery = world->delivery;
    size_t sites = 0, resting = 0, destinations = 0, waiting = delivery->held_count;
    size_t unheld = 0, in_state[SITE_STATE_COUNT] = {0};

    list_for_each(node, &delivery->all_sites) {
        const struct site *site = container_of(node, struct site, in_all);

        sites++;
        resting += site->state == SITE_FAILING || site->state == SITE_RESTING;
        in_state[site->state]++;
        check(site->waiting_count > 0 || site->state == SITE_IDLE || site->state == SITE_FAILING ||
              site->state == SITE_RESTING);
        unheld += site_is_unheld(site);
    }
    list_for_each(node, &delivery->all_destinations) {
        const struct destination *d = container_of(node, struct destination, in_all);

        destinations++;
        waiting += d->lines.count;
        unheld += destination_is_unheld(d);
    }
    delivery_status(delivery, out);
    check(out->sites == sites);
    check(out->resting_sites == resting);
    for (size_t i = 0; i < SITE_STATE_COUNT; i++)
        check(out->site_states[i] == in_state[i]);
    check(out->destinations == destinations);
    check(out->waiting == waiting);
    check(unheld == 0);
}

size_t world_unfinished(const struct world *world)
{
    size_t count = 0;

    list_for_each(node, &world->shard->records)
        count += container_of(node, struct record, node)->stub.live_count;
    return count;
}

struct pending *world_pending(struct world *world, struct message_id id, size_t number)
{
    struct record *record = find(world->shard, id.value);

    if (record == NULL || number >= record->stub.recipient_count ||
        record->stub.pendings[number].state == PENDING_FINAL)
        return NULL;
    return &record->stub.pendings[number];
}

void world_retry_all(struct world *world)
{
    struct shard *shard = world->shard;

    list_for_each(node, &shard->scheduled) {
        struct pending *pending = container_of(node, struct pending, link);

        record_of(pending_stub(pending))->due_ms[pending_number(pending)] = 0;
    }
    shard->next_due_ms = 0;
    engine_turn_again(world->engine);
}

static void on_stopped(void *context)
{
    struct world *world = context;

    world->has_stopped = true;
}

static bool stop(struct world *world)
{
    int64_t end_ms = clock_monotonic_ms() + STOP_MS_MAX;

    delivery_stop(world->delivery, 0, on_stopped, world);
    delivery_abort(world->delivery);
    while (!world->has_stopped) {
        if (clock_monotonic_ms() > end_ms)
            return false;
        engine_turn(world->engine, 1);
    }
    return true;
}

bool world_free(struct world *world)
{
    struct shard *shard = world->shard;
    struct list_node *node;

    if (world->delivery != NULL && !world->has_stopped && !stop(world)) {
        fprintf(stderr, "delivery does not stop\n");
        return false;
    }
    delivery_free(&world->delivery);
    if (world->clients != NULL)
        smtp_clients_free(&world->clients);
    if (world->egresses != NULL)
        egress_table_free(&world->egresses);
    check(list_is_empty(&shard->written));
    check(list_is_empty(&shard->loads));
    check(list_is_empty(&shard->reads));
    check(list_is_empty(&world->lookups));
    engine_timeout_cancel(world->engine, &shard->timeout);
    engine_remove_turn_hook(world->engine, &shard->hook);
    while ((node = list_first(&shard->records)) != NULL) {
        struct record *record = container_of(node, struct record, node);

        for (uint32_t i = 0; i < record->stub.recipient_count; i++) {
            struct pending *pending = &record->stub.pendings[i];
            struct domain *idle;

            list_remove(&pending->link);
            if (pending->state == PENDING_FINAL)
                continue;
            flow_down(world->flows, &pending->flow, &idle);
            if (idle != NULL)
                domain_forget(world->flows, &idle);
        }
        record_free(record);
    }
    if (world->last_dsn != NULL)
        message_release(&world->last_dsn);
    flows_free(&world->flows);
    arena_free(&world->arena);
    free(shard);
    return true;
}
