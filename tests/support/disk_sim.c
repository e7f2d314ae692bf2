/* disk_sim.c - queue/disk.h on sectors that remember. See disk_sim.h. */
#include "support/disk_sim.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "queue/disk.h"
#include "support/engine_fake.h"

enum {
    SECTOR = 512,
    FD_BASE = 1 << 20,
    FDS_MAX = 256,
    NAMES_MAX = 256,
    CHANGES_MAX = 64,
    PATH_LEN_MAX = 80,
};

/* Bytes on their way to the platter. */
struct pending {
    struct list_node node; /* in inode->pending, oldest first */
    struct inode *inode;
    const uint8_t *from; /* the writer's memory, until the end */
    uint8_t *bytes;
    bool *is_void; /* of each sector: it stands, or will never be there */
    size_t len;
    uint64_t offset;
    bool is_durable;
    bool has_ended;
    bool is_doubtful; /* no sync helps it any more */
};

struct inode {
    struct list_node node; /* in disk->inodes */
    bool is_directory;
    bool is_locked;
    size_t size, platter_size, capacity;
    uint8_t *now, *platter;
    struct list pending;
};

struct name {
    char path[PATH_LEN_MAX];
    struct inode *inode;
};

struct names {
    struct name all[NAMES_MAX];
    size_t count;
};

struct change {
    enum { CHANGE_ADD, CHANGE_MOVE, CHANGE_REMOVE } kind;
    char from[PATH_LEN_MAX], to[PATH_LEN_MAX];
    struct inode *inode;
};

struct disk_sim {
    struct list inodes;
    struct names now, platter;
    struct change changes[CHANGES_MAX]; /* of names, not durable, oldest first */
    size_t change_count;
    struct inode *fds[FDS_MAX];
    bool holds_lock[FDS_MAX];
    uint64_t random;
    uint64_t count;
    struct disk_sim_fault fault;
    bool has_failed, has_strange, is_calm;
    void (*moment)(void *context, bool begins_write);
    void *context;
};

static struct disk_sim *current;

