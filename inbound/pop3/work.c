/* work.c - slices of commands on the pool, and what an engine does between them. */
#include "inbound/pop3/work.h"

#include <stdlib.h>

#include "base/clock.h"
#include "directory/directory_name.h"

static void work_slice(struct chore *chore);
static void slice_ended(struct letter *letter, struct engine *engine);

/* --- on the pool ------------------------------------------------------------------------------ */

bool pop3_work_is_full(const struct pop3_work *work)
{
    return buf_len(&work->out) >= WORK_SLICE_BYTES || clock_monotonic_ms() >= work->slice_end_ms ||
           atomic_load_explicit(&work->is_abandoned, memory_order_relaxed);
}

void pop3_work_put(struct pop3_work *work, struct bytes b)
{
    if (!buf_append(&work->out, b))
        work->is_last = true;
}

void pop3_work_printf(struct pop3_work *work, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (!buf_vprintf(&work->out, format, args))
        work->is_last = true;
    va_end(args);
}

static void work_slice(struct chore *chore)
{
    struct pop3_work *work = container_of(chore, struct pop3_work, chore);

    if (work->is_ending) { /* the last chore: nobody is told anything any more */
        maildrop_close(&work->maildrop);
        return;
    }
    work->slice_end_ms = clock_monotonic_ms() + WORK_SLICE_MS;
    do {
        work->is_over = work->run(work);
    } while (!work->is_over && !work->is_last && !pop3_work_is_full(work));
}

/* --- on the engine ---------------------------------------------------------------------------- */

static void ask_pool(struct pop3_work *work)
{
    check(!work->is_running);
    work->is_running = true;
    bool is_taken = blocking_run(work->pop3->setup.pool, &work->chore);
    check(is_taken); /* one chore a work, and the pool has room for all of them */
}

struct pop3_work *pop3_work_create(struct pop3_session *session, struct bytes address,
                                   uint64_t quota)
{
    struct pop3_work *work = calloc(1, sizeof(*work));
    struct bytes domain = directory_address_domain(address);

    if (work == NULL)
        return NULL;
    work->pop3 = pop3_of(session);
    work->session = session;
    maildrop_init(&work->maildrop, domain, bytes_slice(address, 0, address.len - domain.len - 1),
                  quota);
    work->chore.engine = work->pop3->setup.engine;
    work->chore.work = work_slice;
    work->chore.letter.open = slice_ended;
    work->is_over = true;
    buf_init(&work->out, WORK_OUT_MAX);
    work->pop3->work_count++;
    return work;
}

static void work_free(struct pop3_work *work)
{
    struct pop3 *pop3 = work->pop3;

    maildrop_free(&work->maildrop);
    buf_free(&work->out);
    free(work);
    pop3->work_count--;
    service_look_if_stopped(&pop3->service);
}

/* Without a session: an update is done to its end, then what is open is closed. */
static void go_on_alone(struct pop3_work *work)
{
    work->is_ending = !work->is_updating || work->is_over;
    ask_pool(work);
}

void pop3_work_abandon(struct pop3_work **work)
{
    struct pop3_work *left = *work;

    *work = NULL;
    left->session = NULL;
    atomic_store(&left->is_abandoned, true);
    if (!left->is_running)
        go_on_alone(left);
}

size_t pop3_work_memory(const struct pop3_work *work)
{
    if (work->is_running)
        return 0;
    return sizeof(*work) + work->out.capacity + maildrop_memory(&work->maildrop);
}

enum step pop3_work_begin(struct pop3_work *work, bool (*run)(struct pop3_work *work))
{
    work->run = run;
    work->is_over = false;
    session_enter(&work->session->session, POP3_WORK);
    ask_pool(work);
    return STEP_AGAIN;
}

static void slice_ended(struct letter *letter, struct engine *engine)
{
    struct pop3_work *work = container_of(letter, struct pop3_work, chore.letter);

    (void)engine;
    work->is_running = false;
    if (work->session != NULL) {
        session_run(&work->session->session);
        return;
    }
    if (work->is_ending) {
        work_free(work);
        return;
    }
    go_on_alone(work);
}

/* Pieces, so that the connection never has to take more than its cap. */
static bool send_out(struct pop3_work *work)
{
    struct conn *conn = &work->session->session.conn;
    struct bytes piece = bytes_slice(buf_bytes(&work->out), 0, conn_output_room(conn));

    if (piece.len > 0) {
        if (!conn_write(conn, piece))
            return false;
        buf_consume(&work->out, piece.len);
        session_arm(&work->session->session);
    }
    if (buf_len(&work->out) > 0)
        return false;
    buf_free(&work->out);
    return true;
}

enum step pop3_work_step(struct session *session)
{
    struct pop3_session *pop3 = pop3_session_of(session);
    struct pop3_work *work = pop3->work;

    if (work->is_running || !send_out(work))
        return STEP_WAIT;
    if (work->is_last)
        return STEP_CLOSE;
    if (work->is_over)
        return pop3_next_command(pop3);
    if (session->conn.eof && !work->is_updating) /* it would run on for nobody */
        return STEP_CLOSE;
    if (conn_output_len(&session->conn) <= POP3_OUTPUT_MAX / 4)
        ask_pool(work);
    return STEP_WAIT;
}
