/* mailbox_copy.c - COPY and MOVE: another name for the same file, or a name in another place. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "inbound/mailbox/account_private.h"
#include "inbound/mailbox/mirror.h"
#include "inbound/store/mail_file.h"

struct copying {
    struct mailbox *from, *to;
    bool moves;
    uint8_t keywords[MAILBOX_KEYWORDS_MAX]; /* number there plus one; 0: it cannot be had */
    size_t count;                           /* pairs */
    struct uid_pair *pairs;
    uint64_t bytes;
    uint64_t ticket_from, ticket_to;
};

static void lock_both(struct mailbox *a, struct mailbox *b)
{
    pthread_mutex_lock(a < b ? &a->mutex : &b->mutex);
    if (a != b)
        pthread_mutex_lock(a < b ? &b->mutex : &a->mutex);
}

static void unlock_both(struct mailbox *a, struct mailbox *b)
{
    pthread_mutex_unlock(&a->mutex);
    if (a != b)
        pthread_mutex_unlock(&b->mutex);
}

/* Each in its own lock, for it may wait; both are to be so at once, which is tried again. */
static int ready_both(struct copying *c)
{
    for (unsigned tries = 0; tries < 100; tries++) {
        struct mailbox *of[] = {c->from, c->to};

        for (size_t i = 0; i < ARRAY_LEN(of); i++) {
            pthread_mutex_lock(&of[i]->mutex);
            int error = mailbox_ready(of[i]);

            pthread_mutex_unlock(&of[i]->mutex);
            if (error < 0)
                return error;
        }
        lock_both(c->from, c->to);
        if (mailbox_is_ready(c->from) && mailbox_is_ready(c->to))
            return 0;
        unlock_both(c->from, c->to);
    }
    return -EBUSY;
}

/* Keywords that any of these messages has. */
static void map_keywords(struct copying *c, const uint32_t *uids, size_t count)
{
    const struct keyword_list *list = &c->from->state.keywords;
    uint64_t used = 0;

    for (size_t i = 0; i < count; i++) {
        const struct message *message = messages_find(&c->from->state.table, uids[i]);

        used |= message != NULL ? message->flags : 0;
    }
    for (unsigned i = 0; i < list->count; i++) {
        if ((used & MAIL_KEYWORD(i)) == 0)
            continue;
        int number =
            c->from == c->to ? (int)i : mailbox_make_keyword(c->to, bytes_of(list->names[i]));

        c->keywords[i] = (uint8_t)(MAX(number, -1) + 1);
    }
}

static uint64_t flags_there(const struct copying *c, uint64_t flags)
{
    uint64_t there = flags & (MAIL_KEYWORD(0) - 1);

    for (unsigned i = 0; i < MAILBOX_KEYWORDS_MAX; i++)
        if ((flags & MAIL_KEYWORD(i)) != 0 && c->keywords[i] != 0)
            there |= MAIL_KEYWORD(c->keywords[i] - 1);
    return there;
}

static void begin_frame(struct mailbox *mailbox)
{
    if (mailbox->is_in_frame)
        return;
    mailbox_frame_begin(mailbox);
    mailbox_next_modseq(mailbox);
}

static uint64_t end_frame(struct mailbox *mailbox)
{
    return mailbox->is_in_frame ? mailbox_frame_end(mailbox) : 0;
}

static int give_name(struct copying *c, const struct message *message, const char *name)
{
    char old[MAIL_NAME_MAX + 1];
    struct mailbox *from = c->from;
    bool is_in_new = (message->bits & MESSAGE_IN_NEW) != 0;
    int directory = is_in_new ? from->new_fd : from->cur_fd;

    messages_file(&from->state.table, message, old);
    c->to->cur_changed = true;
    if (!c->moves)
        return mail_file_link(directory, old, c->to->cur_fd, name);
    *(is_in_new ? &from->new_changed : &from->cur_changed) = true;
    return mail_file_rename(directory, old, c->to->cur_fd, name);
}

static int copy_one(struct copying *c, uint32_t uid)
{
    struct index_state *to = &c->to->state;
    struct message *message = messages_find(&c->from->state.table, uid);
    char base[MAIL_NAME_MAX + 1], name[MAIL_NAME_MAX + 1];

    if (message == NULL || uid >= c->from->visible)
        return 0;
    if (to->table.exists >= MESSAGES_MAX || to->uidnext >= UINT32_MAX - 1)
        return -EOVERFLOW;
    struct message copy = *message;

    copy.uid = to->uidnext;
    copy.flags = flags_there(c, message->flags);
    copy.saved_s = (uint32_t)(clock_wall_ms() / 1000);
    copy.letters = file_letters_of_flags(copy.flags) | (message->letters & LETTER_P);
    copy.cache = 0;
    copy.bits = 0;
    uint64_t size = message_size(message);

    mailbox_unique_base(c->to->account, copy.file_size,
                        size == MAILBOX_SIZE_UNKNOWN ? copy.file_size : size, base);
    if (size == MAILBOX_SIZE_UNKNOWN)
        base[bytes_find_bytes(bytes_of(base), BYTES(",W="), 0)] = '\0';
    check(file_name_format(bytes_of(base), copy.letters, false, name));
    int error = give_name(c, message, name);

    if (error == -ENOENT) { /* others renamed or removed it */
        c->from->news_all = true;
        return 0;
    }
    if (error < 0)
        return error;
    if (c->moves) {
        struct index_entry gone = {.kind = INDEX_EXPUNGE, .uid = uid};

        begin_frame(c->from);
        mailbox_frame_put(c->from, &gone);
        index_state_expunge(&c->from->state, message, c->from->state.modseq);
    }
    begin_frame(c->to);
    copy.modseq = to->modseq;
    struct message *added = messages_add(&to->table, &copy, bytes_of(base));
    struct index_entry entry = index_entry_of(to, added);

    to->uidnext = copy.uid + 1;
    mailbox_frame_put(c->to, &entry);
    mailbox_remember(c->to, copy.uid);
    mailbox_want_rename(c->to, added);
    c->bytes += copy.file_size;
    c->pairs[c->count++] = (struct uid_pair){uid, copy.uid};
    return 0;
}

