/* modules: program */
/* runs: 6000 */
/*
 * fuzz_control.c - any bytes as a request on the control socket of a program without engines. Each
 * line of the answer is JSON, and exactly the last one ends it. The first byte: bit 0 hands the
 * request over without a line end, bit 1 leaves a rule in force that an input before has made, bit
 * 2 asks while the program stops.
 */
#include <stdatomic.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "relay/control.h"
#include "relay/operator_event.h"
#include "relay/program.h"
#include "support/fuzz_files.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

/* Instead of relay/operator_event.c: events are an engine's, and there is none. */
void operator_event_retried(struct program *p, const struct queue_filter *filter,
                            const struct queue_walk_result *result, bool is_cut)
{
    check(p != NULL && filter != NULL && result != NULL && !is_cut);
}

void operator_event_suspended(struct program *p, const struct suspension *rule, uint64_t matched)
{
    check(p != NULL && rule->number > 0 && matched == 0);
}

void operator_event_resumed(struct program *p, const struct suspension *rule, const char *why)
{
    check(p != NULL && rule->number > 0 && why != NULL);
}

void operator_event_changed(struct program *p, const struct audit_row *row)
{
    check(p != NULL && row->id > 0);
}

static struct program program;

static void ignore_error(void *context, const char *text)
{
    check(context == NULL && text[0] != '\0');
}

static void set_up(void)
{
    static const char yaml[] = "hostname: a.example\nstate_dir: /tmp/x\nlisteners: [{address: "
                               "\"127.0.0.1:2525\", service: submission}]\nlog: {level: error}\n";
    char path[128], why[512];

    snprintf(path, sizeof(path), "%s/ringpost.yaml", fuzz_make_directory());
    fuzz_write(path, bytes_of(yaml));
    log_setup(LOG_TO_STDERR, LOG_LEVEL_ERROR);
    program.config = config_load(path, ignore_error, NULL);
    check(program.config != NULL);
    config_keep(program.config); /* a reload releases one */
    atomic_store(&program.shared.config, program.config);
    pthread_mutex_init(&program.change, NULL);
    program.space_watch =
        space_watch_start(fuzz_directory, fuzz_directory, 0, 0, &program.shared.space);
    check(program.space_watch != NULL);
    program.sinks = sinks_start(&program.config->sinks, fuzz_directory, &program.bounds,
                                &program.shared.space.sinks_are_full, why, sizeof(why));
    check(program.sinks != NULL);
    program.shared.directory = directory_start(fuzz_directory);
    check(program.shared.directory != NULL);
}

static void check_answer(struct bytes answer)
{
    bool is_over = false;

    while (answer.len > 0) {
        struct bytes line;

        check(!is_over); /* nothing behind the last line */
        check(bytes_take_until(&answer, '\n', &line));
        json_t *json = json_loadb((const char *)line.ptr, line.len, 0, NULL);
        check(json_is_object(json));
        is_over = json_is_true(json_object_get(json, "done")) ||
                  json_is_string(json_object_get(json, "error"));
        json_decref(json);
    }
    check(is_over);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    static uint8_t answer[1 << 20];
    struct bytes rest = {input, len};
    char why[512];
    size_t answer_len = 0;
    ssize_t got;
    int ends[2];

    if (program.config == NULL)
        set_up();
    unsigned flags = fuzz_byte(&rest);
    atomic_store(&program.is_stopping, (flags & 4) != 0);
    if (program.suspensions == NULL || (flags & 2) == 0) {
        if (program.suspensions != NULL)
            suspension_file_free(&program.suspensions);
        char path[128];
        snprintf(path, sizeof(path), "%s/suspensions.json", fuzz_directory);
        unlink(path);
        program.suspensions = suspension_file_load(fuzz_directory, clocks_read(), why, sizeof(why));
        check(program.suspensions != NULL);
    }
    rest = bytes_slice(rest, 0, 60000); /* what a socket takes without a reader */
    check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    check(write(ends[1], rest.ptr, rest.len) == (ssize_t)rest.len);
    if ((flags & 1) == 0)
        check(write(ends[1], "\n", 1) == 1);
    shutdown(ends[1], SHUT_WR);
    struct control_client client = {.program = &program, .fd = ends[0]};
    bool has_end = (flags & 1) == 0 || bytes_find(rest, '\n', 0) < rest.len;
    int size = 4 << 20;
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    struct timeval patience = {.tv_sec = 1}; /* more than it holds breaks off, and hangs nobody */
    setsockopt(ends[0], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    control_serve(&client);
    close(ends[0]);
    while ((got = read(ends[1], answer + answer_len, sizeof(answer) - answer_len)) > 0)
        answer_len += (size_t)got;
    close(ends[1]);
    if (has_end && !client.is_gone)
        check_answer((struct bytes){answer, answer_len});
    return 0;
}
