/* mailbox_scan.c - takes in what others did in new/ and cur/. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "inbound/mailbox/account_private.h"
#include "inbound/mailbox/file_read.h"
#include "inbound/mailbox/uid_map.h"
#include "inbound/store/mail_file.h"

/* A file that the index does not know. */
struct stranger {
    uint32_t uid;  /* that dovecot-uidlist gives it; 0: none */
    uint64_t came; /* by its name */
    uint64_t email_id;
    bool is_in_new;
    bool has_flags; /* it was here under another UID: flags are these */
    uint64_t flags;
    char *name;
};

struct scan {
    struct mailbox *mailbox;
    struct stranger *strangers;
    size_t count, capacity;
    bool has_modseq; /* of this scan */
    uint64_t ticket; /* of its last frame; 0: none */
};

void mailbox_unique_base(struct mail_account *account, uint64_t file_size, uint64_t size,
                         char out[static MAIL_NAME_MAX + 1])
{
    struct mail_accounts *accounts = account->accounts;
    int64_t now_us = clock_wall_us();
    uint64_t number = ++accounts->names;
    int len = snprintf(out, MAIL_NAME_MAX + 1,
                       "%" PRId64 ".M%06" PRId64 "P%dQ%" PRIu64 ".%.100s,S=%" PRIu64 ",W=%" PRIu64,
                       now_us / 1000000, now_us % 1000000, (int)getpid(), number, accounts->host,
                       file_size, size);

    check(len > 0 && len <= FILE_BASE_MAX);
}

static int directory_of(const struct mailbox *mailbox, bool is_in_new)
{
    return is_in_new ? mailbox->new_fd : mailbox->cur_fd;
}

static bool is_there(const struct mailbox *mailbox, bool is_in_new, const char *name)
{
    struct stat status;

    return mail_file_stat(directory_of(mailbox, is_in_new), name, &status) == 0;
}

static bool is_where_expected(const struct mailbox *mailbox, const struct message *message)
{
    char name[MAIL_NAME_MAX + 1];

    messages_file(&mailbox->state.table, message, name);
    return is_there(mailbox, (message->bits & MESSAGE_IN_NEW) != 0, name);
}

/* --- frames of a scan: all of one modseq ------------------------------------------------------ */

static void put(struct scan *scan, const struct index_entry *entry)
{
    struct mailbox *mailbox = scan->mailbox;

    if (!mailbox->is_in_frame)
        mailbox_frame_begin(mailbox);
    mailbox_frame_put(mailbox, entry);
}

static uint64_t modseq_of(struct scan *scan)
{
    if (!scan->has_modseq)
        mailbox_next_modseq(scan->mailbox);
    scan->has_modseq = true;
    return scan->mailbox->state.modseq;
}

static void expunge(struct scan *scan, struct message *message)
{
    struct mailbox *mailbox = scan->mailbox;
    struct index_entry entry = {.kind = INDEX_EXPUNGE, .uid = message->uid};
    uint64_t modseq = modseq_of(scan);

    put(scan, &entry);
    index_state_expunge(&mailbox->state, message, modseq);
}

/* --- files that are known --------------------------------------------------------------------- */

/* Others renamed it: what they set and took off is so now. */
static void take_letters(struct scan *scan, struct message *message, uint32_t letters,
                         bool is_in_new)
{
    struct mailbox *mailbox = scan->mailbox;
    const struct keyword_list *keywords = &mailbox->state.keywords;
    uint64_t set = keyword_flags(keywords, letters & ~message->letters);
    uint64_t removed = keyword_flags(keywords, message->letters & ~letters);
    uint64_t flags = (message->flags | set) & ~removed;
    struct index_entry entry = {
        .kind = INDEX_LETTERS,
        .uid = message->uid,
        .letters = letters,
        .bits = is_in_new ? MESSAGE_IN_NEW : 0,
        .flags = flags,
    };

    message->letters = letters;
    message->bits &= ~(uint32_t)MESSAGE_IN_NEW;
    message->bits |= entry.bits;
    if (flags != message->flags) {
        entry.kind = INDEX_FLAGS;
        message->modseq = modseq_of(scan);
        messages_set_flags(&mailbox->state.table, message, flags);
        mailbox_remember(mailbox, message->uid);
    }
    put(scan, &entry);
    mailbox_want_rename(mailbox, message);
}

