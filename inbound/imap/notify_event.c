/* notify_event.c - what happened to mailboxes by name, told by LIST and METADATA (RFC 5465 sections
 * 5.4 to 5.7). */
#include "inbound/imap/notify.h"

#include <errno.h>

#include "inbound/imap/mailbox_name.h"

static const struct mailbox_entry *entry_of(const struct notify_look *look, struct bytes name)
{
    for (size_t i = 0; i < look->list.count; i++)
        if (bytes_equal(look->list.entries[i].name, name))
            return &look->list.entries[i];
    return NULL;
}

static void put_name(struct imap_work *work, struct bytes name)
{
    if (!mailbox_name_put(&work->access.out, name, work_tells_utf8(work)))
        work->access.is_last = true;
}

/* Attributes are as they are now, which may be after later events. */
static void put_list(struct imap_work *work, const struct notify_look *look, struct bytes name,
                     struct bytes old_name)
{
    const struct mailbox_entry *entry = entry_of(look, name);

    work_put(work, BYTES("* LIST ("));
    if (entry == NULL || entry->is_missing)
        work_put(work, BYTES("\\NonExistent "));
    work_put(work, entry != NULL && entry->has_children ? BYTES("\\HasChildren")
                                                        : BYTES("\\HasNoChildren"));
    if (entry != NULL && entry->is_subscribed)
        work_put(work, BYTES(" \\Subscribed"));
    if (entry != NULL && entry->use != SPECIAL_NONE)
        work_printf(work, " %s", special_use_name(entry->use));
    work_put(work, BYTES(") \"/\" "));
    put_name(work, name);
    if (old_name.len > 0) {
        work_put(work, BYTES(" (\"OLDNAME\" ("));
        put_name(work, old_name);
        work_put(work, BYTES("))"));
    }
    work_put(work, BYTES("\r\n"));
}

static void put_metadata(struct imap_work *work, struct bytes mailbox, struct bytes entry)
{
    work_put(work, BYTES("* METADATA "));
    put_name(work, mailbox);
    work_put(work, BYTES(" "));
    if (!imap_put_astring(&work->access.out, entry))
        work->access.is_last = true;
    work_put(work, BYTES("\r\n"));
}

/* Is the event wanted of this mailbox? */
static bool wants(const struct notify *notify, const struct notify_look *look, struct bytes name,
                  bool counts_as_subscribed, enum notify_event event)
{
    const struct mailbox_entry *entry = entry_of(look, name);
    bool is_subscribed = counts_as_subscribed || (entry != NULL && entry->is_subscribed);

    return (notify_program_events(&notify->program, name, is_subscribed) & event) != 0;
}

/* Section 5.4: the direct parent is affected as well, whether it exists or not. */
static void tell_parent(struct notify *notify, const struct notify_look *look, struct bytes name)
{
    while (name.len > 0 && name.ptr[name.len - 1] != '/')
        name.len--;
    if (name.len == 0)
        return;
    name.len--;
    if (wants(notify, look, name, false, NOTIFY_NAME))
        put_list(notify->work, look, name, BYTES_NONE);
}

static void tell_name(struct notify *notify, const struct notify_look *look,
                      const struct account_event *event)
{
    bool is_rename = event->kind == ACCOUNT_RENAMED;

    if (wants(notify, look, event->name, false, NOTIFY_NAME) ||
        (is_rename && wants(notify, look, event->other, false, NOTIFY_NAME)))
        put_list(notify->work, look, event->name, is_rename ? event->other : BYTES_NONE);
    if (!is_rename)
        tell_parent(notify, look, event->name);
}

static void tell_event(struct notify *notify, const struct notify_look *look,
                       const struct account_event *event)
{
    switch (event->kind) {
    case ACCOUNT_CREATED:
    case ACCOUNT_DELETED:
    case ACCOUNT_RENAMED:
        tell_name(notify, look, event);
        break;
    case ACCOUNT_SUBSCRIBED:
    case ACCOUNT_UNSUBSCRIBED:
        if (wants(notify, look, event->name, true, NOTIFY_SUBSCRIPTION))
            put_list(notify->work, look, event->name, BYTES_NONE);
        break;
    case ACCOUNT_ANNOTATED:
        if (event->name.len == 0
                ? (notify_program_all_events(&notify->program) & NOTIFY_SERVER_METADATA) != 0
                : wants(notify, look, event->name, false, NOTIFY_METADATA))
            put_metadata(notify->work, event->name, event->other);
        break;
    case ACCOUNT_FILED:
        break;
    }
}

static bool changes_boxes(const struct notify *notify, const struct account_event *event)
{
    switch (event->kind) {
    case ACCOUNT_CREATED:
    case ACCOUNT_DELETED:
    case ACCOUNT_RENAMED:
    case ACCOUNT_SUBSCRIBED:
    case ACCOUNT_UNSUBSCRIBED:
        return true;
    case ACCOUNT_ANNOTATED:
        return false;
    case ACCOUNT_FILED:
        break;
    }
    return (notify_program_events(&notify->program, event->name, true) & NOTIFY_MESSAGES) != 0;
}

/* Into the arena, so that what is listed behind them is as they left it. */
static int take_events(struct notify *notify, struct account_event *events, size_t *count_out)
{
    uint8_t text[ACCOUNT_EVENT_TEXT_MAX];
    struct arena *arena = &notify->work->arena;
    size_t count = 0;
    int taken = 0;

    while (count < ACCOUNT_EVENTS_MAX &&
           (taken = mail_account_next_event(notify->work->account, &notify->watch, &events[count],
                                            text)) == 1) {
        struct account_event *event = &events[count++];

        if (!arena_copy(arena, event->name, &event->name) ||
            !arena_copy(arena, event->other, &event->other))
            return -EOVERFLOW;
    }
    *count_out = count;
    return MIN(taken, 0);
}

int notify_tell_events(struct notify *notify, struct notify_look *look, bool *wants_look_out)
{
    struct account_event events[ACCOUNT_EVENTS_MAX];
    size_t count = 0;
    int error = notify->is_watching ? take_events(notify, events, &count) : 0;
    bool wants_list = false;

    *wants_look_out = false;
    for (size_t i = 0; i < count; i++) {
        *wants_look_out |= changes_boxes(notify, &events[i]);
        wants_list |= events[i].kind != ACCOUNT_FILED && events[i].by != notify->work;
    }
    if (error == 0 && wants_list)
        error = notify_look_list(notify, look);
    for (size_t i = 0; i < count && error == 0; i++)
        if (events[i].by != notify->work)
            tell_event(notify, look, &events[i]);
    return error;
}