static uint64_t draw(uint64_t *random)
{
    uint64_t z = (*random += 0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static void tell_moment(struct disk_sim *disk)
{
    if (disk->moment != NULL)
        disk->moment(disk->context, false);
}

/* 0, or -errno of the operation that begins now; -EAGAIN: it shall end short. */
static int fault(struct disk_sim *disk, bool is_read)
{
    const struct disk_sim_fault *f = &disk->fault;

    if (disk->is_calm)
        return 0;
    uint64_t number = ++disk->count;
    if (f->count == 0 || number < f->at || number - f->at >= f->count ||
        (is_read && f->spares_reads))
        return 0;
    disk->has_failed = true;
    if (f->error == 0)
        return -EAGAIN;
    return is_read ? -EIO : -f->error;
}

/* Of an operation that is done whole or not at all. */
static int whole_fault(struct disk_sim *disk, bool is_read)
{
    int error = fault(disk, is_read);

    return error == -EAGAIN ? 0 : error;
}

/* --- inodes ---------------------------------------------------------------------------------- */

static struct inode *inode_new(struct disk_sim *disk, bool is_directory)
{
    struct inode *inode = calloc(1, sizeof(*inode));

    check(inode != NULL);
    inode->is_directory = is_directory;
    list_init(&inode->pending);
    list_node_init(&inode->node);
    list_push_back(&disk->inodes, &inode->node);
    return inode;
}

static void pending_free(struct pending *pending)
{
    list_remove(&pending->node);
    free(pending->bytes);
    free(pending->is_void);
    free(pending);
}

static void inode_free(struct inode *inode)
{
    while (!list_is_empty(&inode->pending))
        pending_free(container_of(list_first(&inode->pending), struct pending, node));
    list_remove(&inode->node);
    free(inode->now);
    free(inode->platter);
    free(inode);
}

static void inode_grow(struct inode *inode, size_t size)
{
    if (size > inode->capacity) {
        size_t capacity = MAX(size, inode->capacity * 2);

        inode->now = realloc(inode->now, capacity);
        inode->platter = realloc(inode->platter, capacity);
        check(inode->now != NULL && inode->platter != NULL);
        memset(inode->now + inode->capacity, 0, capacity - inode->capacity);
        memset(inode->platter + inode->capacity, 0, capacity - inode->capacity);
        inode->capacity = capacity;
    }
    inode->size = MAX(inode->size, size);
}

/* Nobody names or holds it: its memory is wanted elsewhere. */
static void free_unused(struct disk_sim *disk)
{
    for (struct list_node *node = disk->inodes.head.next; node != &disk->inodes.head;) {
        struct inode *inode = container_of(node, struct inode, node);
        bool is_used = false;

        node = node->next;
        for (size_t i = 0; i < disk->now.count; i++)
            is_used = is_used || disk->now.all[i].inode == inode;
        for (size_t i = 0; i < disk->platter.count; i++)
            is_used = is_used || disk->platter.all[i].inode == inode;
        for (size_t i = 0; i < disk->change_count; i++)
            is_used = is_used || disk->changes[i].inode == inode;
        for (size_t i = 0; i < FDS_MAX; i++)
            is_used = is_used || disk->fds[i] == inode;
        if (!is_used)
            inode_free(inode);
    }
}

/* --- writes ---------------------------------------------------------------------------------- */

static size_t sectors_of(size_t len)
{
    return (len + SECTOR - 1) / SECTOR;
}

static size_t sector_len(const struct pending *pending, size_t sector)
{
    return MIN((size_t)SECTOR, pending->len - sector * SECTOR);
}

static struct pending *pending_new(struct inode *inode, struct bytes bytes, uint64_t offset)
{
    struct pending *pending = calloc(1, sizeof(*pending));

    check(pending != NULL);
    check(offset % SECTOR == 0);
    list_node_init(&pending->node);
    pending->inode = inode;
    pending->bytes = malloc(bytes.len);
    pending->is_void = calloc(sectors_of(bytes.len), sizeof(bool));
    check(pending->bytes != NULL && pending->is_void != NULL);
    memcpy(pending->bytes, bytes.ptr, bytes.len);
    pending->len = bytes.len;
    pending->offset = offset;
    list_push_back(&inode->pending, &pending->node);
    return pending;
}

/* One sector is on the platter; what was written there before will not come after it. */
static void settle_sector(struct pending *pending, size_t sector)
{
    struct inode *inode = pending->inode;
    uint64_t at = pending->offset + sector * SECTOR;
    size_t len = sector_len(pending, sector);

    memcpy(inode->platter + at, pending->bytes + sector * SECTOR, len);
    inode->platter_size = MAX(inode->platter_size, at + len);
    list_for_each(node, &inode->pending) {
        struct pending *older = container_of(node, struct pending, node);

        if (at >= older->offset && at < older->offset + older->len)
            older->is_void[(at - older->offset) / SECTOR] = true;
        if (older == pending)
            break;
    }
}

static void settle(struct pending *pending)
{
    for (size_t i = 0; i < sectors_of(pending->len); i++)
        if (!pending->is_void[i])
            settle_sector(pending, i);
    pending_free(pending);
}

/* Readers see it. */
static void show(struct pending *pending, size_t sector)
{
    struct inode *inode = pending->inode;
    uint64_t at = pending->offset + sector * SECTOR;
    size_t len = sector_len(pending, sector);

    inode_grow(inode, at + len);
    memcpy(inode->now + at, pending->bytes + sector * SECTOR, len);
}

static void show_all(struct pending *pending)
{
    for (size_t i = 0; i < sectors_of(pending->len); i++)
        if (!pending->is_void[i])
            show(pending, i);
    pending->has_ended = true;
}

static void cut_short(struct pending *pending, size_t len)
{
    for (size_t i = len / SECTOR; i < sectors_of(pending->len); i++)
        pending->is_void[i] = true;
}

/* It failed: any of it may be there, on the platter or in a cache of the disk. */
static void leave_in_doubt(struct disk_sim *disk, struct pending *pending)
{
    uint64_t kind = draw(&disk->random) % 4;

    for (size_t i = 0; i < sectors_of(pending->len); i++) {
        bool is_there = kind == 1 || (kind > 1 && draw(&disk->random) % 2 == 0);

        if (!is_there) {
            pending->is_void[i] = true;
            continue;
        }
        show(pending, i);
        if (kind == 2)
            settle_sector(pending, i);
    }
    pending->has_ended = true;
}

static struct inode *inode_of(int fd)
{
    check(current != NULL);
    check(fd >= FD_BASE && fd < FD_BASE + FDS_MAX);
    check(current->fds[fd - FD_BASE] != NULL);
    return current->fds[fd - FD_BASE];
}

/* --- behind the fake engine ------------------------------------------------------------------ */

static bool owns(int fd)
{
    return fd >= FD_BASE;
}

static void *begin_write(int fd, struct bytes bytes, uint64_t offset, bool is_durable)
{
    struct pending *pending = pending_new(inode_of(fd), bytes, offset);

    pending->from = bytes.ptr;
    pending->is_durable = is_durable;
    if (current->moment != NULL)
        current->moment(current->context, true);
    return pending;
}

static int end_write(void *write, int limit)
{
    struct pending *pending = write;
    int error = fault(current, false);
    int done = MIN((int)pending->len, limit);

    /* Who changes what the disk is reading writes anything. */
    check(memcmp(pending->from, pending->bytes, pending->len) == 0);
    if (error == -EAGAIN) {
        size_t sectors = sectors_of(pending->len);

        done = MIN(done, (int)(SECTOR * (1 + draw(&current->random) % sectors)));
        error = 0;
    }
    if (limit < 0 || error < 0) {
        leave_in_doubt(current, pending);
        tell_moment(current);
        return limit < 0 ? limit : error;
    }
    cut_short(pending, (size_t)done);
    show_all(pending);
    if (pending->is_durable)
        settle(pending);
    tell_moment(current);
    return done;
}

static int read_now(int fd, void *into, size_t len, uint64_t offset)
{
    const struct inode *inode = inode_of(fd);
    size_t there = offset < inode->size ? MIN(len, inode->size - (size_t)offset) : 0;

    if (there > 0)
        memcpy(into, inode->now + offset, there);
    return (int)there;
}

static int engine_reads(int fd, void *into, size_t len, uint64_t offset)
{
    int error = fault(current, true);

    if (error == -EAGAIN)
        len = SECTOR * (1 + draw(&current->random) % sectors_of(len));
    else if (error < 0)
        return error;
    return read_now(fd, into, len, offset);
}

static const struct fake_disk behind = {owns, begin_write, end_write, engine_reads};

/* --- names ----------------------------------------------------------------------------------- */

static struct name *find_name(struct names *names, const char *path)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->all[i].path, path) == 0)
            return &names->all[i];
    return NULL;
}

