/* modules: smtpd */
/* runs: 1500 */
/*
 * fuzz_smtp_server.c - whole sessions over the fake engine, with a service that takes anything.
 *
 * The first byte chooses. Without OPS the input is what a client sends, and the session runs twice,
 * with the input in one piece and in many: replies and what the service saw must be the same, or
 * the session depends on how TCP cut the stream. With LATER the service answers the second run's
 * questions some turns late, which must be the same as well. With OPS, 0xff and a byte in the input
 * are the world's doing: time passes, the service answers late or never, stops, the peer goes away.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* One source a fuzz target: what the chat runner links is included. */
#include "support/chat.c"
#include "support/chat_stub.c"
#include "support/engine_fake.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

enum {
    WITH_OPS = 1,
    SMALL_SIZE = 2,
    FEW_RECIPIENTS = 4,
    FEW_ERRORS = 8,
    SHORT_LINES = 16,
    STRICT = 32,
    LATER = 64,
    LOGINS = 128
};
enum {
    EVERY_QUESTION = 1 << ASKS_CONNECTED | 1 << ASKS_LOGIN | 1 << ASKS_LOGIN_FAILED |
                     1 << ASKS_MAIL | 1 << ASKS_RCPT | 1 << ASKS_CONTENT_BEGIN
};
/* Turns without a question until none is to come, although the fake engine is late at times. */
enum { QUIET_TURNS = 40 };
enum { TURNS_MAX = 20000, OUTPUT_LEN_MAX = 1 << 24, RESETS_MAX = 8 };

struct run {
    struct engine *engine;
    struct chat_stub stub;
    struct buf output, facts;
    int fd; /* the client's end; -1: closed */
    bool eof;
    uint64_t random; /* 0: questions are left to the ops */
    unsigned resets; /* faults asked of the engine, which keeps a bounded number */
};

static void run_start(struct run *run, uint8_t choice, uint64_t seed, bool is_late)
{
    struct engine_settings settings = {.buffer_count = 8, .buffer_size = 256};
    int fds[2];

    *run = (struct run){.fd = -1};
    fake_seed(seed);
    run->engine = engine_create(&settings);
    check(run->engine != NULL);
    buf_init(&run->output, OUTPUT_LEN_MAX);
    buf_init(&run->facts, OUTPUT_LEN_MAX);
    chat_stub_init(&run->stub, run->engine);
    run->stub.facts = &run->facts;
    run->stub.service.limits.message_size_max = choice & SMALL_SIZE ? 64 : 4096;
    run->stub.service.limits.recipients_max = choice & FEW_RECIPIENTS ? 2 : 0;
    run->stub.service.limits.mails_max = choice & FEW_RECIPIENTS ? 3 : 0;
    run->stub.service.limits.errors_max = choice & FEW_ERRORS ? 3 : 0;
    run->stub.service.limits.line_length_max = choice & SHORT_LINES ? 32 : 0;
    run->stub.service.limits.idle_commands_max = choice & FEW_ERRORS ? 4 : 0;
    run->stub.service.limits.content_rate_min = choice & SMALL_SIZE ? 100 : 0;
    run->stub.service.limits.swallow_max = choice & SMALL_SIZE ? 5000 : 0;
    run->stub.service.limits.is_strict = (choice & STRICT) != 0;
    /* What was there when a client should have waited depends on how TCP cut the stream. */
    run->stub.rules.is_stranger = (choice & WITH_OPS) != 0 && (choice & STRICT) != 0;
    run->stub.rules.rcpt = (struct verdict){550, "5.1.1", "No such user", "stub", false};
    run->stub.rules.rcpt_refused = "*bad*";
    run->stub.rules.answers_at_once = true;
    run->stub.rules.later = is_late ? EVERY_QUESTION : 0;
    run->stub.rules.mechanisms = choice & LOGINS ? (1 << SASL_MECHANISM_COUNT) - 1 : 0;
    run->stub.rules.user = "user";
    run->stub.rules.secret = "pencil";
    check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    run->fd = fds[0];
    chat_stub_accept(&run->stub, fds[1]);
}

