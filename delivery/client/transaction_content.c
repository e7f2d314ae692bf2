/*
 * transaction_content.c - the content of a message onto the connection.
 *
 * From memory where it is resident, else read from the spool piece by piece, one piece ahead of the
 * output at most: a peer that does not take what we send holds a piece and the output's cap, no
 * more.
 */
#include "delivery/client/transaction.h"

#include <errno.h>

#include "delivery/outcome/clearing.h"

enum {
    STEP = 16 * 1024,
    STEP_ROOM = STEP + STEP / 3 + 8, /* every line a lone dot, and the end */
};

static void on_read(struct content_read *read, int result, struct bytes piece)
{
    struct transaction *t = container_of(read, struct transaction, read);
    struct smtp_client *c = t->client;

    t->is_reading = false;
    if (c->state == CLIENT_CLOSING) {
        transaction_abandon(c);
        client_check_free(c);
        return;
    }
    if (result == -EBADMSG) { /* it never gets better */
        struct judgement damaged = clearing_damaged();

        client_fail(c, &damaged);
        return;
    }
    if (result <= 0) { /* never a final dot after half a message */
        client_fail_ours(c, 3, 0, "spool", "spool-read", "our spool could not be read");
        return;
    }
    t->piece = piece;
    client_run(c);
}

static void read_more(struct transaction *t)
{
    if (t->is_reading)
        return;
    if (!t->has_read) {
        t->read = (struct content_read){.done = on_read};
        list_node_init(&t->read.node);
        t->has_read = true;
    }
    t->is_reading = true;
    shard_read_content(t->shard, t->message, &t->read);
}

/* What comes next, empty while it is being read. */
static struct bytes next_bytes(struct transaction *t)
{
    const struct message *m = t->message;

    if (t->sent < m->prefix.len)
        return bytes_slice(m->prefix, (size_t)t->sent, STEP);
    if (m->content.memory.ptr != NULL)
        return bytes_slice(m->content.memory, (size_t)(t->sent - m->prefix.len), STEP);
    if (t->piece.len == 0)
        read_more(t);
    return bytes_slice(t->piece, 0, STEP);
}

static void took(struct transaction *t, size_t len)
{
    if (t->sent >= t->message->prefix.len && t->message->content.memory.ptr == NULL)
        t->piece = bytes_slice(t->piece, len, t->piece.len);
    t->sent += len;
}

bool transaction_send_content(struct smtp_client *c)
{
    struct transaction *t = c->transaction;
    struct buf *scratch = &c->clients->scratch;
    bool any = false;

    while (conn_output_room(&c->conn) >= STEP_ROOM) {
        buf_clear(scratch);
        if (t->sent < t->size) {
            struct bytes b = next_bytes(t);

            if (b.len == 0)
                return any;
            check(dot_write(&t->dots, b, scratch));
            took(t, b.len);
        }
        bool is_whole = t->sent == t->size;
        /* The end waits for what the peer says meanwhile: it must not be taken for its reply. */
        bool is_held = is_whole && client_has_unasked_bytes(c);

        if (is_whole && !is_held)
            check(dot_write_end(&t->dots, scratch));
        any = any || buf_len(scratch) > 0;
        check(conn_write(&c->conn, buf_bytes(scratch)));
        if (is_held)
            return any;
        if (!is_whole)
            continue;
        t->is_all_written = true;
        t->walk = WALK_REPLIES;
        pipeline_push(&c->pipeline, COMMAND_DOT, 0, c->conn.written);
        return true;
    }
    return any;
}

bool transaction_write_whole(struct smtp_client *c)
{
    const struct message *m = c->transaction->message;

    check(m->content.memory.ptr != NULL);
    return conn_write(&c->conn, m->prefix) && conn_write(&c->conn, m->content.memory);
}
