/* work.c - slices of commands on the pool, and what an engine does between them. */
#include "inbound/imap/notify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "directory/directory_name.h"

static void work_slice(struct chore *chore);
static void slice_ended(struct letter *letter, struct engine *engine);
static void news_opened(struct letter *letter, struct engine *engine);
static void mailbox_changed(struct mailbox_watch *watch);

/* --- on the pool ------------------------------------------------------------------------------ */

int work_open_account(struct imap_work *work)
{
    if (work->account != NULL)
        return 0;
    if (work->imap->setup.accounts == NULL)
        return -EIO;
    return mail_account_open(work->imap->setup.accounts, bytes_of(work->domain),
                             bytes_of(work->local), work->quota, &work->account);
}

static void run_command(struct imap_work *work)
{
    int error = work_open_account(work);
    enum work_step step = error < 0 ? work_fail(work, error) : work->run(work);

    if (step == WORK_DONE)
        work->stage = STAGE_SYNC;
}

static void sync_command(struct imap_work *work)
{
    int error = 0;

    work->stage = STAGE_ANSWER;
    if (work->sync == SYNC_NOTHING || !work_is_selected(work) || work->is_bye)
        return;
    error = view_sync(work, work->sync == SYNC_ALL);
    if (error == -ENOENT) {
        work->has_answer = false;
        (void)work_bye(work, "[UNAVAILABLE] The selected mailbox was deleted");
    } else if (error < 0 && work->has_answer) { /* else nobody asked */
        (void)work_fail(work, error);
    }
}

static void answer_command(struct imap_work *work)
{
    work->stage = STAGE_OVER;
    if (work->ended != NULL)
        work->ended(work);
    work->ended = NULL;
    if (!work->has_answer)
        return;
    work_printf(work, "%s ", work->tag);
    if (work->answer_code.len > 0) { /* "OK " is in front of it */
        work_put(work, bytes_slice(bytes_of(work->answer), 0, 3));
        work_put(work, work->answer_code);
        work_put(work, bytes_slice(bytes_of(work->answer), 3, WORK_ANSWER_MAX));
    } else {
        work_put(work, bytes_of(work->answer));
    }
    work_put(work, BYTES("\r\n"));
}

/* The last chore: nobody is told anything any more. */
static void close_all(struct imap_work *work)
{
    if (work->ended != NULL)
        work->ended(work);
    work->ended = NULL;
    if (work->give_up_append != NULL)
        work->give_up_append(work);
    if (work->close_notify != NULL)
        work->close_notify(work);
    if (work->is_watching)
        mailbox_unwatch(work->view.mailbox, &work->watch);
    work->is_watching = false;
    view_close(&work->view);
    if (work->account != NULL)
        mail_account_close(&work->account);
}

static void work_slice(struct chore *chore)
{
    struct imap_work *work = container_of(chore, struct imap_work, chore);

    if (work->is_ending) {
        close_all(work);
        return;
    }
    work->slice_end_ms = clock_monotonic_ms() + WORK_SLICE_MS;
    do {
        switch (work->stage) {
        case STAGE_RUN:
            run_command(work);
            break;
        case STAGE_SYNC:
            sync_command(work);
            break;
        case STAGE_ANSWER:
            answer_command(work);
            break;
        case STAGE_OVER:
            break;
        }
    } while (work->stage != STAGE_OVER && !work_is_full(work));
}

/* --- on the engine ---------------------------------------------------------------------------- */

static void ask_pool(struct imap_work *work)
{
    check(!work->is_running);
    work->is_running = true;
    bool is_taken = blocking_run(work->imap->setup.pool, &work->chore);
    check(is_taken); /* one chore a work, and the pool has room for all of them */
}

struct imap_work *work_create(struct imap_session *session, struct bytes address, uint64_t quota)
{
    struct imap_work *work = calloc(1, sizeof(*work));
    struct bytes domain = directory_address_domain(address);

    if (work == NULL)
        return NULL;
    work->imap = imap_of(session);
    work->session = session;
    work->domain = strndup((const char *)domain.ptr, domain.len);
    work->local = strndup((const char *)address.ptr, address.len - domain.len - 1);
    check(work->domain != NULL && work->local != NULL);
    work->quota = quota;
    work->message_size_max = imap_settings_of(session)->message_size_max;
    work->chore.engine = work->imap->setup.engine;
    work->chore.work = work_slice;
    work->chore.letter.open = slice_ended;
    work->news.open = news_opened;
    work->watch.changed = mailbox_changed;
    work->stage = STAGE_OVER;
    arena_init(&work->arena, WORK_ARENA_MAX);
    buf_init(&work->out, WORK_OUT_MAX);
    work->imap->work_count++;
    return work;
}