/* Others have their turn between slices; copies of all are undone when one cannot be made. */
static int copy_all(struct copying *c, const uint32_t *uids, size_t count)
{
    int error = 0;

    for (size_t at = 0; at < count && error == 0; at += SLICE) {
        size_t end = MIN(count, at + SLICE);

        error = ready_both(c);
        if (error < 0)
            return error;
        map_keywords(c, uids + at, end - at);
        for (size_t i = at; i < end && error == 0; i++)
            error = copy_one(c, uids[i]);
        uint64_t ticket_to = end_frame(c->to), ticket_from = end_frame(c->from);

        c->ticket_to = MAX(c->ticket_to, ticket_to);
        c->ticket_from = MAX(c->ticket_from, ticket_from);
        unlock_both(c->from, c->to);
    }
    return error;
}

static int commit(struct mailbox *mailbox, uint64_t ticket)
{
    if (ticket == 0)
        return 0;
    pthread_mutex_lock(&mailbox->mutex);
    int error = mailbox_commit(mailbox, ticket);

    messages_tidy(&mailbox->state.table);
    pthread_mutex_unlock(&mailbox->mutex);
    return error;
}

/* The copies go again, as an expunge. */
static void undo(struct copying *c)
{
    struct mailbox *to = c->to;

    pthread_mutex_lock(&to->mutex);
    bool is_ready = mailbox_ready(to) == 0;

    for (size_t i = 0; is_ready && i < c->count; i++) {
        struct message *message = messages_find(&to->state.table, c->pairs[i].to);
        struct index_entry gone = {.kind = INDEX_EXPUNGE, .uid = c->pairs[i].to};
        char name[MAIL_NAME_MAX + 1];

        if (message == NULL)
            continue;
        messages_file(&to->state.table, message, name);
        if (mail_file_unlink(to->cur_fd, name) < 0) {
            to->news_all = true;
            continue;
        }
        to->cur_changed = true;
        begin_frame(to);
        mailbox_frame_put(to, &gone);
        index_state_expunge(&to->state, message, to->state.modseq);
    }
    uint64_t ticket = end_frame(to);

    if (ticket != 0)
        (void)!mailbox_commit(to, ticket);
    pthread_mutex_unlock(&to->mutex);
}

static uint64_t size_of_all(struct mailbox *mailbox, const uint32_t *uids, size_t count,
                            uint64_t *largest_out, uint64_t *found_out)
{
    uint64_t sum = 0;

    *largest_out = *found_out = 0;
    pthread_mutex_lock(&mailbox->mutex);
    for (size_t i = 0; i < count; i++) {
        const struct message *message = messages_find(&mailbox->state.table, uids[i]);

        if (message == NULL)
            continue;
        sum += message->file_size;
        *largest_out = MAX(*largest_out, message->file_size);
        ++*found_out;
    }
    pthread_mutex_unlock(&mailbox->mutex);
    return sum;
}

int mailbox_copy(struct mailbox *from, struct mailbox *to, const uint32_t *uids, size_t count,
                 bool moves, struct uid_pair *pairs_out, size_t *pair_count_out)
{
    *pair_count_out = 0;
    if (mailbox_is_mirror(to) || (moves && mailbox_is_mirror(from)))
        return -EROFS;
    struct copying c = {.from = from, .to = to, .moves = moves, .pairs = pairs_out};
    uint64_t largest = 0, found = 0;
    uint64_t reserved = moves ? 0 : size_of_all(from, uids, count, &largest, &found);
    int error = moves ? 0 : account_reserve(to->account, reserved, largest, found, 0);

    check(from->account == to->account);
    if (error < 0)
        return error;
    error = copy_all(&c, uids, count);
    if (error < 0 && !moves) {
        undo(&c);
        account_give_back(to->account, reserved, found);
        return error;
    }
    int result = commit(to, c.ticket_to);

    error = error == 0 ? result : error;
    result = commit(from, c.ticket_from);
    error = error == 0 ? result : error;
    if (!moves)
        account_give_back(to->account, reserved - c.bytes, found - c.count);
    *pair_count_out = c.count;
    return error;
}
