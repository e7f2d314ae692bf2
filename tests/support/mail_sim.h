/*
 * mail_sim.h - a file system in memory behind mail_file.h, that loses power or its program.
 *
 * What was not synced may be lost, piece by piece: each write to a file (or the front of it), each
 * change of a directory's names, in any combination; a rename happens in both directories or in
 * none, as on ext4 and xfs. After the call that is set everything fails, until sim_restart().
 *
 * Include it in the test's only file: it defines every function of mail_file.h, so the library's
 * own are not linked.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/random.h"
#include "inbound/store/mail_file.h"

enum { SIM_FDS = 4096, SIM_FD_FIRST = 100000, SIM_NAME_MAX = 256 };

struct sim_write {
    uint64_t offset;
    bool truncates; /* to the offset */
    struct buf bytes;
    struct sim_write *next;
};

struct sim_name {
    char name[SIM_NAME_MAX];
    struct sim_node *node;
};

struct sim_names {
    struct sim_name *of;
    size_t count, capacity;
};

struct sim_node {
    uint64_t number;
    bool is_directory;
    struct buf now, durable; /* of a file */
    struct sim_write *writes, **last_write;
    struct sim_names names, durable_names; /* of a directory */
    uint64_t changed_ns;
    bool is_syncing;
    struct sim_node *next; /* of all */
};

/* A change of names that is not durable: an entry goes, comes, or moves. */
struct sim_change {
    struct sim_node *from, *to; /* directories, or NULL */
    char from_name[SIM_NAME_MAX], to_name[SIM_NAME_MAX];
    struct sim_node *node;
    bool is_settled;
    struct sim_change *next;
};

static struct {
    pthread_mutex_t mutex;
    struct sim_node *root, *all;
    struct sim_change *changes, **last_change;
    struct sim_node *fds[SIM_FDS];
    uint64_t node_count, clock_ns;
    uint64_t calls;    /* that change something, since the start */
    uint64_t end_call; /* this one is the last; 0: none */
    bool is_over;
    uint64_t syncs;
    void (*on_sync)(const char *name); /* before one of a file, unlocked; or NULL */
} sim = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* --- names ------------------------------------------------------------------------------------ */

static struct sim_node *sim_find(const struct sim_names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->of[i].name, name) == 0)
            return names->of[i].node;
    return NULL;
}

static void sim_take_name(struct sim_names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->of[i].name, name) != 0)
            continue;
        memmove(&names->of[i], &names->of[i + 1], (names->count - i - 1) * sizeof(names->of[0]));
        names->count--;
        return;
    }
}

static void sim_put_name(struct sim_names *names, const char *name, struct sim_node *node)
{
    sim_take_name(names, name);
    if (names->count == names->capacity) {
        names->capacity = names->capacity * 2 + 8;
        names->of = realloc(names->of, names->capacity * sizeof(names->of[0]));
        check(names->of != NULL);
    }
    struct sim_name *at = &names->of[names->count++];

    check(strlen(name) < SIM_NAME_MAX);
    memcpy(at->name, name, strlen(name) + 1);
    at->node = node;
}

static uint64_t sim_tick(void)
{
    if (sim.clock_ns == 0) /* an hour ago: no time is so fresh that it could be had twice */
        sim.clock_ns = ((uint64_t)clock_wall_us() - 3600 * 1000000ULL) * 1000;
    return sim.clock_ns += 1000;
}

static struct sim_node *sim_make_node(bool is_directory)
{
    struct sim_node *node = calloc(1, sizeof(*node));

    check(node != NULL);
    node->number = ++sim.node_count;
    node->is_directory = is_directory;
    node->last_write = &node->writes;
    node->changed_ns = sim_tick();
    buf_init(&node->now, SIZE_MAX / 2);
    buf_init(&node->durable, SIZE_MAX / 2);
    node->next = sim.all;
    sim.all = node;
    return node;
}

