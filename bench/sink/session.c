/* session.c - bytes in, replies out, content counted. */
#include "bench/sink/session.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/sink/receiver.h"
#include "bench/sink/verify.h"

enum {
    INPUT_HOLD = 65536, /* waiting input that stops the receive */
    OUTPUT_MAX = 65536,
    OUTPUT_HOLD = 32768, /* replies nobody takes */
    LINE_LEN_MAX = 4096,
    RECIPIENTS_MAX = 4 << 20, /* bytes of them in a transaction */
    VERIFY_LEN_MAX = 32 << 20,
    TOLD_MAX = 20, /* changed messages named on stderr */
};

static const uint8_t end_of_content[] = {'\r', '\n', '.', '\r', '\n'};

/* --- replies -------------------------------------------------------------------------------- */

void session_reply(struct session *session, struct bytes reply)
{
    /* Steps are not run with less room than any reply takes. */
    check(buf_append(&session->filling, reply));
}

static void start_send(struct session *session)
{
    struct receiver *receiver = session->receiver;
    struct bytes b = buf_bytes(&session->sending);

    if (receiver->sink->settings.slow_ms != 0)
        b.len = MIN(b.len, (size_t)1);
    engine_send(receiver->engine, &session->send, session->fd, b);
}

static void flush(struct session *session)
{
    if (session->send.in_flight || buf_len(&session->sending) > 0 ||
        buf_len(&session->filling) == 0 || session->state == SESSION_CLOSING)
        return;
    struct buf empty = session->sending;

    session->sending = session->filling;
    session->filling = empty;
    start_send(session);
}

static bool is_sent(const struct session *session)
{
    return buf_len(&session->sending) == 0 && buf_len(&session->filling) == 0;
}

bool session_refuse(struct session *session, unsigned stage, unsigned code)
{
    struct receiver *receiver = session->receiver;

    if (code == 0)
        return false;
    if (code == CODE_DROP) {
        count_add(&receiver->counts.dropped, 1);
        buf_clear(&session->filling);
        session_end(session);
        return true;
    }
    count_add(&receiver->counts.refusals, 1);
    receiver->codes.counts[stage][code]++;
    check(buf_printf(&session->filling, "%u %u.7.0 refused by the script of the sink\r\n", code,
                     code / 100));
    if (code == 421)
        session_end(session);
    return true;
}

bool session_delay(struct session *session, unsigned stage)
{
    struct receiver *receiver = session->receiver;

    if (session->has_waited) {
        session->has_waited = false;
        return false;
    }
    int64_t ms = rules_latency_ms(&receiver->sink->settings.rules, stage,
                                  rules_mix(session->number, ++session->steps));

    if (ms == 0)
        return false;
    session->is_waiting = true;
    engine_timeout(receiver->engine, &session->wait, ms);
    return true;
}

/* --- content -------------------------------------------------------------------------------- */

void session_reset(struct session *session)
{
    session->has_mail = false;
    session->uses_chunks = false;
    session->is_chunk_last = false;
    session->key = 0;
    session->recipient_count = 0;
    session->content_len = 0;
    session->chunk_left = 0;
    buf_clear(&session->recipients);
    buf_clear(&session->content);
}

/* Byte by byte while a part of the end is matched. */
static size_t match_slowly(struct session *session, struct bytes b)
{
    size_t i = 0;

    while (i < b.len && session->matched > 0 && session->matched < sizeof(end_of_content)) {
        if (b.ptr[i] == end_of_content[session->matched])
            session->matched++;
        else
            session->matched = b.ptr[i] == '\r' ? 1 : 0;
        i++;
    }
    return i;
}

static uint8_t match_of_tail(struct bytes b)
{
    if (b.len >= 2 && b.ptr[b.len - 2] == '\r' && b.ptr[b.len - 1] == '\n')
        return 2;
    return b.len >= 1 && b.ptr[b.len - 1] == '\r' ? 1 : 0;
}

/* From dot to dot, while nothing is matched: text has few, so memchr() reads nearly all. Stops
 * behind a dot at the beginning of a line. */
static size_t match_fast(struct session *session, struct bytes b)
{
    size_t at = 0;

    for (;;) {
        at = bytes_find(b, '.', at);
        if (at == b.len) {
            session->matched = match_of_tail(b);
            return b.len;
        }
        if (at >= 2 && b.ptr[at - 2] == '\r' && b.ptr[at - 1] == '\n') {
            session->matched = 3;
            return at + 1;
        }
        at++;
    }
}

