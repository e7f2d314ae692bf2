/* queue_folder.c - who wants which folder when, and the difference between it and the queue. */
#include "relay/queue_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "event/event_privacy.h"
#include "inbound/store/mail_file.h"
#include "inbound/store/maildir.h"
#include "relay/program.h"
#include "relay/queue_snapshot.h"

enum {
    FOLDERS_MAX = 256, /* that somebody looks at, or asked for lately */
    WAIT_MS = 2000,    /* of who asks */
    FRESH_MS = 300,    /* as good as new */
    AGAIN_MS = 1000,   /* of one that is looked at; longer where it takes its time */
    AGAIN_SHARE = 20,
    NAME_MAX_LEN = 256,
};

static const char folder_name[] = ".Queue";

struct queue_folder {
    char domain[NAME_MAX_LEN], local[NAME_MAX_LEN], tenant[NAME_MAX_LEN];
    unsigned keepers, waiters;
    uint64_t asked, served;
    int64_t served_ms, again_ms; /* monotonic; 0: never */
};

struct queue_folders {
    struct program *program;
    struct access_mirrors mirrors;
    int mail_fd;
    char *mail_directory;
    uint32_t run;
    pthread_t thread;
    _Atomic bool is_stopping;
    pthread_mutex_t mutex; /* of the rest */
    pthread_cond_t asked, served;
    struct queue_folder of[FOLDERS_MAX]; /* a free one has no domain */
};

/* --- the files -------------------------------------------------------------------------------- */

struct shown_file {
    struct queue_show_name name;
    bool is_wanted;
    int part_fd; /* new/ or cur/ of the sync */
    char file[QUEUE_SHOW_NAME_MAX + 16];
};

struct shown_files {
    struct shown_file *of;
    size_t count, room;
    int part_fd;     /* that is listed */
    bool has_others; /* files that are none of ours */
};

static bool add_file(void *context, const char *file)
{
    struct shown_files *files = context;
    struct shown_file shown = {.part_fd = files->part_fd};

    if (file[0] == '.')
        return true;
    if (strlen(file) >= sizeof(shown.file) || !queue_show_parse(bytes_of(file), &shown.name)) {
        files->has_others = true;
        return true;
    }
    memcpy(shown.file, file, strlen(file) + 1);
    if (files->count == files->room) {
        files->room = MAX(2 * files->room, (size_t)256);
        files->of = realloc(files->of, files->room * sizeof(*files->of));
        check(files->of != NULL);
    }
    files->of[files->count++] = shown;
    return true;
}

static int by_id(const void *a, const void *b)
{
    const struct shown_file *x = a, *y = b;

    return x->name.id == y->name.id ? 0 : x->name.id < y->name.id ? -1 : 1;
}

/* One sync: the folder, opened, and what stands in it. */
struct sync {
    struct queue_folders *folders;
    struct maildir maildir;
    int new_fd, cur_fd; /* -1: not open */
    struct shown_files files;
    struct queue_reading reading;
    struct buf out;
};

static int list_part(struct sync *sync, const char *part, int *fd_out)
{
    int fd = *fd_out = maildir_open_folder(&sync->maildir, folder_name, part);

    if (fd < 0)
        return fd;
    sync->files.part_fd = fd;
    return mail_file_list(fd, add_file, &sync->files);
}

static void close_folder(struct sync *sync)
{
    if (sync->new_fd >= 0)
        mail_file_close(sync->new_fd);
    if (sync->cur_fd >= 0)
        mail_file_close(sync->cur_fd);
    maildir_close(&sync->maildir);
}

/* The account's own folder of that name stays its own as long as it holds something. */
static int claim(struct sync *sync)
{
    int folder = mail_file_open_directory(sync->maildir.fd, folder_name);

    if (folder < 0)
        return folder;
    int error = 0;

    if (!maildir_is_mirror(folder)) {
        if (sync->files.has_others) {
            error = -EEXIST;
        } else {
            int fd = mail_file_open(folder, MAILDIR_MIRROR, O_WRONLY | O_CREAT);

            error = MIN(fd, 0);
            if (fd >= 0)
                mail_file_close(fd);
        }
    }
    mail_file_close(folder);
    return error;
}

static int open_folder(struct sync *sync, const struct queue_folder *folder)
{
    char domain[MAIL_NAME_MAX + 1], local[MAIL_NAME_MAX + 1];

    if (!mail_name_encode(bytes_of(folder->domain), domain) ||
        !mail_name_encode(bytes_of(folder->local), local))
        return -EINVAL;
    int error = maildir_open(sync->folders->mail_fd, domain, local, &sync->maildir);

    if (error < 0)
        return error;
    error = list_part(sync, "new", &sync->new_fd);
    if (error == 0)
        error = list_part(sync, "cur", &sync->cur_fd);
    if (error == 0)
        error = claim(sync);
    if (error < 0) {
        close_folder(sync);
        return error;
    }
    if (sync->files.count > 0)
        qsort(sync->files.of, sync->files.count, sizeof(*sync->files.of), by_id);
    return 0;
}

