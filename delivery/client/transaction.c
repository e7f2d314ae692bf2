/* transaction.c - the walk of a transaction, and how its recipients get their judgements. */
#include "delivery/client/transaction.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/metric.h"
#include "delivery/outcome/clearing.h"
#include "delivery/outcome/place.h"

enum {
    BDAT_SIZE_MAX = 64 * 1024, /* what is worth sending before the peer has said yes */
    LOAD_AGAIN_MS = 30 * 1000,
    AGE_ERROR_MS = 2000, /* stubs count whole seconds */
};

static void transaction_end(struct smtp_client *c);

static const struct judgement *judgement_for(const struct transaction *t, uint32_t i)
{
    const struct transaction_recipient *recipient = &t->recipients[i];

    return recipient->status == RECIPIENT_ACCEPTED ? t->judgement : recipient->judgement;
}

/* --- settling -------------------------------------------------------------------------------- */

static struct attempt_times measure(const struct smtp_client *c)
{
    const struct transaction *t = c->transaction;
    int64_t now_ms = client_now_ms(c);
    bool is_first = c->messages_done == 0; /* only it waited for the connection */
    struct attempt_times times = {t->wait_ms, -1, -1, -1, -1, -1};

    if (is_first) {
        times.dns_ms = c->dns_ms;
        times.connect_ms = c->connect_ms;
        times.tls_ms = c->tls_ms;
    }
    if (t->mail_ms != 0)
        times.envelope_ms = (int32_t)((t->content_ms != 0 ? t->content_ms : now_ms) - t->mail_ms);
    if (t->content_ms != 0)
        times.content_ms = (int32_t)(now_ms - t->content_ms);
    return times;
}

/* In front, so the last one first: their next transaction begins with the first of them, and takes
 * along those behind it. */
static void requeue_surplus(struct transaction *t)
{
    for (uint32_t i = t->count; i-- > 0;)
        if (judgement_for(t, i) == NULL)
            carrier_requeue(&t->client->carrier, t->recipients[i].pending);
}

static void settle(struct smtp_client *c)
{
    struct transaction *t = c->transaction;
    char mx_ip[ADDRESS_TEXT_MAX];
    char source_ip[ADDRESS_TEXT_MAX];
    size_t mx_ip_len = address_format(&c->carrier.address, mx_ip);
    bool has_local = c->conn.local.any.sa_family != AF_UNSPEC;
    size_t source_ip_len = has_local ? address_format(&c->conn.local, source_ip) : 0;
    struct attempt_facts facts = {
        .counts = carrier_counts(&c->carrier),
        .is_attempt = true,
        .started_ms = t->began_wall_ms,
        .times = measure(c),
        .source = bytes_of(carrier_source(&c->carrier)->name),
        .source_ip = bytes_range(source_ip, source_ip_len),
        .site = carrier_site_name(&c->carrier),
        .mx_host = c->carrier.host_name,
        .mx_ip = bytes_range(mx_ip, mx_ip_len),
        .tls = c->carrier.seen,
        .peer_has_dsn = c->extensions.dsn,
    };
    struct settlement *settlement = NULL;

    for (uint32_t i = 0; i < t->count; i++) {
        const struct judgement *judgement = judgement_for(t, i);

        if (judgement == NULL) /* RECIPIENT_AGAIN */
            continue;
        if (settlement == NULL)
            settlement =
                settlement_begin(c->carrier.outcomes, t->shard, t->message, &facts, t->count);
        settlement_add(settlement, t->recipients[i].pending, judgement);
    }
    requeue_surplus(t);
    if (settlement != NULL)
        settlement_commit(&settlement);
    carrier_done(&c->carrier, t->count);
    t->is_over = true;
}

/* Back in line, as if it had never been pulled. */
static void requeue(struct transaction *t)
{
    struct carrier *carrier = &t->client->carrier;

    for (uint32_t i = t->count; i-- > 0;) /* in front, so the last one first */
        carrier_requeue(carrier, t->recipients[i].pending);
    carrier_done(carrier, t->count);
    t->is_over = true;
}

/* Done with it; the connection is ready for the next. */
static void transaction_end(struct smtp_client *c)
{
    struct transaction *t = c->transaction;

    check(t->is_over);
    check(!t->is_loading);
    if (t->has_read)
        shard_read_content_end(t->shard, &t->read);
    if (t->mail_ms != 0) {
        c->messages_done++;
        c->last_id = t->message->id;
    }
    if (t->message != NULL)
        message_release(&t->message);
    c->transaction = NULL;
    arena_clear(&c->arena);
    client_enter(c, CLIENT_READY);
}

/* All of it was sent, and nobody said what became of it. */
static const struct judgement *keep_unknown(struct transaction *t,
                                            const struct judgement *judgement)
{
    struct judgement unknown;
    struct bytes text;

    if (!arena_printf(&t->client->arena, &text,
                      "the whole message was sent, but it is not known what became of it (%.*s): "
                      "it may arrive twice",
                      BYTES_ARG(judgement->text)))
        text = BYTES("it is not known what became of it: it may arrive twice");
    unknown = judgement_of_ours(JUDGEMENT_DEFERRED, 4, 2, "unknown", "reply-missing", text);
    return transaction_keep(t, &unknown);
}