/* How much of `b` is content, its end included; session->matched says whether it ended. */
static size_t match_content(struct session *session, struct bytes b)
{
    size_t at = 0;

    while (at < b.len && session->matched < sizeof(end_of_content)) {
        struct bytes rest = bytes_slice(b, at, b.len);

        at += session->matched > 0 ? match_slowly(session, rest) : match_fast(session, rest);
    }
    return at;
}

static void take_content(struct session *session, struct bytes *input, size_t len)
{
    session->content_len += len;
    if (session->receiver->sink->settings.verifies && session->content_len <= VERIFY_LEN_MAX)
        check(buf_append(&session->content, bytes_slice(*input, 0, len)));
    *input = bytes_slice(*input, len, input->len);
}

static bool content_step(struct session *session, struct bytes *input)
{
    if (input->len == 0)
        return false;
    take_content(session, input, match_content(session, *input));
    if (session->matched < sizeof(end_of_content))
        return false;
    session->state = SESSION_ANSWER;
    return true;
}

static bool chunk_step(struct session *session, struct bytes *input)
{
    size_t len = (size_t)MIN((uint64_t)input->len, session->chunk_left);

    take_content(session, input, len);
    session->chunk_left -= len;
    if (session->chunk_left > 0)
        return false;
    if (session->is_chunk_last) {
        session->state = SESSION_ANSWER;
        return true;
    }
    session->state = SESSION_COMMAND;
    if (session->has_mail)
        session_reply(session, BYTES("250 2.0.0 go on\r\n"));
    else
        session_reply(session, BYTES("503 5.5.1 no transaction\r\n"));
    return true;
}

/* --- the answer ----------------------------------------------------------------------------- */

static void verify_content(struct session *session, struct bytes recipient)
{
    struct receiver *receiver = session->receiver;

    switch (verify(buf_bytes(&session->content), recipient)) {
    case VERDICT_SAME:
        count_add(&receiver->counts.verified, 1);
        break;
    case VERDICT_UNMARKED:
        count_add(&receiver->counts.unmarked, 1);
        break;
    case VERDICT_CHANGED:
        if (receiver->counts.changed < TOLD_MAX)
            fprintf(stderr, "changed: %.*s\n", BYTES_ARG(recipient));
        count_add(&receiver->counts.changed, 1);
        break;
    }
}

static void prepare_verify(struct session *session)
{
    if (session->uses_chunks)
        return;
    size_t len = buf_len(&session->content);

    /* The dot and its CRLF are no content; the CRLF before them is. */
    buf_truncate(&session->content, len >= 3 ? len - 3 : 0);
    if (buf_len(&session->content) > 0)
        verify_unstuff(&session->content);
}

static void tell_recipients(struct session *session, int64_t now_us)
{
    struct receiver *receiver = session->receiver;
    bool verifies = receiver->sink->settings.verifies && session->content_len <= VERIFY_LEN_MAX;
    struct bytes left = buf_bytes(&session->recipients);
    struct bytes recipient;
    uint8_t space[TOOL_DIGITS_MAX];
    struct bytes time = tool_digits((uint64_t)(now_us / 1000), space);

    if (verifies)
        prepare_verify(session);
    while (bytes_take_until(&left, '\n', &recipient)) {
        struct bytes id = verify_id(recipient);
        const struct bytes parts[] = {id.len > 0 ? id : BYTES("-"), BYTES(" "), recipient,
                                      BYTES(" "), time};

        ledger_line(&receiver->ledger, parts, ARRAY_LEN(parts));
        if (verifies)
            verify_content(session, recipient);
    }
}

static void count_accepted(struct session *session)
{
    struct receiver *receiver = session->receiver;
    struct sink *sink = receiver->sink;
    int64_t now_us = clock_wall_us();

    session->messages++;
    tell_recipients(session, now_us);
    if (receiver->counts.first_us == 0)
        receiver->counts.first_us = now_us;
    atomic_store_explicit(&receiver->counts.last_us, now_us, memory_order_relaxed);
    count_add(&receiver->counts.messages, 1);
    count_add(&receiver->counts.recipients, session->recipient_count);
    count_add(&receiver->counts.bytes, session->content_len);
    uint64_t target = sink->settings.messages;

    if (target != 0 && atomic_fetch_add(&sink->target, 1) + 1 == target)
        kill(getpid(), SIGUSR1);
}

