/* modules: program */
/* runs: 3000 */
/*
 * fuzz_control_answer.c - any bytes as the daemon's answer to each of the commands: the command
 * line shows it, or complains, and ends with an exit code of its own. The first byte chooses the
 * command, and whether --json is asked for.
 */
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "relay/cli/cli.h"
#include "support/fuzz_files.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

static const char *const commands[][4] = {
    {"status", NULL},
    {"status", "--sites", NULL},
    {"reload", NULL},
    {"queue", "list", NULL},
    {"queue", "domains", NULL},
    {"queue", "show", "a3f100-5f3a9c1b2d4e7", NULL},
    {"queue", "explain", "a3f100-5f3a9c1b2d4e7", NULL},
    {"queue", "retry", "--dry-run", NULL},
    {"queue", "cancel", "a3f100-5f3a9c1b2d4e7", NULL},
    {"queue", "suspend", "--domain=a.example", NULL},
    {"queue", "resume", "--all", NULL},
    {"queue", "suspensions", NULL},
    {"queue", "show", "a3f100-5f3a9c1b2d4e7", "--content"},
};

static int listener = -1;
static struct bytes answer;
static char config_path[128];

static void set_up(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char text[256];

    snprintf(config_path, sizeof(config_path), "%s/ringpost.yaml", fuzz_make_directory());
    snprintf(text, sizeof(text), "state_dir: %s\n", fuzz_directory);
    fuzz_write(config_path, bytes_of(text));
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/control.sock", fuzz_directory);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(listener >= 0);
    check(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0);
    check(listen(listener, 1) == 0);
    /* What is shown is of no interest here. */
    check(freopen("/dev/null", "w", stdout) != NULL);
}

static void *serve(void *argument)
{
    char request[4096];
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

    check(fd >= 0);
    (void)argument;
    (void)!recv(fd, request, sizeof(request), 0);
    for (struct bytes rest = answer; rest.len > 0;) {
        ssize_t sent = send(fd, rest.ptr, rest.len, MSG_NOSIGNAL);

        if (sent <= 0)
            break;
        rest = bytes_slice(rest, (size_t)sent, rest.len);
    }
    close(fd);
    return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    static char program[] = "ringpost", c[] = "-c";
    char words[4][64];
    char *argv[8] = {program, c, config_path};
    int argc = 3, saved;
    pthread_t daemon;

    answer = (struct bytes){input, len};
    unsigned choice = fuzz_byte(&answer);
    if (listener < 0)
        set_up();
    const char *const *command = commands[choice / 2 % ARRAY_LEN(commands)];
    for (size_t i = 0; i < 4 && command[i] != NULL; i++) {
        snprintf(words[i], sizeof(words[i]), "%s", command[i]);
        argv[argc++] = words[i];
    }
    char json[] = "--json";
    if (choice % 2 == 1)
        argv[argc++] = json;
    check(pthread_create(&daemon, NULL, serve, NULL) == 0);
    fflush(stderr);
    saved = dup(STDERR_FILENO); /* complaints are no findings */
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    check(saved >= 0 && null >= 0);
    dup2(null, STDERR_FILENO);
    int code = cli_main(argc, argv);
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(null);
    pthread_join(daemon, NULL);
    check(code == EXIT_GOOD || code == EXIT_FAILED || code == EXIT_NO_DAEMON);
    return 0;
}