void transaction_break(struct smtp_client *c, const struct judgement *judgement,
                       bool is_of_connection)
{
    struct transaction *t = c->transaction;
    bool is_unknown = judgement->is_ours && t->is_all_written && conn_output_len(&c->conn) == 0;
    uint32_t unknown_count = t->accepted;

    if (t->is_over)
        return;
    if (t->is_loading || t->mail_ms == 0 || is_of_connection) {
        requeue(t);
        return;
    }
    const struct judgement *kept =
        is_unknown ? keep_unknown(t, judgement) : transaction_keep(t, judgement);

    if (t->judgement == NULL && t->accepted > 0)
        t->judgement = kept;
    for (uint32_t i = 0; i < t->count; i++) {
        struct transaction_recipient *recipient = &t->recipients[i];

        /* Where the content went along with the envelope these may be taken as well. */
        if (recipient->status == RECIPIENT_ASKED) {
            recipient->status = RECIPIENT_REFUSED;
            recipient->judgement = kept;
            unknown_count++;
        }
    }
    if (is_unknown)
        metric_add(METRIC_DELIVERY_UNKNOWN, unknown_count);
    settle(c);
}

void transaction_abandon(struct smtp_client *c)
{
    struct transaction *t = c->transaction;

    if (!t->is_over)
        carrier_done(&c->carrier, t->count);
    t->is_over = true;
    if (t->has_read && !t->is_reading) {
        shard_read_content_end(t->shard, &t->read);
        t->has_read = false;
    }
}

/* --- beginning ------------------------------------------------------------------------------- */

/* Rules of sender and recipient can be looked at only now. */
static void hold_suspended(struct transaction *t)
{
    struct carrier *carrier = &t->client->carrier;
    uint32_t kept = 0;

    if (!carrier_may_hold(carrier))
        return;
    for (uint32_t i = 0; i < t->count; i++)
        if (!carrier_hold(carrier, t->recipients[i].pending, t->message))
            t->recipients[kept++] = t->recipients[i];
    t->count = kept;
}

static int32_t waited_ms(const struct transaction *t, const struct pending *pending)
{
    const struct engine *engine = t->client->carrier.engine;
    int64_t now_ms = engine_now_ms(engine);
    int64_t wait_ms = now_ms - (int64_t)pending->due_s * 1000;

    if (pending->attempts == 0) {
        int64_t age_ms = now_ms - stub_age_from_ms(t->stub, now_ms);

        /* The wall clock knows it to the millisecond, unless it was set. */
        wait_ms = engine_wall_ms(engine) - MAX(t->message->accepted_ms, t->message->not_before_ms);
        wait_ms = MIN(MAX(wait_ms, age_ms - AGE_ERROR_MS), age_ms + AGE_ERROR_MS);
    }
    return (int32_t)MIN(MAX(wait_ms, (int64_t)0), (int64_t)INT32_MAX);
}

static void start(struct transaction *t)
{
    struct smtp_client *c = t->client;

    hold_suspended(t);
    if (t->count == 0) {
        t->is_over = true;
        transaction_end(c);
        return;
    }
    transaction_fit(t);
    t->size = t->message->prefix.len + t->message->content.size;
    t->wait_ms = waited_ms(t, t->recipients[0].pending);
    metric_inc(METRIC_DELIVERY_ATTEMPTS);
    if (c->messages_done > 0)
        metric_inc(METRIC_DELIVERY_REUSES);
    const struct judgement *judgement = transaction_check(t);

    if (judgement != NULL) {
        transaction_refuse_all(t, judgement);
        settle(c);
        transaction_end(c);
        return;
    }
    transaction_refuse_utf8(t);
    if (t->ask_count == 0) {
        settle(c);
        transaction_end(c);
        return;
    }
    /* One chunk that goes along with the envelope saves the round trip for 354; if nobody is
     * accepted it was for nothing, so it must be small. Not behind a RSET that may be refused, and
     * only where one reply too many would be noticed (client_replies.c). */
    t->codes_tell = c->extensions.enhanced_status_codes;
    t->uses_bdat = c->extensions.chunking && c->extensions.pipelining && t->codes_tell &&
                   carrier_lesson(&c->carrier) == CODES_TELL && !c->needs_rset &&
                   t->message->content.memory.ptr != NULL && t->size <= BDAT_SIZE_MAX;
    t->walk = c->needs_rset ? WALK_RSET : WALK_MAIL;
}

static void on_taken(void *context, struct pending *pending)
{
    (void)context;
    list_remove(&pending->link);
}

/* Its recipients end: nothing was said to the peer about them yet. */
static void clear_damaged(struct transaction *t)
{
    struct judgement judgement = clearing_damaged();
    struct attempt_facts facts = {.times = {-1, -1, -1, -1, -1, -1}};
    struct list pendings;

    list_init(&pendings);
    for (uint32_t i = 0; i < t->count; i++) {
        pending_release(t->recipients[i].pending);
        list_push_back(&pendings, &t->recipients[i].pending->link);
    }
    while (!list_is_empty(&pendings))
        clearing_start(t->client->carrier.outcomes, t->shard, &pendings, CLEARING_RECIPIENTS_MAX,
                       &judgement, &facts, on_taken, NULL);
}