static bool answer_step(struct session *session, struct bytes *input)
{
    struct receiver *receiver = session->receiver;
    const struct sink_settings *settings = &receiver->sink->settings;
    unsigned code = 0;

    (void)input;
    if (session_delay(session, STAGE_DOT))
        return false;
    session->state = SESSION_COMMAND;
    if (!session->has_mail || session->recipient_count == 0) {
        session_reply(session, BYTES("503 5.5.1 no recipients\r\n"));
        session_reset(session);
        return true;
    }
    /* BDAT has no reply at which DATA could be refused. */
    if (session->uses_chunks)
        code = rules_draw(&settings->rules, STAGE_DATA, session->key);
    if (code == 0)
        code = rules_draw(&settings->rules, STAGE_DOT, session->key);
    if (session->content_len > settings->size_max)
        code = 552;
    if (!session_refuse(session, STAGE_DOT, code)) {
        count_accepted(session);
        session_reply(session, BYTES("250 2.0.0 taken\r\n"));
    }
    session_reset(session);
    return true;
}

/* --- the other steps ------------------------------------------------------------------------ */

static bool greet_step(struct session *session, struct bytes *input)
{
    struct sink *sink = session->receiver->sink;

    (void)input;
    if (session_delay(session, STAGE_CONNECT))
        return false;
    session->state = SESSION_COMMAND;
    unsigned code = rules_draw(&sink->settings.rules, STAGE_CONNECT, session->number);

    if (atomic_load(&sink->sessions) > sink->settings.sessions_max)
        code = 421;
    if (!session_refuse(session, STAGE_CONNECT, code))
        session_reply(session, bytes_of(sink->greeting));
    return true;
}

static bool command_step(struct session *session, struct bytes *input)
{
    struct bytes after = *input;
    struct bytes line;

    if (!bytes_take_until(&after, '\n', &line)) {
        if (input->len > LINE_LEN_MAX) {
            session_reply(session, BYTES("500 5.5.2 line too long\r\n"));
            session_end(session);
        }
        return false;
    }
    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    if (!session_command(session, line))
        return false;
    *input = after;
    return true;
}

static bool no_step(struct session *session, struct bytes *input)
{
    (void)session;
    *input = BYTES_NONE; /* nobody listens any more */
    return false;
}

static bool (*const steps[])(struct session *session, struct bytes *input) = {
    [SESSION_GREET] = greet_step,     [SESSION_COMMAND] = command_step,
    [SESSION_CONTENT] = content_step, [SESSION_CHUNK] = chunk_step,
    [SESSION_ANSWER] = answer_step,   [SESSION_ENDING] = no_step,
    [SESSION_CLOSING] = no_step,
};

/* --- driver --------------------------------------------------------------------------------- */

static void close_if_quiet(struct session *session)
{
    struct receiver *receiver = session->receiver;

    if (session->receive.in_flight || session->send.in_flight)
        return;
    engine_timeout_cancel(receiver->engine, &session->wait);
    engine_timeout_cancel(receiver->engine, &session->drip);
    engine_close(receiver->engine, session->fd);
    atomic_fetch_sub(&receiver->sink->sessions, 1);
    list_remove(&session->node);
    buf_free(&session->input);
    buf_free(&session->filling);
    buf_free(&session->sending);
    buf_free(&session->recipients);
    buf_free(&session->content);
    slab_release(&receiver->sessions, &session);
}

/* Only at the end of a completion or timeout: it may free the session. */
static void close_session(struct session *session)
{
    struct engine *engine = session->receiver->engine;

    session->state = SESSION_CLOSING;
    engine_cancel(engine, &session->receive);
    engine_cancel(engine, &session->send);
    close_if_quiet(session);
}

void session_end(struct session *session)
{
    session->state = SESSION_ENDING;
}

static struct bytes run_steps(struct session *session, struct bytes input)
{
    while (!session->is_waiting && buf_len(&session->filling) < OUTPUT_HOLD &&
           steps[session->state](session, &input))
        ;
    return input;
}

static void hold_or_resume(struct session *session)
{
    struct engine *engine = session->receiver->engine;
    size_t len = buf_len(&session->input);

    if (len > INPUT_HOLD && !session->is_held) {
        session->is_held = true;
        engine_cancel(engine, &session->receive);
    } else if (len <= INPUT_HOLD / 2 && session->is_held) {
        session->is_held = false;
        if (!session->receive.in_flight)
            engine_receive(engine, &session->receive, session->fd);
    }
}

/* Runs on what waits in `input`. Last thing a caller does: it may free the session. */
static void run_waiting(struct session *session)
{
    struct bytes before = buf_bytes(&session->input);
    struct bytes left = run_steps(session, before);

    buf_consume(&session->input, before.len - left.len);
    flush(session);
    if (session->state == SESSION_ENDING && is_sent(session))
        close_session(session);
    else
        hold_or_resume(session);
}

static void wait_fire(struct timeout *timeout)
{
    struct session *session = container_of(timeout, struct session, wait);

    session->is_waiting = false;
    session->has_waited = true;
    run_waiting(session);
}

