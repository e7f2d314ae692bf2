/* maildrop.c - numbers for UIDs, and messages as POP3 sends them. */
#include "inbound/pop3/maildrop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "inbound/store/mail_file.h"

enum { BATCH = 512, PIECE_LEN = 32 * 1024 };

void maildrop_init(struct maildrop *maildrop, struct bytes domain, struct bytes local,
                   uint64_t quota)
{
    *maildrop = (struct maildrop){.quota = quota, .fd = -1};
    maildrop->domain = strndup((const char *)domain.ptr, domain.len);
    maildrop->local = strndup((const char *)local.ptr, local.len);
    check(maildrop->domain != NULL && maildrop->local != NULL);
}

void maildrop_close(struct maildrop *maildrop)
{
    if (maildrop->fd >= 0)
        close(maildrop->fd);
    maildrop->fd = -1;
    if (maildrop->mailbox != NULL)
        mailbox_close(&maildrop->mailbox);
    if (maildrop->account != NULL)
        mail_account_close(&maildrop->account);
}

void maildrop_free(struct maildrop *maildrop)
{
    check(maildrop->account == NULL && maildrop->fd < 0);
    free(maildrop->messages);
    free(maildrop->domain);
    free(maildrop->local);
    *maildrop = (struct maildrop){.fd = -1};
}

size_t maildrop_memory(const struct maildrop *maildrop)
{
    return maildrop->capacity * sizeof(*maildrop->messages);
}

struct maildrop_message *maildrop_find(struct maildrop *maildrop, uint64_t number)
{
    if (number == 0 || number > maildrop->count || maildrop->messages[number - 1].is_deleted)
        return NULL;
    return &maildrop->messages[number - 1];
}

void maildrop_delete(struct maildrop *maildrop, struct maildrop_message *message)
{
    check(!message->is_deleted);
    message->is_deleted = true;
    maildrop->deleted_count++;
    maildrop->deleted_bytes += message->size;
}

void maildrop_reset(struct maildrop *maildrop)
{
    for (size_t i = 0; i < maildrop->count; i++)
        maildrop->messages[i].is_deleted = false;
    maildrop->deleted_count = 0;
    maildrop->deleted_bytes = 0;
}

/* --- opening ---------------------------------------------------------------------------------- */

static int open_mailbox(struct mail_accounts *accounts, struct maildrop *maildrop)
{
    struct mailbox_status status;
    int error = mail_account_open(accounts, bytes_of(maildrop->domain), bytes_of(maildrop->local),
                                  maildrop->quota, &maildrop->account);

    if (error == 0)
        error = mailbox_open(maildrop->account, BYTES("INBOX"), &maildrop->mailbox);
    if (error == 0)
        error = mailbox_look(maildrop->mailbox);
    if (error < 0)
        return error;
    mailbox_status(maildrop->mailbox, &status);
    maildrop->uidvalidity = status.uidvalidity;
    maildrop->next_uid = 1;
    return 0;
}

static int add_message(struct maildrop *maildrop, const struct mailbox_message *message)
{
    uint64_t size = message->size;

    if (size == MAILBOX_SIZE_UNKNOWN) {
        int error = mailbox_message_size(maildrop->mailbox, message->uid, &size);

        if (error == -ENOENT) /* it went meanwhile */
            return 0;
        if (error < 0)
            return error;
    }
    if (maildrop->count == maildrop->capacity) {
        size_t capacity = MAX(maildrop->capacity * 2, (size_t)16);
        void *more = realloc(maildrop->messages, capacity * sizeof(*maildrop->messages));

        if (more == NULL)
            return -ENOMEM;
        maildrop->messages = more;
        maildrop->capacity = capacity;
    }
    maildrop->messages[maildrop->count++] =
        (struct maildrop_message){.uid = message->uid, .size = size};
    maildrop->bytes += size;
    return 0;
}

int maildrop_open(struct mail_accounts *accounts, struct maildrop *maildrop)
{
    struct mailbox_message messages[BATCH];
    int error = maildrop->mailbox == NULL ? open_mailbox(accounts, maildrop) : 0;

    if (error < 0)
        return error;
    size_t count = mailbox_read(maildrop->mailbox, maildrop->next_uid, 0, messages, BATCH,
                                &maildrop->next_uid);

    for (size_t i = 0; i < count && maildrop->count < MAILDROP_MESSAGES_MAX; i++) {
        error = add_message(maildrop, &messages[i]);
        if (error < 0)
            return error;
    }
    return maildrop->next_uid != 0 && maildrop->count < MAILDROP_MESSAGES_MAX;
}

