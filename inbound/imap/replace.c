/* replace.c - REPLACE (RFC 8508): an APPEND, of one message, in place of another. */
#include "inbound/imap/append.h"
#include "inbound/imap/command.h"

bool imap_take_replace(struct bytes *text, struct replaced *replaced_out)
{
    struct bytes input = *text;
    struct replaced replaced = {.is_one = true, .number = SEQUENCE_LAST};

    replaced.is_uid = imap_take_word(&input, "UID") && imap_take_space(&input);
    if (!imap_take_word(&input, "REPLACE") || !imap_take_space(&input) ||
        (!imap_take_byte(&input, '*') && !imap_take_nz_number(&input, &replaced.number)) ||
        !imap_take_space(&input))
        return false;
    *text = input;
    *replaced_out = replaced;
    return true;
}

enum work_step imap_find_replaced(struct imap_work *work, struct replaced *replaced)
{
    const struct view *view = &work->view;
    struct mailbox_message message;

    if (view->is_read_only)
        return work_answer(work, "NO [READ-ONLY] The mailbox is selected to be read only");
    if (replaced->number == SEQUENCE_LAST)
        replaced->uid = view_last_uid(view);
    else if (replaced->is_uid)
        replaced->uid = view_number(view, replaced->number) != 0 ? replaced->number : 0;
    else if (replaced->number <= view->count)
        replaced->uid = view->uids[replaced->number - 1];
    if (replaced->uid == 0 && !replaced->is_uid)
        return work_answer(work, "BAD [CLIENTBUG] There is no message of that number");
    if (replaced->uid == 0 || !mailbox_find(view->mailbox, replaced->uid, &message))
        return work_answer(work, "NO [NONEXISTENT] There is no such message any more");
    replaced->size = message.file_size;
    return WORK_MORE;
}
