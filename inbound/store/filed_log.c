/* filed_log.c - files of records, and a table of what stands in them. */
#include "inbound/store/filed_log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "inbound/store/mail_file.h"

enum {
    PREFIX_LEN = 8, /* length and checksum */
    BODY_MIN = 16,
    ACCOUNT_MAX = 512,
    RECORD_MAX = PREFIX_LEN + BODY_MIN + ACCOUNT_MAX + 8,
    BATCH_MAX = 512 * 1024,
    NAME_LEN = 12, /* "00000001.log" */
    TABLE_MIN = 1024,
};

static const char magic[] = "RPFILED1";

/* What is remembered of a record. `file` 0: the place is empty. */
struct entry {
    uint64_t message;
    uint32_t recipient;
    uint32_t account; /* hash: an alias has the same message and recipient filed in several */
    uint32_t file;    /* the number of its file */
};

struct filed_log {
    pthread_mutex_t mutex;
    int directory;
    int fd;                 /* the newest file */
    uint32_t number;        /* of it */
    uint32_t first_since;   /* files from this number on are of this boot */
    uint64_t size;          /* written */
    size_t count, capacity; /* of the table, which is open and never more than half full */
    struct entry *table;
    char boot[MAIL_FILE_BOOT_LEN];
};

/* --- bytes ------------------------------------------------------------------------------------ */

