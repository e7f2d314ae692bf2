/*
 * mail_disk.h - in place of mail_file.c: a disk in memory whose power fails at a call.
 *
 * For tests: include in the test's only file. A file has what is durable and the writes since; so
 * have directories, whose operations stand in one order for the whole disk.
 *
 *   durable     the content of a file that was synced; names in a directory that was synced, and
 *               whatever of the same names came before; everything after a sync of the file system
 *   not         all else: after a cut each sector of a write is there or not, each new name or not,
 *               a rename as a whole or not at all
 *
 * Call number `dies_at` and all later ones fail with EIO, as if nobody were there to make them.
 * Then either disk_crash(): the program is gone, the machine goes on; or disk_cut().
 * One lock for all: the store's threads and the test may call at any time.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/random.h"
#include "inbound/store/mail_file.h"
#include "support/unit.h"

enum {
    DISK_NODES = 8192,
    DISK_OPEN = 512,
    DISK_NAMES = 256, /* of a directory */
    DISK_OPS = 4096,
    DISK_WRITES = 64, /* of a file since its last sync */
    DISK_SECTOR = 512,
    DISK_DATA_MAX = 64 * 1024, /* of a file; zeros behind it */
    DISK_FD = 1000,
    DISK_ROOT = 0,
};

struct disk_write {
    bool is_truncation; /* to `at` */
    uint64_t at;
    size_t len, data_len; /* what is behind data_len is zeros */
    uint8_t *data;
};

struct disk_names {
    size_t count;
    struct {
        char name[256];
        int node;
    } of[DISK_NAMES];
};

struct disk_node {
    bool is_directory;
    struct disk_names *now, *durable; /* of a directory */
    uint8_t *data;                    /* durable, of a file; zeros from data_len on */
    size_t data_len;
    uint64_t size, size_now;
    size_t write_count;
    struct disk_write writes[DISK_WRITES];
};

/* A name given or taken; both, a rename. */
struct disk_op {
    int node;
    int from, to; /* directories; -1: none */
    char name[256], new_name[256];
};

static struct {
    pthread_mutex_t lock;
    unsigned calls, dies_at; /* 0: never */
    unsigned boot;
    int node_count;
    struct disk_node nodes[DISK_NODES];
    struct {
        int node; /* -1: free */
        bool appends;
    } open[DISK_OPEN];
    size_t op_count;
    struct disk_op ops[DISK_OPS];
} disk = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* --- names ------------------------------------------------------------------------------------ */

static int names_find(const struct disk_names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->of[i].name, name) == 0)
            return (int)i;
    return -1;
}

static void names_drop(struct disk_names *names, const char *name)
{
    int at = names_find(names, name);

    if (at >= 0)
        names->of[at] = names->of[--names->count];
}

static void names_put(struct disk_names *names, const char *name, int node)
{
    names_drop(names, name);
    check(names->count < DISK_NAMES);
    snprintf(names->of[names->count].name, sizeof(names->of[0].name), "%s", name);
    names->of[names->count++].node = node;
}

static void names_do(const struct disk_op *op, bool is_durable)
{
    if (op->from >= 0)
        names_drop(is_durable ? disk.nodes[op->from].durable : disk.nodes[op->from].now, op->name);
    if (op->to >= 0)
        names_put(is_durable ? disk.nodes[op->to].durable : disk.nodes[op->to].now, op->new_name,
                  op->node);
}

static void do_op(int node, int from, const char *name, int to, const char *new_name)
{
    check(disk.op_count < DISK_OPS);
    struct disk_op *op = &disk.ops[disk.op_count++];

    *op = (struct disk_op){.node = node, .from = from, .to = to};
    snprintf(op->name, sizeof(op->name), "%s", name);
    snprintf(op->new_name, sizeof(op->new_name), "%s", new_name);
    names_do(op, false);
}

static bool op_concerns(const struct disk_op *op, int directory, const char *name)
{
    return (op->from == directory && (name == NULL || strcmp(op->name, name) == 0)) ||
           (op->to == directory && (name == NULL || strcmp(op->new_name, name) == 0));
}

/* With those before it that are about the same names. */
static void make_op_durable(size_t number, bool is_done[static DISK_OPS])
{
    const struct disk_op *op = &disk.ops[number];

    if (is_done[number])
        return;
    is_done[number] = true;
    for (size_t i = 0; i < number; i++)
        if ((op->from >= 0 && op_concerns(&disk.ops[i], op->from, op->name)) ||
            (op->to >= 0 && op_concerns(&disk.ops[i], op->to, op->new_name)))
            make_op_durable(i, is_done);
    names_do(op, true);
}

static void forget_done_ops(const bool is_done[static DISK_OPS])
{
    size_t kept = 0;

    for (size_t i = 0; i < disk.op_count; i++)
        if (!is_done[i])
            disk.ops[kept++] = disk.ops[i];
    disk.op_count = kept;
}

