/* notify.c - NOTIFY, and news on their way to a client that waits for nothing. */
#include "inbound/imap/notify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "inbound/imap/command.h"

struct notify_command {
    struct notify *fresh; /* what it asks for, until it is the session's */
    struct notify_look look;
};

struct notify_news {
    struct notify_look look;
};

static void account_changed(struct account_watch *watch)
{
    work_post_news(container_of(watch, struct notify, watch)->work);
}

/* --- one ------------------------------------------------------------------------------------- */

static struct notify *notify_create(struct imap_work *work)
{
    struct notify *notify = calloc(1, sizeof(*notify));

    check(notify != NULL);
    notify->work = work;
    notify->watch.changed = account_changed;
    arena_init(&notify->arena, WORK_ARENA_MAX);
    return notify;
}

static void end_watching(struct notify *notify)
{
    notify_close_boxes(notify);
    if (notify->is_watching)
        mail_account_unwatch(notify->work->account, &notify->watch);
    notify->is_watching = false;
}

static void notify_free(struct notify **notify_ref)
{
    struct notify *notify = *notify_ref;

    *notify_ref = NULL;
    if (notify == NULL)
        return;
    end_watching(notify);
    arena_free(&notify->arena);
    free(notify);
}

static void close_notify(struct imap_work *work)
{
    notify_free(&work->notify);
}

/* --- the command ------------------------------------------------------------------------------ */

static void command_ended(struct imap_work *work)
{
    struct notify_command *command = work->state;

    notify_look_end(&command->look);
    notify_free(&command->fresh);
}

/* MODSEQ among the items enables CONDSTORE; with QRESYNC all is told with its UID (RFC 7162
 * section 3.2.4). */
static bool complete_fetch(struct imap_work *work, struct notify_program *program)
{
    if (!program->has_fetch)
        return true;
    program->fetch.sets_seen = false; /* RFC 5465 section 5.2: nobody read it */
    return !work->has_qresync || fetch_program_add(&program->fetch, FETCH_UID);
}

bool imap_parse_notify(struct imap_work *work, struct bytes *arguments)
{
    struct notify_command *command = arena_alloc(&work->arena, sizeof(*command));
    struct notify *fresh = notify_create(work);
    struct bytes copy;

    if (command == NULL || !arena_copy(&fresh->arena, *arguments, &copy) ||
        !notify_program_take(&fresh->arena, copy, work_tells_utf8(work), &fresh->program) ||
        !complete_fetch(work, &fresh->program)) {
        notify_free(&fresh);
        return false;
    }
    command->fresh = fresh;
    command->look.is_set = true;
    command->look.tells_status = fresh->program.tells_status;
    work->state = command;
    work->ended = command_ended;
    return true;
}

enum work_step imap_run_notify(struct imap_work *work)
{
    struct notify_command *command = work->state;
    struct notify *fresh = command->fresh;

    work->own_events = NOTIFY_MESSAGES; /* it is a NOOP too */
    if (fresh->program.has_unknown)
        return work_answer(work, "NO [BADEVENT (%s)] One of these events is not told here",
                           notify_event_names);
    if (!fresh->is_watching && fresh->program.count > 0) {
        mail_account_watch(work->account, &fresh->watch);
        fresh->is_watching = true;
    }
    int error = notify_look_slice(fresh, &command->look);

    if (error == 1)
        return WORK_MORE;
    if (error == -EMFILE)
        return work_answer(work, "NO [NOTIFICATIONOVERFLOW] These are more than %d mailboxes",
                           NOTIFY_BOXES_MAX);
    if (error < 0)
        return work_fail(work, error);
    if (fresh->program.has_fetch && fresh->program.fetch.wants_modseq)
        imap_enable_condstore(work);
    notify_free(&work->notify);
    work->notify = fresh;
    work->close_notify = close_notify;
    command->fresh = NULL;
    return work_answer(work, "OK NOTIFY done");
}

/* --- news ------------------------------------------------------------------------------------- */

static void news_ended(struct imap_work *work)
{
    struct notify_news *news = work->state;

    notify_look_end(&news->look);
}

/* The new ones without the session's own. */
static bool fetch_new(struct imap_work *work, struct notify *notify)
{
    struct sequence_range ranges[NOTIFY_OWN_MAX + 1];
    uint32_t from = notify->new_from;
    size_t count = 0;

    if (from == 0 || !work_is_selected(work))
        return false;
    for (size_t i = 0; i < notify->own_count; i++) {
        if (notify->own[i].first > from && from <= notify->new_to)
            ranges[count++] =
                (struct sequence_range){from, MIN(notify->own[i].first - 1, notify->new_to)};
        from = MAX(from, notify->own[i].last + 1);
    }
    if (from <= notify->new_to)
        ranges[count++] = (struct sequence_range){from, notify->new_to};
    notify_forget_selected(work);
    return count > 0 && imap_begin_fetch(work, &notify->program.fetch, ranges, count);
}

/* Section 5.8: as if NOTIFY NONE had been said. */
static void overflow(struct notify *notify)
{
    end_watching(notify);
    notify->program = (struct notify_program){0};
    work_put(notify->work, BYTES("* OK [NOTIFICATIONOVERFLOW] That is too much, nothing more is "
                                 "told\r\n"));
}

/* The items of new messages, behind their EXISTS. */
static enum work_step run_new(struct imap_work *work)
{
    if (work->state == NULL && !fetch_new(work, work->notify))
        return WORK_DONE;
    enum work_step step = imap_run_fetch(work);

    if (step == WORK_DONE)
        work->has_answer = false;
    return step;
}

static enum work_step run_news(struct imap_work *work)
{
    struct notify_news *news = work->state;
    struct notify *notify = work->notify;
    bool wants_look = news != NULL; /* it goes on */
    int error = 0;

    if (news == NULL) {
        news = arena_alloc(&work->arena, sizeof(*news));
        check(news != NULL);
        *news = (struct notify_news){0};
        work->state = news;
        work->ended = news_ended;
        atomic_store(&work->has_notices, false);
        error = notify_tell_events(notify, &news->look, &wants_look);
    }
    if (error == 0 && wants_look)
        error = notify_look_slice(notify, &news->look);
    if (error == 1)
        return WORK_MORE;
    if (error == -EOVERFLOW || error == -EMFILE)
        overflow(notify);
    else if (error < 0)
        log_limited(LOG_LEVEL_ERROR, "account=%s@%s what=\"NOTIFY cannot look at mailboxes: %s\"",
                    LOG_STRING(work->access.local), LOG_STRING(work->access.domain),
                    strerrordesc_np(-error));
    notify_tell_boxes(notify);
    return WORK_DONE;
}

enum step notify_tell(struct imap_session *session, enum step (*then)(struct imap_session *session),
                      bool is_idle)
{
    struct imap_work *work = imap_work_of(session);
    bool waits = work->notify->program.is_delayed && !is_idle;

    work_reset(work, session->tag);
    session->worked = then;
    if (work->notify->new_from != 0)
        return work_begin(work, run_new, SYNC_NOTHING);
    return work_begin(work, run_news, waits ? SYNC_FLAGS : SYNC_ALL);
}
