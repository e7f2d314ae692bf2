/* control.c - the control socket's threads and lines. */
#include "relay/control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "event/json_text.h"
#include "relay/program.h"

enum { CLIENT_WAIT_S = 30, BIND_AGAIN_MS = 1000 };

struct client_slot {
    struct control_client client;
    pthread_t thread;
    _Atomic enum { SLOT_FREE, SLOT_RUNNING, SLOT_ENDED } state;
};

struct control {
    struct program *program;
    int fd;      /* -1: the disk had no room for the socket */
    int wake[2]; /* a pipe that ends the accept loop */
    char path[108];
    pthread_t thread;
    bool has_thread;
    struct client_slot slots[CONTROL_CLIENTS_MAX];
};

/* One line of JSON, within bounds of size and time. */
static json_t *read_request(struct control_client *client)
{
    static const struct timeval patience = {.tv_sec = CLIENT_WAIT_S};
    char *text = malloc(CONTROL_REQUEST_MAX + 1);
    size_t len = 0;
    json_t *request = NULL;
    json_error_t error;

    if (text == NULL) {
        control_fail(client, "no memory for a request");
        return NULL;
    }
    setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    while (len < CONTROL_REQUEST_MAX && memchr(text, '\n', len) == NULL) {
        ssize_t got = recv(client->fd, text + len, CONTROL_REQUEST_MAX - len, 0);

        if (got <= 0)
            break;
        len += (size_t)got;
    }
    char *end = memchr(text, '\n', len);
    if (end != NULL)
        request = json_loadb(text, (size_t)(end - text), JSON_REJECT_DUPLICATES, &error);
    if (end != NULL && request == NULL)
        control_fail(client, "not JSON: %s", error.text);
    if (end == NULL && len == CONTROL_REQUEST_MAX)
        control_fail(client, "the request is longer than %d bytes", CONTROL_REQUEST_MAX);
    free(text);
    return request;
}

void control_serve(struct control_client *client)
{
    json_t *request = read_request(client);

    if (request != NULL)
        control_dispatch(client, request);
    json_decref(request);
}

static void *client_main(void *argument)
{
    struct client_slot *slot = argument;

    pthread_setname_np(pthread_self(), "control-client");
    control_serve(&slot->client);
    shutdown(slot->client.fd, SHUT_RDWR);
    atomic_store(&slot->state, SLOT_ENDED);
    return NULL;
}

static void free_slot(struct client_slot *slot)
{
    pthread_join(slot->thread, NULL);
    close(slot->client.fd);
    atomic_store(&slot->state, SLOT_FREE);
}

static struct client_slot *take_slot(struct control *control)
{
    struct client_slot *found = NULL;

    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        struct client_slot *slot = &control->slots[i];

        if (atomic_load(&slot->state) == SLOT_ENDED)
            free_slot(slot);
        if (found == NULL && atomic_load(&slot->state) == SLOT_FREE)
            found = slot;
    }
    return found;
}

static void serve_client(struct control *control, int fd)
{
    struct client_slot *slot = take_slot(control);

    if (slot == NULL) {
        struct control_client client = {.fd = fd};

        control_fail(&client, "%d control clients are connected already; try again",
                     CONTROL_CLIENTS_MAX);
        close(fd);
        return;
    }
    slot->client = (struct control_client){.program = control->program, .fd = fd};
    atomic_store(&slot->state, SLOT_RUNNING);
    if (pthread_create(&slot->thread, NULL, client_main, slot) != 0) {
        close(fd);
        atomic_store(&slot->state, SLOT_FREE);
    }
}

static int bind_socket(struct control *control)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    memcpy(address.sun_path, control->path, sizeof(address.sun_path));
    unlink(control->path); /* left by a crash: the lock says nobody else serves here */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
        chmod(control->path, 0600) == 0 && listen(fd, CONTROL_CLIENTS_MAX) == 0) {
        control->fd = fd;
        return 0;
    }
    int error = -errno;

    if (fd >= 0)
        close(fd);
    return error;
}

static void bind_again(struct control *control)
{
    if (bind_socket(control) == 0)
        log_info("control=%s what=\"the disk has room for it now\"", LOG_STRING(control->path));
}

static void *control_main(void *argument)
{
    struct control *control = argument;
    struct pollfd polls[2] = {{.events = POLLIN}, {.fd = control->wake[0], .events = POLLIN}};

    pthread_setname_np(pthread_self(), "control");
    for (;;) {
        polls[0].fd = control->fd;
        if (poll(polls, 2, control->fd < 0 ? BIND_AGAIN_MS : -1) < 0 && errno != EINTR)
            break;
        if (polls[1].revents != 0)
            break;
        if (control->fd < 0) {
            bind_again(control);
            continue;
        }
        int fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            serve_client(control, fd);
        else if (errno == EMFILE || errno == ENFILE)
            usleep(100000); /* the engines hold every descriptor: do not spin */
    }
    return NULL;
}

/* A full disk is no reason to leave mail undelivered, which makes room. */
static bool open_socket(struct control *control, const char *state_dir)
{
    if (!state_dir_file(state_dir, "control.sock", control->path, sizeof(control->path))) {
        log_error("state_dir=%s what=\"the path is too long for a unix socket (107 bytes)\"",
                  LOG_STRING(state_dir));
        return false;
    }
    int error = bind_socket(control);

    if (error == 0)
        return true;
    if (error == -ENOSPC || error == -EDQUOT) {
        log_warn("control=%s what=\"%s: no command is answered until there is room\"",
                 LOG_STRING(control->path), strerror(-error));
        return true;
    }
    log_error("control=%s what=\"%s\"", LOG_STRING(control->path), strerror(-error));
    return false;
}

static int begin_thread(struct control *control)
{
    if (pipe2(control->wake, O_CLOEXEC) < 0)
        return -errno;
    int error = pthread_create(&control->thread, NULL, control_main, control);
    control->has_thread = error == 0;
    if (error != 0) {
        close(control->wake[0]);
        close(control->wake[1]);
    }
    return -error;
}

/* And every client's. */
static void end_threads(struct control *control)
{
    if (!control->has_thread)
        return;
    close(control->wake[1]);
    pthread_join(control->thread, NULL);
    close(control->wake[0]);
    control->has_thread = false;
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        if (atomic_load(&control->slots[i].state) == SLOT_FREE)
            continue;
        /* Its next write fails, its walk ends. */
        shutdown(control->slots[i].client.fd, SHUT_RDWR);
        free_slot(&control->slots[i]);
    }
}

struct control *control_start(struct program *program)
{
    struct control *control = calloc(1, sizeof(*control));

    check(control != NULL);
    control->program = program;
    control->fd = -1;
    if (open_socket(control, program->state_dir.path) && begin_thread(control) == 0)
        return control;
    if (control->fd >= 0)
        close(control->fd);
    free(control);
    return NULL;
}

void control_cut_off(struct control *control)
{
    end_threads(control);
    int error = begin_thread(control); /* connections wait meanwhile */
    if (error < 0)
        log_warn("what=\"no status while stopping: %s\"", strerror(-error));
}

void control_stop(struct control **control)
{
    struct control *c = *control;

    end_threads(c);
    if (c->fd >= 0) {
        close(c->fd);
        unlink(c->path);
    }
    free(c);
    *control = NULL;
}