static void sim_change(struct sim_node *from, const char *from_name, struct sim_node *to,
                       const char *to_name, struct sim_node *node)
{
    struct sim_change *change = calloc(1, sizeof(*change));

    check(change != NULL);
    *change = (struct sim_change){.from = from, .to = to, .node = node};
    if (from != NULL) {
        memcpy(change->from_name, from_name, strlen(from_name) + 1);
        sim_take_name(&from->names, from_name);
        from->changed_ns = sim_tick();
    }
    if (to != NULL) {
        memcpy(change->to_name, to_name, strlen(to_name) + 1);
        sim_put_name(&to->names, to_name, node);
        to->changed_ns = sim_tick();
    }
    if (sim.last_change == NULL)
        sim.last_change = &sim.changes;
    *sim.last_change = change;
    sim.last_change = &change->next;
}

static void sim_make_durable(const struct sim_change *change, bool is_sync)
{
    if (change->from != NULL) {
        bool is_there = sim_find(&change->from->durable_names, change->from_name) == change->node;

        if (!is_there && !is_sync)
            return; /* what it follows from was lost */
        if (is_there)
            sim_take_name(&change->from->durable_names, change->from_name);
    }
    if (change->to != NULL)
        sim_put_name(&change->to->durable_names, change->to_name, change->node);
}

/* Whether it touches a directory that is to be durable; then all that it touches is, as far as
 * what came before goes: file systems keep the order. */
static bool sim_is_settled(struct sim_change *change)
{
    if (change == NULL)
        return false;
    sim_is_settled(change->next);
    change->is_settled = (change->from != NULL && change->from->is_syncing) ||
                         (change->to != NULL && change->to->is_syncing);
    if (change->is_settled && change->from != NULL)
        change->from->is_syncing = true;
    if (change->is_settled && change->to != NULL)
        change->to->is_syncing = true;
    return change->is_settled;
}

/* Those of the directory and what they follow from, or (NULL) some of all. */
static void sim_settle_changes(struct sim_node *directory)
{
    if (directory != NULL) {
        directory->is_syncing = true;
        sim_is_settled(sim.changes);
    }
    for (struct sim_change **at = &sim.changes; *at != NULL;) {
        struct sim_change *change = *at;

        if (directory != NULL && !change->is_settled) {
            at = &change->next;
            continue;
        }
        if (directory != NULL || random_below(2) == 0)
            sim_make_durable(change, directory != NULL);
        *at = change->next;
        free(change);
    }
    sim.last_change = &sim.changes;
    while (*sim.last_change != NULL)
        sim.last_change = &(*sim.last_change)->next;
    for (struct sim_node *node = sim.all; node != NULL; node = node->next)
        node->is_syncing = false;
}

/* --- content ---------------------------------------------------------------------------------- */

static void sim_put(struct buf *content, uint64_t offset, struct bytes bytes)
{
    while (buf_len(content) < offset + bytes.len)
        check(buf_append_byte(content, 0));
    if (bytes.len > 0)
        memcpy(content->ptr + content->start + offset, bytes.ptr, bytes.len);
}

static void sim_cut(struct buf *content, uint64_t size)
{
    if (size < buf_len(content))
        buf_truncate(content, size);
}

static void sim_write(struct sim_node *node, uint64_t offset, bool truncates, struct bytes bytes)
{
    struct sim_write *write = calloc(1, sizeof(*write));

    check(write != NULL);
    write->offset = offset;
    write->truncates = truncates;
    buf_init(&write->bytes, SIZE_MAX / 2);
    check(buf_append(&write->bytes, bytes));
    *node->last_write = write;
    node->last_write = &write->next;
    if (truncates)
        sim_cut(&node->now, offset);
    else
        sim_put(&node->now, offset, bytes);
    node->changed_ns = sim_tick();
}

/* All writes, or some of them and parts. */
static void sim_settle_writes(struct sim_node *node, bool all)
{
    while (node->writes != NULL) {
        struct sim_write *write = node->writes;
        struct bytes bytes = buf_bytes(&write->bytes);

        node->writes = write->next;
        if (all || random_below(2) == 0) {
            if (!all && random_below(3) == 0)
                bytes = bytes_slice(bytes, 0, random_below(bytes.len + 1));
            if (write->truncates)
                sim_cut(&node->durable, write->offset);
            else
                sim_put(&node->durable, write->offset, bytes);
        }
        buf_free(&write->bytes);
        free(write);
    }
    node->last_write = &node->writes;
}

