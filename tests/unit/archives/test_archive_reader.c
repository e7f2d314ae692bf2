/* link: real engine */
/* test_archive_reader.c - processes that answer, that lie, that die, that are not there. */
#include "inbound/archives/archive_reader.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/sanitizer.h"
#include "inbound/archives/archive_child.h"
#include "inbound/archives/archive_frame.h"
#include "inbound/archives/archive_sandbox.h"
#include "support/unit.h"

enum { PATIENCE_MS = 60 * 1000, SHORT_MS = 3000 };

/* --- the other side: this program again ------------------------------------------------------- */

static void put_raw(const void *bytes, size_t len)
{
    if (write(STDIN_FILENO, bytes, len) != (ssize_t)len)
        _exit(1);
}

static void put_member(const char *path)
{
    struct archive_frame frame = {.depth = 1, .path_len = (uint16_t)strlen(path)};

    put_raw(&frame, sizeof(frame));
    put_raw(path, strlen(path));
}

static bool is_null(int fd)
{
    char link[] = "/proc/self/fd/0", to[32] = "";

    link[sizeof(link) - 2] = (char)('0' + fd);
    return readlink(link, to, sizeof(to) - 1) > 0 && strcmp(to, "/dev/null") == 0;
}

/* All that is open is the one descriptor, and what a sanitizer speaks to. */
static const char *what_is_open(void)
{
    for (int fd = STDERR_FILENO + 1; fd < 100; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            return "others";
    return is_null(STDOUT_FILENO) && (HAVE_ASAN || HAVE_TSAN || is_null(STDERR_FILENO)) ? "one"
                                                                                        : "a log";
}

static void drip(void)
{
    for (;;) {
        usleep(50 * 1000);
        put_member("b.txt");
    }
}

/* What a process that was broken into would do first. */
static const char *try_all(void)
{
    const struct {
        const char *what;
        long result;
    } tried[] = {
        {"opens", syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY)},
        {"connects", syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0)},
        {"forks", syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)},
        {"runs", syscall(SYS_execve, "/bin/true", NULL, NULL)},
        {"kills", syscall(SYS_kill, getppid(), 0)},
        {"traces", syscall(SYS_ptrace, 0, 0, 0, 0)},
        {"raises a limit", syscall(SYS_prlimit64, 0, 0, NULL, NULL)},
        {"duplicates", syscall(SYS_dup, STDIN_FILENO)},
        {"maps what it runs",
         syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)},
        {"makes it run", syscall(SYS_mprotect, try_all, 4096, PROT_READ | PROT_EXEC)},
    };

    for (size_t i = 0; i < ARRAY_LEN(tried); i++)
        if (tried[i].result != -1)
            return tried[i].what;
    return "nothing";
}

/* Answers one archive as `how` says. */
static int lie(const char *how)
{
    static uint8_t room[1 << 16];
    struct archive_frame frame = {.is_end = 1};
    struct archive_request request;

    if (strcmp(how, "never") == 0)
        return 1;
    put_raw(&frame, sizeof(frame));
    while (strcmp(how, "deaf") == 0)
        pause();
    if (read(STDIN_FILENO, &request, sizeof(request)) != sizeof(request) ||
        read(STDIN_FILENO, room, sizeof(room)) < 0)
        return 1;
    if (strcmp(how, "tries") == 0)
        put_member(archive_sandbox_enter() == 0 ? try_all() : "no sandbox");
    put_member(strcmp(how, "open") == 0 ? what_is_open() : "a.exe");
    if (strcmp(how, "drips") == 0)
        drip();
    frame = (struct archive_frame){.depth = 1};
    if (strcmp(how, "result") == 0)
        frame = (struct archive_frame){.is_end = 1, .result = 77};
    else if (strcmp(how, "once") == 0 || strcmp(how, "open") == 0 || strcmp(how, "tries") == 0 ||
             strcmp(how, "tires") == 0)
        frame = (struct archive_frame){.is_end = 1};
    else if (strcmp(how, "path") == 0)
        frame.path_len = ARCHIVE_PATH_MAX + 1;
    else if (strcmp(how, "depth") == 0)
        frame.depth = ARCHIVE_DEPTH + 1;
    else if (strcmp(how, "cut") == 0)
        frame.path_len = 100;
    if (strcmp(how, "dies") != 0)
        put_raw(&frame, sizeof(frame));
    if (strcmp(how, "tires") == 0) {
        (void)!read(STDIN_FILENO, &request, sizeof(request));
        raise(SIGPROF);
    }
    if (strcmp(how, "tries") == 0)
        syscall(SYS_exit_group, 0); /* a sanitizer's _exit() needs calls that are gone */
    while (strcmp(how, "endless") == 0)
        put_member("b.txt");
    return 0;
}

