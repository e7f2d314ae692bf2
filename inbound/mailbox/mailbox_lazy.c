/* mailbox_lazy.c - what nobody waits for: flags into names of files, and the lists for Dovecot. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "inbound/mailbox/account_private.h"
#include "inbound/mailbox/file_read.h"
#include "inbound/mailbox/notice.h"
#include "inbound/mailbox/small_file.h"
#include "inbound/mailbox/uidlist.h"
#include "inbound/store/mail_file.h"

static uint32_t wanted_letters(const struct mailbox *mailbox, const struct message *message)
{
    return keyword_letters(&mailbox->state.keywords, message->flags, message->letters);
}

void mailbox_want_rename(struct mailbox *mailbox, struct message *message)
{
    if ((message->bits & MESSAGE_IS_DIRTY) != 0 ||
        ((message->bits & MESSAGE_IN_NEW) == 0 &&
         wanted_letters(mailbox, message) == message->letters))
        return;
    if (mailbox->dirty_count == mailbox->dirty_capacity) {
        mailbox->dirty_capacity = MAX(mailbox->dirty_capacity * 2, (size_t)64);
        mailbox->dirty = realloc(mailbox->dirty, mailbox->dirty_capacity * sizeof(uint32_t));
        check(mailbox->dirty != NULL);
    }
    if (mailbox->dirty_count == 0)
        mailbox->dirty_since_ms = clock_monotonic_ms();
    mailbox->dirty[mailbox->dirty_count++] = message->uid;
    message->bits |= MESSAGE_IS_DIRTY;
}

/* --- renames ---------------------------------------------------------------------------------- */

/* In a frame that waits for whoever commits next: what it says is not needed, it spares a look. */
static void rename_one(struct mailbox *mailbox, uint32_t uid)
{
    struct message *message = messages_find(&mailbox->state.table, uid);
    char before[MAIL_NAME_MAX + 1], after[MAIL_NAME_MAX + 1];
    struct stat status;

    if (message == NULL)
        return;
    message->bits &= ~(uint32_t)MESSAGE_IS_DIRTY;
    bool is_in_new = (message->bits & MESSAGE_IN_NEW) != 0;
    struct message renamed = *message;

    renamed.letters = wanted_letters(mailbox, message);
    renamed.bits &= ~(uint32_t)MESSAGE_IN_NEW;
    messages_file(&mailbox->state.table, message, before);
    messages_file(&mailbox->state.table, &renamed, after);
    if (!is_in_new && renamed.letters == message->letters)
        return;
    /* rename() would put it in the place of another. */
    int error = mail_file_stat(mailbox->cur_fd, after, &status) == 0 ? -EEXIST : 0;

    if (error == 0)
        error = mail_file_rename(is_in_new ? mailbox->new_fd : mailbox->cur_fd, before,
                                 mailbox->cur_fd, after);
    if (error < 0) {
        mailbox->news_all = true; /* others did something to it */
        return;
    }
    mailbox->cur_changed = true;
    mailbox->new_changed |= is_in_new;
    message->letters = renamed.letters;
    message->bits = renamed.bits;
    struct index_entry entry = {.kind = INDEX_LETTERS, .uid = uid, .letters = message->letters};

    mailbox_frame_put(mailbox, &entry);
}

/* Before a letter stands in a name it means something. */
static int write_keywords(struct mailbox *mailbox)
{
    struct buf text;

    if (!mailbox->keywords_changed)
        return 0;
    mailbox_learn_keywords(mailbox); /* else it would be written over */
    buf_init(&text, SIZE_MAX / 2);
    keyword_format(&mailbox->state.keywords, &text);
    int error = small_file_write(mailbox->folder_fd, "dovecot-keywords",
                                 "dovecot-keywords.ringpost", buf_bytes(&text));

    mailbox->keywords_changed = error < 0;
    buf_free(&text);
    return error;
}

/* Locked, and the scan's lock. */
static int flush(struct mailbox *mailbox)
{
    if (mailbox->dirty_count == 0)
        return 0;
    int error = write_keywords(mailbox);

    for (size_t slice = 0; error == 0 && mailbox->dirty_count > 0; slice++) {
        if (slice > 0) { /* others have their turn */
            pthread_mutex_unlock(&mailbox->mutex);
            pthread_mutex_lock(&mailbox->mutex);
            error = mailbox->is_gone ? -ENOENT : mailbox->is_broken ? -EIO : 0;
        }
        mailbox_frame_begin(mailbox);
        for (unsigned i = 0; i < SLICE && error == 0 && mailbox->dirty_count > 0; i++)
            rename_one(mailbox, mailbox->dirty[--mailbox->dirty_count]);
        mailbox_frame_end(mailbox);
    }
    return error;
}

void mailbox_flush(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->scan);
    pthread_mutex_lock(&mailbox->mutex);
    int error = mailbox->is_gone || mailbox->is_broken ? 0 : flush(mailbox);

    if (error < 0)
        log_limited(LOG_LEVEL_WARN, "folder=%s what=\"flags cannot be put into names: %s\"",
                    LOG_STRING(mailbox->folder), strerrordesc_np(-error));
    pthread_mutex_unlock(&mailbox->mutex);
    pthread_mutex_unlock(&mailbox->scan);
}

/* --- dovecot-uidlist -------------------------------------------------------------------------- */

static void put_lines(const struct mailbox *mailbox, uint32_t from, struct buf *text)
{
    const struct message_table *table = &mailbox->state.table;

    for (size_t i = messages_place(table, from); i < table->count; i++) {
        const struct message *message = &table->of[i];
        struct uidlist_line line = {message->uid, messages_base(table, message), message->email_id};

        if ((message->bits & MESSAGE_IS_GONE) == 0)
            uidlist_put_line(text, &line);
    }
}

