/* mailbox_expunge.c - messages go: their files, then what the index says of them. */
#include <errno.h>
#include <stdlib.h>

#include "inbound/mailbox/account_private.h"
#include "inbound/mailbox/mirror.h"
#include "inbound/store/mail_file.h"

struct expunging {
    struct mailbox *mailbox;
    bool takes_any; /* also without \Deleted */
    size_t count;   /* that went */
    uint64_t bytes;
    int error; /* of the first file that does not go */
};

static void expunge_one(struct expunging *e, struct message *message)
{
    struct mailbox *mailbox = e->mailbox;
    char name[MAIL_NAME_MAX + 1];
    bool is_in_new = (message->bits & MESSAGE_IN_NEW) != 0;

    messages_file(&mailbox->state.table, message, name);
    int error = mail_file_unlink(is_in_new ? mailbox->new_fd : mailbox->cur_fd, name);

    if (error == -ENOENT) { /* others renamed it, or were first: a look finds out */
        mailbox->news_all = true;
        return;
    }
    if (error < 0) {
        e->error = error;
        return;
    }
    *(is_in_new ? &mailbox->new_changed : &mailbox->cur_changed) = true;
    if (!mailbox->is_in_frame) {
        mailbox_frame_begin(mailbox);
        mailbox_next_modseq(mailbox);
    }
    struct index_entry entry = {.kind = INDEX_EXPUNGE, .uid = message->uid};

    e->count++;
    e->bytes += message->file_size;
    mailbox_frame_put(mailbox, &entry);
    index_state_expunge(&mailbox->state, message, mailbox->state.modseq);
}

/* Locked. A slice of UIDs. */
static uint64_t expunge_slice(struct expunging *e, const uint32_t *uids, size_t count)
{
    struct mailbox *mailbox = e->mailbox;

    for (size_t i = 0; i < count && e->error == 0; i++) {
        struct message *message =
            uids[i] < mailbox->visible ? messages_find(&mailbox->state.table, uids[i]) : NULL;

        if (message != NULL && (e->takes_any || (message->flags & MAIL_DELETED) != 0))
            expunge_one(e, message);
    }
    return mailbox->is_in_frame ? mailbox_frame_end(mailbox) : 0;
}

static int expunge(struct expunging *e, const uint32_t *uids, size_t count)
{
    struct mailbox *mailbox = e->mailbox;
    uint64_t ticket = 0;
    int error = 0;

    pthread_mutex_lock(&mailbox->mutex);
    for (size_t at = 0; at < count && error == 0; at += SLICE) {
        if (at > 0) { /* others have their turn */
            pthread_mutex_unlock(&mailbox->mutex);
            pthread_mutex_lock(&mailbox->mutex);
        }
        error = mailbox_ready(mailbox);
        if (error == 0)
            ticket = MAX(ticket, expunge_slice(e, uids + at, MIN(count - at, (size_t)SLICE)));
        if (error == 0)
            error = e->error;
    }
    if (ticket != 0) {
        int result = mailbox_commit(mailbox, ticket);

        error = error == 0 ? result : error;
    }
    messages_tidy(&mailbox->state.table);
    pthread_mutex_unlock(&mailbox->mutex);
    if (e->count > 0)
        account_give_back(mailbox->account, e->bytes, e->count);
    return error;
}

int mailbox_expunge(struct mailbox *mailbox, const uint32_t *uids, size_t count,
                    size_t *expunged_out)
{
    struct expunging e = {.mailbox = mailbox};
    int error = mailbox_is_mirror(mailbox) ? -EROFS : expunge(&e, uids, count);

    *expunged_out = e.count;
    return error;
}

int mailbox_remove(struct mailbox *mailbox, uint32_t uid, bool *is_gone_out)
{
    struct expunging e = {.mailbox = mailbox, .takes_any = true};
    int error = expunge(&e, &uid, 1);

    *is_gone_out = error == 0 || e.count > 0;
    return error;
}

int mailbox_expunge_all(struct mailbox *mailbox, size_t *expunged_out)
{
    size_t count = 0;

    pthread_mutex_lock(&mailbox->mutex);
    const struct message_table *table = &mailbox->state.table;
    uint32_t *uids = malloc((table->deleted + 1) * sizeof(*uids));

    check(uids != NULL);
    for (size_t i = 0; i < table->count && count < table->deleted; i++)
        if ((table->of[i].bits & MESSAGE_IS_GONE) == 0 && (table->of[i].flags & MAIL_DELETED) != 0)
            uids[count++] = table->of[i].uid;
    pthread_mutex_unlock(&mailbox->mutex);
    int error = mailbox_expunge(mailbox, uids, count, expunged_out);

    free(uids);
    return error;
}