/* Before main(), which is the tests'. */
__attribute__((constructor)) static void be_child(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "child") == 0)
        _exit(strcmp(argv[2], "true") == 0 ? archive_child_run(STDIN_FILENO) : lie(argv[2]));
}

/* --- this side -------------------------------------------------------------------------------- */

struct asked {
    struct archive_question question;
    sem_t answered;
};

static void on_answer(struct archive_question *question)
{
    sem_post(&container_of(question, struct asked, question)->answered);
}

static struct archive_reader *start_patient(const char *const *command, unsigned patience_ms)
{
    const struct archive_reader_settings settings = {command, 2, 16, patience_ms};
    struct archive_reader *reader = archive_reader_start(&settings);

    assert_true(reader != NULL);
    return reader;
}

static struct archive_reader *start(const char *const *command)
{
    return start_patient(command, PATIENCE_MS);
}

static void ask_prepared(struct archive_reader *reader, struct asked *asked)
{
    sem_init(&asked->answered, 0, 0);
    assert_true(archive_reader_ask(reader, &asked->question));
    while (sem_wait(&asked->answered) != 0)
        continue;
    sem_destroy(&asked->answered);
}

static void ask(struct archive_reader *reader, struct bytes archive, struct asked *out)
{
    *out = (struct asked){.question = {.archive = archive, .members_max = 5, .done = on_answer}};
    ask_prepared(reader, out);
}

static const char *const honest[] = {"/proc/self/exe", "child", "true", NULL};
#define GZIP \
    BYTES("\x1f\x8b\x08\x08\0\0\0\0\0\x03" \
          "a.exe\0" \
          "\xcb\x48\xcd\xc9\xc9\x07\x00\x86\xa6\x10\x36\x05\0\0\0")

static bool tells(const struct asked *asked, const char *path)
{
    struct bytes members = buf_bytes(&asked->question.members);
    struct archive_member member;

    return archive_answer_next(&members, &member) && bytes_equal(member.path, bytes_of(path));
}

TEST(a_process_answers_one_archive_after_the_other)
{
    struct archive_reader *reader = start(honest);
    struct asked asked;

    for (unsigned i = 0; i < 20; i++) {
        ask(reader, GZIP, &asked);
        assert_true(asked.question.result == ARCHIVE_WHOLE && !asked.question.is_broken);
        assert_true(tells(&asked, "a.exe"));
        buf_free(&asked.question.members);
        ask(reader, BYTES("none"), &asked);
        assert_true(asked.question.result == ARCHIVE_UNREAD && !asked.question.is_broken);
        assert_true(buf_len(&asked.question.members) == 0);
        buf_free(&asked.question.members);
    }
    archive_reader_stop(&reader);
    assert_true(reader == NULL);
}

TEST(what_a_process_says_is_not_believed)
{
    static const struct {
        const char *how;
        enum archive_result result;
    } rows[] = {
        {"result", ARCHIVE_UNREAD}, {"path", ARCHIVE_UNREAD},     {"depth", ARCHIVE_UNREAD},
        {"cut", ARCHIVE_UNREAD},    {"endless", ARCHIVE_CROWDED}, {"dies", ARCHIVE_UNREAD},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *const command[] = {"/proc/self/exe", "child", rows[i].how, NULL};
        struct archive_reader *reader = start(command);
        struct asked asked;

        ask(reader, GZIP, &asked);
        expect_row(i, asked.question.result == rows[i].result && !asked.question.is_broken);
        expect_row(i, tells(&asked, "a.exe")); /* what it told before counts */
        buf_free(&asked.question.members);
        archive_reader_stop(&reader);
    }
}

