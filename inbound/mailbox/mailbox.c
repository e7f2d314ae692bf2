/* mailbox.c - what a mailbox tells of itself and its messages. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "inbound/mailbox/account_private.h"
#include "inbound/mailbox/notice.h"
#include "inbound/store/mail_file.h"

enum { LOOKED_AT_MAX = 4096, AHEAD = 12 };

int mailbox_look(struct mailbox *mailbox)
{
    /* What was done before is taken in, also what the thread of notice.h has not read yet. */
    notice_drain(mailbox->account->accounts->notice);
    return mailbox_scan(mailbox);
}

bool mailbox_is_quiet(const struct mailbox *mailbox)
{
    return mailbox->watch_new >= 0 && mailbox->watch_cur >= 0 &&
           notice_is_drained(mailbox->account->accounts->notice);
}

void mailbox_status(struct mailbox *mailbox, struct mailbox_status *out)
{
    pthread_mutex_lock(&mailbox->mutex);
    const struct index_state *state = &mailbox->state;
    const struct message_table *table = &state->table;

    *out = (struct mailbox_status){
        .uidvalidity = state->uidvalidity,
        .uidnext = mailbox->visible,
        .modseq = state->modseq,
        .exists = table->exists,
        .unseen = table->unseen,
        .deleted = table->deleted,
        .size = table->size,
        .deleted_size = table->deleted_size,
        .keyword_count = state->keywords.count,
        .recent_floor = MAX(mailbox->recent_floor, state->vanished_floor),
        .is_gone = mailbox->is_gone,
        .is_unavailable = mailbox->is_broken,
    };
    memcpy(out->id, state->id, sizeof(out->id));
    for (size_t i = table->count; i-- > 0 && table->of[i].uid >= mailbox->visible;) {
        const struct message *message = &table->of[i];
        uint64_t size = message_size(message);

        if ((message->bits & MESSAGE_IS_GONE) != 0)
            continue;
        if (size == MAILBOX_SIZE_UNKNOWN)
            size = message->file_size;
        out->exists--;
        out->size -= size;
        out->unseen -= (message->flags & MAIL_SEEN) == 0;
        out->deleted -= (message->flags & MAIL_DELETED) != 0;
        out->deleted_size -= (message->flags & MAIL_DELETED) != 0 ? size : 0;
    }
    pthread_mutex_unlock(&mailbox->mutex);
}

/* --- messages --------------------------------------------------------------------------------- */

static struct mailbox_message told(const struct message *message)
{
    return (struct mailbox_message){
        .uid = message->uid,
        .flags = message->flags,
        .modseq = message->modseq,
        .file_size = message->file_size,
        .size = message_size(message),
        .internal_s = message->internal_s,
        .saved_s = message->saved_s,
        .email_id = message->email_id,
    };
}