static void add_stranger(struct scan *scan, const char *name, bool is_in_new,
                         const struct message *was)
{
    struct mailbox *mailbox = scan->mailbox;
    struct file_name split;

    if (scan->count == scan->capacity) {
        scan->capacity = MAX(scan->capacity * 2, (size_t)16);
        scan->strangers = realloc(scan->strangers, scan->capacity * sizeof(*scan->strangers));
        check(scan->strangers != NULL);
    }
    struct stranger *stranger = &scan->strangers[scan->count++];

    *stranger = (struct stranger){
        .is_in_new = is_in_new,
        .came = strtoull(name, NULL, 10),
        .name = strdup(name),
    };
    check(stranger->name != NULL);
    if (was != NULL) {
        stranger->has_flags = true;
        stranger->flags = was->flags;
        stranger->email_id = was->email_id;
    }
    if (mailbox->uid_map == NULL || !file_name_split(bytes_of(name), is_in_new, &split))
        return;
    const struct uidlist_line *line = uid_map_find(mailbox->uid_map, split.base);

    if (line != NULL) {
        stranger->uid = line->uid;
        stranger->email_id = line->email_id;
    }
}

/* A second file of the same base gets a name of its own. */
static void part_twins(struct scan *scan, const char *name, bool is_in_new)
{
    struct mailbox *mailbox = scan->mailbox;
    int directory = directory_of(mailbox, is_in_new);
    char base[MAIL_NAME_MAX + 1], other[MAIL_NAME_MAX + 1];
    struct file_name split;
    struct stat status;

    if (!file_name_split(bytes_of(name), is_in_new, &split) ||
        mail_file_stat(directory, name, &status) < 0 || !S_ISREG(status.st_mode))
        return;
    uint64_t size = (uint64_t)status.st_size;
    uint32_t lines = 0;

    (void)!file_name_lines_lf(split.base, size, &lines);
    mailbox_unique_base(mailbox->account, size, size + lines, base);
    if (!file_name_format(bytes_of(base), split.letters, is_in_new, other))
        return;
    int error = mail_file_rename(directory, name, directory, other);

    if (error < 0) {
        log_limited(LOG_LEVEL_WARN, "folder=%s what=\"a file cannot be renamed: %s\"",
                    LOG_STRING(mailbox->folder), strerrordesc_np(-error));
        return;
    }
    *(is_in_new ? &mailbox->new_changed : &mailbox->cur_changed) = true;
    add_stranger(scan, other, is_in_new, NULL);
}

/* Others wrote its letters in another way than all programs do. */
static bool straighten(struct mailbox *mailbox, const struct file_name *split, const char *name,
                       bool *is_in_new)
{
    char plain[MAIL_NAME_MAX + 1];
    int from = directory_of(mailbox, *is_in_new);

    if (!file_name_format(split->base, split->letters, false, plain) ||
        is_there(mailbox, false, plain) || mail_file_rename(from, name, mailbox->cur_fd, plain) < 0)
        return false;
    mailbox->cur_changed = true;
    mailbox->new_changed |= *is_in_new;
    *is_in_new = false;
    return true;
}

/* Whether the list of others and ours differ about its UID. */
static bool is_disputed(const struct mailbox *mailbox, const struct message *message)
{
    const struct uidlist_line *line =
        mailbox->uid_map == NULL
            ? NULL
            : uid_map_find(mailbox->uid_map, messages_base(&mailbox->state.table, message));

    return line != NULL && line->uid != message->uid;
}

