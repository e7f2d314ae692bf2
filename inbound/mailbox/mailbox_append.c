/* mailbox_append.c - messages that come from a client: into tmp/, synced, named, remembered. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "inbound/mailbox/account_private.h"
#include "inbound/mailbox/mirror.h"
#include "inbound/mailbox/uidlist.h"
#include "inbound/store/mail_file.h"

int mailbox_upload_begin(struct mail_account *account, struct mailbox_upload *upload_out)
{
    struct mailbox_upload upload = {.fd = -1};

    mailbox_unique_base(account, 0, 0, upload.name);
    upload.name[strcspn(upload.name, ",")] = '\0';
    upload.fd = mail_file_open(account->maildir.tmp_fd, upload.name, O_RDWR | O_CREAT | O_EXCL);
    if (upload.fd < 0)
        return upload.fd;
    *upload_out = upload;
    return 0;
}

int mailbox_upload_write(struct mailbox_upload *upload, struct bytes b)
{
    int error = mail_file_write_at(upload->fd, b, upload->file_size);

    if (error == 0)
        upload->file_size += b.len;
    return error;
}

void mailbox_upload_end(struct mail_account *account, struct mailbox_upload *upload)
{
    if (upload->fd >= 0)
        mail_file_close(upload->fd);
    upload->fd = -1;
    if (upload->name[0] != '\0')
        (void)!mail_file_unlink(account->maildir.tmp_fd, upload->name);
    upload->name[0] = '\0';
}

/* Their bytes, and the dates that Dovecot finds. More than a few are cheaper in one sync of the
 * file system, as the store's batches have it. */
static int make_durable(const struct mail_account *account, const struct mailbox_upload *uploads,
                        size_t count)
{
    enum { SYNC_EACH_MAX = 3 };
    int error = 0;

    for (size_t i = 0; i < count && error == 0; i++) {
        if (uploads[i].has_internal)
            error = mail_file_set_time(uploads[i].fd, uploads[i].internal_s);
        if (error == 0 && count <= SYNC_EACH_MAX)
            error = mail_file_sync(uploads[i].fd);
    }
    if (error == 0 && count > SYNC_EACH_MAX)
        error = mail_file_sync_all(account->maildir.tmp_fd);
    return error;
}

static uint32_t as_u32(int64_t value)
{
    return (uint32_t)MAX(MIN(value, (int64_t)UINT32_MAX), 0);
}

/* From tmp/ into cur/; `base_out` is what it is called from now on. */
static int give_name(struct mailbox *mailbox, const struct mailbox_upload *upload,
                     struct message *message, char base_out[static MAIL_NAME_MAX + 1])
{
    char name[MAIL_NAME_MAX + 1];
    int len = snprintf(base_out, MAIL_NAME_MAX + 1, "%.140s,S=%llu,W=%llu", upload->name,
                       (unsigned long long)upload->file_size,
                       (unsigned long long)(upload->file_size + upload->lines_lf));

    check(len > 0 && len <= FILE_BASE_MAX);
    /* Keywords whose letters mean nothing yet come by a rename. */
    message->letters = file_letters_of_flags(message->flags);
    check(file_name_format(bytes_of(base_out), message->letters, false, name));
    mailbox->cur_changed = true;
    return mail_file_rename(mailbox->account->maildir.tmp_fd, upload->name, mailbox->cur_fd, name);
}

static void remove_named(struct mailbox *mailbox, const struct mailbox_upload *upload,
                         const char *base)
{
    char name[MAIL_NAME_MAX + 1];

    if (file_name_format(bytes_of(base), file_letters_of_flags(upload->flags), false, name))
        (void)!mail_file_unlink(mailbox->cur_fd, name);
}

static void add(struct mailbox *mailbox, struct mailbox_upload *upload,
                const struct message *message, const char *base)
{
    struct index_state *state = &mailbox->state;
    struct message *added = messages_add(&state->table, message, bytes_of(base));
    struct index_entry entry = index_entry_of(state, added);

    upload->uid = message->uid;
    upload->name[0] = '\0'; /* nothing of it is in tmp/ */
    state->uidnext = message->uid + 1;
    mailbox_frame_put(mailbox, &entry);
    mailbox_remember(mailbox, message->uid);
    mailbox_want_rename(mailbox, added);
}

/* Locked and ready. */
static int append_all(struct mailbox *mailbox, struct mailbox_upload *uploads, size_t count,
                      char (*bases)[MAIL_NAME_MAX + 1])
{
    struct message messages[MAILBOX_CHANGE_MAX];
    uint32_t now_s = as_u32(clock_wall_ms() / 1000);
    const struct index_state *state = &mailbox->state;
    int error = 0;
    size_t named = 0;

    if (state->table.exists + count > MESSAGES_MAX || state->uidnext > UINT32_MAX - 1 - count)
        return -EOVERFLOW;
    for (; named < count && error == 0; named += error == 0) {
        const struct mailbox_upload *upload = &uploads[named];

        messages[named] = (struct message){
            .uid = state->uidnext + (uint32_t)named,
            .flags = upload->flags & mailbox_known_flags(mailbox),
            .file_size = upload->file_size,
            .internal_s = upload->has_internal ? as_u32(upload->internal_s) : now_s,
            .saved_s = now_s,
            .lines_lf = (uint32_t)MIN(upload->lines_lf, (uint64_t)LINES_UNKNOWN),
        };
        error = give_name(mailbox, upload, &messages[named], bases[named]);
    }
    if (error < 0) {
        while (named > 0) {
            named--;
            remove_named(mailbox, &uploads[named], bases[named]);
            uploads[named].name[0] = '\0';
        }
        return error;
    }
    mailbox_frame_begin(mailbox);
    uint64_t modseq = mailbox_next_modseq(mailbox);

    for (size_t i = 0; i < count; i++) {
        messages[i].modseq = modseq;
        messages[i].email_id = email_id_of(bytes_of(bases[i]));
        add(mailbox, &uploads[i], &messages[i], bases[i]);
    }
    error = mailbox_commit(mailbox, mailbox_frame_end(mailbox));
    for (size_t i = 0; error < 0 && i < count; i++) /* who was told no tries again */
        remove_named(mailbox, &uploads[i], bases[i]);
    return error;
}

int mailbox_append_for(struct mailbox *mailbox, struct mailbox_upload *uploads, size_t count,
                       uint64_t freed)
{
    uint64_t sum = 0, largest = 0;
    int error;

    check(count <= MAILBOX_CHANGE_MAX);
    for (size_t i = 0; i < count; i++) {
        sum += uploads[i].file_size;
        largest = MAX(largest, uploads[i].file_size);
    }
    error = make_durable(mailbox->account, uploads, count);
    if (error == 0)
        error = account_reserve(mailbox->account, sum, largest, count, freed);
    if (error < 0)
        return error;
    char(*bases)[MAIL_NAME_MAX + 1] = calloc(MAX(count, (size_t)1), sizeof(*bases));

    check(bases != NULL);
    pthread_mutex_lock(&mailbox->mutex);
    error = mailbox_ready(mailbox);
    if (error == 0)
        error = append_all(mailbox, uploads, count, bases);
    pthread_mutex_unlock(&mailbox->mutex);
    free(bases);
    if (error < 0)
        account_give_back(mailbox->account, sum, count);
    return error;
}

int mailbox_append(struct mailbox *mailbox, struct mailbox_upload *uploads, size_t count)
{
    if (mailbox_is_mirror(mailbox))
        return -EROFS;
    return mailbox_append_for(mailbox, uploads, count, 0);
}