static void work_free(struct imap_work *work)
{
    struct imap *imap = work->imap;

    free(work->saved.uids);
    free(work->domain);
    free(work->local);
    arena_free(&work->arena);
    buf_free(&work->out);
    free(work);
    imap->work_count--;
    service_look_if_stopped(&imap->service);
}

/* Its last chore was done; a letter of the watch may still be on its way. */
static void end_if_over(struct imap_work *work)
{
    if (work->is_ending && !work->is_running && !atomic_load(&work->is_news_posted))
        work_free(work);
}

void work_abandon(struct imap_work **work)
{
    struct imap_work *left = *work;

    *work = NULL;
    left->session = NULL;
    atomic_store(&left->is_abandoned, true);
    if (left->is_running)
        return;
    left->is_ending = true;
    ask_pool(left);
}

size_t work_memory(const struct imap_work *work)
{
    if (work->is_running)
        return 0;
    return sizeof(*work) + work->out.capacity + work->arena.held +
           work->view.capacity * sizeof(*work->view.uids) + notify_memory(work);
}

void work_reset(struct imap_work *work, const char *tag)
{
    check(!work->is_running);
    arena_free(&work->arena);
    arena_init(&work->arena, WORK_ARENA_MAX);
    check(buf_len(&work->out) == 0);
    work->state = NULL;
    work->ended = NULL;
    work->is_uid = false;
    work->own_events = 0;
    work->has_answer = false;
    work->answer_code = BYTES_NONE;
    snprintf(work->tag, sizeof(work->tag), "%s", tag);
}

enum step work_begin(struct imap_work *work, enum work_step (*run)(struct imap_work *work),
                     enum work_sync sync)
{
    work->run = run;
    work->sync = sync;
    work->stage = STAGE_RUN;
    session_enter(&work->session->session, IMAP_WORK);
    ask_pool(work);
    return STEP_AGAIN;
}

static void slice_ended(struct letter *letter, struct engine *engine)
{
    struct imap_work *work = container_of(letter, struct imap_work, chore.letter);

    (void)engine;
    work->is_running = false;
    if (work->session != NULL) {
        session_run(&work->session->session);
        return;
    }
    if (work->is_ending) {
        end_if_over(work);
        return;
    }
    work->is_ending = true;
    ask_pool(work);
}

/* Pieces, so that the connection never has to take more than its cap. */
static bool send_out(struct imap_work *work)
{
    struct conn *conn = &work->session->session.conn;
    struct bytes out = buf_bytes(&work->out);
    struct bytes piece = bytes_slice(out, 0, conn_output_room(conn));

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

/* A command that runs on for a client that is gone would run for nobody. */
static bool is_deserted(const struct imap_work *work)
{
    return work->session->session.conn.eof && work->stage != STAGE_OVER;
}

enum step imap_work_step(struct session *session)
{
    struct imap_session *imap = imap_session_of(session);
    struct imap_work *work = imap->work;

    if (work->is_running || !send_out(work))
        return STEP_WAIT;
    if (work->is_bye || is_deserted(work))
        return STEP_CLOSE;
    if (work->stage != STAGE_OVER) {
        if (conn_output_len(&session->conn) <= OUTPUT_MAX / 4)
            ask_pool(work);
        return STEP_WAIT;
    }
    if (imap->worked != NULL)
        return imap->worked(imap);
    return imap_next_command(imap);
}

/* --- news of the selected mailbox ------------------------------------------------------------- */

/* Any thread, locks held. */
static void mailbox_changed(struct mailbox_watch *watch)
{
    struct imap_work *work = container_of(watch, struct imap_work, watch);

    atomic_store(&work->has_news, true);
    work_post_news(work);
}

void work_post_news(struct imap_work *work)
{
    atomic_store(&work->has_notices, true);
    if (!atomic_exchange(&work->is_news_posted, true))
        engine_post(work->imap->setup.engine, &work->news);
}

static bool may_be_told(const struct imap_work *work)
{
    unsigned state = work->session->session.state;

    return state == IMAP_IDLE || (state == IMAP_COMMAND && work->notify != NULL);
}

static void news_opened(struct letter *letter, struct engine *engine)
{
    struct imap_work *work = container_of(letter, struct imap_work, news);

    (void)engine;
    atomic_store(&work->is_news_posted, false);
    if (work->session != NULL && may_be_told(work))
        session_run(&work->session->session);
    else
        end_if_over(work);
}
