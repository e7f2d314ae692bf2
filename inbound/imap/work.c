/* work.c - the stages of a command, and news of the selected mailbox. */
#include "inbound/imap/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "inbound/imap/queue.h"

static void news_opened(struct letter *letter, struct engine *engine);
static void mailbox_changed(struct mailbox_watch *watch);

/* --- slices ----------------------------------------------------------------------------------- */

int work_open_account(struct imap_work *work)
{
    if (work->account != NULL)
        return 0;
    if (work->access.owner->setup.accounts == NULL)
        return -EIO;
    int error = mail_account_open(work->access.owner->setup.accounts, bytes_of(work->access.domain),
                                  bytes_of(work->access.local), work->access.quota, &work->account);

    if (error < 0)
        return error;
    if (work->access.tenant != NULL)
        queue_refresh(work, QUEUE_NAME);
    else /* it was shown before */
        (void)!mail_account_drop_mirror(work->account, QUEUE_NAME);
    return 0;
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
    if (work->sync == SYNC_NOTHING || !work_is_selected(work) || work->access.is_last)
        return;
    error = view_sync(work, work->sync == SYNC_ALL);
    if (error == -EAGAIN) {
        work->stage = STAGE_SYNC;
        work_want_pool(work);
    } else if (error == -ENOENT) {
        work->has_answer = false;
        (void)work_bye(work, "[UNAVAILABLE] The selected mailbox was deleted");
    } else if (error < 0 && work->has_answer) { /* else nobody asked */
        (void)work_fail(work, error);
    }
}

/* RFC 7162 section 3.2.7: after what the client was told, and not after what it was not. */
static void add_modseq(struct imap_work *work)
{
    const struct view *view = &work->view;
    bool is_told = work->tells_modseq && work->answer_code.len == 0 && work_is_selected(work) &&
                   bytes_starts_nocase(bytes_of(work->answer), BYTES("OK "));

    if (is_told && !arena_printf(&work->arena, &work->answer_code, "[HIGHESTMODSEQ %" PRIu64 "] ",
                                 MIN(view->modseq, view->vanished_modseq)))
        work->access.is_last = true;
}

static void answer_command(struct imap_work *work)
{
    work->stage = STAGE_OVER;
    if (work->ended != NULL)
        work->ended(work);
    work->ended = NULL;
    if (!work->has_answer)
        return;
    add_modseq(work);
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

bool work_run(struct access_work *access)
{
    struct imap_work *work = imap_work_from(access);

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
    return work->stage == STAGE_OVER;
}

static bool hold(struct imap_work *work)
{
    return work->is_news ? mailbox_hold_as_told(work->view.mailbox)
                         : mailbox_hold(work->view.mailbox);
}

bool work_enter(struct access_work *access)
{
    struct imap_work *work = imap_work_from(access);

    if (!work->is_quick || work->account == NULL || (work_is_selected(work) && !hold(work)))
        return false;
    work->held = work->view.mailbox;
    return true;
}

void work_let_go(struct imap_work *work)
{
    if (work->held != NULL)
        mailbox_let_go(work->held);
    work->held = NULL;
}

void work_leave(struct access_work *access)
{
    work_let_go(imap_work_from(access));
}

/* On the pool. */
void work_close(struct access_work *access)
{
    struct imap_work *work = imap_work_from(access);

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
    queue_let_go(work);
    view_close(&work->view);
    if (work->account != NULL)
        mail_account_close(&work->account);
}

/* --- on the engine ---------------------------------------------------------------------------- */

void work_init(struct access_work *access)
{
    struct imap_work *work = imap_work_from(access);

    work->message_size_max = access_settings_of(access->session)->message_size_max;
    work->progress_interval_ms = (int64_t)access_settings_of(access->session)->progress_s * 1000;
    work->news.open = news_opened;
    work->watch.changed = mailbox_changed;
    work->stage = STAGE_OVER;
    arena_init(&work->arena, WORK_ARENA_MAX);
}

void work_free(struct access_work *access)
{
    struct imap_work *work = imap_work_from(access);

    free(work->saved.uids);
    arena_free(&work->arena);
}

/* A letter of the watch may still be on its way. */
bool work_is_held(const struct access_work *access)
{
    const struct imap_work *work = container_of(access, struct imap_work, access);

    return atomic_load(&work->is_news_posted);
}

size_t work_memory(const struct imap_work *work)
{
    return work->arena.held + work->view.capacity * sizeof(*work->view.uids) + notify_memory(work);
}

void work_reset(struct imap_work *work, const char *tag)
{
    check(!work->access.is_running);
    arena_free(&work->arena);
    arena_init(&work->arena, WORK_ARENA_MAX);
    check(buf_len(&work->access.out) == 0);
    work->state = NULL;
    work->ended = NULL;
    work->is_uid = false;
    work->is_quick = work->is_news = false;
    work->own_events = 0;
    work->has_answer = false;
    work->tells_modseq = false;
    work->answer_code = BYTES_NONE;
    snprintf(work->tag, sizeof(work->tag), "%s", tag);
}

enum step work_begin(struct imap_work *work, enum work_step (*run)(struct imap_work *work),
                     enum work_sync sync)
{
    work->run = run;
    work->sync = sync;
    work->stage = STAGE_RUN;
    work->progress_ms = clock_monotonic_ms();
    return access_work_begin(&work->access);
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
        engine_post(work->access.owner->setup.engine, &work->news);
}

static bool may_be_told(const struct imap_work *work)
{
    unsigned state = work->access.session->session.state;

    return state == IMAP_IDLE || (state == ACCESS_COMMAND && work->notify != NULL);
}

static void news_opened(struct letter *letter, struct engine *engine)
{
    struct imap_work *work = container_of(letter, struct imap_work, news);

    (void)engine;
    atomic_store(&work->is_news_posted, false);
    if (work->access.session != NULL && may_be_told(work))
        session_run(&work->access.session->session);
    else
        access_work_look_if_over(&work->access);
}