static void sync_directory(int directory)
{
    static bool is_done[DISK_OPS];

    memset(is_done, 0, sizeof(is_done));
    for (size_t i = 0; i < disk.op_count; i++)
        if (op_concerns(&disk.ops[i], directory, NULL))
            make_op_durable(i, is_done);
    forget_done_ops(is_done);
}

/* --- content ---------------------------------------------------------------------------------- */

static void grow_data(struct disk_node *node, size_t len)
{
    if (len <= node->data_len)
        return;
    node->data = realloc(node->data, len);
    check(node->data != NULL);
    memset(node->data + node->data_len, 0, len - node->data_len);
    node->data_len = len;
}

static void put_sector(struct disk_node *node, const struct disk_write *write, size_t from)
{
    size_t len = MIN(write->len - from, (size_t)DISK_SECTOR);

    size_t there = from < write->data_len ? MIN(len, write->data_len - from) : 0;
    uint64_t at = write->at + from;

    node->size = MAX(node->size, at + len);
    if (there > 0) {
        grow_data(node, (size_t)at + there);
        memcpy(node->data + at, write->data + from, there);
    }
    if (at + there < node->data_len)
        memset(node->data + at + there, 0, MIN(len - there, node->data_len - (size_t)at - there));
}

/* chance 0..4: none, all, a beginning, any sectors of it. */
static void end_writes(struct disk_node *node, unsigned chance)
{
    for (size_t i = 0; i < node->write_count; i++) {
        struct disk_write *write = &node->writes[i];
        size_t beginning = chance == 2 ? (size_t)random_below(write->len + 1) : 0;

        if (write->is_truncation && chance != 0) {
            node->size = write->at;
            node->data_len = MIN(node->data_len, (size_t)write->at);
        }
        for (size_t at = 0; at < write->len; at += DISK_SECTOR)
            if (chance == 1 || (chance == 2 && at < beginning) ||
                (chance == 3 && random_below(2) == 0))
                put_sector(node, write, at);
        free(write->data);
    }
    node->write_count = 0;
    node->size_now = node->size;
}

static int add_write(struct disk_node *node, struct disk_write write)
{
    check(node->write_count < DISK_WRITES);
    node->writes[node->write_count++] = write;
    node->size_now = write.is_truncation ? write.at : MAX(node->size_now, write.at + write.len);
    return 0;
}

static int write_bytes(struct disk_node *node, struct bytes b, uint64_t at)
{
    /* A file that is filled with zeros for later is not looked at to its end. */
    size_t len = MIN(b.len, (size_t)DISK_DATA_MAX);

    while (len > 0 && b.ptr[len - 1] == 0)
        len--;
    uint8_t *copy = malloc(len + 1);

    check(copy != NULL);
    if (len > 0)
        memcpy(copy, b.ptr, len);
    return add_write(node,
                     (struct disk_write){.at = at, .len = b.len, .data_len = len, .data = copy});
}

static size_t read_bytes(const struct disk_node *node, uint8_t *into, size_t len, uint64_t offset)
{
    if (offset >= node->size_now)
        return 0;
    len = MIN(len, (size_t)(node->size_now - offset));
    len = MIN(len, (size_t)DISK_DATA_MAX); /* the rest is zeros: as well not there */
    memset(into, 0, len);
    if (offset < node->data_len)
        memcpy(into, node->data + offset, MIN(len, node->data_len - (size_t)offset));
    for (size_t i = 0; i < node->write_count; i++) {
        const struct disk_write *write = &node->writes[i];
        uint64_t from = MAX(write->at, offset), to = MIN(write->at + write->len, offset + len);
        uint64_t data_end = MIN(MAX(write->at + write->data_len, from), to);

        if (write->is_truncation && write->at < offset + len)
            memset(into + (MAX(write->at, offset) - offset), 0,
                   (size_t)(offset + len - MAX(write->at, offset)));
        else if (from < to) {
            memcpy(into + (from - offset), write->data + (from - write->at),
                   (size_t)(data_end - from));
            memset(into + (data_end - offset), 0, (size_t)(to - data_end));
        }
    }
    return len;
}

/* --- the power -------------------------------------------------------------------------------- */

static int new_node(bool is_directory)
{
    check(disk.node_count < DISK_NODES);
    struct disk_node *node = &disk.nodes[disk.node_count];

    memset(node, 0, sizeof(*node));
    node->is_directory = is_directory;
    if (is_directory) {
        node->now = calloc(1, sizeof(*node->now));
        node->durable = calloc(1, sizeof(*node->durable));
        check(node->now != NULL && node->durable != NULL);
    }
    return disk.node_count++;
}

