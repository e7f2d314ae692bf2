/* mailbox_cache.c - what was computed of messages, in a file that may be lost. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
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
    LOOK_LEN = 2 << 10,   /* a record, most often */
    AHEAD_LEN = 32 << 10, /* where records are asked for in the order in which they lie */
};

/* What a thread read last. Bytes of a record do not change while the serial does not,
 * but may have been read before they were written. */
struct ahead {
    uint64_t serial;
    uint64_t offset, len;
    uint64_t next; /* behind the record that was asked for last */
    uint8_t bytes[AHEAD_LEN];
};

static _Thread_local struct ahead ahead;
static _Atomic uint64_t serials;

static const char cache_name[] = "ringpost.cache";

static void make_header(const struct mailbox *mailbox, uint8_t out[static HEADER_LEN])
{
    memset(out, 0, HEADER_LEN);
    memcpy(out, "RPCACHE1", 8);
    memcpy(out + 8, &mailbox->state.uidvalidity, 4);
}

/* Engines read it: the time of that is not to be written, which only an owner may ask for. */
static int open_cache(const struct mailbox *mailbox, int flags)
{
    int fd = mail_file_open(mailbox->folder_fd, cache_name, flags | O_NOATIME);

    return fd == -EPERM ? mail_file_open(mailbox->folder_fd, cache_name, flags) : fd;
}

/* Empty. */
static void begin_file(struct mailbox *mailbox)
{
    uint8_t header[HEADER_LEN];

    make_header(mailbox, header);
    mailbox->cache_serial = atomic_fetch_add(&serials, 1) + 1;
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
    mailbox->cache_serial = atomic_fetch_add(&serials, 1) + 1;
    mailbox->cache_fd = open_cache(mailbox, O_RDWR);
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

typedef int64_t read_call(int fd, void *into, size_t len, uint64_t offset);

/* So many bytes of the file, from memory where they are there. NULL: it has not so many. */
static const uint8_t *look(read_call *call, int fd, uint64_t serial, uint64_t offset, uint64_t len)
{
    if (len > AHEAD_LEN)
        return NULL;
    if (ahead.serial != serial || offset < ahead.offset ||
        offset + len > ahead.offset + ahead.len) {
        bool is_next = ahead.serial == serial && offset == ahead.next;
        int64_t got = call(fd, ahead.bytes,
                           is_next ? (uint64_t)AHEAD_LEN : MAX(len, (uint64_t)LOOK_LEN), offset);

        ahead.serial = serial;
        ahead.offset = offset;
        ahead.len = got < 0 ? 0 : (uint64_t)got;
    }
    return offset + len <= ahead.offset + ahead.len ? ahead.bytes + (offset - ahead.offset) : NULL;
}

static bool get(read_call *call, int fd, uint64_t serial, uint32_t uid, uint64_t offset,
                struct buf *out)
{
    const uint8_t *at = look(call, fd, serial, offset, RECORD_HEAD);
    struct record record;

    if (at == NULL)
        return false;
    memcpy(&record, at, sizeof(record));
    if (record.uid != uid || record.len > MAILBOX_CACHE_MAX)
        return false;
    ahead.next = (offset + RECORD_HEAD + record.len + 7) / 8 * 8;
    uint8_t *into = buf_reserve(out, record.len);

    if (into == NULL)
        return false;
    at = look(call, fd, serial, offset + RECORD_HEAD, record.len);
    if (at != NULL)
        memcpy(into, at, record.len);
    else if (call(fd, into, record.len, offset + RECORD_HEAD) != record.len)
        return false;
    if (checksum_of(uid, bytes_range(into, record.len)) != record.checksum)
        return false;
    buf_extend(out, record.len);
    return true;
}

bool mailbox_cache_get(struct mailbox *mailbox, uint32_t uid, struct buf *out)
{
    pthread_mutex_lock(&mailbox->mutex);
    const struct message *message = messages_find(&mailbox->state.table, uid);
    uint64_t offset = message == NULL ? 0 : (uint64_t)message->cache * 8;
    uint64_t serial = mailbox->cache_serial;
    int fd = mailbox->cache_fd;

    pthread_mutex_unlock(&mailbox->mutex);
    if (offset == 0 || fd < 0)
        return false;
    if (get(mail_file_read_at, fd, serial, uid, offset, out))
        return true;
    ahead.serial = 0; /* it may have been read before it was written */
    return get(mail_file_read_at, fd, serial, uid, offset, out);
}

bool mailbox_cache_get_held(struct mailbox *mailbox, uint32_t uid, struct buf *out)
{
    const struct message *message = messages_find(&mailbox->state.table, uid);
    uint64_t offset = message == NULL ? 0 : (uint64_t)message->cache * 8;

    if (offset == 0 || mailbox->cache_fd < 0)
        return false;
    if (get(mail_file_read_cached, mailbox->cache_fd, mailbox->cache_serial, uid, offset, out))
        return true;
    ahead.serial = 0; /* likewise */
    return false;
}

/* Locked; where so many bytes go. 0: nowhere. */
static uint64_t take_place(struct mailbox *mailbox, size_t len)
{
    if (mailbox->cache_fd < 0)
        mailbox->cache_fd = open_cache(mailbox, O_RDWR | O_CREAT);
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
