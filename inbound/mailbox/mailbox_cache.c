/* mailbox_cache.c - what was computed of messages, in a file that may be lost. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
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
    TAIL_LEN = 64 << 10,  /* what is put is written in pieces of it */
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

/* In the file. */
static uint64_t record_len(uint32_t len)
{
    return (RECORD_HEAD + (uint64_t)len + 7) / 8 * 8;
}

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
    ahead.next = offset + record_len(record.len);
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

/* --- what is not written yet ------------------------------------------------------------------ */

/* Locked: where the tail will begin in the file. */
static uint64_t tail_offset(const struct mailbox *mailbox)
{
    return mailbox->cache_size - buf_len(&mailbox->cache_tail);
}

/* The first record of `bytes`, which it is taken from. */
static bool take_record(struct bytes *bytes, struct record *record_out, struct bytes *blob_out)
{
    if (bytes->len < RECORD_HEAD)
        return false;
    memcpy(record_out, bytes->ptr, sizeof(*record_out));
    *blob_out = bytes_slice(*bytes, RECORD_HEAD, record_out->len);
    *bytes = bytes_slice(*bytes, record_len(record_out->len), bytes->len);
    return blob_out->len == record_out->len;
}

/* Locked. An index of before a crash may tell of any place. */
static bool get_of_tail(const struct mailbox *mailbox, uint32_t uid, uint64_t offset,
                        struct buf *out)
{
    struct bytes tail = buf_bytes(&mailbox->cache_tail), blob;
    struct record record;

    tail =
        bytes_slice(tail, (size_t)MIN(offset - tail_offset(mailbox), (uint64_t)tail.len), tail.len);
    return take_record(&tail, &record, &blob) && record.checksum == checksum_of(uid, blob) &&
           buf_append(out, blob);
}

/* Locked: the index's entries go along with the next commit. */
static void note_places(struct mailbox *mailbox, struct bytes records, uint64_t offset)
{
    struct bytes blob;
    struct record record;

    if (mailbox->is_gone || mailbox->is_broken)
        return;
    mailbox_frame_begin(mailbox);
    while (take_record(&records, &record, &blob)) {
        const struct message *message = messages_find(&mailbox->state.table, record.uid);
        struct index_entry entry = {.kind = INDEX_CACHE,
                                    .uid = record.uid,
                                    .cache = (uint32_t)(offset / 8)};

        offset += record_len(record.len);
        if (message != NULL && message->cache == entry.cache)
            mailbox_frame_put(mailbox, &entry);
    }
    mailbox_frame_end_lazily(mailbox);
}

/* Locked; gives the lock back meanwhile. The tail stays where readers find it until the file has
 * it, and may grow. */
static void write_tail(struct mailbox *mailbox)
{
    uint64_t offset = tail_offset(mailbox);
    struct buf records;
    int fd = mailbox->cache_fd;

    if (mailbox->is_writing_tail || buf_len(&mailbox->cache_tail) == 0)
        return;
    buf_init(&records, SIZE_MAX / 2);
    check(buf_append(&records, buf_bytes(&mailbox->cache_tail)));
    mailbox->is_writing_tail = true;
    pthread_mutex_unlock(&mailbox->mutex);
    bool is_written = mail_file_write_at(fd, buf_bytes(&records), offset) == 0;
    pthread_mutex_lock(&mailbox->mutex);
    mailbox->is_writing_tail = false;
    buf_consume(&mailbox->cache_tail, buf_len(&records));
    if (buf_len(&mailbox->cache_tail) == 0)
        buf_free(&mailbox->cache_tail);
    if (is_written)
        note_places(mailbox, buf_bytes(&records), offset);
    buf_free(&records);
}

void mailbox_cache_write(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->mutex);
    write_tail(mailbox);
    pthread_mutex_unlock(&mailbox->mutex);
}

/* --- one by one ------------------------------------------------------------------------------- */

bool mailbox_cache_get(struct mailbox *mailbox, uint32_t uid, struct buf *out)
{
    pthread_mutex_lock(&mailbox->mutex);
    const struct message *message = messages_find(&mailbox->state.table, uid);
    uint64_t offset = message == NULL ? 0 : (uint64_t)message->cache * 8;
    uint64_t serial = mailbox->cache_serial;
    int fd = mailbox->cache_fd;
    bool is_of_file = offset < tail_offset(mailbox);
    bool is_got = offset != 0 && !is_of_file && get_of_tail(mailbox, uid, offset, out);

    pthread_mutex_unlock(&mailbox->mutex);
    if (offset == 0 || fd < 0 || !is_of_file)
        return is_got;
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
    if (offset >= tail_offset(mailbox))
        return get_of_tail(mailbox, uid, offset, out);
    if (get(mail_file_read_cached, mailbox->cache_fd, mailbox->cache_serial, uid, offset, out))
        return true;
    ahead.serial = 0; /* likewise */
    return false;
}

/* Locked; where so many bytes go, at the end of the tail. 0: nowhere. */
static uint64_t take_place(struct mailbox *mailbox, size_t len)
{
    if (mailbox->cache_fd < 0)
        mailbox->cache_fd = open_cache(mailbox, O_RDWR | O_CREAT);
    if (mailbox->cache_fd >= 0 && mailbox->cache_size == 0)
        begin_file(mailbox); /* there is no tail either */
    uint64_t place = mailbox->cache_size;

    if (place == 0 || place / 8 + len > UINT32_MAX)
        return 0;
    mailbox->cache_size += len;
    return place;
}

void mailbox_cache_put(struct mailbox *mailbox, uint32_t uid, struct bytes blob)
{
    static const uint8_t zeros[8];
    struct record record = {(uint32_t)blob.len, checksum_of(uid, blob), uid, 0};
    struct buf *tail = &mailbox->cache_tail;

    if (blob.len > MAILBOX_CACHE_MAX)
        return;
    size_t len = (size_t)record_len(record.len), padding = len - RECORD_HEAD - blob.len;

    pthread_mutex_lock(&mailbox->mutex);
    struct message *message = messages_find(&mailbox->state.table, uid);
    bool is_kept = message != NULL && !mailbox->is_gone && !mailbox->is_broken;
    uint64_t place = is_kept ? take_place(mailbox, len) : 0;

    if (place != 0) {
        check(buf_append(tail, bytes_range(&record, sizeof(record))) && buf_append(tail, blob) &&
              buf_append(tail, bytes_range(zeros, padding)));
        message->cache = (uint32_t)(place / 8);
    }
    if (buf_len(tail) >= TAIL_LEN)
        write_tail(mailbox);
    pthread_mutex_unlock(&mailbox->mutex);
}