static void set_path(char *to, const char *path)
{
    size_t len = strlen(path);

    check(len < PATH_LEN_MAX);
    memcpy(to, path, len + 1);
}

static void put_name(struct names *names, const char *path, struct inode *inode)
{
    struct name *name = find_name(names, path);

    if (name == NULL) {
        check(names->count < NAMES_MAX);
        name = &names->all[names->count++];
        set_path(name->path, path);
    }
    name->inode = inode;
}

static void drop_name(struct names *names, const char *path, const struct inode *inode)
{
    struct name *name = find_name(names, path);

    if (name != NULL && name->inode == inode)
        *name = names->all[--names->count];
}

static void apply_change(struct names *names, const struct change *change)
{
    if (change->kind != CHANGE_ADD)
        drop_name(names, change->from, change->inode);
    if (change->kind != CHANGE_REMOVE)
        put_name(names, change->to, change->inode);
}

static void change_names(struct disk_sim *disk, struct change change)
{
    check(disk->change_count < CHANGES_MAX);
    disk->changes[disk->change_count++] = change;
    apply_change(&disk->now, &change);
    tell_moment(disk);
}

static size_t parent_len(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? 0 : (size_t)(slash - path);
}

static bool is_in(const char *path, const char *directory)
{
    size_t len = parent_len(path);

    return path[0] != '\0' && strlen(directory) == len && memcmp(path, directory, len) == 0;
}

static int new_fd(struct disk_sim *disk, struct inode *inode)
{
    for (int i = 0; i < FDS_MAX; i++) {
        if (disk->fds[i] != NULL)
            continue;
        disk->fds[i] = inode;
        return FD_BASE + i;
    }
    return -EMFILE;
}

/* --- disk.h ---------------------------------------------------------------------------------- */

int disk_open(const char *path, enum disk_mode mode)
{
    int error = whole_fault(current, mode != DISK_CREATE);
    struct name *name = find_name(&current->now, path);

    if (error < 0)
        return error;
    if (mode != DISK_CREATE)
        return name == NULL ? -ENOENT : new_fd(current, name->inode);
    if (name != NULL)
        return -EEXIST;
    struct change change = {.kind = CHANGE_ADD, .inode = inode_new(current, false)};
    set_path(change.to, path);
    int fd = new_fd(current, change.inode);
    change_names(current, change);
    return fd;
}

