/* import_ids.c - a table in memory, a file that is appended to. */
#include "inbound/import/import_ids.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "inbound/store/mail_file.h"

enum {
    RECORD = IMPORT_ID + 8,
    PIECE_RECORDS = 4096,
    CAPACITY_MIN = 1024,
};

static const char file_name[] = "ringpost.imported";
static const char magic[] = "RPIMPORT";
enum { MAGIC = sizeof(magic) - 1 };

/* Ids are digests: their beginning is as good as a hash. One of zeros marks an empty place. */
static size_t place_of(const struct import_ids *ids, const uint8_t id[static IMPORT_ID])
{
    static const uint8_t none[IMPORT_ID];
    uint64_t hash;

    memcpy(&hash, id, sizeof(hash));
    size_t place = hash & (ids->capacity - 1);

    while (memcmp(ids->ids[place], none, IMPORT_ID) != 0 &&
           memcmp(ids->ids[place], id, IMPORT_ID) != 0)
        place = (place + 1) & (ids->capacity - 1);
    return place;
}

static void grow(struct import_ids *ids, size_t capacity)
{
    static const uint8_t none[IMPORT_ID];
    struct import_ids old = *ids;

    ids->capacity = capacity;
    ids->ids = calloc(capacity, IMPORT_ID);
    check(ids->ids != NULL);
    for (size_t i = 0; i < old.capacity; i++)
        if (memcmp(old.ids[i], none, IMPORT_ID) != 0)
            memcpy(ids->ids[place_of(ids, old.ids[i])], old.ids[i], IMPORT_ID);
    free(old.ids);
}

bool import_ids_have(const struct import_ids *ids, const uint8_t id[static IMPORT_ID])
{
    return memcmp(ids->ids[place_of(ids, id)], id, IMPORT_ID) == 0;
}

static bool remember(struct import_ids *ids, const uint8_t id[static IMPORT_ID])
{
    if (import_ids_have(ids, id))
        return false;
    if (ids->count * 2 >= ids->capacity)
        grow(ids, ids->capacity * 2);
    memcpy(ids->ids[place_of(ids, id)], id, IMPORT_ID);
    ids->count++;
    return true;
}

static uint64_t sum_of(const uint8_t id[static IMPORT_ID])
{
    return bytes_hash(bytes_range(id, IMPORT_ID));
}

void import_ids_add(struct import_ids *ids, const uint8_t id[static IMPORT_ID])
{
    uint64_t sum = sum_of(id);

    if (!remember(ids, id))
        return;
    bool fits = buf_append(&ids->waiting, bytes_range(id, IMPORT_ID)) &&
                buf_append(&ids->waiting, bytes_range(&sum, sizeof(sum)));

    check(fits);
}

/* Up to the first record that is none. */
static int read_records(struct import_ids *ids)
{
    uint8_t piece[PIECE_RECORDS * RECORD];

    for (;;) {
        int64_t len = mail_file_read_at(ids->fd, piece, sizeof(piece), ids->size);

        if (len < 0)
            return (int)len;
        for (int64_t at = 0; at + RECORD <= len; at += RECORD) {
            uint64_t sum;

            memcpy(&sum, piece + at + IMPORT_ID, sizeof(sum));
            if (sum != sum_of(piece + at))
                return mail_file_truncate(ids->fd, ids->size);
            (void)!remember(ids, piece + at);
            ids->size += RECORD;
        }
        if (len < (int64_t)sizeof(piece))
            return len % RECORD == 0 ? 0 : mail_file_truncate(ids->fd, ids->size);
    }
}

static int read_file(struct import_ids *ids, int directory)
{
    uint8_t head[MAGIC];
    int64_t len = mail_file_read_at(ids->fd, head, MAGIC, 0);

    if (len < 0)
        return (int)len;
    ids->size = MAGIC;
    if (len == MAGIC && memcmp(head, magic, MAGIC) == 0)
        return read_records(ids);
    if (len == MAGIC)
        return -EBADMSG; /* something else: it is not ours to write over */
    int error = mail_file_write_at(ids->fd, bytes_of(magic), 0);

    if (error == 0)
        error = mail_file_sync(ids->fd);
    return error < 0 ? error : mail_file_sync(directory);
}

int import_ids_open(struct import_ids *ids, int directory, bool makes)
{
    *ids = (struct import_ids){.fd = -1};
    buf_init(&ids->waiting, SIZE_MAX / 2);
    grow(ids, CAPACITY_MIN);
    if (directory < 0)
        return 0;
    ids->fd = mail_file_open(directory, file_name, O_RDWR | (makes ? O_CREAT : 0));
    if (ids->fd == -ENOENT && !makes)
        return 0;
    int error = MIN(ids->fd, 0);

    if (error == 0)
        error = mail_file_lock(ids->fd);
    if (error == 0)
        error = read_file(ids, directory);
    if (error < 0)
        import_ids_close(ids);
    return error;
}

void import_ids_close(struct import_ids *ids)
{
    if (ids->fd >= 0)
        mail_file_close(ids->fd);
    free(ids->ids);
    buf_free(&ids->waiting);
    *ids = (struct import_ids){.fd = -1};
}

int import_ids_sync(struct import_ids *ids)
{
    struct bytes waiting = buf_bytes(&ids->waiting);

    if (waiting.len == 0 || ids->fd < 0)
        return 0;
    int error = mail_file_write_at(ids->fd, waiting, ids->size);

    if (error == 0)
        error = mail_file_sync(ids->fd);
    if (error < 0)
        return error;
    ids->size += waiting.len;
    buf_clear(&ids->waiting);
    return 0;
}

static void put_part(EVP_MD_CTX *digest, struct bytes part)
{
    uint64_t len = part.len;

    check(EVP_DigestUpdate(digest, &len, sizeof(len)) == 1);
    if (part.len > 0)
        check(EVP_DigestUpdate(digest, part.ptr, part.len) == 1);
}

void import_id_of(struct bytes source, struct bytes folder, struct bytes key,
                  uint8_t id_out[static IMPORT_ID])
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    uint8_t whole[EVP_MAX_MD_SIZE];

    check(digest != NULL && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1);
    put_part(digest, source);
    put_part(digest, folder);
    put_part(digest, key);
    check(EVP_DigestFinal_ex(digest, whole, NULL) == 1);
    EVP_MD_CTX_free(digest);
    memcpy(id_out, whole, IMPORT_ID);
    id_out[IMPORT_ID - 1] |= 1; /* not all zeros */
}