static void drip_fire(struct timeout *timeout)
{
    struct session *session = container_of(timeout, struct session, drip);

    if (session->state != SESSION_CLOSING)
        start_send(session);
}

static void send_done(struct op *op, int result, uint32_t flags)
{
    struct session *session = container_of(op, struct session, send);
    struct receiver *receiver = session->receiver;

    (void)flags;
    if (session->state == SESSION_CLOSING) {
        close_if_quiet(session);
        return;
    }
    if (result < 0) {
        close_session(session);
        return;
    }
    buf_consume(&session->sending, (size_t)result);
    if (buf_len(&session->sending) > 0) {
        if (receiver->sink->settings.slow_ms != 0)
            engine_timeout(receiver->engine, &session->drip, receiver->sink->settings.slow_ms);
        else
            start_send(session);
        return;
    }
    if (buf_len(&session->filling) > 0 || buf_len(&session->input) > 0 ||
        session->state == SESSION_ENDING)
        run_waiting(session);
}

/* Most of what arrives is run where it stands, in the ring's buffer. */
static void take_received(struct session *session, struct bytes received)
{
    if (buf_len(&session->input) == 0)
        received = run_steps(session, received);
    check(buf_append(&session->input, received));
}

static void receive_done(struct op *op, int result, uint32_t flags)
{
    struct session *session = container_of(op, struct session, receive);
    struct receiver *receiver = session->receiver;

    if (flags & ENGINE_BUFFER) {
        bool had_input = buf_len(&session->input) > 0;

        if (session->state < SESSION_ENDING)
            take_received(session, engine_buffer(receiver->engine, op, result));
        engine_buffer_return(receiver->engine, op);
        flush(session);
        if (had_input && session->state < SESSION_ENDING && !session->is_waiting) {
            struct bytes before = buf_bytes(&session->input);
            struct bytes left = run_steps(session, before);

            buf_consume(&session->input, before.len - left.len);
            flush(session);
        }
    }
    if (session->state == SESSION_CLOSING) {
        close_if_quiet(session);
        return;
    }
    bool is_over = !(flags & ENGINE_BUFFER) && result != -ENOBUFS && result != -ECANCELED;

    if (is_over || (session->state == SESSION_ENDING && is_sent(session))) {
        if (is_over && session->has_mail)
            count_add(&receiver->counts.lost, 1);
        close_session(session);
        return;
    }
    hold_or_resume(session);
    if (!(flags & ENGINE_MORE) && !session->is_held && !session->receive.in_flight)
        engine_receive(receiver->engine, &session->receive, session->fd);
}

/* --- creation ------------------------------------------------------------------------------- */

static void count_session(struct sink *sink)
{
    uint64_t now = atomic_fetch_add(&sink->sessions, 1) + 1;
    uint64_t highest = atomic_load(&sink->sessions_max);

    while (now > highest && !atomic_compare_exchange_weak(&sink->sessions_max, &highest, now))
        ;
}

void session_open(struct receiver *receiver, int fd)
{
    struct session *session = slab_alloc(&receiver->sessions);

    if (session == NULL) {
        engine_close(receiver->engine, fd);
        return;
    }
    count_session(receiver->sink);
    count_add(&receiver->counts.sessions, 1);
    tool_no_delay(fd);
    session->receiver = receiver;
    session->fd = fd;
    session->number = receiver->counts.sessions;
    list_node_init(&session->node);
    list_push_back(&receiver->open, &session->node);
    op_init(&session->receive, receive_done);
    op_init(&session->send, send_done);
    timeout_init(&session->wait, wait_fire);
    timeout_init(&session->drip, drip_fire);
    /* Once held, as much may still arrive as the ring has buffers. */
    buf_init(&session->input, INPUT_HOLD * 2 + engine_buffers_size(receiver->engine));
    buf_init(&session->filling, OUTPUT_MAX);
    buf_init(&session->sending, OUTPUT_MAX);
    buf_init(&session->recipients, RECIPIENTS_MAX);
    buf_init(&session->content, VERIFY_LEN_MAX);
    engine_receive(receiver->engine, &session->receive, fd);
    run_waiting(session);
}

void session_free_all(struct receiver *receiver)
{
    struct list_node *node;

    while ((node = list_pop_front(&receiver->open)) != NULL) {
        struct session *session = container_of(node, struct session, node);

        close(session->fd);
        buf_free(&session->input);
        buf_free(&session->filling);
        buf_free(&session->sending);
        buf_free(&session->recipients);
        buf_free(&session->content);
        slab_release(&receiver->sessions, &session);
    }
}