static void run_read(struct run *run)
{
    uint8_t bytes[4096];

    while (run->fd >= 0 && !run->eof) {
        ssize_t got = recv(run->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
        if (got > 0)
            check(buf_append(&run->output, bytes_range(bytes, (size_t)got)));
        else if (got == 0 || errno != EAGAIN)
            run->eof = true;
        else
            return;
    }
}

static void run_turn(struct run *run)
{
    engine_turn(run->engine, 0);
    run_read(run);
    if (run->random == 0)
        return;
    run->random = run->random * 6364136223846793005U + 1442695040888963407U;
    if (run->random >> 62 == 0)
        chat_stub_answer(&run->stub, NULL);
}

/* Until nothing is asked any more: a client that is gone gets no answer, one that waits does. */
static void run_answers(struct run *run)
{
    for (unsigned quiet = 0, turns = 0; quiet < QUIET_TURNS && turns < TURNS_MAX; turns++) {
        quiet = chat_stub_is_asked(&run->stub) ? 0 : quiet + 1;
        run_turn(run);
    }
}

static void run_send(struct run *run, struct bytes b)
{
    for (unsigned turns = 0; b.len > 0 && run->fd >= 0 && turns < TURNS_MAX; turns++) {
        ssize_t sent = send(run->fd, b.ptr, b.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0)
            b = bytes_slice(b, (size_t)sent, b.len);
        else if (errno != EAGAIN)
            return;
        run_turn(run);
    }
}

/* Every line is a reply: a code of three digits, "-" or a space, text, CRLF. */
static void check_replies(struct bytes output)
{
    unsigned code = 0; /* of the reply whose lines go on */

    while (output.len > 0) {
        size_t end = bytes_find_bytes(output, BYTES("\r\n"), 0);
        check(end != output.len);
        check(end >= 4);
        check(end <= 512);
        unsigned number = 0;
        for (size_t i = 0; i < 3; i++) {
            check(byte_is_digit(output.ptr[i]));
            number = number * 10 + output.ptr[i] - '0';
        }
        check(number >= 200 && number < 600);
        check(code == 0 || code == number);
        check(output.ptr[3] == ' ' || output.ptr[3] == '-');
        for (size_t i = 4; i < end; i++)
            check(output.ptr[i] >= 32 && output.ptr[i] < 127);
        code = output.ptr[3] == '-' ? number : 0;
        output = bytes_slice(output, end + 2, output.len);
    }
    check(code == 0);
}

/* Lets everything come to its end, then takes the engine down. */
static void run_end(struct run *run, bool is_checked)
{
    unsigned turns = 0;

    run->stub.rules.holds_commits = false;
    chat_stub_room(&run->stub, SIZE_MAX);
    chat_stub_release(&run->stub);
    if (run->fd >= 0)
        shutdown(run->fd, SHUT_WR);
    while (chat_stub_sessions(&run->stub) > 0) {
        check(++turns < TURNS_MAX);
        run_turn(run);
        chat_stub_answer(&run->stub, NULL);
        chat_stub_release(&run->stub);
    }
    if (is_checked)
        check_replies(buf_bytes(&run->output));
    if (run->fd >= 0)
        close(run->fd);
    chat_stub_free(&run->stub);
    engine_destroy(&run->engine);
}

static void run_free(struct run *run)
{
    buf_free(&run->output);
    buf_free(&run->facts);
}

static void run_op(struct run *run, uint8_t op)
{
    static const struct verdict no = {450, "4.7.1", "Not now", "stub", false};
    static const int64_t times_ms[] = {1000, 100000, 179000, 299000, 301000, 601000};

    switch (op % 8) {
    case 0:
        fake_advance_ms(run->engine, times_ms[(op / 8) % ARRAY_LEN(times_ms)]);
        break;
    case 1:
        run->stub.rules.holds_commits = !run->stub.rules.holds_commits;
        break;
    case 2:
        run->stub.rules.answers_at_once = !run->stub.rules.answers_at_once;
        break;
    case 3:
        chat_stub_room(&run->stub, op / 8);
        break;
    case 4:
        run->stub.rules.commit =
            (struct verdict){op & 8 ? 421 : 452, "4.3.1", "No", "stub", (op & 8) != 0};
        break;
    case 5:
        chat_stub_release(&run->stub);
        chat_stub_answer(&run->stub, op & 8 ? &no : NULL);
        (void)chat_stub_answer_late(&run->stub);
        break;
    case 6:
        if (op & 8)
            chat_stub_stop(&run->stub);
        else if (run->resets++ < RESETS_MAX)
            fake_fail(run->engine, op & 16 ? FAKE_SEND : FAKE_RECEIVE, 1, ECONNRESET);
        break;
    case 7:
        if (op & 8)
            chat_stub_abort(&run->stub);
        else if (run->fd >= 0)
            close(run->fd);
        run->fd = op & 8 ? run->fd : -1;
        break;
    }
    for (unsigned i = 0; i < op % 5U; i++)
        run_turn(run);
}

static void run_with_ops(struct bytes input, uint8_t choice, uint64_t seed)
{
    struct run run;
    struct bytes part;

    run_start(&run, choice, seed, (choice & LATER) != 0);
    while (input.len > 0) {
        if (!bytes_take_until(&input, 0xff, &part)) {
            part = input;
            input = BYTES_NONE;
        }
        run_send(&run, part);
        if (input.len == 0)
            break;
        run_op(&run, input.ptr[0]);
        input = bytes_slice(input, 1, input.len);
    }
    run_end(&run, false);
    run_free(&run);
}

static void run_plain(struct run *run, struct bytes input, uint8_t choice, uint64_t seed,
                      size_t piece, bool is_late)
{
    run_start(run, choice, seed, is_late);
    run->random = is_late ? seed | 1 : 0;
    while (input.len > 0) {
        run_send(run, bytes_slice(input, 0, piece));
        input = bytes_slice(input, piece, input.len);
    }
    if (is_late)
        run_answers(run);
    run_end(run, true);
}

/* Content with two faults is refused for the one that is seen first, which depends on how much
 * is looked at in one go; that it is refused does not. */
static void blur_faults(struct buf *lines)
{
    static const char *const faults[] = {"552 5.3.4 *", "554 5.6.0 *", "refused 552 5.3.4 *DATA *",
                                         "refused 554 5.6.0 *"};
    struct buf blurred;
    struct bytes line;

    buf_init(&blurred, OUTPUT_LEN_MAX);
    for (struct bytes rest = buf_bytes(lines); bytes_take_until(&rest, '\n', &line);) {
        for (size_t i = 0; i < ARRAY_LEN(faults); i++)
            if (chat_glob(bytes_of(faults[i]), line))
                line = BYTES("content refused");
        check(buf_append(&blurred, line));
        check(buf_append_byte(&blurred, '\n'));
    }
    buf_free(lines);
    *lines = blurred;
}

static void check_same(struct buf *one, struct buf *other)
{
    blur_faults(one);
    blur_faults(other);
    check(bytes_equal(buf_bytes(one), buf_bytes(other)));
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    if (len == 0)
        return 0;
    struct bytes rest = {input + 1, len - 1};
    uint8_t choice = input[0];
    uint64_t seed = bytes_hash(rest);

    if (choice & WITH_OPS) {
        run_with_ops(rest, choice, seed);
        return 0;
    }
    struct run whole;
    struct run pieces;
    run_plain(&whole, rest, choice, seed, SIZE_MAX, false);
    run_plain(&pieces, rest, choice, seed + 1, 1 + (choice >> 5) * 7U, (choice & LATER) != 0);
    check_same(&whole.output, &pieces.output);
    check_same(&whole.facts, &pieces.facts);
    run_free(&whole);
    run_free(&pieces);
    return 0;
}