/* To be loaded again later. */
static void postpone(struct transaction *t)
{
    int64_t due_ms = client_now_ms(t->client) + LOAD_AGAIN_MS;

    for (uint32_t i = 0; i < t->count; i++) {
        pending_release(t->recipients[i].pending);
        shard_postpone(t->shard, t->recipients[i].pending, due_ms);
    }
    metric_add(METRIC_DELIVERY_POSTPONED, t->count);
}

static void on_loaded(struct load *load, int result, struct message *message)
{
    struct transaction *t = container_of(load, struct transaction, load);
    struct smtp_client *c = t->client;

    t->is_loading = false;
    if (result == 0)
        t->message = message;
    if (c->state == CLIENT_CLOSING) {
        client_check_free(c);
        return;
    }
    if (result == 0) {
        start(t);
        client_run(c);
        return;
    }
    if (result == -EBADMSG && clearing_has_room(c->carrier.outcomes))
        clear_damaged(t);
    else
        postpone(t);
    carrier_done(&c->carrier, t->count);
    t->is_over = true;
    transaction_end(c);
    client_run(c);
}

void transaction_begin(struct smtp_client *c, const struct pull *pull)
{
    struct transaction *t = arena_alloc(&c->arena, sizeof(*t));

    check(t != NULL); /* the arena is empty and far larger */
    t->recipients = arena_alloc(&c->arena, pull->count * sizeof(*t->recipients));
    check(t->recipients != NULL);
    t->client = c;
    t->shard = pull->shard;
    t->stub = pull->stub;
    t->count = (uint32_t)pull->count;
    for (uint32_t i = 0; i < t->count; i++)
        t->recipients[i].pending = pull->pendings[i];
    t->began_wall_ms = engine_wall_ms(c->carrier.engine);
    t->began_ms = client_now_ms(c);
    if (c->messages_done == 0 && pull->lookup_began_ms + 60000 > c->carrier.opened_ms)
        c->dns_ms = (int32_t)MIN(pull->lookup_ms, (int64_t)INT32_MAX);
    c->transaction = t;
    client_enter(c, CLIENT_TRANSACTION);
    struct message *resident = stub_message(t->stub);

    if (resident != NULL && resident->content.memory.ptr != NULL) {
        t->message = message_keep(resident); /* just accepted: no way through the shard */
        start(t);
        return;
    }
    t->load = (struct load){.stub = t->stub, .done = on_loaded};
    list_node_init(&t->load.node);
    t->is_loading = true;
    shard_load(t->shard, &t->load);
}

/* --- the sending half ------------------------------------------------------------------------ */

/* Whether the reply to every RCPT is in and nobody was accepted. */
static bool is_nobody_accepted(const struct transaction *t)
{
    return t->accepted == 0 && pipeline_is_empty(&t->client->pipeline);
}

static bool send_data(struct transaction *t)
{
    struct smtp_client *c = t->client;

    if (is_nobody_accepted(t)) {
        c->needs_rset = t->mail_accepted;
        t->walk = WALK_REPLIES;
        return true;
    }
    if (!client_may_send(c))
        return false;
    if (!t->uses_bdat)
        return perform_data(c);
    /* Room for the whole chunk: it is one command. */
    if (conn_output_room(&c->conn) < t->size + 64)
        return false;
    return perform_bdat(c);
}

static bool finish(struct transaction *t)
{
    struct smtp_client *c = t->client;

    if (!pipeline_is_empty(&c->pipeline))
        return false;
    enum contradiction other = client_contradiction(c);

    if (other == CONTRADICTION_NOT_READ)
        return false; /* its bytes wake the connection */
    if (other == CONTRADICTION_FOUND) {
        t->judgement = NULL;
        return client_out_of_step(c);
    }
    if (t->is_put_back)
        requeue(t);
    else
        settle(c);
    if (!t->is_put_back)
        carrier_fruitful(&c->carrier);
    transaction_end(c);
    return true;
}

bool transaction_send(struct smtp_client *c)
{
    struct transaction *t = c->transaction;

    switch ((enum transaction_walk)t->walk) {
    case WALK_LOAD:
    case WALK_DATA_REPLY:
        return false;
    case WALK_RSET:
        if (!client_may_send(c) || client_has_unasked_bytes(c))
            return false;
        t->walk = WALK_MAIL;
        return perform_rset(c);
    case WALK_MAIL:
        if (!client_may_send(c) || client_has_unasked_bytes(c))
            return false;
        t->walk = WALK_RCPT;
        return perform_mail(c);
    case WALK_RCPT:
        if (!client_may_send(c))
            return false;
        if (t->next + 1 == t->ask_count)
            t->walk = WALK_DATA;
        return perform_rcpt(c, t->next++);
    case WALK_DATA:
        return send_data(t);
    case WALK_CONTENT:
        return transaction_send_content(c);
    case WALK_REPLIES:
        return finish(t);
    }
    return false;
}
