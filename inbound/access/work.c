/* work.c - slices of commands on the pool, and what an engine does between them. */
#include "inbound/access/work.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "directory/directory_name.h"
#include "io/turn_budget.h"

static void work_slice(struct chore *chore);
static void slice_ended(struct letter *letter, struct engine *engine);

/* --- a slice ---------------------------------------------------------------------------------- */

bool access_work_is_full(const struct access_work *work)
{
    return buf_len(&work->out) >= ACCESS_SLICE_BYTES || work->wants_pool ||
           clock_monotonic_coarse_ms() >= work->slice_end_ms ||
           atomic_load_explicit(&work->is_abandoned, memory_order_relaxed);
}

void access_put(struct access_work *work, struct bytes b)
{
    if (!buf_append(&work->out, b))
        work->is_last = true;
}

void access_printf(struct access_work *work, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (!buf_vprintf(&work->out, format, args))
        work->is_last = true;
    va_end(args);
}

static void run_slice(struct access_work *work, int64_t slice_ms)
{
    work->slice_end_ms = clock_monotonic_coarse_ms() + slice_ms;
    if (work->says_much) /* else the buffer grows to it step by step, in each slice */
        (void)!buf_reserve(&work->out, ACCESS_SLICE_BYTES + ACCESS_UNSENT_MAX);
    do {
        work->is_over = work->owner->kind->work_run(work);
    } while (!work->is_over && !access_work_is_full(work));
    work->says_much = buf_len(&work->out) >= ACCESS_SLICE_BYTES;
}

static void work_slice(struct chore *chore)
{
    struct access_work *work = container_of(chore, struct access_work, chore);

    if (work->is_ending) /* the last chore: nobody is told anything any more */
        work->owner->kind->work_close(work);
    else
        run_slice(work, ACCESS_SLICE_MS);
}

/* --- on the engine ---------------------------------------------------------------------------- */

static void ask_pool(struct access_work *work)
{
    check(!work->is_running);
    work->is_running = true;
    bool is_taken = blocking_run(work->owner->setup.pool, &work->chore);
    check(is_taken); /* one chore a work, and the pool has room for all of them */
}

/* A slice on the engine, to the next tick of the coarse clock. False: the pool is to go on. */
static bool run_here(struct access_work *work)
{
    const struct access_kind *kind = work->owner->kind;
    struct engine *engine = work->owner->setup.engine;

    if (kind->work_enter == NULL || work->engine_us >= ACCESS_ENGINE_US || !turn_budget_try(engine))
        return false;
    bool is_entered = kind->work_enter(work);

    if (is_entered) {
        work->is_on_engine = true;
        run_slice(work, 1);
        work->is_on_engine = false;
        kind->work_leave(work);
    }
    work->engine_us += turn_budget_end(engine);
    return is_entered && !work->wants_pool;
}

static void go_on(struct access_work *work)
{
    if (run_here(work))
        return;
    work->wants_pool = false;
    work->engine_us = ACCESS_ENGINE_US; /* nor the rest of the command */
    ask_pool(work);
}

struct access_work *access_work_create(struct access_session *session, struct bytes address,
                                       uint64_t quota, struct bytes tenant)
{
    struct access *access = access_of(session);
    struct access_work *work = calloc(1, access->kind->work_size);
    struct bytes domain = directory_address_domain(address);

    if (work == NULL)
        return NULL;
    work->owner = access;
    work->session = session;
    work->domain = strndup((const char *)domain.ptr, domain.len);
    work->local = strndup((const char *)address.ptr, address.len - domain.len - 1);
    check(work->domain != NULL && work->local != NULL);
    if (tenant.len > 0) {
        work->tenant = strndup((const char *)tenant.ptr, tenant.len);
        check(work->tenant != NULL);
    }
    work->quota = quota;
    work->chore.engine = access->setup.engine;
    work->chore.work = work_slice;
    work->chore.letter.open = slice_ended;
    work->is_over = true;
    buf_init(&work->out, access->kind->out_max);
    access->kind->work_init(work);
    access->work_count++;
    return work;
}

static void work_free(struct access_work *work)
{
    struct access *access = work->owner;

    access->kind->work_free(work);
    free(work->domain);
    free(work->local);
    free(work->tenant);
    buf_free(&work->out);
    free(work);
    access->work_count--;
    service_look_if_stopped(&access->service);
}

void access_work_look_if_over(struct access_work *work)
{
    const struct access_kind *kind = work->owner->kind;

    if (work->is_ending && !work->is_running &&
        (kind->work_is_held == NULL || !kind->work_is_held(work)))
        work_free(work);
}

/* Without a session: an update is done to its end, then what is open is closed. */
static void go_on_alone(struct access_work *work)
{
    work->is_ending = !work->is_update || work->is_over;
    ask_pool(work);
}

void access_work_abandon(struct access_work **work)
{
    struct access_work *left = *work;

    *work = NULL;
    left->session = NULL;
    atomic_store(&left->is_abandoned, true);
    if (!left->is_running)
        go_on_alone(left);
}

enum step access_work_begin(struct access_work *work)
{
    work->is_over = work->says_much = false;
    work->engine_us = 0;
    session_enter(&work->session->session, ACCESS_WORK);
    go_on(work);
    return STEP_AGAIN;
}

static void slice_ended(struct letter *letter, struct engine *engine)
{
    struct access_work *work = container_of(letter, struct access_work, chore.letter);

    (void)engine;
    work->is_running = false;
    if (work->session != NULL)
        session_run(&work->session->session);
    else if (work->is_ending)
        access_work_look_if_over(work);
    else
        go_on_alone(work);
}

/* All at once where the connection has ever room for it; else pieces, so that it never has to take
 * more than its cap, nor the memory of more than that. */
static bool write_out(struct access_work *work, struct conn *conn)
{
    size_t len = buf_len(&work->out), room = conn_output_room(conn), piece = MIN(len, room);

    if (len <= room && work->out.capacity <= conn->output_max)
        return conn_write_buf(conn, &work->out);
    if (room == 0 || (len > room && len <= conn->output_max))
        return false;
    if (!conn_write(conn, bytes_slice(buf_bytes(&work->out), 0, piece)))
        return false;
    buf_consume(&work->out, piece);
    return true;
}

static bool send_out(struct access_work *work)
{
    if (buf_len(&work->out) > 0) {
        if (!write_out(work, &work->session->session.conn))
            return false;
        session_arm(&work->session->session);
    }
    if (buf_len(&work->out) > 0)
        return false;
    buf_free(&work->out);
    return true;
}

enum step access_work_step(struct session *session)
{
    struct access_session *access = access_session_of(session);
    const struct access_kind *kind = access_kind_of(access);
    struct access_work *work = access->work;

    if (work->is_running || !send_out(work))
        return STEP_WAIT;
    access_note_life(access);
    if (work->is_last)
        return STEP_CLOSE;
    if (work->is_over)
        return kind->worked != NULL ? kind->worked(access) : kind->next_command(access);
    if (session->conn.eof && !work->is_update) /* it would run on for nobody */
        return STEP_CLOSE;
    if (conn_output_len(&session->conn) > ACCESS_UNSENT_MAX)
        return STEP_WAIT;
    go_on(work);
    return work->is_running ? STEP_WAIT : STEP_AGAIN;
}
