/* notify_box.c - mailboxes that are not selected: opened, watched, and told of by STATUS. */
#include "inbound/imap/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "inbound/imap/mailbox_name.h"

static void box_changed(struct mailbox_watch *watch)
{
    struct notify_box *box = container_of(watch, struct notify_box, watch);

    atomic_store(&box->has_news, true);
    work_post_news(box->work);
}

static void box_free(struct notify *notify, struct notify_box *box)
{
    mailbox_unwatch(box->mailbox, &box->watch);
    mailbox_close(&box->mailbox);
    free((uint8_t *)box->name.ptr);
    free(box);
    notify->box_count--;
}

void notify_close_boxes(struct notify *notify)
{
    while (notify->boxes != NULL) {
        struct notify_box *box = notify->boxes;

        notify->boxes = box->next;
        box_free(notify, box);
    }
}

static void box_name(struct notify_box *box, struct bytes name)
{
    uint8_t *copy = malloc(name.len + 1), *end = copy;

    check(copy != NULL);
    free((uint8_t *)box->name.ptr);
    box->name = bytes_put(name, &end);
}

/* --- STATUS ----------------------------------------------------------------------------------- */

static bool tells_modseq(const struct notify_box *box)
{
    return box->work->has_condstore;
}

/* RFC 5465 sections 3.1, 5.1 to 5.3. */
static void put_status(const struct notify_box *box, const struct mailbox_status *status,
                       bool has_messages, bool has_unseen, bool has_modseq)
{
    struct imap_work *work = box->work;

    work_put(work, BYTES("* STATUS "));
    if (!mailbox_name_put(&work->access.out, box->name, work_tells_utf8(work)))
        work->access.is_last = true;
    work_put(work, BYTES(" ("));
    if (has_messages)
        work_printf(work, "MESSAGES %u UIDNEXT %u ", status->exists, status->uidnext);
    if (has_unseen)
        work_printf(work, "UNSEEN %u ", status->unseen);
    if (has_modseq)
        work_printf(work, "HIGHESTMODSEQ %" PRIu64 " ", status->modseq);
    work_printf(work, "UIDVALIDITY %u)\r\n", status->uidvalidity);
}

static void tell_status(struct notify_box *box, const struct mailbox_status *status)
{
    const struct mailbox_status *told = &box->told;
    bool is_other = status->uidvalidity != told->uidvalidity;
    bool has_messages =
        is_other || status->exists != told->exists || status->uidnext != told->uidnext;
    bool wants_flags = (box->events & NOTIFY_FLAGS) != 0;
    bool has_unseen = wants_flags && status->unseen != told->unseen;
    bool has_flags = has_unseen || (tells_modseq(box) && status->modseq != told->modseq);

    if (has_messages || (wants_flags && has_flags))
        put_status(box, status, has_messages, has_unseen, tells_modseq(box));
}

void notify_tell_boxes(struct notify *notify)
{
    for (struct notify_box *box = notify->boxes; box != NULL; box = box->next) {
        struct mailbox_status status;

        if (!atomic_exchange(&box->has_news, false) || mailbox_look(box->mailbox) < 0)
            continue;
        mailbox_status(box->mailbox, &status);
        if (status.is_gone || status.is_unavailable)
            continue;
        if (box->mailbox != notify->work->view.mailbox)
            tell_status(box, &status);
        box->told = status;
    }
}

/* --- which there are -------------------------------------------------------------------------- */

static struct notify_box *find(struct notify *notify, const struct mailbox *mailbox)
{
    struct notify_box *box = notify->boxes;

    while (box != NULL && box->mailbox != mailbox)
        box = box->next;
    return box;
}

/* It is the mailbox's own one where that is only called otherwise now. */
static struct notify_box *box_of(struct notify *notify, struct mailbox **mailbox)
{
    struct notify_box *box = find(notify, *mailbox);

    if (box != NULL) {
        mailbox_close(mailbox);
        return box;
    }
    box = calloc(1, sizeof(*box));
    check(box != NULL);
    box->work = notify->work;
    box->mailbox = *mailbox;
    box->watch.changed = box_changed;
    box->next = notify->boxes;
    notify->boxes = box;
    notify->box_count++;
    mailbox_watch(box->mailbox, &box->watch);
    return box;
}

static int take_in(struct notify *notify, const struct notify_look *look, struct bytes name,
                   unsigned events)
{
    struct mailbox *mailbox;
    int error = mailbox_open(notify->work->account, name, &mailbox);

    if (error == -ENOENT || error == -EINVAL)
        return 0;
    if (error < 0)
        return error;
    bool is_new = find(notify, mailbox) == NULL;

    if (is_new && notify->box_count == NOTIFY_BOXES_MAX) {
        mailbox_close(&mailbox);
        return -EMFILE;
    }
    struct notify_box *box = box_of(notify, &mailbox);

    box->events = events;
    box->is_wanted = true;
    box_name(box, name);
    if (!is_new)
        return 0;
    mailbox_status(box->mailbox, &box->told);
    /* The mail of one that came later was not told of. */
    bool tells = look->is_set ? look->tells_status : box->told.exists > 0;

    if (tells && box->mailbox != notify->work->view.mailbox)
        put_status(box, &box->told, true, false,
                   tells_modseq(box) || (events & NOTIFY_FLAGS) != 0); /* RFC 5465 section 3.1 */
    return 0;
}

static void drop_unwanted(struct notify *notify)
{
    struct notify_box **place = &notify->boxes;

    while (*place != NULL) {
        struct notify_box *box = *place;

        if (box->is_wanted) {
            box->is_wanted = false;
            place = &box->next;
            continue;
        }
        *place = box->next;
        box_free(notify, box);
    }
}

int notify_look_list(struct notify *notify, struct notify_look *look)
{
    if (look->has_list)
        return 0;
    int error = mail_account_list(notify->work->account, &look->list);

    look->has_list = error == 0;
    return error;
}

int notify_look_slice(struct notify *notify, struct notify_look *look)
{
    if ((notify_program_all_events(&notify->program) & NOTIFY_MESSAGES) == 0)
        return 0;
    int error = notify_look_list(notify, look);

    while (error == 0 && look->next < look->list.count) {
        const struct mailbox_entry *entry = &look->list.entries[look->next++];
        unsigned events =
            notify_program_events(&notify->program, entry->name, entry->is_subscribed) &
            NOTIFY_MESSAGES;

        if (!entry->is_missing && events != 0)
            error = take_in(notify, look, entry->name, events);
        if (error == 0 && work_is_full(notify->work))
            return 1;
    }
    if (error == 0)
        drop_unwanted(notify);
    return error;
}

void notify_look_end(struct notify_look *look)
{
    if (look->has_list)
        mailbox_list_free(&look->list);
    look->has_list = false;
}
