/* view.c - compares what the session knows with the mailbox. */
#include "inbound/imap/view.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "inbound/imap/flag_text.h"
#include "inbound/imap/notify.h"

enum { READ_MAX = 512, RANGES_MAX = 256, QUICK_MAX = 256 /* messages that went */ };

/* --- the numbers ------------------------------------------------------------------------------ */

static bool push(struct view *view, uint32_t uid)
{
    if (view->count == view->capacity) {
        size_t capacity = MAX(view->capacity * 2, (size_t)64);
        uint32_t *uids = realloc(view->uids, capacity * sizeof(*uids));

        if (uids == NULL)
            return false;
        view->uids = uids;
        view->capacity = capacity;
    }
    view->uids[view->count++] = uid;
    return true;
}

size_t view_number_from(const struct view *view, uint32_t uid)
{
    size_t low = 0, high = view->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (view->uids[middle] < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return low + 1;
}

uint32_t view_number(const struct view *view, uint32_t uid)
{
    size_t number = view_number_from(view, uid);

    return number <= view->count && view->uids[number - 1] == uid ? (uint32_t)number : 0;
}

int view_open(struct view *view, struct mailbox *mailbox, bool is_read_only)
{
    struct mailbox_message messages[READ_MAX];
    struct mailbox_status status;
    uint32_t uid = 1;

    *view = (struct view){.mailbox = mailbox, .is_read_only = is_read_only};
    mailbox_status(mailbox, &status);
    if (status.is_gone)
        return -ENOENT;
    view->modseq = view->vanished_modseq = status.modseq;
    while (uid != 0) {
        size_t count = mailbox_read(mailbox, uid, 0, messages, READ_MAX, &uid);

        for (size_t i = 0; i < count; i++)
            if (!push(view, messages[i].uid))
                return -ENOMEM;
    }
    return 0;
}

static void forget(struct view *view)
{
    free(view->uids);
    free(view->own);
    *view = (struct view){0};
}

void view_close(struct view *view)
{
    if (view->mailbox != NULL)
        mailbox_close(&view->mailbox);
    forget(view);
}

bool view_try_close(struct view *view)
{
    if (!mailbox_try_close(&view->mailbox))
        return false;
    forget(view);
    return true;
}

void view_note_own(struct view *view, uint64_t modseq)
{
    if (modseq == 0 || view->own_count == VIEW_OWN_MAX)
        return;
    if (view->own == NULL)
        view->own = malloc(VIEW_OWN_MAX * sizeof(*view->own));
    if (view->own != NULL)
        view->own[view->own_count++] = modseq;
}

static bool is_own(const struct view *view, uint64_t modseq)
{
    for (size_t i = 0; i < view->own_count; i++)
        if (view->own[i] == modseq)
            return true;
    return false;
}

bool view_is_whole(const struct view *view)
{
    struct uid_range range;
    uint32_t next;

    return mailbox_vanished(view->mailbox, view->vanished_modseq, 1, &range, 1, &next) == 0 &&
           next == 0;
}

/* --- sync ------------------------------------------------------------------------------------- */

/* What went, out of the view. Told by UID where QRESYNC or UIDONLY is enabled, else by
 * number, each counted without those before it (RFC 9051 section 7.5.1). */
struct leaving {
    struct imap_work *work;
    struct sequence_writer writer;
    size_t kept; /* of the uids so far */
    size_t next; /* not looked at yet */
    bool has_begun;
};

static void leave(struct leaving *leaving, uint32_t uid)
{
    struct imap_work *work = leaving->work;

    if (!work->has_qresync && !work->is_uidonly) {
        work_printf(work, "* %zu EXPUNGE\r\n", leaving->kept + 1);
        return;
    }
    if (!leaving->has_begun)
        work_put(work, BYTES("* VANISHED "));
    leaving->has_begun = true;
    sequence_writer_add(&leaving->writer, uid);
}

static void leave_range(struct leaving *leaving, const struct uid_range *range)
{
    struct view *view = &leaving->work->view;

    while (leaving->next < view->count && view->uids[leaving->next] <= range->last) {
        uint32_t uid = view->uids[leaving->next++];

        if (uid >= range->first)
            leave(leaving, uid);
        else
            view->uids[leaving->kept++] = uid;
    }
}

static void sync_vanished(struct imap_work *work, uint64_t modseq)
{
    struct leaving leaving = {.work = work, .writer.out = &work->access.out};
    struct view *view = &work->view;
    struct uid_range ranges[RANGES_MAX];
    uint32_t uid = 1;

    while (uid != 0) {
        size_t count =
            mailbox_vanished(view->mailbox, view->vanished_modseq, uid, ranges, RANGES_MAX, &uid);

        for (size_t i = 0; i < count; i++)
            leave_range(&leaving, &ranges[i]);
    }
    if (leaving.kept < leaving.next) /* else all of them stay where they are */
        memmove(view->uids + leaving.kept, view->uids + leaving.next,
                (view->count - leaving.next) * sizeof(*view->uids));
    view->count -= leaving.next - leaving.kept;
    if (leaving.has_begun && sequence_writer_end(&leaving.writer))
        work_put(work, BYTES("\r\n"));
    view->vanished_modseq = modseq;
}

void view_put_fetch(struct imap_work *work, uint32_t number, uint32_t uid)
{
    work_put(work, BYTES("* "));
    work_put_number(work, work->is_uidonly ? uid : number);
    work_put(work, work->is_uidonly ? BYTES(" UIDFETCH (") : BYTES(" FETCH ("));
}

void view_put_modseq(struct imap_work *work, uint32_t number, const struct mailbox_message *message)
{
    view_put_fetch(work, number, message->uid);
    if (!work->is_uidonly)
        work_printf(work, "UID %u ", message->uid);
    work_printf(work, "MODSEQ (%" PRIu64 "))\r\n", message->modseq);
}

void view_put_change(struct imap_work *work, uint32_t number, const struct mailbox_message *message,
                     bool has_uid, bool has_modseq)
{
    view_put_fetch(work, number, message->uid);
    if (has_uid && !work->is_uidonly)
        work_printf(work, "UID %u ", message->uid);
    if (has_modseq)
        work_printf(work, "MODSEQ (%" PRIu64 ") ", message->modseq);
    view_put_flags(work, work->view.mailbox, message->flags);
    work_put(work, BYTES(")\r\n"));
}

static int sync_messages(struct imap_work *work, uint64_t modseq)
{
    struct view *view = &work->view;
    struct mailbox_message messages[READ_MAX];
    size_t before = view->count;
    bool tells_flags = (notify_selected_events(work) & NOTIFY_FLAGS) != 0;
    bool has_uid = work->has_qresync || work->notify != NULL; /* RFC 5465 section 5.1 */
    uint32_t uid = 1;

    while (uid != 0) {
        size_t count = mailbox_read(view->mailbox, uid, view->modseq, messages, READ_MAX, &uid);

        for (size_t i = 0; i < count; i++) {
            const struct mailbox_message *message = &messages[i];

            if (message->uid > view_last_uid(view)) {
                if (!push(view, message->uid))
                    return -ENOMEM;
                continue;
            }
            uint32_t number = view_number(view, message->uid);

            if (number == 0 || number > before || is_own(view, message->modseq) || !tells_flags)
                continue;
            view_put_keywords(work, false);
            view_put_change(work, number, message, has_uid, work->has_condstore);
        }
    }
    if (view->count > before) {
        work_printf(work, "* %zu EXISTS\r\n", view->count);
        if (!work->is_rev2)
            work_put(work, BYTES("* 0 RECENT\r\n"));
        notify_note_new(work, view->uids[before], view_last_uid(view));
    }
    view->modseq = modseq;
    view->own_count = 0;
    return 0;
}

/* More than an engine has time for. */
static bool is_much(const struct view *view, const struct mailbox_status *status,
                    bool tells_expunges)
{
    return view->modseq < status->recent_floor ||
           (tells_expunges && (view->vanished_modseq < status->recent_floor ||
                               view->count > status->exists + (size_t)QUICK_MAX));
}

int view_sync(struct imap_work *work, bool tells_expunges)
{
    struct view *view = &work->view;
    struct mailbox_status status;

    atomic_store(&work->has_news, false);
    int error = work_is_on_engine(work) ? 0 : mailbox_look(view->mailbox); /* held: it has looked */

    if (error < 0)
        return error;
    mailbox_status(view->mailbox, &status);
    if (status.is_gone)
        return -ENOENT;
    if (work_is_on_engine(work) && is_much(view, &status, tells_expunges))
        return -EAGAIN;
    unsigned events = notify_selected_events(work);

    if (events == 0) /* NOTIFY did not ask for any: the view stays as it is */
        return 0;
    if (tells_expunges && status.modseq > view->vanished_modseq)
        sync_vanished(work, status.modseq);
    else if (status.modseq > view->vanished_modseq) /* to be told by the next that may */
        atomic_store(&work->has_news, true);
    if ((events & NOTIFY_NEW) == 0)
        return 0;
    return status.modseq > view->modseq ? sync_messages(work, status.modseq) : 0;
}

/* --- sets ------------------------------------------------------------------------------------- */

static bool resolve_saved(struct imap_work *work, struct sequence_set *set, bool is_uid)
{
    const struct saved *saved = &work->saved;
    size_t count = 0;

    set->ranges = arena_alloc(&work->arena, MAX(saved->count, (size_t)1) * sizeof(*set->ranges));
    if (set->ranges == NULL)
        return false;
    for (size_t i = 0; i < saved->count; i++) {
        uint32_t number = is_uid ? saved->uids[i] : view_number(&work->view, saved->uids[i]);

        if (number == 0)
            continue;
        if (count > 0 && set->ranges[count - 1].to + 1 == number)
            set->ranges[count - 1].to = number;
        else
            set->ranges[count++] = (struct sequence_range){number, number};
    }
    set->count = count;
    return true;
}

bool view_resolve(struct imap_work *work, struct sequence_set *set, bool is_uid)
{
    const struct view *view = &work->view;

    if (set->is_saved)
        return resolve_saved(work, set, is_uid);
    sequence_set_resolve(set, is_uid ? view_last_uid(view) : (uint32_t)view->count);
    return is_uid || set->count == 0 || set->ranges[set->count - 1].to <= view->count;
}

/* Of the view from `number` on, up to this UID. */
static size_t count_to(const struct view *view, uint32_t number, uint32_t uid)
{
    if (uid == view->uids[number - 1])
        return 1;
    size_t end = uid >= view_last_uid(view) ? view->count : view_number_from(view, uid + 1) - 1;

    return end - number + 1;
}

uint32_t view_next_run(const struct view *view, const struct sequence_set *set, bool is_uid,
                       uint32_t number, size_t *count_out)
{
    struct sequence_range run;

    if (!is_uid) {
        if (!sequence_set_next(set, number + 1, &run) || run.from > view->count)
            return 0;
        *count_out = MIN(run.to, view->count) - run.from + 1;
        return run.from;
    }
    while (number < view->count) {
        uint32_t uid = view->uids[number];

        if (!sequence_set_next(set, uid, &run))
            return 0;
        if (run.from == uid) {
            *count_out = count_to(view, number + 1, run.to);
            return number + 1;
        }
        number = (uint32_t)view_number_from(view, run.from) - 1;
    }
    return 0;
}

uint32_t view_next(const struct view *view, const struct sequence_set *set, bool is_uid,
                   uint32_t number)
{
    size_t count;

    return view_next_run(view, set, is_uid, number, &count);
}

void view_put_vanished(struct imap_work *work, uint64_t modseq, const struct sequence_set *among)
{
    struct sequence_writer writer = {.out = &work->access.out};
    struct uid_range ranges[RANGES_MAX];
    size_t begin = buf_len(&work->access.out);
    uint32_t uid = 1;
    bool is_any = false;

    work_put(work, BYTES("* VANISHED (EARLIER) "));
    while (uid != 0) {
        size_t count = mailbox_vanished(work->view.mailbox, modseq, uid, ranges, RANGES_MAX, &uid);

        for (size_t i = 0; i < count; i++)
            is_any |= sequence_writer_add_common(&writer, among, ranges[i].first, ranges[i].last);
    }
    if (!sequence_writer_end(&writer))
        work->access.is_last = true;
    else if (is_any)
        work_put(work, BYTES("\r\n"));
    else
        buf_truncate(&work->access.out, begin);
}

/* --- flags ------------------------------------------------------------------------------------ */

void view_put_flags(struct imap_work *work, struct mailbox *mailbox, uint64_t flags)
{
    char name[MAILBOX_KEYWORD_LEN_MAX + 1];
    const struct flag_text *text = flag_text(flags);
    bool has_space = (flags & FLAG_TEXT_ALL) != 0;

    work_put(work, bytes_range(text->bytes, text->len));
    for (unsigned i = 0; (flags & ~FLAG_TEXT_ALL) != 0 && i < MAILBOX_KEYWORDS_MAX; i++)
        if ((flags & MAIL_KEYWORD(i)) != 0 && mailbox_keyword_name(mailbox, i, name)) {
            if (has_space)
                work_put(work, BYTES(" "));
            work_put(work, bytes_of(name));
            has_space = true;
        }
    work_put(work, BYTES(")"));
}

void view_put_keywords(struct imap_work *work, bool is_forced)
{
    struct view *view = &work->view;
    struct mailbox_status status;
    uint64_t flags = FLAG_TEXT_ALL;

    mailbox_status(view->mailbox, &status);
    if (!is_forced && status.keyword_count == view->keyword_count)
        return;
    view->keyword_count = status.keyword_count;
    for (unsigned i = 0; i < status.keyword_count; i++)
        flags |= MAIL_KEYWORD(i);
    work_put(work, BYTES("* "));
    view_put_flags(work, view->mailbox, flags);
    work_put(work, BYTES("\r\n"));
}