/* Nothing that a process does keeps a thread for longer than it has patience. */
TEST(a_process_that_does_not_come_to_an_end_is_ended)
{
    static const char *const hows[] = {"deaf", "drips"};
    static uint8_t large[4 << 20]; /* more than a socket holds */

    for (size_t i = 0; i < ARRAY_LEN(hows); i++) {
        const char *const command[] = {"/proc/self/exe", "child", hows[i], NULL};
        struct archive_reader *reader = start_patient(command, SHORT_MS);
        struct asked asked;

        ask(reader, i == 0 ? bytes_range(large, sizeof(large)) : GZIP, &asked);
        expect_row(i, asked.question.result == ARCHIVE_UNREAD && !asked.question.is_broken);
        expect_row(i, tells(&asked, "a.exe") == (i == 1));
        buf_free(&asked.question.members);
        archive_reader_stop(&reader);
    }
}

TEST(a_process_can_do_nothing_but_answer)
{
    static const char *const tries[] = {"/proc/self/exe", "child", "tries", NULL};
    struct archive_reader *reader = start(tries);
    struct asked asked;

    ask(reader, GZIP, &asked);
    assert_true(tells(&asked, "nothing"));
    buf_free(&asked.question.members);
    archive_reader_stop(&reader);
}

/* It can neither write to our log nor to what somebody else has open. */
TEST(a_process_has_one_descriptor_of_ours)
{
    static const char *const open[] = {"/proc/self/exe", "child", "open", NULL};
    struct archive_reader *reader = start(open);
    struct asked asked;
    int other = dup(STDERR_FILENO); /* without FD_CLOEXEC */

    ask(reader, GZIP, &asked);
    assert_true(tells(&asked, "one"));
    buf_free(&asked.question.members);
    archive_reader_stop(&reader);
    close(other);
}

/* Or each archive that takes too long would take it twice. */
TEST(what_took_a_kept_process_too_long_is_not_asked_of_another)
{
    static const char *const tires[] = {"/proc/self/exe", "child", "tires", NULL};
    struct archive_reader *reader = start(tires);
    struct asked asked;

    ask(reader, GZIP, &asked);
    assert_true(asked.question.result == ARCHIVE_WHOLE);
    buf_free(&asked.question.members);
    ask(reader, GZIP, &asked);
    assert_true(asked.question.result == ARCHIVE_UNREAD && !asked.question.is_broken);
    assert_true(buf_len(&asked.question.members) == 0);
    buf_free(&asked.question.members);
    archive_reader_stop(&reader);
}

/* A stop does not wait for what many left behind. */
TEST(what_nobody_waits_for_is_not_read)
{
    struct archive_reader *reader = start(honest);
    struct asked asked = {
        .question = {.archive = GZIP, .members_max = 5, .done = on_answer, .is_let_go = true},
    };

    ask_prepared(reader, &asked);
    assert_true(asked.question.result == ARCHIVE_UNREAD && !asked.question.is_broken);
    assert_true(buf_len(&asked.question.members) == 0);
    buf_free(&asked.question.members);
    archive_reader_stop(&reader);
}

/* Each child answers one archive and is gone; what comes next is asked of another. */
TEST(a_process_that_ended_while_it_was_idle_costs_no_answer)
{
    static const char *const once[] = {"/proc/self/exe", "child", "once", NULL};
    struct archive_reader *reader = start(once);

    for (size_t i = 0; i < 5; i++) {
        struct asked asked;

        ask(reader, GZIP, &asked);
        expect_row(i, asked.question.result == ARCHIVE_WHOLE && tells(&asked, "a.exe"));
        buf_free(&asked.question.members);
    }
    archive_reader_stop(&reader);
}

TEST(a_process_that_does_not_start_is_a_fault_of_ours)
{
    static const char *const none[] = {"/nonexistent/program", NULL};
    static const char *const never[] = {"/proc/self/exe", "child", "never", NULL};
    static const char *const *const commands[] = {none, never};

    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        struct archive_reader *reader = start(commands[i]);
        struct asked asked;

        ask(reader, GZIP, &asked);
        expect_row(i, asked.question.is_broken);
        buf_free(&asked.question.members);
        archive_reader_stop(&reader);
    }
}