/* --- what a test does ------------------------------------------------------------------------- */

static inline void sim_begin(void)
{
    sim.root = sim_make_node(true);
}

/* The machine or only the program starts again. */
static inline void sim_restart(bool power_was_cut)
{
    memset(sim.fds, 0, sizeof(sim.fds));
    sim.is_over = false;
    sim.calls = sim.end_call = 0;
    if (!power_was_cut)
        return;
    sim_settle_changes(NULL);
    for (struct sim_node *node = sim.all; node != NULL; node = node->next) {
        sim_settle_writes(node, false);
        buf_clear(&node->now);
        check(buf_append(&node->now, buf_bytes(&node->durable)));
        node->names.count = 0;
        for (size_t i = 0; i < node->durable_names.count; i++)
            sim_put_name(&node->names, node->durable_names.of[i].name,
                         node->durable_names.of[i].node);
    }
}

static inline void sim_end(void)
{
    sim_settle_changes(NULL);
    while (sim.all != NULL) {
        struct sim_node *node = sim.all;

        sim.all = node->next;
        sim_settle_writes(node, false);
        buf_free(&node->now);
        buf_free(&node->durable);
        free(node->names.of);
        free(node->durable_names.of);
        free(node);
    }
    memset(sim.fds, 0, sizeof(sim.fds));
    sim.root = NULL;
    sim.is_over = false;
    sim.on_sync = NULL;
    sim.calls = sim.end_call = 0;
}

/* --- mail_file.h ------------------------------------------------------------------------------ */

static int sim_lock(void)
{
    pthread_mutex_lock(&sim.mutex);
    return sim.is_over ? -EIO : 0;
}

static int sim_unlock(int result)
{
    pthread_mutex_unlock(&sim.mutex);
    return result;
}

/* Before what changes something. At the last call it happens, or it does not. */
static bool sim_may_change(void)
{
    if (++sim.calls != sim.end_call)
        return true;
    sim.is_over = true;
    return random_below(2) == 0;
}

static int sim_result(int result)
{
    return sim_unlock(sim.is_over ? -EIO : result);
}

static struct sim_node *sim_node_of(int fd)
{
    if (fd == AT_FDCWD)
        return sim.root;
    check(fd >= SIM_FD_FIRST && fd < SIM_FD_FIRST + SIM_FDS);
    return sim.fds[fd - SIM_FD_FIRST];
}

static int sim_make_fd(struct sim_node *node)
{
    for (int i = 0; i < SIM_FDS; i++) {
        if (sim.fds[i] == NULL) {
            sim.fds[i] = node;
            return SIM_FD_FIRST + i;
        }
    }
    return -EMFILE;
}

static struct sim_node *sim_look_up(int directory, const char *name)
{
    struct sim_node *node = sim_node_of(directory);

    if (directory == AT_FDCWD || strcmp(name, ".") == 0)
        return node;
    return node == NULL ? NULL : sim_find(&node->names, name);
}

int mail_file_open(int directory, const char *name, int flags)
{
    int error = sim_lock();
    struct sim_node *node = error < 0 ? NULL : sim_look_up(directory, name);

    if (error < 0)
        return sim_unlock(error);
    if (node != NULL && (flags & O_EXCL) != 0)
        return sim_unlock(-EEXIST);
    if (node == NULL && (flags & O_CREAT) == 0)
        return sim_unlock(-ENOENT);
    if (node == NULL) {
        if (!sim_may_change())
            return sim_result(-EIO);
        node = sim_make_node(false);
        sim_change(NULL, NULL, sim_node_of(directory), name, node);
    }
    if ((flags & O_TRUNC) != 0 && buf_len(&node->now) > 0 && sim_may_change())
        sim_write(node, 0, true, BYTES_NONE);
    return sim_result(sim.is_over ? -EIO : sim_make_fd(node));
}

