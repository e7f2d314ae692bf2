/* mailbox_commit.c - frames of the index made durable, those of several threads at once. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "inbound/mailbox/mailbox_private.h"
#include "inbound/store/mail_file.h"

static const char index_name[] = "ringpost.index", index_new_name[] = "ringpost.index.new";

enum {
    LOG_SIZE_MIN = 64 << 10,
    ROOM = 16 << 10, /* by so much the file grows: frames that find room change no size */
};

/* --- frames ----------------------------------------------------------------------------------- */

uint64_t mailbox_next_modseq(struct mailbox *mailbox)
{
    struct index_state *state = &mailbox->state;

    check(state->modseq < mailbox->ceiling_durable);
    state->modseq++;
    /* The next frame takes it along. */
    if (state->ceiling - state->modseq < CEILING_STEP / 2)
        state->ceiling = state->modseq + CEILING_STEP;
    return state->modseq;
}

void mailbox_frame_begin(struct mailbox *mailbox)
{
    check(!mailbox->is_in_frame);
    mailbox->is_in_frame = true;
    mailbox->frame_place = index_frame_begin(&mailbox->pending);
}

uint64_t mailbox_frame_end(struct mailbox *mailbox)
{
    const struct index_state *state = &mailbox->state;
    struct index_frame frame = {
        .number = ++mailbox->frame_number,
        .modseq = state->modseq,
        .ceiling = state->ceiling,
        .uidnext = state->uidnext,
    };

    check(mailbox->is_in_frame);
    index_frame_end(&mailbox->pending, mailbox->frame_place, &frame);
    mailbox->is_in_frame = false;
    mailbox->state.is_closed = false;
    return ++mailbox->ticket;
}

void mailbox_frame_put(struct mailbox *mailbox, const struct index_entry *entry)
{
    check(mailbox->is_in_frame);
    index_entry_put(&mailbox->pending, entry);
    if (buf_len(&mailbox->pending) - mailbox->frame_place < INDEX_FRAME_MAX / 2)
        return;
    mailbox_frame_end(mailbox);
    mailbox_frame_begin(mailbox);
}

/* --- what changed ----------------------------------------------------------------------------- */

void mailbox_remember(struct mailbox *mailbox, uint32_t uid)
{
    if (mailbox->recent_count == RECENT_MAX) {
        mailbox->recent_floor = mailbox->recent[mailbox->recent_begin].modseq;
        mailbox->recent_begin = (mailbox->recent_begin + 1) % RECENT_MAX;
        mailbox->recent_count--;
    }
    size_t place = (mailbox->recent_begin + mailbox->recent_count++) % RECENT_MAX;

    mailbox->recent[place] = (struct recent){mailbox->state.modseq, uid};
}

void mailbox_tell(struct mailbox *mailbox)
{
    mailbox->told_modseq = mailbox->state.modseq;
    mailbox->told_uid = mailbox->visible;
    for (struct mailbox_watch *watch = mailbox->watches; watch != NULL; watch = watch->next)
        watch->changed(watch);
}

/* --- writing ---------------------------------------------------------------------------------- */

/* What one leader makes durable. */
struct work {
    struct buf bytes;
    bool is_snapshot;
    bool grows; /* with the zeros that are at its end */
    bool syncs_new, syncs_cur;
    uint64_t ticket, ceiling;
    uint64_t offset; /* where it goes, in the file that is there */
    uint64_t size;   /* where its frames end then */
    uint32_t uidnext;
};

static struct work take_work(struct mailbox *mailbox)
{
    size_t len = buf_len(&mailbox->pending);
    struct work work = {
        .bytes = mailbox->pending,
        .syncs_new = mailbox->new_changed,
        .syncs_cur = mailbox->cur_changed,
        .ticket = mailbox->ticket,
        .ceiling = mailbox->state.ceiling,
        .offset = mailbox->index_size,
        .size = mailbox->index_size + len,
        .uidnext = mailbox->state.uidnext,
    };
    uint64_t log_size = mailbox->index_size + len - mailbox->snapshot_size;

    mailbox->new_changed = mailbox->cur_changed = false;
    buf_init(&mailbox->pending, SIZE_MAX / 2);
    work.is_snapshot = mailbox->index_fd < 0 || mailbox->wants_snapshot ||
                       log_size > MAX(mailbox->snapshot_size, (uint64_t)LOG_SIZE_MIN);
    if (work.is_snapshot) {
        buf_clear(&work.bytes);
        mailbox->frame_number = index_state_write(&mailbox->state, &work.bytes);
        work.size = buf_len(&work.bytes);
    } else if (work.size > mailbox->index_room) {
        static const uint8_t zeros[ROOM];

        work.grows = true;
        check(buf_append(&work.bytes, bytes_range(zeros, ROOM - work.size % ROOM)));
    }
    return work;
}

/* The new file's fd. */
static int write_snapshot(const struct mailbox *mailbox, struct bytes bytes)
{
    int folder = mailbox->folder_fd;
    int fd = mail_file_open(folder, index_new_name, O_RDWR | O_CREAT | O_TRUNC);

    if (fd < 0)
        return fd;
    int error = mail_file_write_at(fd, bytes, 0);

    if (error == 0)
        error = mail_file_sync(fd);
    if (error == 0)
        error = mail_file_rename(folder, index_new_name, folder, index_name);
    if (error == 0)
        error = mail_file_sync(folder);
    if (error < 0) {
        mail_file_close(fd);
        return error;
    }
    return fd;
}