static void take_file(struct scan *scan, const char *name, bool is_in_new)
{
    struct mailbox *mailbox = scan->mailbox;
    struct file_name split;
    char expected[MAIL_NAME_MAX + 1];

    if (!file_name_split(bytes_of(name), is_in_new, &split))
        return;
    struct message *message = messages_find_name(&mailbox->state.table, split.base);

    if (message == NULL) {
        add_stranger(scan, name, is_in_new, NULL);
        return;
    }
    messages_file(&mailbox->state.table, message, expected);
    bool is_expected =
        ((message->bits & MESSAGE_IN_NEW) != 0) == is_in_new && strcmp(expected, name) == 0;

    if (!is_expected) {
        if (!is_there(mailbox, is_in_new, name))
            return; /* it was ours: renamed, expunged or moved meanwhile */
        if (is_where_expected(mailbox, message)) {
            part_twins(scan, name, is_in_new);
            return;
        }
        if (!split.is_plain && !straighten(mailbox, &split, name, &is_in_new))
            return;
        take_letters(scan, message, split.letters, is_in_new);
    }
    message->bits |= MESSAGE_IS_LISTED;
    if (is_disputed(mailbox, message)) {
        add_stranger(scan, name, is_in_new, message);
        expunge(scan, message);
    }
}

/* --- files that are not ----------------------------------------------------------------------- */

static int by_uid(const void *a, const void *b)
{
    const struct stranger *x = a, *y = b;
    uint32_t last = UINT32_MAX, uid_x = x->uid == 0 ? last : x->uid,
             uid_y = y->uid == 0 ? last : y->uid;

    if (uid_x != uid_y)
        return (uid_x > uid_y) - (uid_x < uid_y);
    return x->came != y->came ? (x->came > y->came) - (x->came < y->came)
                              : strcmp(x->name, y->name);
}

/* Under a name of the kind that we give; false: it cannot be had, and is no message for now. */
static bool make_plain(struct mailbox *mailbox, struct stranger *stranger, uint64_t size)
{
    char base[MAIL_NAME_MAX + 1], other[MAIL_NAME_MAX + 1];
    struct file_name split;
    int from = directory_of(mailbox, stranger->is_in_new);

    check(file_name_split(bytes_of(stranger->name), stranger->is_in_new, &split));
    if (split.is_plain)
        return true;
    if (split.base.len > FILE_BASE_MAX ||
        !file_name_format(split.base, split.letters, false, other) ||
        is_there(mailbox, false, other)) {
        mailbox_unique_base(mailbox->account, size, size, base);
        base[strcspn(base, ",")] = '\0'; /* how long its lines are is not known */
        check(file_name_format(bytes_of(base), split.letters, false, other));
    }
    int error = mail_file_rename(from, stranger->name, mailbox->cur_fd, other);

    if (error < 0)
        return false;
    mailbox->cur_changed = true;
    mailbox->new_changed |= stranger->is_in_new;
    stranger->is_in_new = false;
    free(stranger->name);
    stranger->name = strdup(other);
    check(stranger->name != NULL);
    return true;
}

static void part_from(struct scan *scan, const struct message *twin, const char *name,
                      bool is_in_new)
{
    struct mailbox *mailbox = scan->mailbox;
    char expected[MAIL_NAME_MAX + 1], copy[MAIL_NAME_MAX + 1];

    messages_file(&mailbox->state.table, twin, expected);
    if (((twin->bits & MESSAGE_IN_NEW) != 0) == is_in_new && strcmp(expected, name) == 0)
        return;
    if (!is_where_expected(mailbox, twin)) {
        mailbox->news_all = true; /* it is being renamed */
        return;
    }
    snprintf(copy, sizeof(copy), "%s", name); /* the strangers may move */
    part_twins(scan, copy, is_in_new);
}