static void put_u32(uint8_t *at, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

static uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static uint64_t get_u64(const uint8_t *at)
{
    return get_u32(at) | (uint64_t)get_u32(at + 4) << 32;
}

static size_t padded(size_t len)
{
    return (len + 7) / 8 * 8;
}

static uint32_t checksum(struct bytes b)
{
    return (uint32_t)bytes_hash(b);
}

bool filed_record_take(struct bytes *text, struct filed_record *out)
{
    if (text->len < PREFIX_LEN)
        return false;
    uint32_t len = get_u32(text->ptr);

    if (len < BODY_MIN || len > BODY_MIN + ACCOUNT_MAX || PREFIX_LEN + padded(len) > text->len)
        return false;
    struct bytes body = bytes_slice(*text, PREFIX_LEN, len);

    if (checksum(body) != get_u32(text->ptr + 4))
        return false;
    *out = (struct filed_record){
        .message = get_u64(body.ptr),
        .recipient = get_u32(body.ptr + 8),
        .time_s = get_u32(body.ptr + 12),
        .account = bytes_slice(body, BODY_MIN, body.len),
    };
    *text = bytes_slice(*text, PREFIX_LEN + padded(len), text->len);
    return true;
}

static bool put_record(struct buf *out, const struct filed_record *record)
{
    uint8_t bytes[RECORD_MAX] = {0};
    size_t len = BODY_MIN + record->account.len;

    check(record->account.len <= ACCOUNT_MAX);
    uint8_t *body = bytes + PREFIX_LEN;

    put_u32(body, (uint32_t)record->message);
    put_u32(body + 4, (uint32_t)(record->message >> 32));
    put_u32(body + 8, record->recipient);
    put_u32(body + 12, record->time_s);
    memcpy(body + BODY_MIN, record->account.ptr, record->account.len);
    put_u32(bytes, (uint32_t)len);
    put_u32(bytes + 4, checksum(bytes_range(body, len)));
    return buf_append(out, bytes_range(bytes, PREFIX_LEN + padded(len)));
}

/* --- the table -------------------------------------------------------------------------------- */

static uint32_t hash_account(struct bytes account)
{
    return (uint32_t)(bytes_hash(account) >> 32);
}

static size_t place_of(const struct filed_log *log, uint64_t message, uint32_t recipient,
                       uint32_t account)
{
    struct {
        uint64_t message;
        uint32_t recipient, account;
    } key = {message, recipient, account};
    size_t at = (size_t)bytes_hash(bytes_range(&key, sizeof(key))) & (log->capacity - 1);

    while (log->table[at].file != 0 &&
           (log->table[at].message != message || log->table[at].recipient != recipient ||
            log->table[at].account != account))
        at = (at + 1) & (log->capacity - 1);
    return at;
}

static void remember(struct filed_log *log, const struct entry *from)
{
    struct entry *entry = &log->table[place_of(log, from->message, from->recipient, from->account)];

    log->count += entry->file == 0;
    *entry = *from;
}

static void remember_record(struct filed_log *log, const struct filed_record *record, uint32_t file)
{
    struct entry entry = {record->message, record->recipient, hash_account(record->account), file};

    remember(log, &entry);
}

/* A table for `more` entries more, without those of files before `oldest`. */
static void make_table(struct filed_log *log, size_t more, uint32_t oldest)
{
    struct entry *before = log->table;
    size_t capacity_before = log->capacity, kept = 0;

    for (size_t i = 0; i < capacity_before; i++)
        kept += before[i].file >= MAX(oldest, 1U);
    log->capacity = TABLE_MIN;
    while (log->capacity < 2 * (kept + more))
        log->capacity *= 2;
    log->table = calloc(log->capacity, sizeof(*log->table));
    check(log->table != NULL);
    log->count = 0;
    for (size_t i = 0; i < capacity_before; i++)
        if (before[i].file >= MAX(oldest, 1U))
            remember(log, &before[i]);
    free(before);
}

static void need_room(struct filed_log *log, size_t more)
{
    if (2 * (log->count + more) > log->capacity)
        make_table(log, more + log->count, 0);
}

/* --- files ------------------------------------------------------------------------------------ */

static void name_file(uint32_t number, char out[static NAME_LEN + 1])
{
    snprintf(out, NAME_LEN + 1, "%08x.log", number);
}

static uint32_t oldest_kept(const struct filed_log *log)
{
    return log->number >= FILED_FILES ? log->number - FILED_FILES + 1 : 1;
}

/* Filled with zeros, so that a record is not also a change of the file's size. */
static int fill(int fd, const char *boot)
{
    uint8_t *zeros = calloc(1, FILED_FILE_SIZE);

    check(zeros != NULL);
    memcpy(zeros, magic, sizeof(magic) - 1);
    memcpy(zeros + 8, boot, MAIL_FILE_BOOT_LEN);
    int error = mail_file_write_at(fd, bytes_range(zeros, FILED_FILE_SIZE), 0);

    free(zeros);
    return error < 0 ? error : mail_file_sync(fd);
}

/* The next file takes the records from now on. */
static int begin_file(struct filed_log *log)
{
    char name[NAME_LEN + 1];

    name_file(log->number + 1, name);
    int fd = mail_file_open(log->directory, name, O_RDWR | O_CREAT | O_TRUNC);
    if (fd < 0)
        return fd;
    int error = fill(fd, log->boot);

    if (error == 0)
        error = mail_file_sync(log->directory);
    if (error < 0) {
        mail_file_close(fd);
        (void)!mail_file_unlink(log->directory, name);
        return error;
    }
    /* Whoever is about to sync what it wrote meets the new one. */
    if (log->fd >= 0 && (error = mail_file_sync(log->fd)) < 0) {
        mail_file_close(fd);
        (void)!mail_file_unlink(log->directory, name);
        return error;
    }
    if (log->fd >= 0)
        mail_file_close(log->fd);
    log->fd = fd;
    log->number++;
    log->size = FILED_HEADER;
    if (log->number > FILED_FILES) {
        name_file(log->number - FILED_FILES, name);
        (void)!mail_file_unlink(log->directory, name);
    }
    make_table(log, FILED_FILE_SIZE / (PREFIX_LEN + BODY_MIN) / 4, oldest_kept(log));
    return 0;
}

int filed_log_add(struct filed_log *log, size_t count, const struct filed_record *records)
{
    struct buf text;
    int error = 0;

    buf_init(&text, BATCH_MAX);
    for (size_t i = 0; i < count; i++)
        check(put_record(&text, &records[i]));
    pthread_mutex_lock(&log->mutex);
    if (log->size + buf_len(&text) > FILED_FILE_SIZE)
        error = begin_file(log);
    if (error == 0)
        error = mail_file_write_at(log->fd, buf_bytes(&text), log->size);
    if (error == 0) {
        log->size += buf_len(&text);
        need_room(log, count);
        for (size_t i = 0; i < count; i++)
            remember_record(log, &records[i], log->number);
    }
    pthread_mutex_unlock(&log->mutex);
    buf_free(&text);
    return error;
}

int filed_log_sync(struct filed_log *log)
{
    pthread_mutex_lock(&log->mutex);
    int fd =
        mail_file_keep(log->fd); /* a new file was synced when it was begun, but not its records */
    pthread_mutex_unlock(&log->mutex);
    if (fd < 0)
        return fd;
    int error = mail_file_sync(fd);

    mail_file_close(fd);
    return error;
}

enum filed filed_log_find(struct filed_log *log, uint64_t message, uint32_t recipient,
                          struct bytes account)
{
    pthread_mutex_lock(&log->mutex);
    uint32_t file = log->table[place_of(log, message, recipient, hash_account(account))].file;
    enum filed filed = file == 0 || file < oldest_kept(log) ? FILED_NOT
                       : file >= log->first_since           ? FILED_SINCE
                                                            : FILED_BEFORE;

    pthread_mutex_unlock(&log->mutex);
    return filed;
}

/* --- the start -------------------------------------------------------------------------------- */

struct numbers {
    size_t count;
    uint32_t of[4 * FILED_FILES];
};

static bool collect_number(void *context, const char *name)
{
    struct numbers *numbers = context;
    char *end;
    unsigned long number = strtoul(name, &end, 16);

    if (end == name + 8 && strcmp(end, ".log") == 0 && number > 0 && number < UINT32_MAX / 2 &&
        numbers->count < ARRAY_LEN(numbers->of))
        numbers->of[numbers->count++] = (uint32_t)number;
    return true;
}

static int compare_numbers(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* 0, though it may be no file of ours. */
static int read_file(struct filed_log *log, uint32_t number, uint8_t *text, size_t *len_out)
{
    char name[NAME_LEN + 1];

    *len_out = 0;
    name_file(number, name);
    int fd = mail_file_open(log->directory, name, O_RDONLY);
    if (fd < 0)
        return fd;
    int64_t len = mail_file_read_at(fd, text, FILED_FILE_SIZE, 0);

    mail_file_close(fd);
    if (len < 0)
        return (int)len;
    if (len < FILED_HEADER || memcmp(text, magic, sizeof(magic) - 1) != 0) {
        log_warn("file=%s what=\"this is no record of what was filed; it is passed over\"",
                 LOG_STRING(name));
        return 0;
    }
    if (memcmp(text + 8, log->boot, MAIL_FILE_BOOT_LEN) != 0 || log->boot[0] == '?')
        log->first_since = number + 1;
    *len_out = (size_t)len;
    return 0;
}

static void take_records(struct filed_log *log, uint32_t number, struct bytes text)
{
    struct filed_record record;

    text = bytes_slice(text, FILED_HEADER, text.len);
    while (filed_record_take(&text, &record)) {
        need_room(log, 1);
        remember_record(log, &record, number);
    }
}

static uint32_t newest_time(struct bytes text)
{
    struct filed_record record;
    uint32_t newest = 0;

    text = bytes_slice(text, FILED_HEADER, text.len);
    while (filed_record_take(&text, &record))
        newest = MAX(newest, record.time_s);
    return newest;
}

static void tell_doubtful(struct bytes text, uint32_t newest,
                          void (*doubtful)(void *context, struct bytes account), void *context)
{
    struct filed_record record;

    text = bytes_slice(text, FILED_HEADER, text.len);
    while (filed_record_take(&text, &record))
        if (record.time_s + (uint64_t)FILED_DOUBT_S >= newest)
            doubtful(context, record.account);
}

/* Whose program may have died before its sync: names follow from its records now. */
static int sync_file(const struct filed_log *log, uint32_t number)
{
    char name[NAME_LEN + 1];

    name_file(number, name);
    int fd = mail_file_open(log->directory, name, O_RDONLY);
    if (fd < 0)
        return fd;
    int error = mail_file_sync(fd);

    mail_file_close(fd);
    return error;
}

static int read_files(struct filed_log *log, struct numbers *numbers,
                      void (*doubtful)(void *context, struct bytes account), void *context)
{
    uint8_t *text = malloc(FILED_FILE_SIZE);
    uint32_t newest = 0;
    int error = 0;
    size_t len;

    check(text != NULL);
    for (size_t i = numbers->count; error == 0 && i-- > 0;) { /* the newest first */
        error = read_file(log, numbers->of[i], text, &len);
        if (error < 0 || len == 0)
            continue;
        newest = MAX(newest, newest_time(bytes_range(text, len)));
        tell_doubtful(bytes_range(text, len), newest, doubtful, context);
    }
    for (size_t i = 0; error == 0 && i < numbers->count; i++) {
        error = read_file(log, numbers->of[i], text, &len);
        if (error == 0 && len > 0)
            take_records(log, numbers->of[i], bytes_range(text, len));
        if (error == 0 && len > 0 && numbers->of[i] >= log->first_since)
            error = sync_file(log, numbers->of[i]);
    }
    free(text);
    return error;
}

int filed_log_open(int mail_fd, void (*doubtful)(void *context, struct bytes account),
                   void *context, struct filed_log **log_out)
{
    struct filed_log *log = calloc(1, sizeof(*log));
    struct numbers numbers = {0};

    check(log != NULL);
    pthread_mutex_init(&log->mutex, NULL);
    log->fd = -1;
    log->first_since = 1;
    mail_file_boot(log->boot);
    make_table(log, 0, 0);
    int error = mail_file_make_directory(mail_fd, ".filed");

    if (error == 0 || error == -EEXIST) {
        error = mail_file_sync(mail_fd);
        log->directory = error < 0 ? error : mail_file_open_directory(mail_fd, ".filed");
        error = MIN(log->directory, 0);
    } else {
        log->directory = error;
    }
    if (error == 0)
        error = mail_file_list(log->directory, collect_number, &numbers);
    qsort(numbers.of, numbers.count, sizeof(numbers.of[0]), compare_numbers);
    if (error == 0)
        error = read_files(log, &numbers, doubtful, context);
    if (error == 0) {
        log->number = numbers.count > 0 ? numbers.of[numbers.count - 1] : 0;
        error = begin_file(log);
    }
    if (error < 0) {
        filed_log_close(&log);
        return error;
    }
    *log_out = log;
    return 0;
}

void filed_log_close(struct filed_log **log)
{
    struct filed_log *l = *log;

    *log = NULL;
    if (l == NULL)
        return;
    if (l->fd >= 0)
        mail_file_close(l->fd);
    if (l->directory >= 0)
        mail_file_close(l->directory);
    pthread_mutex_destroy(&l->mutex);
    free(l->table);
    free(l);
}
