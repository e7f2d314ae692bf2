/* mailbox_flags.c - STORE. */
#include <errno.h>

#include "inbound/mailbox/mailbox_private.h"
#include "inbound/mailbox/mirror.h"

static uint64_t flags_after(const struct mailbox_flags_change *change, uint64_t before,
                            uint64_t known)
{
    uint64_t flags = change->flags & known;

    switch (change->how) {
    case STORE_SET:
        return flags;
    case STORE_ADD:
        return before | flags;
    case STORE_REMOVE:
        return before & ~flags;
    }
    return before;
}

uint64_t mailbox_known_flags(const struct mailbox *mailbox)
{
    unsigned count = MAILBOX_KEYWORD_SHIFT + mailbox->state.keywords.count;

    return count >= 64 ? UINT64_MAX : (UINT64_C(1) << count) - 1;
}

static void change_one(struct mailbox *mailbox, struct message *message, uint64_t flags)
{
    if (!mailbox->is_in_frame) {
        mailbox_frame_begin(mailbox);
        mailbox_next_modseq(mailbox);
    }
    struct index_entry entry = {
        .kind = INDEX_FLAGS,
        .uid = message->uid,
        .flags = flags,
        .letters = message->letters,
        .bits = (uint8_t)(message->bits & MESSAGE_IN_NEW),
    };

    messages_set_flags(&mailbox->state.table, message, flags);
    message->modseq = mailbox->state.modseq;
    mailbox_frame_put(mailbox, &entry);
    mailbox_remember(mailbox, message->uid);
    mailbox_want_rename(mailbox, message);
}

static int store_locked(struct mailbox *mailbox, const uint32_t *uids, size_t count,
                        struct mailbox_flags_change *change)
{
    int error = mailbox_ready(mailbox);

    change->modseq = 0;
    change->failed_count = 0;
    if (error < 0)
        return error;
    uint64_t known = mailbox_known_flags(mailbox);

    for (size_t i = 0; i < count; i++) {
        struct message *message = messages_find(&mailbox->state.table, uids[i]);

        if (message == NULL)
            continue;
        if (change->has_unchanged_since && message->modseq > change->unchanged_since) {
            if (change->failed != NULL)
                change->failed[change->failed_count] = uids[i];
            change->failed_count++;
            continue;
        }
        uint64_t flags = flags_after(change, message->flags, known);

        if (flags != message->flags)
            change_one(mailbox, message, flags);
    }
    if (!mailbox->is_in_frame)
        return 0;
    uint64_t modseq = mailbox->state.modseq;

    error = mailbox_commit(mailbox, mailbox_frame_end(mailbox));
    if (error == 0)
        change->modseq = modseq;
    return error;
}

int mailbox_store_flags(struct mailbox *mailbox, const uint32_t *uids, size_t count,
                        struct mailbox_flags_change *change)
{
    if (mailbox_is_mirror(mailbox))
        return -EROFS;
    pthread_mutex_lock(&mailbox->mutex);
    int error = store_locked(mailbox, uids, count, change);

    pthread_mutex_unlock(&mailbox->mutex);
    return error;
}