static void admit(struct scan *scan, struct stranger *stranger)
{
    struct mailbox *mailbox = scan->mailbox;
    struct index_state *state = &mailbox->state;
    struct file_name split;
    struct stat status;

    if (mail_file_stat(directory_of(mailbox, stranger->is_in_new), stranger->name, &status) < 0 ||
        !S_ISREG(status.st_mode) || state->uidnext == UINT32_MAX ||
        state->table.exists >= MESSAGES_MAX ||
        !make_plain(mailbox, stranger, (uint64_t)status.st_size))
        return;
    check(file_name_split(bytes_of(stranger->name), stranger->is_in_new, &split));
    struct message *twin = messages_find_name(&state->table, split.base);

    if (twin != NULL) { /* both came at once, or it was told of twice */
        part_from(scan, twin, stranger->name, stranger->is_in_new);
        return;
    }
    struct message message = {
        .uid = stranger->uid >= state->uidnext ? stranger->uid : state->uidnext,
        .flags =
            stranger->has_flags ? stranger->flags : keyword_flags(&state->keywords, split.letters),
        .modseq = modseq_of(scan),
        .email_id = stranger->email_id != 0 ? stranger->email_id : email_id_of(split.base),
        .file_size = (uint64_t)status.st_size,
        .letters = split.letters,
        .internal_s = (uint32_t)MAX(MIN(status.st_mtime, (int64_t)UINT32_MAX), 0),
        .saved_s = (uint32_t)MAX(MIN(status.st_ctime, (int64_t)UINT32_MAX), 0),
        .lines_lf = LINES_UNKNOWN,
        .bits = stranger->is_in_new ? MESSAGE_IN_NEW : 0,
    };

    (void)!file_name_lines_lf(split.base, message.file_size, &message.lines_lf);
    struct message *added = messages_add(&state->table, &message, split.base);

    added->bits |= MESSAGE_IS_LISTED;
    state->uidnext = message.uid + 1;
    struct index_entry entry = index_entry_of(state, added);

    put(scan, &entry);
    mailbox_remember(mailbox, message.uid);
    mailbox_want_rename(mailbox, added);
}

/* Whether a name has a letter that says nothing to us: whoever wrote it may have said what it means
 * in the meantime. */
static bool has_new_letters(const struct scan *scan)
{
    const struct keyword_list *keywords = &scan->mailbox->state.keywords;
    struct file_name split;
    uint32_t letters = 0;

    for (size_t i = 0; i < scan->count; i++)
        if (file_name_split(bytes_of(scan->strangers[i].name), scan->strangers[i].is_in_new,
                            &split))
            letters |= split.letters;
    for (unsigned i = 0; i < LETTER_KEYWORD_COUNT; i++)
        if ((letters >> (LETTER_KEYWORDS + i) & 1) != 0 && keywords->of_letter[i] == 0)
            return true;
    return false;
}

static void admit_all(struct scan *scan)
{
    struct mailbox *mailbox = scan->mailbox;
    size_t done = 0;

    if (scan->count > 0 && (mailbox->keywords_changed || has_new_letters(scan))) {
        if (mailbox->is_in_frame)
            scan->ticket = mailbox_frame_end(mailbox);
        mailbox_learn_keywords(mailbox);
    }
    if (scan->count > 0)
        qsort(scan->strangers, scan->count, sizeof(*scan->strangers), by_uid);
    for (; done < scan->count && scan->strangers[done].uid != 0; done++)
        admit(scan, &scan->strangers[done]);
    if (mailbox->uid_map != NULL)
        mailbox->state.uidnext = MAX(mailbox->state.uidnext, mailbox->uid_map->header.uidnext);
    for (; done < scan->count; done++) /* twins come to the end of it */
        admit(scan, &scan->strangers[done]);
}

/* --- one look --------------------------------------------------------------------------------- */

static int end_scan(struct scan *scan)
{
    struct mailbox *mailbox = scan->mailbox;
    int error = 0;

    if (mailbox->is_in_frame)
        scan->ticket = mailbox_frame_end(mailbox);
    if (scan->ticket != 0)
        error = mailbox_commit(mailbox, scan->ticket);
    for (size_t i = 0; i < scan->count; i++)
        free(scan->strangers[i].name);
    free(scan->strangers);
    if (error == 0)
        messages_tidy(&mailbox->state.table);
    return error;
}

/* Names that were told. Locked. */
static int look_at_news(struct mailbox *mailbox)
{
    struct scan scan = {.mailbox = mailbox};
    struct news *news = mailbox->news;
    size_t count = mailbox->news_count;
    struct file_name split;

    mailbox->news = NULL;
    mailbox->news_count = 0;
    for (size_t i = 0; i < count; i++)
        if (is_there(mailbox, news[i].is_in_new, news[i].name))
            take_file(&scan, news[i].name, news[i].is_in_new);
    for (size_t i = 0; i < count; i++) {
        if (!file_name_split(bytes_of(news[i].name), news[i].is_in_new, &split))
            continue;
        struct message *message = messages_find_name(&mailbox->state.table, split.base);

        if (message != NULL && !is_where_expected(mailbox, message))
            mailbox->news_all = true; /* gone, or renamed and not told yet */
    }
    admit_all(&scan);
    free(news);
    return end_scan(&scan);
}

