/* queue_content.c - read a message back slice by slice, each in one visit to its engine. */
#include "relay/queue_content.h"

#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>

#include "relay/program.h"
#include "relay/queue_explain.h"

struct reading {
    struct letter letter;
    struct shard *shard;
    struct message_id id;
    uint64_t position, total; /* sent before this slice and in it; 0 before the first: all of it */
    struct buf out;
    sem_t done;
    int result; /* 1: there is more; 0: all was read; -errno */
    /* the visit */
    struct load load;
    struct message *message;
    struct content_read read;
    size_t skip; /* of the next piece: sent before */
};

/* The control thread has the reading again; the engine must not look at it any more. */
static void end_visit(struct reading *r, int result)
{
    if (r->message != NULL) {
        shard_read_content_end(r->shard, &r->read);
        message_release(&r->message);
    }
    r->result = result;
    sem_post(&r->done);
}

static void read_on(struct reading *r)
{
    if (r->position == r->total)
        end_visit(r, 0);
    else if (buf_room(&r->out) < CONTENT_CHUNK_MAX)
        end_visit(r, 1);
    else
        shard_read_content(r->shard, r->message, &r->read);
}

static void on_piece(struct content_read *read, int result, struct bytes piece)
{
    struct reading *r = container_of(read, struct reading, read);

    if (result <= 0 || piece.len <= r->skip) {
        end_visit(r, result < 0 ? result : -EBADMSG);
        return;
    }
    piece = bytes_slice(piece, r->skip, piece.len);
    r->skip = 0;
    check(buf_append(&r->out, piece));
    r->position += piece.len;
    read_on(r);
}

/* The piece that `at` of the content stands in. Pieces need not be those of the visit before: the
 * message may have come into memory since, or been moved. */
static void seek_piece(struct reading *r, uint64_t at)
{
    const struct content *content = &r->message->content;

    r->read = (struct content_read){.done = on_piece};
    list_node_init(&r->read.node);
    if (content->memory.ptr != NULL) {
        r->read.next_extent = (size_t)(at / CONTENT_CHUNK_MAX);
        r->skip = (size_t)(at % CONTENT_CHUNK_MAX);
        return;
    }
    while (r->read.next_extent < content->extent_count &&
           at >= content->extents[r->read.next_extent].len)
        at -= content->extents[r->read.next_extent++].len;
    r->skip = (size_t)at;
}

static void on_loaded(struct load *load, int result, struct message *message)
{
    struct reading *r = container_of(load, struct reading, load);

    if (result < 0) {
        end_visit(r, result);
        return;
    }
    r->message = message;
    r->total = message->prefix.len + message->content.size;
    if (r->position < message->prefix.len) {
        struct bytes rest = bytes_slice(message->prefix, (size_t)r->position, QUEUE_CONTENT_SLICE);

        check(buf_append(&r->out, rest));
        r->position += rest.len;
    }
    seek_piece(r, r->position < message->prefix.len ? 0 : r->position - message->prefix.len);
    read_on(r);
}

static void open_visit(struct letter *letter, struct engine *engine)
{
    struct reading *r = container_of(letter, struct reading, letter);
    struct stub *stub = shard_find(r->shard, r->id);

    (void)engine;
    r->message = NULL;
    if (stub == NULL) {
        end_visit(r, -ENOENT);
        return;
    }
    r->load = (struct load){.stub = stub, .done = on_loaded};
    shard_load(r->shard, &r->load);
}

/* The next slice in r->out; as r->result. */
static int visit(struct reading *r, struct worker *worker)
{
    buf_clear(&r->out);
    engine_post(worker->engine, &r->letter);
    while (sem_wait(&r->done) < 0)
        check(errno == EINTR);
    return r->result;
}

static void tell_failure(struct control_client *client, const struct reading *r, const char *id)
{
    unsigned long long sent = r->position, total = r->total;

    if (r->result == -ENOENT && total == 0)
        queue_explain_unknown(client, id);
    else if (r->result == -ENOENT)
        control_fail(client,
                     "message %s ended after %llu of %llu bytes were read; `ringpost events --id "
                     "%s` tells how",
                     id, sent, total, id);
    else if (r->result == -EBADMSG)
        control_fail(client,
                     "message %s is damaged behind its first %llu bytes; `ringpost spool check` "
                     "tells more once ringpost is stopped",
                     id, sent);
    else
        control_fail(client, "message %s cannot be read behind its first %llu bytes: %s", id, sent,
                     strerror(-r->result));
}

static void send_message(struct control_client *client, struct reading *r, struct worker *worker,
                         const char *id)
{
    const atomic_bool *is_stopping = &client->program->is_stopping;
    int result = 1;

    while (result > 0 && !client->is_gone && !atomic_load(is_stopping)) {
        result = visit(r, worker);
        /* What stands before a piece that is damaged is sent, too. */
        struct bytes slice = buf_bytes(&r->out);
        if (slice.len > 0 && control_line(client, json_pack("{s:I}", "raw", (json_int_t)slice.len)))
            (void)control_text(client, slice);
    }
    if (result > 0)
        control_fail(client, "ringpost is stopping: %llu of %llu bytes were read",
                     (unsigned long long)r->position, (unsigned long long)r->total);
    else if (result < 0)
        tell_failure(client, r, id);
    else
        (void)control_line(client,
                           json_pack("{s:b, s:I}", "done", 1, "bytes", (json_int_t)r->total));
}

static struct worker *worker_of(struct program *program, struct message_id id)
{
    for (unsigned i = 0; i < program->worker_count; i++)
        if (worker_shard(&program->workers[i], message_id_shard(id)) != NULL)
            return &program->workers[i];
    return NULL;
}

void queue_content(struct control_client *client, const json_t *request)
{
    const char *id = json_string_value(json_object_get(request, "id"));
    struct reading r = {.letter.open = open_visit};

    if (id == NULL) {
        control_fail(client, "nothing named; give a message id");
        return;
    }
    if (!message_id_parse(bytes_of(id), &r.id)) {
        control_fail(client, "%s is no message id", id);
        return;
    }
    struct worker *worker = worker_of(client->program, r.id);
    if (worker == NULL) {
        queue_explain_unknown(client, id);
        return;
    }
    r.shard = worker_shard(worker, message_id_shard(r.id));
    buf_init(&r.out, QUEUE_CONTENT_SLICE);
    sem_init(&r.done, 0, 0);
    send_message(client, &r, worker, id);
    sem_destroy(&r.done);
    buf_free(&r.out);
}
