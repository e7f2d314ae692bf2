/* queue_snapshot.c - visits to engines for what a tenant's folder Queue shows. */
#include "relay/queue_snapshot.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "delivery/line/delivery.h"
#include "directory/recipient_lookup.h"
#include "queue/flow.h"
#include "queue/tail.h"

enum {
    SLICE_US = 2000,    /* after this long the engine sees to its mail again */
    VISIT_BUCKETS = 32, /* of the index, until the clock is looked at */
    ROOM = 2 * QUEUE_SNAPSHOT_MAX,
};

/* --- which ------------------------------------------------------------------------------------ */

struct survey {
    const struct snapshot *directory; /* within a slice */
    struct bytes tenant;
    unsigned shard;
    uint64_t cursor;
    bool is_over;
    struct queue_snapshot *out;
};

static bool waits(const struct survey *s, const struct pending *pending)
{
    return pending->state != PENDING_FINAL && bytes_equal(flow_tenant(pending->flow), s->tenant) &&
           !recipient_domain_is_hosted(s->directory, domain_name(pending_domain(pending)));
}

static int by_newest(const void *a, const void *b)
{
    const struct queue_waiting *x = a, *y = b;
    int32_t later = (int32_t)(x->accepted_s - y->accepted_s);

    if (later != 0)
        return later > 0 ? -1 : 1;
    return x->id == y->id ? 0 : x->id > y->id ? -1 : 1;
}

static void keep_newest(struct queue_snapshot *out)
{
    qsort(out->of, out->count, sizeof(*out->of), by_newest);
    out->count = MIN(out->count, (size_t)QUEUE_SNAPSHOT_MAX);
}

static void visit(void *context, struct shard *shard, struct stub *stub)
{
    struct survey *s = context;
    struct queue_snapshot *out = s->out;
    uint32_t state = 0;
    bool is_any = false;

    (void)shard;
    for (uint32_t i = 0; i < stub->recipient_count; i++) {
        const struct pending *pending = &stub->pendings[i];

        if (!waits(s, pending))
            continue;
        is_any = true;
        state = (state * 31 + i + 1) * 31 + pending->attempts;
    }
    if (!is_any)
        return;
    if (out->count == ROOM)
        keep_newest(out);
    out->of[out->count++] = (struct queue_waiting){stub->id.value, stub->accepted_s, state};
    out->all++;
}

static void take_slice(struct worker *worker, void *context)
{
    struct survey *s = context;
    int64_t until_us = clock_monotonic_us() + SLICE_US;
    bool more = s->shard < worker->shard_count;

    s->directory = snapshot_begin(worker->reader);
    while (more && clock_monotonic_us() < until_us)
        more = shard_walk(worker->shards[s->shard], &s->cursor, VISIT_BUCKETS, visit, s);
    snapshot_end(worker->reader);
    if (!more) {
        s->shard++;
        s->cursor = 0;
    }
    s->is_over = s->shard >= worker->shard_count;
}

bool queue_snapshot_take(struct worker *workers, unsigned count, struct bytes tenant,
                         const _Atomic bool *stops, struct queue_snapshot *out)
{
    struct survey s = {.tenant = tenant, .out = out};

    *out = (struct queue_snapshot){.of = malloc(ROOM * sizeof(*out->of))};
    check(out->of != NULL);
    for (unsigned i = 0; i < count && !atomic_load(stops); i++) {
        s.shard = 0;
        s.cursor = 0;
        s.is_over = false;
        while (!s.is_over && !atomic_load(stops))
            worker_call(&workers[i], take_slice, &s);
    }
    keep_newest(out);
    return !atomic_load(stops);
}

void queue_snapshot_free(struct queue_snapshot *snapshot)
{
    free(snapshot->of);
    *snapshot = (struct queue_snapshot){0};
}

/* --- one -------------------------------------------------------------------------------------- */

struct visit {
    struct letter letter;
    struct worker *worker;
    struct shard *shard;
    struct message_id id;
    struct queue_reading *out;
    struct load load;
    struct message *message;
    struct content_read read;
    bool is_reading, is_good;
    sem_t done;
};

