/* archive_reader.c - processes that are kept, and one conversation with one of them a chore. */
#include "inbound/archives/archive_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/sanitizer.h"
#include "inbound/archives/archive_frame.h"

enum {
    CHILDREN_MAX = 8,
    ANSWER_MAX = 8 * 1024 * 1024,
    PIECE = 16 * 1024,
};

struct child {
    pid_t pid;
    int fd;
    int64_t until_ms; /* monotonic: as long as it is waited for */
};

struct archive_reader {
    struct archive_reader_settings settings;
    struct blocking_pool *pool;
    pthread_mutex_t mutex;
    struct child idle[CHILDREN_MAX];
    unsigned idle_count;
};

/* --- descriptors ------------------------------------------------------------------------------ */

/* False: not in time. */
static bool await(const struct child *child, short what)
{
    struct pollfd poll_fd = {.fd = child->fd, .events = what};

    for (;;) {
        int64_t left_ms = child->until_ms - clock_monotonic_ms();
        int count = left_ms > 0 ? poll(&poll_fd, 1, (int)left_ms) : 0;

        if (count >= 0 || errno != EINTR)
            return count > 0;
    }
}

static bool put(const struct child *child, struct bytes bytes)
{
    while (bytes.len > 0) {
        if (!await(child, POLLOUT))
            return false;
        ssize_t len = send(child->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (len < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        bytes = bytes_slice(bytes, (size_t)MAX(len, 0), bytes.len);
    }
    return true;
}

/* It says so when it has given up what it does not need. */
static bool is_ready(const struct child *child)
{
    struct archive_frame frame;

    return await(child, POLLIN) && recv(child->fd, &frame, sizeof(frame), 0) == sizeof(frame) &&
           frame.is_end == 1;
}

/* --- processes -------------------------------------------------------------------------------- */

/* Of our descriptors it has the one, as its standard input, and not our log; of our signals none. A
 * sanitizer has its say where there is one. jemalloc's own
 * thread would be started while calls that a start needs are being given up, and crash. */
static int spawn(const char *const *command, int fd, pid_t *pid_out)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    static char one_thread[] = "MALLOC_CONF=background_thread:false";
    char *const environment[] = {one_thread, NULL};
    sigset_t none, all;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, fd, STDIN_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (!HAVE_ASAN && !HAVE_TSAN)
        posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
    posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    int error = posix_spawn(pid_out, command[0], &actions, &attributes, (char *const *)command,
                            environment);

    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return -error;
}

/* The signal that ended it before we did; 0: none. */
static int end_child(struct child *child)
{
    int status = 0;
    bool is_gone = waitpid(child->pid, &status, WNOHANG) == child->pid;

    close(child->fd);
    if (!is_gone) {
        (void)kill(child->pid, SIGKILL);
        while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
            continue;
    }
    int ended_by = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

    return is_gone || ended_by != SIGKILL ? ended_by : 0; /* it may have been dying */
}

static int start_child(const struct archive_reader *reader, struct child *out)
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
        return -errno;
    int error = spawn(reader->settings.command, fds[1], &out->pid);

    close(fds[1]);
    out->fd = fds[0];
    out->until_ms = clock_monotonic_ms() + reader->settings.patience_ms;
    if (error < 0)
        close(fds[0]);
    else if (!is_ready(out)) {
        (void)end_child(out);
        error = -ECHILD;
    }
    return error;
}

/* *is_kept_out: it was asked before; not where `is_fresh` is wanted. */
static int take_child(struct archive_reader *reader, bool is_fresh, struct child *out,
                      bool *is_kept_out)
{
    pthread_mutex_lock(&reader->mutex);
    *is_kept_out = !is_fresh && reader->idle_count > 0;
    if (*is_kept_out)
        *out = reader->idle[--reader->idle_count];
    pthread_mutex_unlock(&reader->mutex);
    return *is_kept_out ? 0 : start_child(reader, out);
}

static void give_child(struct archive_reader *reader, struct child *child)
{
    pthread_mutex_lock(&reader->mutex);
    bool fits = reader->idle_count < CHILDREN_MAX;
    if (fits)
        reader->idle[reader->idle_count++] = *child;
    pthread_mutex_unlock(&reader->mutex);
    if (!fits)
        (void)end_child(child);
}

/* --- one conversation ------------------------------------------------------------------------- */

/* A whole frame at the front of `rest`. */
static bool take_frame(struct bytes *rest, struct archive_frame *frame_out, struct bytes *path_out)
{
    if (rest->len < sizeof(*frame_out))
        return false;
    memcpy(frame_out, rest->ptr, sizeof(*frame_out));
    size_t len = sizeof(*frame_out) + frame_out->path_len;

    if (rest->len < len)
        return false;
    *path_out = bytes_slice(*rest, sizeof(*frame_out), frame_out->path_len);
    *rest = bytes_slice(*rest, len, rest->len);
    return true;
}

static bool is_sound(const struct archive_frame *frame)
{
    return frame->is_end <= 1 && frame->result <= ARCHIVE_CROWDED &&
           frame->depth <= ARCHIVE_DEPTH && frame->is_encrypted <= 1 && frame->is_nested <= 1 &&
           frame->path_len <= ARCHIVE_PATH_MAX;
}