int mail_file_open_directory(int directory, const char *name)
{
    int error = sim_lock();
    struct sim_node *node = error < 0 ? NULL : sim_look_up(directory, name);

    if (error == 0)
        error = node == NULL ? -ENOENT : !node->is_directory ? -ENOTDIR : sim_make_fd(node);
    return sim_unlock(error);
}

int mail_file_make_directory(int directory, const char *name)
{
    int error = sim_lock();

    if (error < 0 || sim_look_up(directory, name) != NULL)
        return sim_unlock(error < 0 ? error : -EEXIST);
    if (sim_may_change())
        sim_change(NULL, NULL, sim_node_of(directory), name, sim_make_node(true));
    return sim_result(0);
}

int mail_file_open_root(const char *path)
{
    (void)path; /* there is one */
    int error = sim_lock();

    return error < 0 ? sim_unlock(error) : sim_unlock(sim_make_fd(sim.root));
}

int mail_file_lock(int fd)
{
    (void)fd; /* one program */
    return 0;
}

void mail_file_close(int fd)
{
    pthread_mutex_lock(&sim.mutex);
    check(fd >= SIM_FD_FIRST && fd < SIM_FD_FIRST + SIM_FDS);
    sim.fds[fd - SIM_FD_FIRST] = NULL;
    pthread_mutex_unlock(&sim.mutex);
}

int mail_file_write_at(int fd, struct bytes b, uint64_t offset)
{
    int error = sim_lock();

    if (error == 0 && sim_may_change())
        sim_write(sim_node_of(fd), offset, false, b);
    return error < 0 ? sim_unlock(error) : sim_result(0);
}

/* At the end, as for O_APPEND. */
int mail_file_write(int fd, struct iovec *pieces, size_t count)
{
    int error = sim_lock();

    for (size_t i = 0; error == 0 && i < count && sim_may_change(); i++)
        sim_write(sim_node_of(fd), buf_len(&sim_node_of(fd)->now), false,
                  bytes_range(pieces[i].iov_base, pieces[i].iov_len));
    return error < 0 ? sim_unlock(error) : sim_result(0);
}

int64_t mail_file_read_at(int fd, void *into, size_t len, uint64_t offset)
{
    int error = sim_lock();

    if (error < 0)
        return sim_unlock(error);
    struct bytes bytes = bytes_slice(buf_bytes(&sim_node_of(fd)->now), offset, len);

    if (bytes.len > 0)
        memcpy(into, bytes.ptr, bytes.len);
    sim_unlock(0);
    return (int64_t)bytes.len;
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
    int error = sim_lock();

    if (error == 0 && sim_may_change())
        sim_write(sim_node_of(fd), size, true, BYTES_NONE);
    return error < 0 ? sim_unlock(error) : sim_result(0);
}

int mail_file_set_time(int fd, int64_t time_s)
{
    int error = sim_lock();

    if (error == 0 && sim_may_change())
        sim_node_of(fd)->changed_ns = (uint64_t)time_s * 1000000000;
    return error < 0 ? sim_unlock(error) : sim_result(0);
}

int mail_file_remove_directory(int directory, const char *name)
{
    int error = sim_lock();
    struct sim_node *node = error < 0 ? NULL : sim_look_up(directory, name);

    if (error == 0)
        error = node == NULL            ? -ENOENT
                : !node->is_directory   ? -ENOTDIR
                : node->names.count > 0 ? -ENOTEMPTY
                                        : 0;
    if (error == 0 && sim_may_change())
        sim_change(sim_node_of(directory), name, NULL, NULL, node);
    return error < 0 ? sim_unlock(error) : sim_result(0);
}