void disk_close(int fd)
{
    struct inode *inode = inode_of(fd);
    bool *holds_lock = &current->holds_lock[fd - FD_BASE];

    if (*holds_lock)
        inode->is_locked = false;
    *holds_lock = false;
    current->fds[fd - FD_BASE] = NULL;
    free_unused(current);
}

int64_t disk_size(int fd)
{
    int error = whole_fault(current, true);

    return error < 0 ? error : (int64_t)inode_of(fd)->size;
}

int disk_read(int fd, void *into, size_t len, uint64_t offset)
{
    int error = whole_fault(current, true);

    check(len % 4096 == 0 && offset % 4096 == 0);
    if (error < 0)
        return error;
    return (size_t)read_now(fd, into, len, offset) == len ? 0 : -ENODATA;
}

int disk_write(int fd, const void *from, size_t len, uint64_t offset)
{
    struct pending *pending = pending_new(inode_of(fd), (struct bytes){from, len}, offset);
    int error = whole_fault(current, false);

    check(len % 4096 == 0 && offset % 4096 == 0);
    if (error < 0)
        leave_in_doubt(current, pending);
    else
        show_all(pending);
    tell_moment(current);
    return error;
}

int disk_sync(int fd)
{
    struct inode *inode = inode_of(fd);
    int error = whole_fault(current, false);

    for (struct list_node *node = inode->pending.head.next; node != &inode->pending.head;) {
        struct pending *pending = container_of(node, struct pending, node);

        node = node->next;
        if (!pending->has_ended || pending->is_doubtful)
            continue;
        if (error < 0)
            pending->is_doubtful = true;
        else
            settle(pending);
    }
    if (error == 0)
        inode->platter_size = inode->size;
    tell_moment(current);
    return error;
}

int disk_sync_directory(const char *path)
{
    int error = whole_fault(current, false);
    size_t kept = 0;

    if (find_name(&current->now, path) == NULL)
        return -ENOENT;
    if (error < 0)
        return error;
    for (size_t i = 0; i < current->change_count; i++) {
        const struct change *change = &current->changes[i];

        if (is_in(change->from, path) || is_in(change->to, path))
            apply_change(&current->platter, change);
        else
            current->changes[kept++] = *change;
    }
    current->change_count = kept;
    free_unused(current);
    tell_moment(current);
    return 0;
}

int disk_rename(const char *from, const char *to)
{
    int error = whole_fault(current, false);
    struct name *name = find_name(&current->now, from);

    if (error < 0)
        return error;
    if (name == NULL)
        return -ENOENT;
    struct change change = {.kind = CHANGE_MOVE, .inode = name->inode};
    set_path(change.from, from);
    set_path(change.to, to);
    change_names(current, change);
    return 0;
}

int disk_unlink(const char *path)
{
    int error = whole_fault(current, false);
    struct name *name = find_name(&current->now, path);

    if (error < 0)
        return error;
    if (name == NULL)
        return -ENOENT;
    struct change change = {.kind = CHANGE_REMOVE, .inode = name->inode};
    set_path(change.from, path);
    change_names(current, change);
    return 0;
}

int disk_make_directory(const char *path)
{
    int error = whole_fault(current, false);

    if (error < 0)
        return error;
    if (find_name(&current->now, path) != NULL)
        return 0;
    struct change change = {.kind = CHANGE_ADD, .inode = inode_new(current, true)};
    set_path(change.to, path);
    change_names(current, change);
    return 0;
}

int disk_list(const char *path, int (*visit)(void *context, const char *name), void *context)
{
    int error = whole_fault(current, true);

    if (error == 0 && find_name(&current->now, path) == NULL)
        error = -ENOENT;
    for (size_t i = 0; error >= 0 && i < current->now.count; i++) {
        const char *name = current->now.all[i].path;

        if (is_in(name, path))
            error = visit(context, name + parent_len(name) + 1);
    }
    return MIN(error, 0);
}