/* --- QUIT ------------------------------------------------------------------------------------- */

static int add_flag(struct maildrop *maildrop, const uint32_t *uids, size_t count, uint64_t flag)
{
    struct mailbox_flags_change change = {.how = STORE_ADD, .flags = flag};

    return count == 0 ? 0 : mailbox_store_flags(maildrop->mailbox, uids, count, &change);
}

int maildrop_update(struct maildrop *maildrop)
{
    uint32_t deleted[BATCH], read[BATCH];
    size_t deleted_count = 0, read_count = 0, expunged;

    for (; maildrop->next < maildrop->count && deleted_count < BATCH && read_count < BATCH;
         maildrop->next++) {
        const struct maildrop_message *message = &maildrop->messages[maildrop->next];

        if (message->is_deleted)
            deleted[deleted_count++] = message->uid;
        else if (message->was_read)
            read[read_count++] = message->uid;
    }
    int error = add_flag(maildrop, read, read_count, MAIL_SEEN);

    if (error == 0)
        error = add_flag(maildrop, deleted, deleted_count, MAIL_DELETED);
    if (error == 0 && deleted_count > 0)
        error = mailbox_expunge(maildrop->mailbox, deleted, deleted_count, &expunged);
    return error < 0 ? error : maildrop->next < maildrop->count;
}

/* --- messages --------------------------------------------------------------------------------- */

int maildrop_begin(struct maildrop *maildrop, const struct maildrop_message *message,
                   uint64_t lines, bool is_quick)
{
    int fd = is_quick ? mailbox_open_message_held(maildrop->mailbox, message->uid)
                      : mailbox_open_message(maildrop->mailbox, message->uid);

    if (fd < 0)
        return fd;
    check(maildrop->fd < 0);
    maildrop->fd = fd;
    maildrop->offset = 0;
    maildrop->lines_left = lines;
    maildrop->in_header = true;
    maildrop->in_cr = false;
    maildrop->at_line_start = true;
    maildrop->line_is_empty = true;
    return 0;
}

/* The part of a line that came, without its LF. */
static bool put_text(struct maildrop *maildrop, struct bytes text, struct buf *out)
{
    if (text.len == 0)
        return true;
    if (maildrop->at_line_start && text.ptr[0] == '.' && !buf_append_byte(out, '.'))
        return false;
    maildrop->at_line_start = false;
    maildrop->line_is_empty &= text.len == 1 && text.ptr[0] == '\r' && !maildrop->in_cr;
    maildrop->in_cr = text.ptr[text.len - 1] == '\r';
    return buf_append(out, text);
}

static bool put_line_end(struct maildrop *maildrop, struct buf *out)
{
    bool fits = buf_append(out, maildrop->in_cr ? BYTES("\n") : BYTES("\r\n"));

    if (!maildrop->in_header)
        maildrop->lines_left -= maildrop->lines_left != UINT64_MAX;
    else if (maildrop->line_is_empty)
        maildrop->in_header = false;
    maildrop->at_line_start = maildrop->line_is_empty = true;
    maildrop->in_cr = false;
    return fits;
}

static bool put_piece(struct maildrop *maildrop, struct bytes piece, struct buf *out)
{
    while (piece.len > 0 && (maildrop->in_header || maildrop->lines_left > 0)) {
        size_t lf = bytes_find(piece, '\n', 0);

        if (!put_text(maildrop, bytes_slice(piece, 0, lf), out) ||
            (lf < piece.len && !put_line_end(maildrop, out)))
            return false;
        piece = bytes_slice(piece, lf + 1, piece.len);
    }
    return true;
}

static int end_message(struct maildrop *maildrop, struct buf *out)
{
    bool fits = maildrop->at_line_start || put_line_end(maildrop, out);

    close(maildrop->fd);
    maildrop->fd = -1;
    return fits ? 0 : -ENOBUFS;
}

int maildrop_send(struct maildrop *maildrop, bool is_quick, struct buf *out)
{
    uint8_t piece[PIECE_LEN];
    int64_t got;

    if (!maildrop->in_header && maildrop->lines_left == 0)
        return end_message(maildrop, out);
    got = is_quick ? mail_file_read_cached(maildrop->fd, piece, sizeof(piece), maildrop->offset)
                   : mail_file_read_at(maildrop->fd, piece, sizeof(piece), maildrop->offset);
    if (got < 0)
        return (int)got;
    if (got == 0)
        return end_message(maildrop, out);
    maildrop->offset += (uint64_t)got;
    return put_piece(maildrop, bytes_range(piece, (size_t)got), out) ? 1 : -ENOBUFS;
}
