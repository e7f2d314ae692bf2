/* mailbox_cache.c - what was computed of messages, in a file that may be lost. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "inbound/mailbox/mailbox_private.h"
#include "inbound/store/mail_file.h"

/* ringpost.cache: a header, then records at multiples of 8: u32 length, u32 checksum of what
 * follows it, u32 uid, u32 zero, the blob. What the checksum does not confirm was never there. */
enum {
    HEADER_LEN = 16,
    RECORD_HEAD = 16,
    SIZE_FINE = 16 << 20, /* bytes; above, so many a message: more is mostly of expunged ones */
    A_MESSAGE_MAX = 8 << 10,
};

static const char cache_name[] = "ringpost.cache";

static void make_header(const struct mailbox *mailbox, uint8_t out[static HEADER_LEN])
{
    memset(out, 0, HEADER_LEN);
    memcpy(out, "RPCACHE1", 8);
    memcpy(out + 8, &mailbox->state.uidvalidity, 4);
}

/* Empty. */
static void begin_file(struct mailbox *mailbox)
{
    uint8_t header[HEADER_LEN];

    make_header(mailbox, header);
    mailbox->cache_size = HEADER_LEN;
    if (mail_file_truncate(mailbox->cache_fd, 0) < 0 ||
        mail_file_write_at(mailbox->cache_fd, bytes_range(header, sizeof(header)), 0) < 0)
        mailbox->cache_size = 0;
}

void mailbox_cache_open(struct mailbox *mailbox)
{
    uint8_t header[HEADER_LEN], found[HEADER_LEN];
    struct stat status;

    mailbox->cache_size = 0;
    mailbox->cache_fd = mail_file_open(mailbox->folder_fd, cache_name, O_RDWR);
    if (mailbox->cache_fd < 0 || mail_file_stat(mailbox->folder_fd, cache_name, &status) < 0)
        return;
    uint64_t size = (uint64_t)status.st_size / 8 * 8;

    make_header(mailbox, header);
    if (mail_file_read_at(mailbox->cache_fd, found, sizeof(found), 0) != HEADER_LEN ||
        memcmp(header, found, sizeof(header)) != 0 ||
        size > MAX((uint64_t)SIZE_FINE, (uint64_t)mailbox->state.table.exists * A_MESSAGE_MAX))
        begin_file(mailbox);
    else
        mailbox->cache_size = size;
}

struct record {
    uint32_t len, checksum, uid, zero;
};

static uint32_t checksum_of(uint32_t uid, struct bytes blob)
{
    return (uint32_t)(bytes_hash(blob) ^ (uint64_t)uid * 0x9e3779b97f4a7c15U);
}

bool mailbox_cache_get(struct mailbox *mailbox, uint32_t uid, struct buf *out)
{
    struct record record;

    pthread_mutex_lock(&mailbox->mutex);
    const struct message *message = messages_find(&mailbox->state.table, uid);
    uint64_t offset = message == NULL ? 0 : (uint64_t)message->cache * 8;
    int fd = mailbox->cache_fd;

    pthread_mutex_unlock(&mailbox->mutex);
    if (offset == 0 || fd < 0 ||
        mail_file_read_at(fd, &record, sizeof(record), offset) != RECORD_HEAD ||
        record.uid != uid || record.len > MAILBOX_CACHE_MAX)
        return false;
    uint8_t *at = buf_reserve(out, record.len);

    if (at == NULL || mail_file_read_at(fd, at, record.len, offset + RECORD_HEAD) != record.len ||
        checksum_of(uid, bytes_range(at, record.len)) != record.checksum)
        return false;
    buf_extend(out, record.len);
    return true;
}

/* Locked; where so many bytes go. 0: nowhere. */
static uint64_t take_place(struct mailbox *mailbox, size_t len)
{
    if (mailbox->cache_fd < 0)
        mailbox->cache_fd = mail_file_open(mailbox->folder_fd, cache_name, O_RDWR | O_CREAT);
    if (mailbox->cache_fd >= 0 && mailbox->cache_size == 0)
        begin_file(mailbox);
    uint64_t place = mailbox->cache_size;

    if (place == 0 || place / 8 + len > UINT32_MAX)
        return 0;
    mailbox->cache_size += len;
    return place;
}

void mailbox_cache_put(struct mailbox *mailbox, uint32_t uid, struct bytes blob)
{
    struct record record = {(uint32_t)blob.len, checksum_of(uid, blob), uid, 0};
    struct buf bytes;

    if (blob.len > MAILBOX_CACHE_MAX)
        return;
    buf_init(&bytes, SIZE_MAX / 2);
    check(buf_append(&bytes, bytes_range(&record, sizeof(record))) && buf_append(&bytes, blob));
    while (buf_len(&bytes) % 8 != 0)
        check(buf_append_byte(&bytes, 0));
    pthread_mutex_lock(&mailbox->mutex);
    uint64_t place = take_place(mailbox, buf_len(&bytes));
    int fd = mailbox->cache_fd;

    pthread_mutex_unlock(&mailbox->mutex);
    bool is_written = place != 0 && mail_file_write_at(fd, buf_bytes(&bytes), place) == 0;

    buf_free(&bytes);
    if (!is_written)
        return;
    pthread_mutex_lock(&mailbox->mutex);
    struct message *message = messages_find(&mailbox->state.table, uid);

    if (message != NULL && !mailbox->is_gone && !mailbox->is_broken) {
        struct index_entry entry = {.kind = INDEX_CACHE,
                                    .uid = uid,
                                    .cache = (uint32_t)(place / 8)};

        message->cache = entry.cache;
        mailbox_frame_begin(mailbox); /* goes along with the next commit */
        mailbox_frame_put(mailbox, &entry);
        mailbox_frame_end_lazily(mailbox);
    }
    pthread_mutex_unlock(&mailbox->mutex);
}
