/* store.c - STORE (RFC 9051 section 6.4.6), with UNCHANGEDSINCE (RFC 7162 section 3.1.3). */
#include "inbound/imap/command.h"

#include <errno.h>
#include <inttypes.h>

#include "inbound/imap/progress.h"
#include "inbound/mailbox/mailbox_change.h"

enum { SLICE_MAX = 500, TEXT_MAX = 1 << 20 };

struct store {
    struct sequence_set set;
    struct imap_flag_list flags;
    struct mailbox_flags_change change;
    bool is_silent, has_begun;
    uint32_t number;
    struct buf failed_text;
    struct sequence_writer failed;
    bool has_failed, has_gone;
};

/* --- parsing ---------------------------------------------------------------------------------- */

static bool take_since(struct bytes *input, struct store *store)
{
    if (!imap_take_byte(input, '('))
        return true;
    store->change.has_unchanged_since = true;
    return imap_take_word(input, "UNCHANGEDSINCE") && imap_take_space(input) &&
           imap_take_number64(input, &store->change.unchanged_since) &&
           imap_take_byte(input, ')') && imap_take_space(input);
}

static bool take_how(struct bytes *input, struct store *store)
{
    if (imap_take_byte(input, '+'))
        store->change.how = STORE_ADD;
    else if (imap_take_byte(input, '-'))
        store->change.how = STORE_REMOVE;
    store->is_silent = imap_take_word(input, "FLAGS.SILENT");
    return store->is_silent || imap_take_word(input, "FLAGS");
}

/* In parentheses or without. */
static bool take_flags(struct bytes *input, struct imap_flag_list *list)
{
    if (imap_take_flag_list(input, list))
        return true;
    list->count = 0;
    do {
        if (list->count == IMAP_FLAGS_MAX || !imap_take_flag(input, &list->flags[list->count]))
            return false;
        list->count++;
    } while (imap_take_space(input));
    return true;
}

bool imap_parse_store(struct imap_work *work, struct bytes *arguments)
{
    struct store *store = arena_alloc(&work->arena, sizeof(*store));

    if (store == NULL || !imap_take_space(arguments) ||
        !sequence_set_take(&work->arena, arguments, true, &store->set) ||
        !imap_take_space(arguments) || !take_since(arguments, store) ||
        !take_how(arguments, store) || !imap_take_space(arguments) ||
        !take_flags(arguments, &store->flags))
        return false;
    work->state = store;
    return arguments->len == 0 && imap_resolve(work, &store->set);
}

/* --- on the pool ------------------------------------------------------------------------------ */

static void store_ended(struct imap_work *work)
{
    struct store *store = work->state;

    buf_free(&store->failed_text);
}

static int begin(struct imap_work *work, struct store *store)
{
    int error;

    store->has_begun = true;
    buf_init(&store->failed_text, TEXT_MAX);
    store->failed.out = &store->failed_text;
    work->ended = store_ended;
    if (store->change.has_unchanged_since)
        imap_enable_condstore(work);
    error = imap_flags_of(work->view.mailbox, &store->flags, store->change.how != STORE_REMOVE,
                          &store->change.flags);
    if (error == 0)
        view_put_keywords(work, false);
    return error;
}

/* Up to SLICE_MAX UIDs of the set, and their numbers. */
static size_t gather(struct imap_work *work, struct store *store, uint32_t *uids, uint32_t *numbers)
{
    size_t count = 0;
    uint32_t number;

    while (count < SLICE_MAX &&
           (number = view_next(&work->view, &store->set, work->is_uid, store->number)) != 0) {
        store->number = number;
        numbers[count] = number;
        uids[count++] = work->view.uids[number - 1];
    }
    return count;
}

static bool is_failed(const struct mailbox_flags_change *change, uint32_t uid)
{
    for (size_t i = 0; i < change->failed_count; i++)
        if (change->failed[i] == uid)
            return true;
    return false;
}

static void tell_message(struct imap_work *work, struct store *store, uint32_t number, uint32_t uid)
{
    struct mailbox_message message;

    if (!mailbox_find(work->view.mailbox, uid, &message)) {
        store->has_gone = true;
        return;
    }
    if (is_failed(&store->change, uid)) {
        sequence_writer_add(&store->failed, work->is_uid ? uid : number);
        store->has_failed = true;
        /* RFC 7162 section 3.1.3: the client need not ask. What is newer the sync tells. */
        if (message.modseq <= work->view.modseq)
            view_put_change(work, number, &message, work->is_uid || work->has_qresync, true);
        return;
    }
    if (!store->is_silent)
        view_put_change(work, number, &message, work->is_uid || work->has_qresync,
                        work->has_condstore);
    else if (work->has_condstore) /* RFC 7162 section 3.1.3: the modseq is told all the same */
        view_put_modseq(work, number, &message);
}

static enum work_step end(struct imap_work *work, struct store *store)
{
    if (!sequence_writer_end(&store->failed))
        return work_answer(work, "NO [LIMIT] Too many messages were changed meanwhile");
    if (store->has_failed) {
        bool fits = arena_printf(&work->arena, &work->answer_code, "[MODIFIED %.*s] ",
                                 BYTES_ARG(buf_bytes(&store->failed_text)));

        if (!fits)
            return work_answer(work, "NO [LIMIT] Too many messages were changed meanwhile");
        return work_answer(work, "OK Others changed these since");
    }
    if (store->has_gone && !work->is_uid)
        return work_answer(work, "NO [EXPUNGEISSUED] Some of the messages are gone");
    return work_answer(work, "OK STORE done");
}

enum work_step imap_run_store(struct imap_work *work)
{
    struct store *store = work->state;
    uint32_t uids[SLICE_MAX], numbers[SLICE_MAX], failed[SLICE_MAX];

    if (work->view.is_read_only)
        return work_answer(work, "NO [READ-ONLY] The mailbox is selected to be read only");
    if (!store->has_begun) {
        int error = begin(work, store);

        if (error == -ENOSPC || error == -EINVAL)
            return work_answer(work, IMAP_NO_KEYWORD);
        if (error < 0)
            return work_fail(work, error);
    }
    do {
        size_t count = gather(work, store, uids, numbers);

        if (count == 0)
            return end(work, store);
        store->change.failed = failed;
        store->change.failed_count = 0;
        store->change.modseq = 0;
        int error = mailbox_store_flags(work->view.mailbox, uids, count, &store->change);

        if (error < 0)
            return work_fail(work, error);
        view_note_own(&work->view, store->change.modseq);
        for (size_t i = 0; i < count; i++)
            tell_message(work, store, numbers[i], uids[i]);
    } while (!work_is_full(work));
    imap_progress(work, store->number, work->view.count);
    return WORK_MORE;
}