static void end_visit(struct visit *v, bool is_good)
{
    if (v->is_reading)
        shard_read_content_end(v->shard, &v->read);
    if (v->message != NULL)
        message_release(&v->message);
    v->is_reading = false;
    v->is_good = is_good;
    sem_post(&v->done);
}

static void on_piece(struct content_read *read, int result, struct bytes piece)
{
    struct visit *v = container_of(read, struct visit, read);
    struct buf *text = &v->out->text;
    size_t room = QUEUE_SHOW_CONTENT - MIN(buf_len(text), (size_t)QUEUE_SHOW_CONTENT);

    if (result < 0) {
        end_visit(v, false);
        return;
    }
    check(buf_append(text, bytes_slice(piece, 0, MIN(piece.len, room))));
    if (result == 0 || piece.len >= room)
        end_visit(v, true);
    else
        shard_read_content(v->shard, v->message, &v->read);
}

/* It waits to be filed, and is somebody's mail. */
static bool is_ours(struct worker *worker, const struct pending *pending)
{
    struct bytes domain = domain_name(pending_domain(pending));
    bool is_hosted = recipient_domain_is_hosted(snapshot_begin(worker->reader), domain);

    snapshot_end(worker->reader);
    return is_hosted;
}

static void explain(struct visit *v, const struct stub *stub)
{
    struct queue_reading *out = v->out;

    for (uint32_t i = 0; i < stub->recipient_count; i++) {
        const struct pending *pending = &stub->pendings[i];

        if (pending->state == PENDING_FINAL || is_ours(v->worker, pending))
            continue;
        size_t before = buf_len(&out->lines);

        if (out->recipient_count++ < QUEUE_SHOW_RECIPIENTS &&
            !(delivery_explain_pending(v->worker->delivery, pending, v->message, &out->lines) &&
              buf_append_byte(&out->lines, '\n')))
            buf_truncate(&out->lines, before);
    }
}

/* From a client of the tenant's, and not from the world. */
static bool was_handed_in(const struct message *message)
{
    return message->client_ip.len > 0 && tail_find(message->tail, TAIL_CHECKS).ptr == NULL;
}

static void on_loaded(struct load *load, int result, struct message *message)
{
    struct visit *v = container_of(load, struct visit, load);
    struct stub *stub = shard_find(v->shard, v->id);
    struct queue_reading *out = v->out;

    if (result >= 0)
        v->message = message;
    if (result < 0 || stub == NULL || !was_handed_in(message)) {
        end_visit(v, false);
        return;
    }
    out->seen_ms = engine_wall_ms(v->worker->engine);
    out->accepted_ms = message->accepted_ms;
    out->size = message->prefix.len + message->content.size;
    explain(v, stub);
    check(buf_append(&out->text, bytes_slice(message->prefix, 0, QUEUE_SHOW_CONTENT)));
    v->read = (struct content_read){.done = on_piece};
    list_node_init(&v->read.node);
    v->is_reading = true;
    shard_read_content(v->shard, v->message, &v->read);
}

static void open_visit(struct letter *letter, struct engine *engine)
{
    struct visit *v = container_of(letter, struct visit, letter);
    struct stub *stub = shard_find(v->shard, v->id);

    (void)engine;
    if (stub == NULL) {
        end_visit(v, false);
        return;
    }
    v->load = (struct load){.stub = stub, .done = on_loaded};
    list_node_init(&v->load.node);
    shard_load(v->shard, &v->load);
}

bool queue_snapshot_read(struct worker *workers, unsigned count, uint64_t id,
                         struct queue_reading *out)
{
    struct visit v = {.letter.open = open_visit, .id = {id}, .out = out};

    buf_clear(&out->lines);
    buf_clear(&out->text);
    out->recipient_count = 0;
    for (unsigned i = 0; i < count && v.shard == NULL; i++) {
        v.worker = &workers[i];
        v.shard = worker_shard(v.worker, message_id_shard(v.id));
    }
    if (v.shard == NULL)
        return false;
    sem_init(&v.done, 0, 0);
    engine_post(v.worker->engine, &v.letter);
    while (sem_wait(&v.done) < 0)
        check(errno == EINTR);
    sem_destroy(&v.done);
    return v.is_good && out->recipient_count > 0;
}
