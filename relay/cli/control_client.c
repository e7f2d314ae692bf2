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

bool cli_is_served(const char *state_dir)
{
    int fd = connect_daemon(state_dir);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
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

struct answer {
    const struct cli *cli;
    void (*line)(void *context, const json_t *line);
    bool (*raw)(void *context, struct bytes bytes); /* NULL: there are none */
    void *context;
    json_t **done_out;
    int code;
    bool has_lines;    /* were given out */
    bool has_progress; /* stands on the terminal's line */
};

/* One line of a terminal that is written again and again. Lines of results on the same terminal
 * are progress enough. */
static void show_progress(struct answer *answer, const json_t *progress)
{
    if (!isatty(STDERR_FILENO) || (answer->has_lines && isatty(STDOUT_FILENO)))
        return;
    fprintf(stderr, "\r%lld of %lld messages looked at, %lld recipients match, %lld done\033[K",
            (long long)json_integer_value(json_object_get(progress, "visited")),
            (long long)json_integer_value(json_object_get(progress, "messages")),
            (long long)json_integer_value(json_object_get(progress, "matched")),
            (long long)json_integer_value(json_object_get(progress, "acted")));
    answer->has_progress = true;
}

static void clear_progress(struct answer *answer)
{
    if (answer->has_progress)
        fputs("\r\033[K", stderr);
    answer->has_progress = false;
}

/* One line of the answer; true when it was the last, with its code. */
static bool take_line(struct answer *answer, const char *text, json_t *json)
{
    const char *error = json_string_value(json_object_get(json, "error"));
    const char *problem = json_string_value(json_object_get(json, "problem"));

    if (json_object_get(json, "progress") != NULL) {
        show_progress(answer, json_object_get(json, "progress"));
        return false;
    }
    if (error != NULL) {
        clear_progress(answer);
        answer->code = answer->cli->is_quiet ? EXIT_FAILED : cli_fail(EXIT_FAILED, "%s", error);
        return true;
    }
    if (problem != NULL) {
        clear_progress(answer);
        cli_complain(EXIT_FAILED, problem);
        return false;
    }
    if (json_is_true(json_object_get(json, "done"))) {
        clear_progress(answer);
        if (answer->done_out != NULL)
            *answer->done_out = json_incref(json);
        answer->code = EXIT_GOOD;
        return true;
    }
    answer->has_lines = true;
    if (answer->line != NULL && !answer->cli->json)
        answer->line(answer->context, json);
    else
        fputs(text, stdout);
    return false;
}

/* The bytes that a line announced; false where they do not come, or nobody wants the rest. */
static bool take_raw(struct answer *answer, FILE *stream, json_int_t left)
{
    static char piece[CLI_RAW_MAX];

    while (left > 0) {
        size_t got = fread(piece, 1, (size_t)MIN(left, (json_int_t)sizeof(piece)), stream);

        if (got == 0)
            return false;
        left -= (json_int_t)got;
        if (!answer->raw(answer->context, (struct bytes){(const uint8_t *)piece, got})) {
            answer->code = EXIT_FAILED;
            return false;
        }
    }
    return true;
}

static int read_answer(struct answer *answer, int fd)
{
    FILE *stream = fdopen(fd, "r");
    char *text = NULL;
    size_t size = 0;
    bool is_over = false, goes_on = true;

    check(stream != NULL);
    answer->code = EXIT_GOOD;
    while (!is_over && goes_on && getline(&text, &size, stream) > 0) {
        json_t *json = json_loads(text, 0, NULL);
        json_t *raw = json_object_get(json, "raw");

        if (answer->raw != NULL && json_is_integer(raw))
            goes_on = take_raw(answer, stream, json_integer_value(raw));
        else if (json != NULL)
            is_over = take_line(answer, text, json);
        json_decref(json);
    }
    clear_progress(answer);
    if (!is_over && answer->code == EXIT_GOOD)
        answer->code = cli_fail(EXIT_FAILED, "the daemon broke off in the middle of its answer");
    free(text);
    fclose(stream);
    return answer->code;
}

/* Connects, asks, and has `answer` filled. Takes `request` over. */
static int ask(const struct cli *cli, json_t *request, struct answer *answer)
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
        code = read_answer(answer, fd);
    }
    json_decref(request);
    return code;
}

int cli_control(const struct cli *cli, json_t *request,
                void (*line)(void *context, const json_t *line), void *context, json_t **done_out)
{
    struct answer answer = {.cli = cli, .line = line, .context = context, .done_out = done_out};

    return ask(cli, request, &answer);
}

int cli_control_raw(const struct cli *cli, json_t *request,
                    bool (*raw)(void *context, struct bytes bytes), void *context,
                    json_t **done_out)
{
    struct answer answer = {.cli = cli, .raw = raw, .context = context, .done_out = done_out};

    return ask(cli, request, &answer);
}
