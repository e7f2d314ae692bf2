/* select.c - SELECT, EXAMINE, CLOSE, UNSELECT; with CONDSTORE and QRESYNC (RFC 7162). */
#include "inbound/imap/command.h"

#include <errno.h>
#include <inttypes.h>

#include "inbound/imap/queue.h"
#include "inbound/mailbox/mailbox_change.h"

enum { READ_MAX = 512, QUICK_MAX = 16 << 10 /* messages of a mailbox that an engine opens */ };

struct select {
    struct bytes name;
    bool has_name; /* else no mailbox can have it */
    bool is_read_only, has_condstore, has_qresync;
    uint32_t uidvalidity; /* of QRESYNC */
    uint64_t modseq;
    bool has_known;
    bool has_match;            /* numbers and their UIDs */
    struct sequence_set known; /* UIDs */
    struct mailbox *mailbox;   /* opened, and not selected yet */
};

/* --- parsing ---------------------------------------------------------------------------------- */

/* "(67890007 20050715194045000 [41:211] [(seqs uids)])"; the match of numbers and UIDs helps
 * whoever forgot what went: we know all of it (RFC 7162 section 3.2.5.2). */
static bool take_qresync(struct imap_work *work, struct bytes *input, struct select *select)
{
    struct sequence_set ignored;
    struct bytes rest;

    if (!imap_take_space(input) || !imap_take_byte(input, '(') ||
        !imap_take_nz_number(input, &select->uidvalidity) || !imap_take_space(input) ||
        !imap_take_number64(input, &select->modseq))
        return false;
    rest = *input;
    if (imap_take_space(&rest) && sequence_set_take(&work->arena, &rest, false, &select->known)) {
        select->has_known = true;
        *input = rest;
    }
    select->has_match = imap_take_space(input);
    if (select->has_match &&
        (!imap_take_byte(input, '(') || !sequence_set_take(&work->arena, input, false, &ignored) ||
         !imap_take_space(input) || !sequence_set_take(&work->arena, input, false, &ignored) ||
         !imap_take_byte(input, ')')))
        return false;
    return imap_take_byte(input, ')');
}

static bool take_parameters(struct imap_work *work, struct bytes *input, struct select *select)
{
    if (!imap_take_space(input) || !imap_take_byte(input, '('))
        return false;
    do {
        if (imap_take_word(input, "CONDSTORE")) {
            select->has_condstore = true;
        } else if (imap_take_word(input, "QRESYNC")) {
            select->has_qresync = true;
            if (!work->has_qresync)
                return imap_refuse(work, "BAD Say ENABLE QRESYNC first");
            if (!take_qresync(work, input, select))
                return false;
        } else {
            return false;
        }
    } while (imap_take_space(input));
    return imap_take_byte(input, ')');
}

/* One that cannot be fails as one that is not there does: no mailbox is selected then. */
static bool take_name(struct imap_work *work, struct bytes *input, struct select *select)
{
    struct bytes text;

    if (!imap_take_astring(&work->arena, input, &text))
        return false;
    select->has_name = imap_read_mailbox(work, &work->arena, text, &select->name);
    return true;
}

static bool parse(struct imap_work *work, struct bytes *arguments, bool is_read_only)
{
    struct select *select = arena_alloc(&work->arena, sizeof(*select));

    if (select == NULL || !imap_take_space(arguments) || !take_name(work, arguments, select) ||
        (arguments->len > 0 && !take_parameters(work, arguments, select)))
        return false;
    select->is_read_only = is_read_only;
    work->state = select;
    work->is_quick = !select->has_qresync && !bytes_equal(select->name, QUEUE_NAME);
    return arguments->len == 0;
}

bool imap_parse_select(struct imap_work *work, struct bytes *arguments)
{
    return parse(work, arguments, false);
}

bool imap_parse_examine(struct imap_work *work, struct bytes *arguments)
{
    return parse(work, arguments, true);
}

/* --- on the pool ------------------------------------------------------------------------------ */

