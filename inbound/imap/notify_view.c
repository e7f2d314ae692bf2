/* notify_view.c - what NOTIFY says of the selected mailbox, and what waits to be told. */
#include "inbound/imap/notify.h"

size_t notify_memory(const struct imap_work *work)
{
    const struct notify *notify = work->notify;

    if (notify == NULL)
        return 0;
    return sizeof(*notify) + notify->arena.held + notify->box_count * sizeof(struct notify_box);
}

bool notify_has_news(const struct imap_work *work)
{
    return work != NULL && work->notify != NULL && atomic_load(&work->has_notices);
}

unsigned notify_selected_events(const struct imap_work *work)
{
    if (work->notify == NULL)
        return NOTIFY_MESSAGES;
    unsigned events = work->notify->program.selected;

    /* What a command does itself it tells; but a snapshot has no flags of later. */
    if (events != 0 || work->own_events == NOTIFY_MESSAGES)
        return events | work->own_events;
    return work->own_events & NOTIFY_EXPUNGE;
}

void notify_note_new(struct imap_work *work, uint32_t first, uint32_t last)
{
    struct notify *notify = work->notify;

    if (notify == NULL || !notify->program.has_fetch)
        return;
    if (notify->new_from == 0)
        notify->new_from = first;
    notify->new_to = last;
    atomic_store(&work->has_notices, true);
}

void notify_note_own(struct imap_work *work, const struct mailbox *mailbox, uint32_t uid)
{
    struct notify *notify = work->notify;

    if (notify == NULL || !notify->program.has_fetch || work->view.mailbox != mailbox)
        return;
    if (notify->own_count > 0 && notify->own[notify->own_count - 1].last + 1 == uid)
        notify->own[notify->own_count - 1].last = uid;
    else if (notify->own_count < NOTIFY_OWN_MAX)
        notify->own[notify->own_count++] = (struct uid_range){uid, uid};
}

void notify_forget_selected(struct imap_work *work)
{
    if (work->notify == NULL)
        return;
    work->notify->new_from = work->notify->new_to = 0;
    work->notify->own_count = 0;
}