/* Read ones, so that no client makes noise. */
static int write_file(struct sync *sync, const struct queue_show_name *name, int64_t time_s)
{
    char file[QUEUE_SHOW_NAME_MAX], named[QUEUE_SHOW_NAME_MAX + 8];
    struct bytes text = buf_bytes(&sync->out);
    struct iovec piece = {(void *)(uintptr_t)text.ptr, text.len};

    queue_show_format(name, time_s, text.len, file);
    snprintf(named, sizeof(named), "%s:2,S", file);
    int fd = mail_file_open(sync->maildir.tmp_fd, file, O_WRONLY | O_CREAT | O_TRUNC);

    if (fd < 0)
        return fd;
    int error = mail_file_write(fd, &piece, 1);

    if (error == 0)
        error = mail_file_set_time(fd, time_s);
    mail_file_close(fd);
    if (error == 0)
        error = mail_file_rename(sync->maildir.tmp_fd, file, sync->cur_fd, named);
    if (error < 0)
        (void)!mail_file_unlink(sync->maildir.tmp_fd, file);
    return error;
}

static bool has_file(struct sync *sync, const struct queue_show_name *name)
{
    struct shown_file key = {.name = *name};
    struct shown_file *found =
        sync->files.count == 0
            ? NULL
            : bsearch(&key, sync->files.of, sync->files.count, sizeof(*sync->files.of), by_id);

    if (found == NULL || found->name.state != name->state || found->name.run != name->run)
        return false;
    found->is_wanted = true;
    return true;
}

static int show(struct sync *sync, const struct queue_waiting *waiting)
{
    const struct program *program = sync->folders->program;
    struct queue_show_name name = {waiting->id, waiting->state, sync->folders->run};
    struct queue_reading *reading = &sync->reading;
    char id[MESSAGE_ID_TEXT_MAX];

    if (has_file(sync, &name) ||
        !queue_snapshot_read(program->workers, program->worker_count, waiting->id, reading))
        return 0;
    message_id_format((struct message_id){waiting->id}, id);
    const struct queue_shown shown = {
        .id = id,
        .seen_ms = reading->seen_ms,
        .lines = buf_bytes(&reading->lines),
        .recipient_count = reading->recipient_count,
        .text = buf_bytes(&reading->text),
        .size = reading->size,
    };

    buf_clear(&sync->out);
    if (!queue_show_message(&shown, &sync->out))
        return 0;
    return write_file(sync, &name, reading->accepted_ms / 1000);
}

/* Rounded: not another one for each message that comes. 0: all are shown. */
static uint64_t count_of_more(const struct queue_snapshot *snapshot)
{
    uint64_t step = 1;

    while (snapshot->all / step >= 100)
        step *= 10;
    return snapshot->all > snapshot->count
               ? MAX(snapshot->all - snapshot->all % step, (uint64_t)snapshot->count)
               : 0;
}

static int show_more(struct sync *sync, const struct queue_snapshot *snapshot)
{
    uint64_t all = count_of_more(snapshot);
    struct queue_show_name name = {0, (uint32_t)all, sync->folders->run};
    int64_t now_ms = clock_wall_ms();

    buf_clear(&sync->out);
    if (all == 0 || has_file(sync, &name) ||
        !queue_show_more(snapshot->count, all, now_ms, &sync->out))
        return 0;
    return write_file(sync, &name, now_ms / 1000);
}

static void remove_unwanted(struct sync *sync)
{
    for (size_t i = 0; i < sync->files.count; i++) {
        const struct shown_file *shown = &sync->files.of[i];

        if (!shown->is_wanted)
            (void)!mail_file_unlink(shown->part_fd, shown->file); /* gone is as good */
    }
}

/* --- the thread ------------------------------------------------------------------------------- */

/* What is removed goes first: the same message in another state is never there twice. */
static int sync_files(struct sync *sync, const struct queue_snapshot *snapshot)
{
    const struct queue_show_name more = {0, (uint32_t)count_of_more(snapshot), sync->folders->run};
    int error = 0;

    for (size_t i = 0; i < snapshot->count; i++) {
        const struct queue_waiting *waiting = &snapshot->of[i];
        const struct queue_show_name name = {waiting->id, waiting->state, sync->folders->run};

        (void)has_file(sync, &name);
    }
    if (more.state != 0)
        (void)has_file(sync, &more);
    remove_unwanted(sync);
    /* The oldest first: UIDs ascend by age. */
    for (size_t i = snapshot->count; i-- > 0 && error == 0;) {
        if (atomic_load(&sync->folders->is_stopping))
            return 0;
        error = show(sync, &snapshot->of[i]);
    }
    return error == 0 ? show_more(sync, snapshot) : error;
}