struct listing {
    struct buf names; /* 'n' or 'c', the name, NUL */
    char part;
};

static bool list_name(void *context, const char *name)
{
    struct listing *listing = context;

    return name[0] == '.' || (buf_append_byte(&listing->names, (uint8_t)listing->part) &&
                              buf_append(&listing->names, bytes_range(name, strlen(name) + 1)));
}

static int list_parts(const struct mailbox *mailbox, struct listing *listing)
{
    listing->part = 'n';
    int error = mail_file_list(mailbox->new_fd, list_name, listing);

    listing->part = 'c';
    return error < 0 ? error : mail_file_list(mailbox->cur_fd, list_name, listing);
}

static void expunge_missing(struct scan *scan, uint32_t before)
{
    struct message_table *table = &scan->mailbox->state.table;

    for (size_t i = 0; i < table->count && table->of[i].uid < before; i++) {
        struct message *message = &table->of[i];

        if ((message->bits & (MESSAGE_IS_LISTED | MESSAGE_IS_GONE)) == 0 &&
            !is_where_expected(scan->mailbox, message))
            expunge(scan, message);
    }
}

/* All names. The lock is not held while they are listed. */
static int look_at_all(struct mailbox *mailbox)
{
    struct scan scan = {.mailbox = mailbox};
    struct message_table *table = &mailbox->state.table;
    struct listing listing;
    uint32_t before = mailbox->state.uidnext;

    for (size_t i = 0; i < table->count; i++)
        table->of[i].bits &= ~(uint32_t)MESSAGE_IS_LISTED;
    mailbox->news_all = false;
    mailbox->news_count = 0;
    uint64_t new_stamp = stamp_settled(directory_stamp(mailbox->folder_fd, "new"));
    uint64_t cur_stamp = stamp_settled(directory_stamp(mailbox->folder_fd, "cur"));

    buf_init(&listing.names, SIZE_MAX / 2);
    pthread_mutex_unlock(&mailbox->mutex);
    int error = list_parts(mailbox, &listing);
    pthread_mutex_lock(&mailbox->mutex);
    if (error == 0)
        error = mailbox_ready(mailbox);
    if (error < 0) {
        mailbox->news_all = true;
        buf_free(&listing.names);
        return error;
    }
    struct bytes rest = buf_bytes(&listing.names), name;

    while (bytes_take_until(&rest, '\0', &name))
        take_file(&scan, (const char *)name.ptr + 1, name.ptr[0] == 'n');
    buf_free(&listing.names);
    expunge_missing(&scan, before);
    admit_all(&scan);
    uid_map_free(&mailbox->uid_map);
    if (mailbox->index_fd < 0 && !mailbox->is_in_frame) /* none yet: its identity is told */
        mailbox_frame_begin(mailbox);
    error = end_scan(&scan);
    if (error == 0) {
        mailbox->state.new_stamp = new_stamp;
        mailbox->state.cur_stamp = cur_stamp;
    } else {
        mailbox->news_all = true;
    }
    return error;
}

static bool is_unwatched(const struct mailbox *mailbox)
{
    return mailbox->watch_new < 0 || mailbox->watch_cur < 0;
}

int mailbox_scan(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->scan);
    pthread_mutex_lock(&mailbox->mutex);
    int error = mailbox->is_gone ? -ENOENT : mailbox->is_broken ? mailbox_reload(mailbox) : 0;

    if (error == 0 && !mailbox->news_all && is_unwatched(mailbox) &&
        (mailbox->state.new_stamp != directory_stamp(mailbox->folder_fd, "new") ||
         mailbox->state.cur_stamp != directory_stamp(mailbox->folder_fd, "cur")))
        mailbox->news_all = true;
    if (error == 0 && (mailbox->news_all || mailbox->news_count > 0))
        error = mailbox_ready(mailbox);
    if (error == 0 && mailbox->news_count > 0 && !mailbox->news_all)
        error = look_at_news(mailbox);
    if (error == 0 && mailbox->news_all)
        error = look_at_all(mailbox);
    pthread_mutex_unlock(&mailbox->mutex);
    pthread_mutex_unlock(&mailbox->scan);
    return error;
}