static int append_lines(struct mailbox *mailbox, struct bytes text)
{
    struct iovec piece = {(void *)(uintptr_t)text.ptr, text.len};
    int fd = mail_file_open(mailbox->folder_fd, "dovecot-uidlist", O_WRONLY | O_APPEND);

    if (fd < 0)
        return fd;
    int error = mail_file_write(fd, &piece, 1);

    if (error == 0)
        error = mail_file_sync(fd);
    mail_file_close(fd);
    return error;
}

/* Lines behind those that are there say all, unless the last UID that was given is gone. */
static bool can_append(const struct mailbox *mailbox)
{
    const struct message_table *table = &mailbox->state.table;
    const struct message *last = table->count == 0 ? NULL : &table->of[table->count - 1];
    struct stat status;

    return mailbox->listed_next != 0 && last != NULL && (last->bits & MESSAGE_IS_GONE) == 0 &&
           last->uid + 1 == mailbox->state.uidnext &&
           mail_file_stat(mailbox->folder_fd, "dovecot-uidlist", &status) == 0 &&
           (uint64_t)status.st_size < 4096 + 2 * (uint64_t)(table->names_len + 12 * table->exists);
}

static int write_uidlist(struct mailbox *mailbox)
{
    struct index_state *state = &mailbox->state;
    struct uidlist_header header = {state->uidvalidity, state->uidnext, true, {0}};
    struct buf text;
    int error;

    if (mailbox->listed_next == state->uidnext)
        return 0;
    memcpy(header.id, state->id, sizeof(header.id));
    buf_init(&text, SIZE_MAX / 2);
    if (can_append(mailbox)) {
        put_lines(mailbox, mailbox->listed_next, &text);
        error = append_lines(mailbox, buf_bytes(&text));
    } else {
        uidlist_put_header(&text, &header);
        put_lines(mailbox, 1, &text);
        error = small_file_write(mailbox->folder_fd, "dovecot-uidlist", "dovecot-uidlist.ringpost",
                                 buf_bytes(&text));
    }
    buf_free(&text);
    mailbox->listed_next = error < 0 ? 0 : state->uidnext;
    return error;
}

/* --- closing ---------------------------------------------------------------------------------- */

struct times {
    uint64_t new, cur;
};

/* Of the directories, if all that was done to them until then is known; else zeros. */
static struct times settled_times(struct mailbox *mailbox)
{
    const struct index_state *state = &mailbox->state;
    struct times times = {directory_stamp(mailbox->folder_fd, "new"),
                          directory_stamp(mailbox->folder_fd, "cur")};
    struct notice *notice = mailbox->account->accounts->notice;
    bool is_known = times.new == state->new_stamp &&times.cur == state->cur_stamp;

    if (mailbox->watch_new >= 0 && mailbox->watch_cur >= 0) {
        pthread_mutex_unlock(&mailbox->mutex);
        notice_drain(notice);
        pthread_mutex_lock(&mailbox->mutex);
        is_known = true;
    }
    if (!is_known || mailbox->news_all || mailbox->news_count > 0)
        return (struct times){0, 0};
    return (struct times){stamp_settled(times.new), stamp_settled(times.cur)};
}

static int finish(struct mailbox *mailbox)
{
    struct index_state *state = &mailbox->state;
    bool was_closed = state->is_closed;
    int error = flush(mailbox);

    if (error == 0)
        error = write_keywords(mailbox);
    if (error == 0)
        error = write_uidlist(mailbox);
    if (error < 0)
        return error;
    uint64_t stamp = file_stamp(mailbox->folder_fd, "dovecot-uidlist");

    if (mailbox->new_changed || mailbox->cur_changed) { /* the times that are told come after it */
        mailbox_frame_begin(mailbox);
        error = mailbox_commit(mailbox, mailbox_frame_end(mailbox));
    }
    if (error < 0)
        return error;
    struct times times = settled_times(mailbox);

    /* Times that are too fresh to be told are told by who closes it next. */
    if (was_closed && state->is_closed && stamp == state->uidlist_stamp &&
        !mailbox->wants_snapshot && (times.new == 0 || times.new == mailbox->closed_new) &&
        (times.cur == 0 || times.cur == mailbox->closed_cur))
        return 0;
    struct index_entry listed = {.kind = INDEX_STAMP, .stamp = stamp};
    struct index_entry closed = {
        .kind = INDEX_CLOSED,
        .stamp = times.new,
        .stamp_cur = times.cur,
    };

    state->uidlist_stamp = stamp;
    state->new_stamp = mailbox->closed_new = closed.stamp;
    state->cur_stamp = mailbox->closed_cur = closed.stamp_cur;
    state->ceiling = state->modseq;
    mailbox_frame_begin(mailbox);
    mailbox_frame_put(mailbox, &listed);
    mailbox_frame_put(mailbox, &closed);
    uint64_t ticket = mailbox_frame_end(mailbox);

    state->is_closed = true; /* a snapshot in place of the frame says so too */
    return mailbox_commit(mailbox, ticket);
}

int mailbox_finish(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->scan);
    pthread_mutex_lock(&mailbox->mutex);
    int error = mailbox->is_gone || mailbox->is_broken || !mailbox->is_loaded ? 0 : finish(mailbox);

    pthread_mutex_unlock(&mailbox->mutex);
    pthread_mutex_unlock(&mailbox->scan);
    return error;
}
