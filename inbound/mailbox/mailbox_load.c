/* mailbox_load.c - a mailbox from its directory into memory. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "inbound/mailbox/account_private.h"
#include "inbound/mailbox/file_read.h"
#include "inbound/mailbox/notice.h"
#include "inbound/mailbox/uid_map.h"
#include "inbound/store/mail_file.h"

static const char index_name[] = "ringpost.index";

enum { KEYWORDS_FILE_MAX = 64 << 10 };

static void close_fd(int *fd)
{
    if (*fd >= 0)
        mail_file_close(*fd);
    *fd = -1;
}

/* --- the index -------------------------------------------------------------------------------- */

static enum index_read read_index(struct mailbox *mailbox, int *error_out)
{
    struct buf text;
    enum index_read result = INDEX_LOST;

    buf_init(&text, SIZE_MAX / 2);
    *error_out = file_read(mailbox->folder_fd, index_name, &text);
    index_state_clear(&mailbox->state);
    if (*error_out == 0)
        result = index_state_read(&mailbox->state, buf_bytes(&text));
    else if (*error_out == -ENOENT)
        *error_out = 0;
    mailbox->index_size = mailbox->state.size;
    mailbox->index_room = buf_len(&text);
    buf_free(&text);
    return result;
}

/* --- dovecot-uidlist, dovecot-keywords -------------------------------------------------------- */

/* Nothing is known of messages: who else kept UIDs is believed, else all begins anew. */
static int begin_anew(struct mailbox *mailbox)
{
    struct index_state *state = &mailbox->state;
    const struct uid_map *map = mailbox->uid_map;
    static const uint8_t none[16];
    uint32_t before = state->uidvalidity;
    uint8_t id[16];
    memcpy(id, state->id, sizeof(id));
    index_state_clear(state);
    memcpy(state->id, id, sizeof(id));
    if (map != NULL && map->header.uidvalidity >= before) {
        state->uidvalidity = map->header.uidvalidity;
        if (map->header.has_id)
            memcpy(state->id, map->header.id, sizeof(state->id));
    } else {
        uid_map_free(&mailbox->uid_map);
        int error = account_uidvalidity(mailbox->account, before, &state->uidvalidity);

        if (error < 0)
            return error;
    }
    if (memcmp(state->id, none, sizeof(none)) == 0) {
        uint64_t halves[] = {random_u64(), random_u64()};

        memcpy(state->id, halves, sizeof(state->id));
    }
    state->uidnext = 1;
    /* Above all that an index before this one can have given out. */
    state->modseq = (uint64_t)clock_wall_us();
    state->ceiling = state->modseq + CEILING_STEP;
    state->vanished_floor = state->modseq;
    return 0;
}

/* Where others wrote the list since we did, files get the UIDs that it gives them. */
static int compare_uidlist(struct mailbox *mailbox, enum index_read *read)
{
    struct index_state *state = &mailbox->state;
    uint64_t stamp = file_stamp(mailbox->folder_fd, "dovecot-uidlist");

    mailbox->listed_next = 0;
    if (*read == INDEX_WHOLE && stamp == state->uidlist_stamp) {
        mailbox->listed_next = stamp != 0 ? state->uidnext : 0;
        return 0;
    }
    int error = uid_map_read(mailbox->folder_fd, &mailbox->uid_map);

    if (error < 0)
        return error == -ENOENT || error == -EFBIG ? 0 : error;
    const struct uidlist_header *header = &mailbox->uid_map->header;

    if (*read != INDEX_LOST && header->uidvalidity > state->uidvalidity) {
        log_info(
            "folder=%s what=\"dovecot-uidlist has another uidvalidity: the index is made anew\"",
            LOG_STRING(mailbox->folder));
        *read = INDEX_LOST;
    } else if (*read != INDEX_LOST && header->uidvalidity < state->uidvalidity) {
        uid_map_free(&mailbox->uid_map); /* an old one */
    }
    if (*read != INDEX_LOST)
        state->uidlist_stamp = stamp;
    return 0;
}

static int read_keywords(struct mailbox *mailbox)
{
    struct keyword_list *list = &mailbox->state.keywords;
    struct buf text, again;

    buf_init(&text, KEYWORDS_FILE_MAX);
    int error = file_read(mailbox->folder_fd, "dovecot-keywords", &text);

    if (error == 0)
        keyword_parse(list, buf_bytes(&text));
    for (unsigned i = 0; i < list->count; i++)
        (void)!keyword_make(list, bytes_of(list->names[i])); /* a letter for those that have none */
    buf_init(&again, KEYWORDS_FILE_MAX);
    keyword_format(list, &again);
    mailbox->keywords_changed = !bytes_equal(buf_bytes(&again), buf_bytes(&text));
    buf_free(&again);
    buf_free(&text);
    return error == -ENOENT || error == -EFBIG ? 0 : error;
}