static int sync_folder(struct queue_folders *folders, const struct queue_folder *folder)
{
    const struct program *program = folders->program;
    struct sync sync = {.folders = folders, .new_fd = -1, .cur_fd = -1};
    struct queue_snapshot snapshot = {0};
    int error = 0;

    if (folders->mail_fd < 0)
        folders->mail_fd = mail_file_open_root(folders->mail_directory);
    if (folders->mail_fd < 0)
        return folders->mail_fd;
    /* Addresses of a tenant with privacy are shown nowhere. */
    if (privacy_of(bytes_of(folder->tenant)) == PRIVACY_NONE &&
        !queue_snapshot_take(program->workers, program->worker_count, bytes_of(folder->tenant),
                             &folders->is_stopping, &snapshot)) {
        queue_snapshot_free(&snapshot);
        return 0;
    }
    buf_init(&sync.reading.lines, QUEUE_SHOW_MAX);
    buf_init(&sync.reading.text, QUEUE_SHOW_MAX);
    buf_init(&sync.out, QUEUE_SHOW_MAX);
    error = open_folder(&sync, folder);
    if (error == 0) {
        error = sync_files(&sync, &snapshot);
        close_folder(&sync);
    }
    free(sync.files.of);
    buf_free(&sync.reading.lines);
    buf_free(&sync.reading.text);
    buf_free(&sync.out);
    queue_snapshot_free(&snapshot);
    return error;
}

/* Whose turn it is; NULL: nobody's. */
static struct queue_folder *next_folder(struct queue_folders *folders)
{
    int64_t now_ms = clock_monotonic_ms();
    struct queue_folder *due = NULL;

    for (size_t i = 0; i < FOLDERS_MAX; i++) {
        struct queue_folder *folder = &folders->of[i];
        bool is_asked = folder->asked > folder->served;

        if (folder->domain[0] == '\0' ||
            !(is_asked || (folder->keepers > 0 && now_ms >= folder->again_ms)))
            continue;
        if (due == NULL || folder->served_ms < due->served_ms)
            due = folder;
    }
    return due;
}

static void serve(struct queue_folders *folders, struct queue_folder *folder)
{
    struct queue_folder copy = *folder;
    int64_t began_ms = clock_monotonic_ms();

    folder->waiters++; /* it stays */
    pthread_mutex_unlock(&folders->mutex);
    int error = sync_folder(folders, &copy);

    if (error < 0)
        log_limited(LOG_LEVEL_WARN, "account=%s@%s folder=Queue what=%s", LOG_STRING(copy.local),
                    LOG_STRING(copy.domain),
                    LOG_STRING(error == -EEXIST ? "the account has a folder of that name, with "
                                                  "mail: what waits is not shown"
                                                : strerrordesc_np(-error)));
    pthread_mutex_lock(&folders->mutex);
    folder->waiters--;
    folder->served = MAX(folder->served, copy.asked);
    folder->served_ms = clock_monotonic_ms();
    folder->again_ms =
        folder->served_ms + MAX((int64_t)AGAIN_MS, AGAIN_SHARE * (folder->served_ms - began_ms));
    pthread_cond_broadcast(&folders->served);
}

static void wait_until(struct queue_folders *folders, pthread_cond_t *cond, int64_t until_ms)
{
    struct timespec until = {until_ms / 1000, until_ms % 1000 * 1000000};

    pthread_cond_timedwait(cond, &folders->mutex, &until);
}

/* Until somebody asks, or until a folder that is looked at is due. */
static void rest(struct queue_folders *folders)
{
    int64_t due_ms = INT64_MAX;

    for (size_t i = 0; i < FOLDERS_MAX; i++)
        if (folders->of[i].domain[0] != '\0' && folders->of[i].keepers > 0)
            due_ms = MIN(due_ms, folders->of[i].again_ms);
    if (due_ms == INT64_MAX)
        pthread_cond_wait(&folders->asked, &folders->mutex);
    else
        wait_until(folders, &folders->asked, due_ms);
}

static void *run(void *context)
{
    struct queue_folders *folders = context;

    pthread_mutex_lock(&folders->mutex);
    while (!atomic_load(&folders->is_stopping)) {
        struct queue_folder *folder = next_folder(folders);

        if (folder != NULL)
            serve(folders, folder);
        else
            rest(folders);
    }
    pthread_mutex_unlock(&folders->mutex);
    return NULL;
}