static void sim_tell(int fd)
{
    char name[SIM_NAME_MAX] = "";

    if (sim.on_sync == NULL)
        return;
    pthread_mutex_lock(&sim.mutex);
    for (struct sim_node *node = sim.all; node != NULL; node = node->next)
        for (size_t i = 0; i < node->names.count; i++)
            if (node->names.of[i].node == sim_node_of(fd))
                memcpy(name, node->names.of[i].name, SIM_NAME_MAX);
    bool is_over = sim.is_over;

    pthread_mutex_unlock(&sim.mutex);
    if (!is_over)
        sim.on_sync(name);
}

int mail_file_sync(int fd)
{
    sim_tell(fd);
    int error = sim_lock();

    if (error == 0 && sim_may_change()) {
        sim.syncs++;
        sim_settle_writes(sim_node_of(fd), true);
        if (sim_node_of(fd)->is_directory)
            sim_settle_changes(sim_node_of(fd));
    }
    return error < 0 ? sim_unlock(error) : sim_result(0);
}

int mail_file_sync_content(int fd)
{
    return mail_file_sync(fd);
}

int mail_file_sync_all(int fd)
{
    int error = sim_lock();

    (void)fd;
    if (error == 0 && sim_may_change()) {
        sim.syncs++;
        for (struct sim_node *node = sim.all; node != NULL; node = node->next) {
            sim_settle_writes(node, true);
            sim_settle_changes(node);
        }
    }
    return error < 0 ? sim_unlock(error) : sim_result(0);
}

int mail_file_rename(int from, const char *name, int to, const char *new_name)
{
    int error = sim_lock();
    struct sim_node *node = error < 0 ? NULL : sim_look_up(from, name);

    if (error == 0 && node == NULL)
        error = -ENOENT;
    if (error == 0 && sim_may_change())
        sim_change(sim_node_of(from), name, sim_node_of(to), new_name, node);
    return error < 0 ? sim_unlock(error) : sim_result(0);
}

int mail_file_link(int from, const char *name, int to, const char *new_name)
{
    int error = sim_lock();
    struct sim_node *node = error < 0 ? NULL : sim_look_up(from, name);

    if (error == 0 && node == NULL)
        error = -ENOENT;
    if (error == 0 && sim_look_up(to, new_name) != NULL)
        error = -EEXIST;
    if (error == 0 && sim_may_change())
        sim_change(NULL, NULL, sim_node_of(to), new_name, node);
    return error < 0 ? sim_unlock(error) : sim_result(0);
}

int mail_file_unlink(int directory, const char *name)
{
    int error = sim_lock();
    struct sim_node *node = error < 0 ? NULL : sim_look_up(directory, name);

    if (error == 0)
        error = node == NULL ? -ENOENT : node->is_directory ? -EISDIR : 0;
    if (error == 0 && sim_may_change())
        sim_change(sim_node_of(directory), name, NULL, NULL, node);
    return error < 0 ? sim_unlock(error) : sim_result(0);
}

int mail_file_stat(int directory, const char *name, struct stat *out)
{
    int error = sim_lock();
    const struct sim_node *node = error < 0 ? NULL : sim_look_up(directory, name);

    if (error == 0 && node == NULL)
        error = -ENOENT;
    if (error == 0) {
        *out = (struct stat){.st_ino = (ino_t)node->number,
                             .st_mode = node->is_directory ? S_IFDIR | 0700 : S_IFREG | 0600,
                             .st_size = (off_t)buf_len(&node->now)};
        out->st_mtim.tv_sec = (time_t)(node->changed_ns / 1000000000);
        out->st_mtim.tv_nsec = (long)(node->changed_ns % 1000000000);
        out->st_ctim = out->st_mtim;
    }
    return sim_unlock(error);
}

int mail_file_list(int directory, bool (*visit)(void *context, const char *name), void *context)
{
    int error = sim_lock();
    struct sim_names copy = {0};

    for (size_t i = 0; error == 0 && i < sim_node_of(directory)->names.count; i++) {
        const struct sim_name *at = &sim_node_of(directory)->names.of[i];

        sim_put_name(&copy, at->name, at->node);
    }
    sim_unlock(0);
    for (size_t i = 0; i < copy.count && visit(context, copy.of[i].name); i++)
        ;
    free(copy.of);
    return error;
}
