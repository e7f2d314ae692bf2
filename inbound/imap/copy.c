/* copy.c - COPY, MOVE (RFC 6851) and EXPUNGE, with UIDPLUS' codes (RFC 4315). */
#include "inbound/imap/command.h"

#include <errno.h>

#include "inbound/imap/notify.h"
#include "inbound/imap/progress.h"
#include "inbound/mailbox/mailbox_change.h"

enum { SLICE_MAX = MAILBOX_CHANGE_MAX, TEXT_MAX = 1 << 20 };

struct copy {
    struct sequence_set set;
    struct bytes name;
    bool has_begun, is_all;
    uint32_t number;
    struct mailbox *to;
    struct buf from_text, to_text;
    struct sequence_writer from_uids, to_uids;
    bool has_copied;
};

/* --- parsing ---------------------------------------------------------------------------------- */

bool imap_parse_copy(struct imap_work *work, struct bytes *arguments)
{
    struct copy *copy = arena_alloc(&work->arena, sizeof(*copy));

    if (copy == NULL || !imap_take_space(arguments) ||
        !sequence_set_take(&work->arena, arguments, true, &copy->set) ||
        !imap_take_space(arguments) || !imap_take_mailbox(work, arguments, &copy->name))
        return false;
    work->state = copy;
    return arguments->len == 0 && imap_resolve(work, &copy->set);
}

bool imap_parse_expunge(struct imap_work *work, struct bytes *arguments)
{
    struct copy *copy = arena_alloc(&work->arena, sizeof(*copy));

    if (copy == NULL)
        return false;
    work->state = copy;
    copy->is_all = !work->is_uid;
    if (copy->is_all)
        return arguments->len == 0;
    return imap_take_space(arguments) &&
           sequence_set_take(&work->arena, arguments, true, &copy->set) && arguments->len == 0 &&
           imap_resolve(work, &copy->set);
}

/* --- on the pool ------------------------------------------------------------------------------ */

static void copy_ended(struct imap_work *work)
{
    struct copy *copy = work->state;

    if (copy->to != NULL)
        mailbox_close(&copy->to);
    buf_free(&copy->from_text);
    buf_free(&copy->to_text);
}

static int begin(struct imap_work *work, struct copy *copy)
{
    copy->has_begun = true;
    work->ended = copy_ended;
    buf_init(&copy->from_text, TEXT_MAX);
    buf_init(&copy->to_text, TEXT_MAX);
    copy->from_uids.out = &copy->from_text;
    copy->to_uids.out = &copy->to_text;
    return mailbox_open(work->account, copy->name, &copy->to);
}

static size_t gather(struct imap_work *work, struct copy *copy, uint32_t *uids)
{
    size_t count = 0;
    uint32_t number;

    while (count < SLICE_MAX &&
           (number = view_next(&work->view, &copy->set, work->is_uid, copy->number)) != 0) {
        copy->number = number;
        uids[count++] = work->view.uids[number - 1];
    }
    return count;
}

/* "[COPYUID 38505 304,319:320 3956:3958] "; false: nothing was copied. */
static bool make_code(struct imap_work *work, struct copy *copy, struct bytes *code_out)
{
    struct mailbox_status status;

    if (!copy->has_copied || !sequence_writer_end(&copy->from_uids) ||
        !sequence_writer_end(&copy->to_uids))
        return false;
    mailbox_status(copy->to, &status);
    return arena_printf(&work->arena, code_out, "[COPYUID %u %.*s %.*s] ", status.uidvalidity,
                        BYTES_ARG(buf_bytes(&copy->from_text)),
                        BYTES_ARG(buf_bytes(&copy->to_text)));
}

static enum work_step end(struct imap_work *work, struct copy *copy, bool moves)
{
    struct bytes code;
    bool has_code = make_code(work, copy, &code);

    if (has_code && moves) { /* RFC 6851 section 4.3: before the messages go */
        work_put(work, BYTES("* OK "));
        work_put(work, code);
        work_put(work, BYTES("Moved\r\n"));
    } else if (has_code) {
        work->answer_code = code;
    }
    return work_answer(work, "OK It is done");
}

static enum work_step run(struct imap_work *work, bool moves)
{
    struct copy *copy = work->state;
    uint32_t uids[SLICE_MAX];
    struct uid_pair pairs[SLICE_MAX];
    size_t pair_count;

    if (moves && work->view.is_read_only)
        return work_answer(work, "NO [READ-ONLY] The mailbox is selected to be read only");
    if (!copy->has_begun) {
        int error = begin(work, copy);

        if (error == -ENOENT)
            return work_answer(work, "NO [TRYCREATE] There is no such mailbox");
        if (error < 0)
            return work_fail(work, error);
    }
    do {
        size_t count = gather(work, copy, uids);

        if (count == 0)
            return end(work, copy, moves);
        int error =
            mailbox_copy(work->view.mailbox, copy->to, uids, count, moves, pairs, &pair_count);

        if (error < 0)
            return work_fail(work, error);
        for (size_t i = 0; i < pair_count; i++) {
            sequence_writer_add(&copy->from_uids, pairs[i].from);
            sequence_writer_add(&copy->to_uids, pairs[i].to);
            notify_note_own(work, copy->to, pairs[i].to);
            copy->has_copied = true;
        }
        work->tells_modseq |= moves && pair_count > 0 && work->has_condstore;
    } while (!work_is_full(work));
    imap_progress(work, copy->number, work->view.count);
    return WORK_MORE;
}

enum work_step imap_run_copy(struct imap_work *work)
{
    return run(work, false);
}

enum work_step imap_run_move(struct imap_work *work)
{
    work->own_events = NOTIFY_EXPUNGE;
    return run(work, true);
}

/* RFC 7162 sections 3.2.7 and 3.2.9: who enabled QRESYNC is to know the modseq; others may. */
static void note_expunged(struct imap_work *work, size_t expunged)
{
    metric_add(METRIC_IMAP_EXPUNGED, (int64_t)expunged);
    work->tells_modseq |= expunged > 0 && work->has_condstore;
}

static enum work_step expunge_all(struct imap_work *work)
{
    size_t expunged = 0;
    int error = mailbox_expunge_all(work->view.mailbox, &expunged);

    note_expunged(work, expunged);
    return error < 0 ? work_fail(work, error) : work_answer(work, "OK EXPUNGE done");
}

enum work_step imap_run_expunge(struct imap_work *work)
{
    struct copy *copy = work->state;
    uint32_t uids[SLICE_MAX];

    work->own_events = NOTIFY_EXPUNGE;
    if (work->view.is_read_only)
        return work_answer(work, "NO [READ-ONLY] The mailbox is selected to be read only");
    if (copy->is_all)
        return expunge_all(work);
    do {
        size_t expunged = 0, count = gather(work, copy, uids);

        if (count == 0)
            return work_answer(work, "OK EXPUNGE done");
        int error = mailbox_expunge(work->view.mailbox, uids, count, &expunged);

        if (error < 0)
            return work_fail(work, error);
        note_expunged(work, expunged);
    } while (!work_is_full(work));
    imap_progress(work, copy->number, work->view.count);
    return WORK_MORE;
}