/* The number of the first message without \Seen; 0: none. Rev1 tells it. */
static uint32_t first_unseen(const struct view *view)
{
    struct mailbox_message messages[READ_MAX];
    uint32_t uid = 1;

    while (uid != 0) {
        size_t count = mailbox_read(view->mailbox, uid, 0, messages, READ_MAX, &uid);

        for (size_t i = 0; i < count; i++)
            if ((messages[i].flags & MAIL_SEEN) == 0)
                return view_number(view, messages[i].uid);
    }
    return 0;
}

static void tell_flags(struct imap_work *work)
{
    struct view *view = &work->view;
    uint64_t flags = MAIL_ANSWERED | MAIL_FLAGGED | MAIL_DELETED | MAIL_SEEN | MAIL_DRAFT;

    view_put_keywords(work, true);
    for (unsigned i = 0; i < view->keyword_count; i++)
        flags |= MAIL_KEYWORD(i);
    work_put(work, BYTES("* OK [PERMANENT"));
    if (view->is_read_only) {
        work_put(work, BYTES("FLAGS ()] Nothing can be changed\r\n"));
        return;
    }
    view_put_flags(work, view->mailbox, flags);
    buf_truncate(&work->access.out, buf_len(&work->access.out) - 1); /* its ")" */
    work_printf(work, "%s)] Flags that stay\r\n",
                view->keyword_count < MAILBOX_KEYWORDS_MAX ? " \\*" : "");
}

static void tell_mailbox(struct imap_work *work, const struct select *select,
                         const struct mailbox_status *status)
{
    const struct view *view = &work->view;
    bool tells_unseen = !work->is_rev2 && !work->is_uidonly;
    uint32_t unseen = tells_unseen && status->unseen > 0 ? first_unseen(view) : 0;

    tell_flags(work);
    work_printf(work, "* %zu EXISTS\r\n", view->count);
    if (!work->is_rev2)
        work_put(work, BYTES("* 0 RECENT\r\n"));
    if (unseen != 0)
        work_printf(work, "* OK [UNSEEN %u] The first\r\n", unseen);
    work_printf(work, "* OK [UIDVALIDITY %u] UIDs are valid\r\n", status->uidvalidity);
    work_printf(work, "* OK [UIDNEXT %u] The next UID\r\n", status->uidnext);
    work_printf(work, "* OK [HIGHESTMODSEQ %" PRIu64 "] The newest change\r\n", view->modseq);
    work_put(work, BYTES("* OK [MAILBOXID ("));
    imap_put_mailbox_id(work, status->id);
    work_put(work, BYTES(")] It stays\r\n"));
    if (work->is_rev2) { /* RFC 9051 section 6.3.2 */
        work_put(work, BYTES("* LIST () \"/\" "));
        if (!mailbox_name_put(&work->access.out, select->name, work_tells_utf8(work)))
            work->access.is_last = true;
        work_put(work, BYTES("\r\n"));
    }
}

/* What changed since the client was here (RFC 7162 section 3.2.5.1). */
static void tell_changed(struct imap_work *work, const struct select *select)
{
    struct mailbox_message messages[READ_MAX];
    uint32_t uid = 1;

    while (uid != 0) {
        size_t count =
            mailbox_read(work->view.mailbox, uid, select->modseq, messages, READ_MAX, &uid);

        for (size_t i = 0; i < count; i++) {
            uint32_t number = view_number(&work->view, messages[i].uid);

            if (number != 0 && sequence_set_has(&select->known, messages[i].uid))
                view_put_change(work, number, &messages[i], true, true);
        }
    }
}

static void select_ended(struct imap_work *work)
{
    struct select *select = work->state;

    if (select->mailbox != NULL)
        mailbox_close(&select->mailbox);
}