static int do_work(const struct mailbox *mailbox, const struct work *work, int *fd_out)
{
    int error = work->syncs_new ? mail_file_sync(mailbox->new_fd) : 0;

    if (error == 0 && work->syncs_cur)
        error = mail_file_sync(mailbox->cur_fd);
    if (error < 0)
        return error;
    if (work->is_snapshot) {
        *fd_out = write_snapshot(mailbox, buf_bytes(&work->bytes));
        return MIN(*fd_out, 0);
    }
    error = mail_file_write_at(mailbox->index_fd, buf_bytes(&work->bytes), work->offset);
    if (error < 0)
        return error;
    return work->grows ? mail_file_sync(mailbox->index_fd)
                       : mail_file_sync_content(mailbox->index_fd);
}

static void finish_waiters(struct mailbox *mailbox, uint64_t through, int result)
{
    for (struct waiter **at = &mailbox->waiters; *at != NULL;) {
        struct waiter *waiter = *at;

        if (waiter->ticket > through) {
            at = &waiter->next;
            continue;
        }
        *at = waiter->next;
        waiter->is_over = true;
        waiter->result = result;
    }
}

static void succeed(struct mailbox *mailbox, const struct work *work, int fd)
{
    if (work->is_snapshot) {
        if (mailbox->index_fd >= 0)
            mail_file_close(mailbox->index_fd);
        mailbox->index_fd = fd;
        mailbox->index_room = mailbox->snapshot_size = work->size;
        mailbox->wants_snapshot = false;
    } else if (work->grows) {
        mailbox->index_room = work->offset + buf_len(&work->bytes);
    }
    mailbox->index_size = work->size;
    mailbox->ceiling_durable = work->ceiling;
    mailbox->visible = work->uidnext;
    mailbox->ticket_durable = work->ticket;
    finish_waiters(mailbox, work->ticket, 0);
    if (mailbox->state.modseq != mailbox->told_modseq || mailbox->visible != mailbox->told_uid)
        mailbox_tell(mailbox);
}

/* What memory has is not what the disk has, and nobody knows how much of it. */
static void fail(struct mailbox *mailbox, int error)
{
    log_limited(LOG_LEVEL_ERROR, "folder=%s what=\"the mailbox's index cannot be written: %s\"",
                LOG_STRING(mailbox->folder), strerrordesc_np(-error));
    buf_clear(&mailbox->pending);
    finish_waiters(mailbox, mailbox->ticket, error);
    mailbox->is_broken = true;
    if (mailbox_reload(mailbox) == 0)
        mailbox_tell(mailbox);
}

static void lead(struct mailbox *mailbox)
{
    struct work work = take_work(mailbox);
    int fd = -1;

    mailbox->is_syncing = true;
    pthread_mutex_unlock(&mailbox->mutex);
    int error = do_work(mailbox, &work, &fd);
    pthread_mutex_lock(&mailbox->mutex);
    mailbox->is_syncing = false;
    if (error == 0)
        succeed(mailbox, &work, fd);
    else
        fail(mailbox, error);
    buf_free(&work.bytes);
    pthread_cond_broadcast(&mailbox->changed);
}

int mailbox_commit(struct mailbox *mailbox, uint64_t ticket)
{
    check(!mailbox->is_in_frame);
    if (ticket <= mailbox->ticket_durable)
        return 0;
    struct waiter *waiter = calloc(1, sizeof(*waiter));

    check(waiter != NULL);
    waiter->ticket = ticket;
    waiter->next = mailbox->waiters;
    mailbox->waiters = waiter;
    while (!waiter->is_over) {
        if (mailbox->is_syncing)
            pthread_cond_wait(&mailbox->changed, &mailbox->mutex);
        else
            lead(mailbox);
    }
    int result = waiter->result;

    free(waiter);
    return result;
}

void mailbox_frame_end_lazily(struct mailbox *mailbox)
{
    uint64_t ticket = mailbox_frame_end(mailbox);

    if (buf_len(&mailbox->pending) > PENDING_MAX)
        (void)!mailbox_commit(mailbox,
                              ticket); /* what fails is told to who waits, and is no loss */
}

bool mailbox_is_ready(const struct mailbox *mailbox)
{
    /* Room for what this thread and others do until the next frame is durable. */
    return !mailbox->is_gone && !mailbox->is_broken &&
           mailbox->state.modseq + CEILING_STEP / 4 < mailbox->ceiling_durable;
}

int mailbox_ready(struct mailbox *mailbox)
{
    struct index_state *state = &mailbox->state;

    for (;;) {
        if (mailbox->is_gone)
            return -ENOENT;
        if (mailbox->is_broken) {
            int error = mailbox_reload(mailbox);

            if (error < 0)
                return error;
        }
        if (mailbox_is_ready(mailbox))
            return 0;
        state->ceiling = state->modseq + CEILING_STEP;
        mailbox_frame_begin(mailbox);
        int error = mailbox_commit(mailbox, mailbox_frame_end(mailbox));

        if (error < 0)
            return error;
    }
}