/* --- who asks --------------------------------------------------------------------------------- */

/* NULL: too many are looked at. */
static struct queue_folder *need_folder(struct queue_folders *folders, const char *domain,
                                        const char *local, const char *tenant)
{
    struct queue_folder *unused = NULL;

    for (size_t i = 0; i < FOLDERS_MAX; i++) {
        struct queue_folder *folder = &folders->of[i];

        if (strcmp(folder->domain, domain) == 0 && strcmp(folder->local, local) == 0 &&
            strcmp(folder->tenant, tenant) == 0)
            return folder;
        if (folder->keepers == 0 && folder->waiters == 0 &&
            (unused == NULL || folder->served_ms < unused->served_ms))
            unused = folder;
    }
    if (unused == NULL || strlen(domain) >= NAME_MAX_LEN || strlen(local) >= NAME_MAX_LEN ||
        strlen(tenant) >= NAME_MAX_LEN)
        return NULL;
    *unused = (struct queue_folder){0};
    snprintf(unused->domain, sizeof(unused->domain), "%s", domain);
    snprintf(unused->local, sizeof(unused->local), "%s", local);
    snprintf(unused->tenant, sizeof(unused->tenant), "%s", tenant);
    return unused;
}

static void refresh(void *context, const char *domain, const char *local, const char *tenant)
{
    struct queue_folders *folders = context;
    int64_t until_ms = clock_monotonic_ms() + WAIT_MS;

    pthread_mutex_lock(&folders->mutex);
    struct queue_folder *folder = need_folder(folders, domain, local, tenant);

    if (folder != NULL &&
        (folder->served_ms == 0 || clock_monotonic_ms() - folder->served_ms >= FRESH_MS)) {
        uint64_t ticket = ++folder->asked;

        folder->waiters++;
        pthread_cond_signal(&folders->asked);
        while (folder->served < ticket && clock_monotonic_ms() < until_ms &&
               !atomic_load(&folders->is_stopping))
            wait_until(folders, &folders->served, until_ms);
        folder->waiters--;
    }
    pthread_mutex_unlock(&folders->mutex);
}

static void keep(void *context, const char *domain, const char *local, const char *tenant,
                 bool is_kept)
{
    struct queue_folders *folders = context;

    pthread_mutex_lock(&folders->mutex);
    struct queue_folder *folder = need_folder(folders, domain, local, tenant);

    if (folder != NULL && is_kept) {
        folder->keepers++;
        pthread_cond_signal(&folders->asked);
    } else if (folder != NULL && folder->keepers > 0) { /* none, where there was no place for it */
        folder->keepers--;
    }
    pthread_mutex_unlock(&folders->mutex);
}

struct queue_folders *queue_folders_start(struct program *program, const char *mail_directory)
{
    struct queue_folders *folders = calloc(1, sizeof(*folders));
    pthread_condattr_t attributes;

    check(folders != NULL);
    folders->program = program;
    folders->mirrors = (struct access_mirrors){folders, refresh, keep};
    folders->mail_fd = -1;
    folders->mail_directory = strdup(mail_directory);
    check(folders->mail_directory != NULL);
    folders->run = (uint32_t)random_u64();
    pthread_mutex_init(&folders->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&folders->asked, &attributes);
    pthread_cond_init(&folders->served, &attributes);
    pthread_condattr_destroy(&attributes);
    errno = pthread_create(&folders->thread, NULL, run, folders);
    if (errno != 0) {
        int error = errno;

        atomic_store(&folders->is_stopping, true);
        folders->thread = 0;
        queue_folders_free(&folders);
        errno = error;
        return NULL;
    }
    pthread_setname_np(folders->thread, "queue-folders");
    return folders;
}

const struct access_mirrors *queue_folders_mirrors(const struct queue_folders *folders)
{
    return &folders->mirrors;
}

void queue_folders_stop(struct queue_folders *folders)
{
    pthread_mutex_lock(&folders->mutex);
    bool was_stopping = atomic_exchange(&folders->is_stopping, true);

    pthread_cond_broadcast(&folders->asked);
    pthread_cond_broadcast(&folders->served);
    pthread_mutex_unlock(&folders->mutex);
    if (!was_stopping)
        pthread_join(folders->thread, NULL);
}

void queue_folders_free(struct queue_folders **folders_ref)
{
    struct queue_folders *folders = *folders_ref;

    if (folders == NULL)
        return;
    *folders_ref = NULL;
    queue_folders_stop(folders);
    if (folders->mail_fd >= 0)
        mail_file_close(folders->mail_fd);
    pthread_cond_destroy(&folders->asked);
    pthread_cond_destroy(&folders->served);
    pthread_mutex_destroy(&folders->mutex);
    free(folders->mail_directory);
    free(folders);
}