/* 0; -EAGAIN: on the pool. No mirror: Queue is the one there is. */
static int open_here(struct imap_work *work, struct select *select)
{
    struct mailbox_status status;
    int error = mailbox_open_held(work->account, select->name, &select->mailbox);

    if (error < 0)
        return error;
    work->held = select->mailbox;
    mailbox_status(select->mailbox, &status);
    return status.exists <= QUICK_MAX ? 0 : -EAGAIN;
}

static int open_mailbox(struct imap_work *work, struct select *select)
{
    if (work_is_on_engine(work))
        return open_here(work, select);
    queue_refresh(work, select->name);
    int error =
        select->mailbox != NULL ? 0 : mailbox_open(work->account, select->name, &select->mailbox);

    if (error == 0 && mailbox_is_mirror(select->mailbox)) {
        select->is_read_only = true;
        queue_keep(work, select->name);
    }
    return error;
}

/* Watched first: nothing is missed. */
static int select_mailbox(struct imap_work *work, struct select *select)
{
    struct mailbox *mailbox = select->mailbox;

    select->mailbox = NULL;
    mailbox_watch(mailbox, &work->watch);
    work->is_watching = true;
    work->view.mailbox = mailbox;
    int error = work_is_on_engine(work) ? 0 : mailbox_look(mailbox);

    return error < 0 ? error : view_open(&work->view, mailbox, select->is_read_only);
}

static enum work_step tell_selected(struct imap_work *work, struct select *select)
{
    struct sequence_range every = {1, UINT32_MAX};
    struct mailbox_status status;

    work->has_condstore |= select->has_condstore || select->has_qresync;
    mailbox_status(work->view.mailbox, &status);
    tell_mailbox(work, select, &status);
    if (!select->has_known) /* then it knows all */
        select->known = (struct sequence_set){.count = 1, .ranges = &every};
    sequence_set_resolve(&select->known, UINT32_MAX);
    if (select->has_qresync && select->uidvalidity == status.uidvalidity) {
        view_put_vanished(work, select->modseq, &select->known);
        tell_changed(work, select);
    }
    return work_answer(work, "OK [READ-%s] It is selected",
                       select->is_read_only ? "ONLY" : "WRITE");
}

static bool deselect(struct imap_work *work)
{
    if (!work_is_selected(work))
        return true;
    if (!work_is_on_engine(work))
        imap_deselect(work);
    else if (!imap_try_deselect(work))
        return false;
    work_put(work, BYTES("* OK [CLOSED] The mailbox before is closed\r\n"));
    return true;
}

enum work_step imap_run_select(struct imap_work *work)
{
    struct select *select = work->state;

    work->ended = select_ended;
    if (select->has_match && work->is_uidonly)
        return work_answer(work, "BAD [UIDREQUIRED] Messages have no numbers under UIDONLY");
    bool has_none = deselect(work);

    if (has_none && !select->has_name)
        return work_answer(work, IMAP_NO_MAILBOX_NAME);
    int error = has_none ? open_mailbox(work, select) : -EAGAIN;

    if (access_work_would_wait(&work->access, error))
        return WORK_MORE;
    if (error < 0)
        return work_fail(work, error);
    error = select_mailbox(work, select);
    if (error < 0 && work_is_on_engine(work)) {
        work_want_pool(work); /* which closes it first */
        return WORK_MORE;
    }
    if (error < 0) {
        imap_deselect(work);
        return work_fail(work, error);
    }
    return tell_selected(work, select);
}

/* RFC 9051 section 6.4.1: silently expunges. */
enum work_step imap_run_close(struct imap_work *work)
{
    size_t expunged = 0;
    int error = 0;

    if (!work->view.is_read_only)
        error = mailbox_expunge_all(work->view.mailbox, &expunged);
    metric_add(METRIC_IMAP_EXPUNGED, (int64_t)expunged);
    imap_deselect(work);
    return error < 0 ? work_fail(work, error) : work_answer(work, "OK It is closed");
}

enum work_step imap_run_unselect(struct imap_work *work)
{
    imap_deselect(work);
    return work_answer(work, "OK It is closed");
}