static int letter_of(const struct keyword_list *list, unsigned number)
{
    for (int i = 0; i < LETTER_KEYWORD_COUNT; i++)
        if (list->of_letter[i] == number + 1)
            return i;
    return -1;
}

void mailbox_learn_keywords(struct mailbox *mailbox)
{
    struct keyword_list *list = &mailbox->state.keywords;
    struct keyword_list before = *list;
    bool is_changed = mailbox->keywords_changed;
    struct buf text;

    buf_init(&text, KEYWORDS_FILE_MAX);
    if (file_read(mailbox->folder_fd, "dovecot-keywords", &text) == 0)
        keyword_merge(list, buf_bytes(&text));
    buf_free(&text);
    for (unsigned i = 0; i < list->count; i++)
        if (i >= before.count || letter_of(list, i) != letter_of(&before, i))
            mailbox_put_keyword(mailbox, (int)i);
    mailbox->keywords_changed = is_changed; /* the file says the new ones */
}

static void find_dirty(struct mailbox *mailbox)
{
    struct message_table *table = &mailbox->state.table;

    mailbox->dirty_count = 0;
    for (size_t i = 0; i < table->count; i++) {
        table->of[i].bits &= ~(uint32_t)MESSAGE_IS_DIRTY;
        if ((table->of[i].bits & MESSAGE_IS_GONE) == 0)
            mailbox_want_rename(mailbox, &table->of[i]);
    }
}

/* --- whole ------------------------------------------------------------------------------------ */

int mailbox_reload(struct mailbox *mailbox)
{
    struct index_state *state = &mailbox->state;
    int error;

    mailbox->is_broken = true;
    uid_map_free(&mailbox->uid_map);
    enum index_read read = read_index(mailbox, &error);

    if (error == 0)
        error = compare_uidlist(mailbox, &read);
    if (error == 0 && read == INDEX_LOST)
        error = begin_anew(mailbox);
    if (error == 0)
        error = read_keywords(mailbox);
    if (error < 0)
        return error;
    close_fd(&mailbox->index_fd);
    if (read == INDEX_WHOLE)
        mailbox->index_fd = mail_file_open(mailbox->folder_fd, index_name, O_RDWR);
    /* Frames go on behind those of the file, or begin again with a snapshot. */
    mailbox->wants_snapshot = mailbox->index_fd < 0;
    mailbox->frame_number = state->frames;
    mailbox->closed_new = state->new_stamp;
    mailbox->closed_cur = state->cur_stamp;
    mailbox->snapshot_size = state->snapshot_size;
    mailbox->ceiling_durable = read == INDEX_WHOLE  ? state->ceiling
                               : read == INDEX_LOST ? state->modseq + CEILING_FIRST
                                                    : 0;
    mailbox->visible = state->uidnext;
    mailbox->recent_begin = mailbox->recent_count = 0;
    mailbox->recent_floor = state->modseq;
    mailbox->news_all = read != INDEX_WHOLE || mailbox->uid_map != NULL || mailbox->news_all ||
                        state->new_stamp == 0 || state->cur_stamp == 0 ||
                        state->new_stamp != directory_stamp(mailbox->folder_fd, "new") ||
                        state->cur_stamp != directory_stamp(mailbox->folder_fd, "cur");
    find_dirty(mailbox);
    mailbox->is_broken = false;
    return 0;
}

static int open_directories(struct mailbox *mailbox)
{
    const struct maildir *maildir = &mailbox->account->maildir;
    bool is_inbox = mailbox->folder[0] == '\0';

    mailbox->folder_fd = mail_file_open_directory(maildir->fd, is_inbox ? "." : mailbox->folder);
    if (mailbox->folder_fd < 0)
        return mailbox->folder_fd;
    mailbox->new_fd = maildir_open_folder(maildir, mailbox->folder, "new");
    if (mailbox->new_fd < 0)
        return mailbox->new_fd;
    mailbox->cur_fd = maildir_open_folder(maildir, mailbox->folder, "cur");
    return MIN(mailbox->cur_fd, 0);
}

int mailbox_load(struct mailbox *mailbox)
{
    int error = open_directories(mailbox);

    if (error < 0)
        return error;
    if (mailbox->account->accounts->notice != NULL)
        notice_add(mailbox->account->accounts->notice, mailbox);
    return mailbox_reload(mailbox);
}

void mailbox_unload(struct mailbox *mailbox)
{
    if (mailbox->account->accounts->notice != NULL)
        notice_remove(mailbox->account->accounts->notice, mailbox);
    close_fd(&mailbox->folder_fd);
    close_fd(&mailbox->new_fd);
    close_fd(&mailbox->cur_fd);
    close_fd(&mailbox->index_fd);
    close_fd(&mailbox->cache_fd);
    index_state_clear(&mailbox->state);
    uid_map_free(&mailbox->uid_map);
    buf_free(&mailbox->pending);
    buf_free(&mailbox->cache_tail);
    free(mailbox->dirty);
    free(mailbox->news);
    mailbox->dirty = NULL;
    mailbox->news = NULL;
}