int disk_lock(const char *path)
{
    int error = whole_fault(current, false);
    struct name *name = find_name(&current->now, path);

    if (error < 0)
        return error;
    if (name == NULL) {
        struct change change = {.kind = CHANGE_ADD, .inode = inode_new(current, false)};

        set_path(change.to, path);
        change_names(current, change);
        name = find_name(&current->now, path);
    }
    if (name->inode->is_locked)
        return -EBUSY;
    int fd = new_fd(current, name->inode);
    if (fd >= 0)
        current->holds_lock[fd - FD_BASE] = name->inode->is_locked = true;
    return fd;
}

void *disk_buffer(size_t len)
{
    return aligned_alloc(4096, (len + 4095) / 4096 * 4096);
}

/* --- power cuts ------------------------------------------------------------------------------ */

enum cut_kind { CUT_LOST, CUT_KEPT, CUT_BEGINNINGS, CUT_ANY, CUT_MOST, CUT_FEW, CUT_KINDS };

struct cut_sim {
    uint64_t random;
    enum cut_kind kind;
    bool may_lie, may_be_strange;
    bool is_strange;
};

static void cut_names(struct cut_sim *cut, const struct disk_sim *disk, struct names *names)
{
    uint64_t upto = draw(&cut->random) % (disk->change_count + 1);
    bool any = draw(&cut->random) % 3 == 0;

    if (cut->kind == CUT_LOST)
        upto = 0;
    else if (cut->kind == CUT_KEPT)
        upto = disk->change_count;
    for (size_t i = 0; i < disk->change_count; i++)
        if (any && cut->kind > CUT_KEPT ? draw(&cut->random) % 2 == 0 : i < upto)
            apply_change(names, &disk->changes[i]);
}

static bool is_there(struct cut_sim *cut, size_t sector, size_t beginning)
{
    switch (cut->kind) {
    case CUT_LOST:
        return false;
    case CUT_KEPT:
        return true;
    case CUT_BEGINNINGS:
        return sector < beginning;
    case CUT_ANY:
        return draw(&cut->random) % 2 == 0;
    case CUT_MOST:
        return draw(&cut->random) % 16 != 0;
    case CUT_FEW:
        return draw(&cut->random) % 16 == 0;
    case CUT_KINDS:
        break;
    }
    return false;
}

/* Garbage, or a beginning of the new and an end of the old. */
static void lie(struct cut_sim *cut, uint8_t *sector, const uint8_t *old)
{
    size_t kept = draw(&cut->random) % SECTOR;
    bool is_mixed = draw(&cut->random) % 2 == 0;

    for (size_t i = kept; i < SECTOR; i++)
        sector[i] = is_mixed ? old[i] : (uint8_t)draw(&cut->random);
}

static void cut_write(struct cut_sim *cut, const struct pending *pending, uint8_t *bytes,
                      size_t *end_inout)
{
    size_t count = sectors_of(pending->len);
    size_t beginning = draw(&cut->random) % (count + 1);
    size_t last = SIZE_MAX;
    uint8_t old[SECTOR];

    for (size_t i = 0; i < count; i++) {
        uint8_t *at = bytes + pending->offset + i * SECTOR;
        size_t len = sector_len(pending, i);

        if (pending->is_void[i] || !is_there(cut, i, beginning))
            continue;
        memcpy(old, at, len);
        memcpy(at, pending->bytes + i * SECTOR, len);
        *end_inout = MAX(*end_inout, (size_t)(pending->offset + i * SECTOR + len));
        last = i;
    }
    if (!cut->may_lie || last == SIZE_MAX || sector_len(pending, last) < SECTOR)
        return;
    lie(cut, bytes + pending->offset + last * SECTOR, old);
    if (pending->inode->platter_size == 0)
        cut->is_strange = true;
}

static size_t pending_end(const struct inode *inode)
{
    size_t end = MAX(inode->size, inode->platter_size);

    list_for_each(node, &inode->pending) {
        const struct pending *pending = container_of(node, struct pending, node);

        end = MAX(end, (size_t)(pending->offset + pending->len));
    }
    return end;
}

/* What was never written shows somebody else's bytes. */
static void make_strange(struct cut_sim *cut, const struct disk_sim *disk,
                         const struct inode *inode, uint8_t *bytes, size_t end)
{
    uint64_t skip = draw(&cut->random) % 8;

    list_for_each(node, &disk->inodes) {
        const struct inode *other = container_of(node, struct inode, node);

        if (other == inode || other->size < end || skip-- > 0)
            continue;
        memcpy(bytes + inode->platter_size, other->now + inode->platter_size,
               end - inode->platter_size);
        return;
    }
}