static inline void disk_free(void)
{
    for (int i = 0; i < disk.node_count; i++) {
        end_writes(&disk.nodes[i], 0);
        free(disk.nodes[i].now);
        free(disk.nodes[i].durable);
        free(disk.nodes[i].data);
    }
    disk.node_count = 0;
    disk.op_count = 0;
}

/* The program is gone. */
static void disk_crash(void)
{
    for (size_t i = 0; i < DISK_OPEN; i++)
        disk.open[i].node = -1;
    disk.calls = disk.dies_at = 0;
}

static inline void disk_make(void)
{
    disk_free();
    disk_crash();
    check(new_node(true) == DISK_ROOT);
}

/* The machine is. */
static inline void disk_cut(void)
{
    static bool is_done[DISK_OPS];
    unsigned chance = (unsigned)random_below(4);
    size_t up_to = (size_t)random_below(disk.op_count + 1);

    memset(is_done, 0, sizeof(is_done));
    for (size_t i = 0; i < disk.op_count; i++)
        if (chance == 1 || (chance == 2 && i < up_to) || (chance == 3 && random_below(2) == 0))
            make_op_durable(i, is_done);
    disk.op_count = 0;
    for (int i = 0; i < disk.node_count; i++) {
        struct disk_node *node = &disk.nodes[i];

        end_writes(node, (unsigned)random_below(4));
        if (node->is_directory)
            *node->now = *node->durable;
    }
    disk.boot++;
    disk_crash();
}

/* --- calls ------------------------------------------------------------------------------------ */

/* With the lock. */
static bool is_dead(void)
{
    disk.calls++;
    return disk.dies_at != 0 && disk.calls >= disk.dies_at;
}

static int node_of(int fd)
{
    check(fd >= DISK_FD && fd < DISK_FD + DISK_OPEN);
    check(disk.open[fd - DISK_FD].node >= 0);
    return disk.open[fd - DISK_FD].node;
}

static struct disk_names *names_of(int fd)
{
    check(disk.nodes[node_of(fd)].is_directory);
    return disk.nodes[node_of(fd)].now;
}

static int open_node(int node, bool appends)
{
    for (int i = 0; i < DISK_OPEN; i++) {
        if (disk.open[i].node >= 0)
            continue;
        disk.open[i].node = node;
        disk.open[i].appends = appends;
        return DISK_FD + i;
    }
    return -EMFILE;
}

#define CALL(result) \
    __extension__({ \
        pthread_mutex_lock(&disk.lock); \
        __typeof__(result) call_result = is_dead() ? -EIO : (result); \
        pthread_mutex_unlock(&disk.lock); \
        call_result; \
    })

static int do_open(int directory, const char *name, int flags)
{
    int at = names_find(names_of(directory), name);

    if (at < 0 && (flags & O_CREAT) == 0)
        return -ENOENT;
    if (at >= 0 && (flags & O_EXCL) != 0)
        return -EEXIST;
    int node = at >= 0 ? names_of(directory)->of[at].node : new_node(false);

    if (disk.nodes[node].is_directory)
        return -EISDIR;
    if (at < 0)
        do_op(node, -1, "", node_of(directory), name);
    if ((flags & O_TRUNC) != 0 && disk.nodes[node].size_now > 0)
        (void)add_write(&disk.nodes[node], (struct disk_write){.is_truncation = true});
    return open_node(node, (flags & O_APPEND) != 0);
}

int mail_file_open(int directory, const char *name, int flags)
{
    return CALL(do_open(directory, name, flags));
}

int mail_file_open_root(const char *path)
{
    (void)path;
    return CALL(open_node(DISK_ROOT, false));
}

int mail_file_keep(int fd)
{
    return CALL(open_node(node_of(fd), false));
}

static int do_open_directory(int directory, const char *name)
{
    int at = names_find(names_of(directory), name);

    if (at < 0)
        return -ENOENT;
    int node = names_of(directory)->of[at].node;

    return disk.nodes[node].is_directory ? open_node(node, false) : -ENOTDIR;
}

int mail_file_open_directory(int directory, const char *name)
{
    return CALL(do_open_directory(directory, name));
}

static int do_make_directory(int directory, const char *name)
{
    if (names_find(names_of(directory), name) >= 0)
        return -EEXIST;
    do_op(new_node(true), -1, "", node_of(directory), name);
    return 0;
}

int mail_file_make_directory(int directory, const char *name)
{
    return CALL(do_make_directory(directory, name));
}

void mail_file_close(int fd)
{
    pthread_mutex_lock(&disk.lock);
    (void)node_of(fd);
    disk.open[fd - DISK_FD].node = -1;
    pthread_mutex_unlock(&disk.lock);
}

static int do_write(int fd, const struct iovec *pieces, size_t count)
{
    struct disk_node *node = &disk.nodes[node_of(fd)];

    for (size_t i = 0; i < count; i++)
        (void)write_bytes(node, bytes_range(pieces[i].iov_base, pieces[i].iov_len),
                          node->size_now); /* nobody here writes but at the end */
    return 0;
}

