/* control_client.c - ask the daemon over its socket. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "relay/cli/cli.h"

static int connect_daemon(const char *state_dir)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;

    if (!state_dir_file(state_dir, "control.sock", address.sun_path, sizeof(address.sun_path)))
        return -ENAMETOOLONG;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        int error = -errno;

        close(fd);
        return error;
    }
    return fd;
}

static bool send_request(int fd, json_t *request)
{
    char *text = json_dumps(request, JSON_COMPACT);
    bool is_sent = false;

    if (text != NULL)
        is_sent = dprintf(fd, "%s\n", text) > 0;
    free(text);
    return is_sent;
}

static void show_progress(const json_t *progress)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "... %lld matched, %lld done\n",
                (long long)json_integer_value(json_object_get(progress, "matched")),
                (long long)json_integer_value(json_object_get(progress, "acted")));
}

/* One line of the answer; true when it was the last, with its code. */
static bool take_line(const struct cli *cli, const char *text, json_t *json,
                      void (*line)(void *context, const json_t *line), void *context,
                      json_t **done_out, int *code_out)
{
    const char *error = json_string_value(json_object_get(json, "error"));
    const char *problem = json_string_value(json_object_get(json, "problem"));

    if (error != NULL) {
        *code_out = cli_fail(EXIT_FAILED, "%s", error);
        return true;
    }
    if (problem != NULL) {
        fprintf(stderr, "%s\n", problem);
        return false;
    }
    if (json_object_get(json, "progress") != NULL) {
        show_progress(json_object_get(json, "progress"));
        return false;
    }
    if (json_is_true(json_object_get(json, "done"))) {
        if (done_out != NULL)
            *done_out = json_incref(json);
        *code_out = EXIT_GOOD;
        return true;
    }
    if (line != NULL && !cli->json)
        line(context, json);
    else
        fputs(text, stdout);
    return false;
}

static int read_answer(const struct cli *cli, int fd,
                       void (*line)(void *context, const json_t *line), void *context,
                       json_t **done_out)
{
    FILE *answer = fdopen(fd, "r");
    char *text = NULL;
    size_t size = 0;
    int code = EXIT_FAILED;
    bool is_over = false;

    check(answer != NULL);
    while (!is_over && getline(&text, &size, answer) > 0) {
        json_t *json = json_loads(text, 0, NULL);

        if (json != NULL)
            is_over = take_line(cli, text, json, line, context, done_out, &code);
        json_decref(json);
    }
    if (!is_over)
        code = cli_fail(EXIT_FAILED, "the daemon broke off in the middle of its answer");
    free(text);
    fclose(answer);
    return code;
}

int cli_control(const struct cli *cli, json_t *request,
                void (*line)(void *context, const json_t *line), void *context, json_t **done_out)
{
    char state_dir[CLI_PATH_MAX];
    int code;

    if (!cli_state_dir(cli, state_dir)) {
        json_decref(request);
        return EXIT_CONFIG;
    }
    int fd = connect_daemon(state_dir);
    if (fd < 0) {
        code = cli_fail(EXIT_NO_DAEMON,
                        "no ringpost answers in %s (%s); is `ringpost serve` "
                        "running with this configuration (%s)?",
                        state_dir, strerror(-fd), cli->config_path);
    } else if (!send_request(fd, request)) {
        code = cli_fail(EXIT_NO_DAEMON, "the daemon does not listen: %s", strerror(errno));
        close(fd);
    } else {
        code = read_answer(cli, fd, line, context, done_out);
    }
    json_decref(request);
    return code;
}