static void cut_inode(struct cut_sim *cut, const struct disk_sim *disk, const struct inode *inode,
                      struct disk_sim *to, const char *path)
{
    struct inode *made = inode_new(to, inode->is_directory);
    size_t end = pending_end(inode);
    size_t written = inode->platter_size;

    put_name(&to->now, path, made);
    if (end == 0)
        return;
    inode_grow(made, end);
    if (inode->platter_size > 0)
        memcpy(made->now, inode->platter, inode->platter_size);
    if (cut->may_be_strange && end > inode->platter_size) {
        make_strange(cut, disk, inode, made->now, end);
        cut->is_strange = true;
    }
    list_for_each(node, &inode->pending)
        cut_write(cut, container_of(node, struct pending, node), made->now, &written);
    /* The size was written with the data, or it was not. */
    bool is_short = cut->kind == CUT_LOST || (cut->kind > CUT_KEPT && draw(&cut->random) % 3 == 0);
    made->size = is_short ? inode->platter_size
                          : (draw(&cut->random) % 2 == 0 ? written : MAX(written, inode->size));
    memset(made->now + made->size, 0, made->capacity - made->size);
    memcpy(made->platter, made->now, made->capacity);
    made->platter_size = made->size;
}

/* What stands in a directory that is lost is lost. */
static bool is_reachable(struct names *names, const char *path)
{
    char parent[PATH_LEN_MAX];

    set_path(parent, path);
    for (;;) {
        parent[parent_len(parent)] = '\0';
        if (parent[0] == '\0')
            return true;
        if (find_name(names, parent) == NULL)
            return false;
    }
}

struct disk_sim *disk_sim_cut(const struct disk_sim *disk, uint64_t seed)
{
    struct cut_sim cut = {.random = seed};
    struct names *names = malloc(sizeof(*names));
    struct disk_sim *to = disk_sim_create(seed ^ 0x5eed);

    check(names != NULL);
    *names = disk->platter;
    cut.kind = draw(&cut.random) % CUT_KINDS;
    cut.may_lie = draw(&cut.random) % 3 == 0;
    cut.may_be_strange = draw(&cut.random) % 8 == 0;
    cut_names(&cut, disk, names);
    for (size_t i = 0; i < names->count; i++)
        if (is_reachable(names, names->all[i].path))
            cut_inode(&cut, disk, names->all[i].inode, to, names->all[i].path);
    to->platter = to->now;
    to->has_strange = disk->has_strange || cut.is_strange;
    free(names);
    return to;
}

bool disk_sim_has_strange(const struct disk_sim *disk)
{
    return disk->has_strange;
}

/* --- of its own ------------------------------------------------------------------------------ */

struct disk_sim *disk_sim_create(uint64_t seed)
{
    struct disk_sim *disk = calloc(1, sizeof(*disk));

    check(disk != NULL);
    list_init(&disk->inodes);
    put_name(&disk->now, DISK_SIM_ROOT, inode_new(disk, true));
    disk->platter = disk->now;
    disk->random = seed;
    return disk;
}

void disk_sim_free(struct disk_sim **disk)
{
    struct disk_sim *freed = *disk;

    *disk = NULL;
    for (size_t i = 0; i < FDS_MAX; i++)
        check(freed->fds[i] == NULL);
    while (!list_is_empty(&freed->inodes))
        inode_free(container_of(list_first(&freed->inodes), struct inode, node));
    if (current == freed)
        current = NULL;
    free(freed);
}

void disk_sim_use(struct disk_sim *disk)
{
    current = disk;
    fake_disk(disk != NULL ? &behind : NULL);
}

void disk_sim_watch(struct disk_sim *disk, void (*moment)(void *context, bool begins_write),
                    void *context)
{
    disk->moment = moment;
    disk->context = context;
}

uint64_t disk_sim_count(const struct disk_sim *disk)
{
    return disk->count;
}

void disk_sim_fail(struct disk_sim *disk, struct disk_sim_fault fault_)
{
    disk->fault = fault_;
}

void disk_sim_calm(struct disk_sim *disk, bool is_calm)
{
    disk->is_calm = is_calm;
}

bool disk_sim_has_failed(const struct disk_sim *disk)
{
    return disk->has_failed;
}