/* Looks through frames from *at on. True: the end was among them. */
static bool find_end(struct archive_question *question, size_t *at, bool *is_sound_out)
{
    struct bytes all = buf_bytes(&question->members);
    struct bytes rest = bytes_slice(all, *at, all.len), path;
    struct archive_frame frame;

    while (*is_sound_out && take_frame(&rest, &frame, &path)) {
        *is_sound_out = is_sound(&frame);
        if (*is_sound_out && frame.is_end == 1) {
            question->result = (enum archive_result)frame.result;
            buf_truncate(&question->members, *at);
            return true;
        }
        if (*is_sound_out)
            *at = all.len - rest.len;
    }
    return false;
}

/* True: it answered to the end, and can be asked again. */
static bool read_answer(const struct child *child, struct archive_question *question)
{
    size_t at = 0;
    bool is_good = true;

    while (!find_end(question, &at, &is_good)) {
        uint8_t *room = is_good ? buf_reserve(&question->members, PIECE) : NULL;

        if (room == NULL && is_good)
            question->result = ARCHIVE_CROWDED;
        ssize_t len = room != NULL && await(child, POLLIN) ? recv(child->fd, room, PIECE, 0) : 0;

        if (len <= 0) {
            buf_truncate(&question->members, at); /* what it told is told */
            return false;
        }
        buf_extend(&question->members, (size_t)len);
    }
    return true;
}

/* False: it answered nothing, and somebody else may have ended it while it was idle. Not where its
 * CPU time was over, which is this archive's alone. */
static bool ask_child(struct archive_reader *reader, struct archive_question *question,
                      bool is_fresh)
{
    const struct archive_request request = {
        .len = (uint32_t)question->archive.len,
        .members_max = question->members_max,
    };
    struct child child;
    bool is_kept;
    int error = take_child(reader, is_fresh, &child, &is_kept);

    if (error < 0) {
        question->is_broken = true;
        log_error("error=%d what=\"no process to read archives in\"", error);
        return true;
    }
    child.until_ms = clock_monotonic_ms() + reader->settings.patience_ms;
    bool is_asked =
        put(&child, bytes_range(&request, sizeof(request))) && put(&child, question->archive);

    if (is_asked && read_answer(&child, question)) {
        give_child(reader, &child);
        return true;
    }
    int ended_by = end_child(&child);

    log_warn("signal=%d what=\"a process to read archives in was ended\"", ended_by);
    return !is_kept || buf_len(&question->members) > 0 || ended_by == SIGPROF;
}

static void work(struct chore *chore)
{
    struct archive_question *question = container_of(chore, struct archive_question, chore);

    question->result = ARCHIVE_UNREAD;
    if (atomic_load(&question->is_let_go))
        return;
    if (!ask_child(question->reader, question, false))
        (void)ask_child(question->reader, question, true);
}

static void on_answer(struct letter *letter, struct engine *engine)
{
    struct chore *chore = container_of(letter, struct chore, letter);
    struct archive_question *question = container_of(chore, struct archive_question, chore);

    (void)engine;
    question->done(question);
}

/* --- public ----------------------------------------------------------------------------------- */

struct archive_reader *archive_reader_start(const struct archive_reader_settings *settings)
{
    const struct blocking_settings pool = {
        .name = "archives",
        .threads = settings->threads,
        .waiting_max = settings->waiting_max,
    };
    struct archive_reader *reader = calloc(1, sizeof(*reader));

    check(reader != NULL);
    reader->settings = *settings;
    pthread_mutex_init(&reader->mutex, NULL);
    reader->pool = blocking_pool_start(&pool);
    if (reader->pool == NULL) {
        int error = errno;

        archive_reader_stop(&reader);
        errno = error;
    }
    return reader;
}

void archive_reader_stop(struct archive_reader **reader)
{
    struct archive_reader *stopped = *reader;

    *reader = NULL;
    if (stopped == NULL)
        return;
    blocking_pool_stop(&stopped->pool);
    while (stopped->idle_count > 0)
        (void)end_child(&stopped->idle[--stopped->idle_count]);
    pthread_mutex_destroy(&stopped->mutex);
    free(stopped);
}

struct blocking_pool *archive_reader_pool(struct archive_reader *reader)
{
    return reader->pool;
}

bool archive_reader_ask(struct archive_reader *reader, struct archive_question *question)
{
    check(question->archive.len <= UINT32_MAX);
    question->reader = reader;
    buf_init(&question->members, ANSWER_MAX);
    question->chore = (struct chore){
        .letter = {.open = on_answer},
        .engine = question->engine,
        .work = work,
    };
    return blocking_run(reader->pool, &question->chore);
}

bool archive_answer_next(struct bytes *answer, struct archive_member *member_out)
{
    struct archive_frame frame;
    struct bytes path;

    if (!take_frame(answer, &frame, &path))
        return false;
    *member_out = (struct archive_member){
        .path = path,
        .depth = frame.depth,
        .is_encrypted = frame.is_encrypted == 1,
        .is_nested = frame.is_nested == 1,
    };
    return true;
}