static int by_value(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* Of changes that are remembered one by one. */
static size_t read_recent(const struct mailbox *mailbox, uint32_t uid_from, uint64_t since,
                          struct mailbox_message *out, size_t max, uint32_t *uid_next_out)
{
    uint32_t uids[RECENT_MAX], before = 0;
    size_t count = 0, put = 0, i = 0;

    for (size_t at = mailbox->recent_count; at-- > 0;) {
        const struct recent *recent = &mailbox->recent[(mailbox->recent_begin + at) % RECENT_MAX];

        if (recent->modseq <= since)
            break;
        if (recent->uid >= uid_from && recent->uid < mailbox->visible)
            uids[count++] = recent->uid;
    }
    qsort(uids, count, sizeof(*uids), by_value);
    for (; i < count && put < max; i++) {
        const struct message *message =
            uids[i] == before ? NULL : messages_find(&mailbox->state.table, uids[i]);

        before = uids[i];
        if (message != NULL && message->modseq > since)
            out[put++] = told(message);
    }
    *uid_next_out = i < count ? before + 1 : 0;
    return put;
}

static size_t read_all(const struct mailbox *mailbox, uint32_t uid_from, uint64_t since,
                       struct mailbox_message *out, size_t max, uint32_t *uid_next_out)
{
    const struct message_table *table = &mailbox->state.table;
    size_t put = 0, place = messages_place(table, uid_from);
    size_t end = MIN(table->count, place + LOOKED_AT_MAX);

    for (; place < end && put < max; place++) {
        const struct message *message = &table->of[place];

        /* One is a cache line, 64 are a page, behind which the processor does not look ahead. */
        if (end - place > AHEAD)
            __builtin_prefetch(message + AHEAD);
        if (message->uid >= mailbox->visible)
            break;
        if ((message->bits & MESSAGE_IS_GONE) == 0 && message->modseq > since)
            out[put++] = told(message);
    }
    bool is_end = place == table->count || table->of[place].uid >= mailbox->visible;

    *uid_next_out = is_end ? 0 : table->of[place].uid;
    return put;
}

size_t mailbox_read(struct mailbox *mailbox, uint32_t uid_from, uint64_t since,
                    struct mailbox_message *out, size_t max, uint32_t *uid_next_out)
{
    check(max > 0);
    pthread_mutex_lock(&mailbox->mutex);
    size_t count = since != 0 && since >= mailbox->recent_floor
                       ? read_recent(mailbox, uid_from, since, out, max, uid_next_out)
                       : read_all(mailbox, uid_from, since, out, max, uid_next_out);

    pthread_mutex_unlock(&mailbox->mutex);
    return count;
}

bool mailbox_find(struct mailbox *mailbox, uint32_t uid, struct mailbox_message *out)
{
    pthread_mutex_lock(&mailbox->mutex);
    const struct message *message =
        uid < mailbox->visible ? messages_find(&mailbox->state.table, uid) : NULL;

    if (message != NULL)
        *out = told(message);
    pthread_mutex_unlock(&mailbox->mutex);
    return message != NULL;
}

/* fd, or -ENOENT: it is not called so any more. */
static int open_file(struct mailbox *mailbox, uint32_t uid, bool *is_known_out)
{
    char name[MAIL_NAME_MAX + 1];
    int fd = -ENOENT;

    pthread_mutex_lock(&mailbox->mutex);
    const struct message *message =
        uid < mailbox->visible ? messages_find(&mailbox->state.table, uid) : NULL;

    if (message != NULL) {
        messages_file(&mailbox->state.table, message, name);
        fd = mail_file_open((message->bits & MESSAGE_IN_NEW) != 0 ? mailbox->new_fd
                                                                  : mailbox->cur_fd,
                            name, O_RDONLY);
        if (fd == -ENOENT)
            mailbox->news_all = true;
    }
    *is_known_out = message != NULL;
    pthread_mutex_unlock(&mailbox->mutex);
    return fd;
}

int mailbox_open_message(struct mailbox *mailbox, uint32_t uid)
{
    bool is_known;
    int fd = open_file(mailbox, uid, &is_known);

    if (fd != -ENOENT || !is_known)
        return fd;
    int error = mailbox_scan(mailbox); /* others renamed or removed it */

    return error < 0 ? error : open_file(mailbox, uid, &is_known);
}

static int count_lines_lf(int fd, uint32_t *lines_out)
{
    uint8_t *buffer = malloc(64 << 10);
    uint64_t offset = 0, lines = 0;
    uint8_t before = 0;
    int64_t len;

    check(buffer != NULL);
    while ((len = mail_file_read_at(fd, buffer, 64 << 10, offset)) > 0) {
        for (int64_t i = 0; i < len; i++) {
            lines += buffer[i] == '\n' && before != '\r';
            before = buffer[i];
        }
        offset += (uint64_t)len;
    }
    free(buffer);
    *lines_out = (uint32_t)MIN(lines, (uint64_t)LINES_UNKNOWN - 1);
    return (int)len;
}

int mailbox_message_size(struct mailbox *mailbox, uint32_t uid, uint64_t *size_out)
{
    struct mailbox_message known;
    uint32_t lines;

    if (!mailbox_find(mailbox, uid, &known))
        return -ENOENT;
    if (known.size != MAILBOX_SIZE_UNKNOWN) {
        *size_out = known.size;
        return 0;
    }
    int fd = mailbox_open_message(mailbox, uid);

    if (fd < 0)
        return fd;
    int error = count_lines_lf(fd, &lines);

    mail_file_close(fd);
    if (error < 0)
        return error;
    pthread_mutex_lock(&mailbox->mutex);
    struct message *message = messages_find(&mailbox->state.table, uid);

    if (message != NULL && !mailbox->is_broken && !mailbox->is_gone) {
        struct index_entry entry = {.kind = INDEX_LINES, .uid = uid, .lines_lf = lines};

        messages_set_lines(&mailbox->state.table, message, lines);
        mailbox_frame_begin(mailbox); /* goes along with the next commit */
        mailbox_frame_put(mailbox, &entry);
        mailbox_frame_end_lazily(mailbox);
    }
    pthread_mutex_unlock(&mailbox->mutex);
    *size_out = known.file_size + lines;
    return 0;
}

/* --- what is gone ----------------------------------------------------------------------------- */

static void put_range(struct uid_range *out, size_t *count, uint32_t first, uint32_t last)
{
    if (*count > 0 && out[*count - 1].last + 1 == first)
        out[*count - 1].last = last;
    else
        out[(*count)++] = (struct uid_range){first, last};
}

static size_t vanished_known(const struct index_state *state, uint64_t since, uint32_t uid_from,
                             struct uid_range *out, size_t max, uint32_t *uid_next_out)
{
    uint32_t *uids = malloc((state->vanished_count + 1) * sizeof(*uids));
    size_t found = 0, count = 0, i = 0;

    check(uids != NULL);
    for (size_t at = state->vanished_count; at-- > 0 && state->vanished[at].modseq > since;)
        if (state->vanished[at].uid >= uid_from)
            uids[found++] = state->vanished[at].uid;
    qsort(uids, found, sizeof(*uids), by_value);
    for (; i < found; i++) {
        bool is_next = count > 0 && out[count - 1].last + 1 == uids[i];

        if (count == max && !is_next)
            break;
        put_range(out, &count, uids[i], uids[i]);
    }
    *uid_next_out = i < found ? uids[i] : 0;
    free(uids);
    return count;
}

/* Every UID that is not there. */
static size_t vanished_all(const struct mailbox *mailbox, uint32_t uid_from, struct uid_range *out,
                           size_t max, uint32_t *uid_next_out)
{
    const struct message_table *table = &mailbox->state.table;
    size_t place = messages_place(table, uid_from), count = 0, looked_at = 0;
    uint32_t next = uid_from;

    for (; place < table->count && looked_at < LOOKED_AT_MAX; place++, looked_at++) {
        const struct message *message = &table->of[place];

        if (message->uid >= mailbox->visible)
            break;
        if ((message->bits & MESSAGE_IS_GONE) != 0)
            continue;
        if (message->uid > next) {
            if (count == max)
                break;
            put_range(out, &count, next, message->uid - 1);
        }
        next = message->uid + 1;
    }
    bool is_end = place == table->count || table->of[place].uid >= mailbox->visible;

    if (is_end && next < mailbox->visible && count < max) {
        put_range(out, &count, next, mailbox->visible - 1);
        next = mailbox->visible;
    }
    *uid_next_out = is_end && next >= mailbox->visible ? 0 : next;
    return count;
}

size_t mailbox_vanished(struct mailbox *mailbox, uint64_t since, uint32_t uid_from,
                        struct uid_range *out, size_t max, uint32_t *uid_next_out)
{
    check(max > 0);
    uid_from = MAX(uid_from, 1U);
    pthread_mutex_lock(&mailbox->mutex);
    const struct index_state *state = &mailbox->state;
    size_t count = since >= state->vanished_floor
                       ? vanished_known(state, since, uid_from, out, max, uid_next_out)
                       : vanished_all(mailbox, uid_from, out, max, uid_next_out);

    pthread_mutex_unlock(&mailbox->mutex);
    return count;
}

/* --- keywords --------------------------------------------------------------------------------- */

bool mailbox_keyword_name(struct mailbox *mailbox, unsigned number,
                          char out[static MAILBOX_KEYWORD_LEN_MAX + 1])
{
    pthread_mutex_lock(&mailbox->mutex);
    const struct keyword_list *list = &mailbox->state.keywords;
    bool is_there = number < list->count;

    if (is_there)
        memcpy(out, list->names[number], MAILBOX_KEYWORD_LEN_MAX + 1);
    pthread_mutex_unlock(&mailbox->mutex);
    return is_there;
}

/* Durable with the next commit: no flag says it before. */
void mailbox_put_keyword(struct mailbox *mailbox, int number)
{
    const struct keyword_list *list = &mailbox->state.keywords;
    struct index_entry entry = {.kind = INDEX_KEYWORD,
                                .number = (uint8_t)number,
                                .name = bytes_of(list->names[number])};

    for (unsigned letter = 0; letter < LETTER_KEYWORD_COUNT; letter++)
        if (list->of_letter[letter] == number + 1)
            entry.letter = (uint8_t)(letter + 1);
    mailbox->keywords_changed |= entry.letter != 0;
    mailbox_frame_begin(mailbox);
    mailbox_frame_put(mailbox, &entry);
    mailbox_frame_end(mailbox);
}

/* Locked. */
int mailbox_make_keyword(struct mailbox *mailbox, struct bytes name)
{
    struct keyword_list *list = &mailbox->state.keywords;
    unsigned before = list->count;
    int number = keyword_make(list, name);

    if (number >= 0 && list->count != before)
        mailbox_put_keyword(mailbox, number);
    return number;
}

int mailbox_keyword(struct mailbox *mailbox, struct bytes name, bool makes, unsigned *number_out)
{
    pthread_mutex_lock(&mailbox->mutex);
    int number = keyword_find(&mailbox->state.keywords, name);

    if (number < 0 && makes) {
        number = mailbox_ready(mailbox);
        if (number == 0)
            number = mailbox_make_keyword(mailbox, name);
    } else if (number < 0) {
        number = -ENOENT;
    }
    pthread_mutex_unlock(&mailbox->mutex);
    if (number < 0)
        return number;
    *number_out = (unsigned)number;
    return 0;
}

struct mailbox_kept *mailbox_keep(struct mailbox *mailbox, struct mailbox_kept *(*make)(void))
{
    pthread_mutex_lock(&mailbox->mutex);
    if (mailbox->kept == NULL)
        mailbox->kept = make();
    struct mailbox_kept *kept = mailbox->kept;

    pthread_mutex_unlock(&mailbox->mutex);
    return kept;
}

/* --- watching --------------------------------------------------------------------------------- */

void mailbox_watch(struct mailbox *mailbox, struct mailbox_watch *watch)
{
    pthread_mutex_lock(&mailbox->mutex);
    watch->next = mailbox->watches;
    watch->place = &mailbox->watches;
    if (watch->next != NULL)
        watch->next->place = &watch->next;
    mailbox->watches = watch;
    pthread_mutex_unlock(&mailbox->mutex);
}

void mailbox_unwatch(struct mailbox *mailbox, struct mailbox_watch *watch)
{
    pthread_mutex_lock(&mailbox->mutex);
    *watch->place = watch->next;
    if (watch->next != NULL)
        watch->next->place = watch->place;
    watch->next = NULL;
    watch->place = NULL;
    pthread_mutex_unlock(&mailbox->mutex);
}