int mail_file_write(int fd, struct iovec *pieces, size_t count)
{
    return CALL(do_write(fd, pieces, count));
}

int mail_file_write_at(int fd, struct bytes b, uint64_t offset)
{
    return CALL(write_bytes(&disk.nodes[node_of(fd)], b, offset));
}

int64_t mail_file_read_at(int fd, void *into, size_t len, uint64_t offset)
{
    return CALL((int64_t)read_bytes(&disk.nodes[node_of(fd)], into, len, offset));
}

/* Nothing is in memory. */
int mail_file_open_cached(int directory, const char *name)
{
    (void)directory;
    (void)name;
    return -EAGAIN;
}

int64_t mail_file_read_cached(int fd, void *into, size_t len, uint64_t offset)
{
    (void)fd;
    (void)into;
    (void)len;
    (void)offset;
    return -EAGAIN;
}

int mail_file_truncate(int fd, uint64_t size)
{
    return CALL(add_write(&disk.nodes[node_of(fd)],
                          (struct disk_write){.is_truncation = true, .at = size}));
}

static int do_sync(int fd)
{
    struct disk_node *node = &disk.nodes[node_of(fd)];

    if (node->is_directory)
        sync_directory(node_of(fd));
    else
        end_writes(node, 1);
    return 0;
}

int mail_file_sync(int fd)
{
    return CALL(do_sync(fd));
}

int mail_file_sync_content(int fd)
{
    return mail_file_sync(fd);
}

static int do_sync_all(void)
{
    static bool is_done[DISK_OPS];

    memset(is_done, 0, sizeof(is_done));
    for (size_t i = 0; i < disk.op_count; i++)
        make_op_durable(i, is_done);
    disk.op_count = 0;
    for (int i = 0; i < disk.node_count; i++)
        end_writes(&disk.nodes[i], 1);
    return 0;
}

int mail_file_sync_all(int fd)
{
    (void)fd;
    return CALL(do_sync_all());
}

static int do_rename(int from, const char *name, int to, const char *new_name)
{
    int at = names_find(names_of(from), name);

    if (at < 0)
        return -ENOENT;
    do_op(names_of(from)->of[at].node, node_of(from), name, node_of(to), new_name);
    return 0;
}

int mail_file_rename(int from, const char *name, int to, const char *new_name)
{
    return CALL(do_rename(from, name, to, new_name));
}

static int do_link(int from, const char *name, int to, const char *new_name)
{
    int at = names_find(names_of(from), name);

    if (at < 0)
        return -ENOENT;
    if (names_find(names_of(to), new_name) >= 0)
        return -EEXIST;
    do_op(names_of(from)->of[at].node, -1, "", node_of(to), new_name);
    return 0;
}

int mail_file_link(int from, const char *name, int to, const char *new_name)
{
    return CALL(do_link(from, name, to, new_name));
}

static int do_unlink(int directory, const char *name)
{
    int at = names_find(names_of(directory), name);

    if (at < 0)
        return -ENOENT;
    do_op(-1, node_of(directory), name, -1, "");
    return 0;
}

int mail_file_unlink(int directory, const char *name)
{
    return CALL(do_unlink(directory, name));
}

static int do_stat(int directory, const char *name, struct stat *out)
{
    int at = names_find(names_of(directory), name);

    if (at < 0)
        return -ENOENT;
    const struct disk_node *node = &disk.nodes[names_of(directory)->of[at].node];

    *out = (struct stat){.st_mode = node->is_directory ? S_IFDIR | 0700 : S_IFREG | 0600,
                         .st_size = (off_t)node->size_now};
    out->st_mtime = clock_wall_ms() / 1000;
    return 0;
}

int mail_file_stat(int directory, const char *name, struct stat *out)
{
    return CALL(do_stat(directory, name, out));
}

/* Of a copy: visit may call again. */
int mail_file_list(int directory, bool (*visit)(void *context, const char *name), void *context)
{
    struct disk_names *copy = malloc(sizeof(*copy));

    check(copy != NULL);
    pthread_mutex_lock(&disk.lock);
    bool dead = is_dead();
    *copy = *names_of(directory);
    pthread_mutex_unlock(&disk.lock);
    for (size_t i = 0; i < copy->count && !dead; i++)
        if (!visit(context, copy->of[i].name))
            break;
    free(copy);
    return dead ? -EIO : 0;
}

void mail_file_boot(char out[static MAIL_FILE_BOOT_LEN])
{
    memset(out, '-', MAIL_FILE_BOOT_LEN);
    for (unsigned i = 0; i < 8; i++)
        out[i] = (char)('0' + (disk.boot >> (4 * i) & 7));
}
