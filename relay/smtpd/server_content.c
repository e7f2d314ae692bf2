/* server_content.c - DATA and BDAT: content to the service, or to nowhere once it was refused. */
#include "smtpd/server_parts.h"

#include "base/metric.h"

enum { IDLE_CHUNK_MAX = 1024 };

static enum step data_step(struct smtp_server *server);
static enum step chunk_step(struct smtp_server *server);
static enum step chunk_end(struct smtp_server *server);
static enum step take_chunk(struct smtp_server *server, uint64_t size, bool is_last,
                            struct verdict verdict);
static enum step content_whole(struct smtp_server *server);
static enum step say_refusal(struct smtp_server *server);
static void judge(struct smtp_server *server);
static void refuse_content(struct smtp_server *server, struct verdict verdict);
static enum step swallow(struct smtp_server *server, size_t len);
static void content_out(void *context, struct bytes run);
static void nowhere(void *context, struct bytes run);

enum step handle_data(struct smtp_server *server, struct bytes argument __attribute__((unused)))
{
    const struct smtp_service *service = server->service;
    struct verdict verdict = service->policy->content_begin(service->context, server);

    if (verdict.code == VERDICT_CODE_LATER && server_waits(server, ASKS_CONTENT_BEGIN, &verdict))
        return STEP_WAIT;
    return data_answered(server, verdict);
}

enum step data_answered(struct smtp_server *server, struct verdict verdict)
{
    if (verdict.code != 0) {
        server_note(server, SMTP_DATA, &verdict, BYTES_NONE, BYTES_NONE);
        enum step next = server_say(server, verdict);
        server_reset(server);
        return next;
    }
    server->incoming = (struct smtp_incoming){.swallowed = server->incoming.swallowed};
    dot_reader_init(&server->incoming.reader);
    pace_begin(server);
    session_enter(&server->session, SERVER_CONTENT);
    return server_reply(server, 354, NULL, "End data with <CR><LF>.<CR><LF>");
}

/* What stands against a chunk before it is read. Code 0: nothing. */
static struct verdict judge_chunk(struct smtp_server *server, uint64_t size)
{
    const struct smtp_service *service = server->service;
    uint64_t size_max = service->limits.message_size_max;

    /* The chunks of a pipeline whose first one was refused; same code, so that a client that looks
     * at the last reply only learns whether to try again (RFC 3030 section 2). */
    if (server->incoming.broken.code != 0)
        return server->incoming.broken;
    struct verdict verdict =
        server_out_of_order(server, NEEDS_HELLO | NEEDS_MAIL | NEEDS_RECIPIENT);
    if (verdict.code != 0)
        return verdict;
    if (size_max != 0 && (size > size_max || server->incoming.reader.size > size_max - size))
        return VERDICT(552, "5.3.4", "The message is larger than we take (see SIZE)",
                       "limits.message_size");
    if (server->transaction.has_chunks)
        return VERDICT_OK;
    return service->policy->content_begin(service->context, server);
}

/* A chunk that brings nothing on: empty, or small and behind one that was refused. Larger ones of
 * these are bounded by what a session may make us read for nothing. */
static bool is_idle_chunk(const struct smtp_server *server, uint64_t size, bool is_last)
{
    if (server->incoming.broken.code != 0)
        return size < IDLE_CHUNK_MAX;
    return size == 0 && !is_last;
}

enum step handle_bdat(struct smtp_server *server, struct bytes argument)
{
    uint64_t size;
    bool is_last;

    if (!smtp_bdat_parse(argument, &size, &is_last)) {
        /* How many bytes of content follow is not known, and none of them must be taken for a
         * command: there is no way to go on. */
        enum step next =
            server_refuse(server, SMTP_BDAT,
                          VERDICT(501, "5.5.4", "Syntax is BDAT size [LAST]", "syntax"));
        if (next == STEP_CLOSE)
            return next;
        return server_leave(server, "4.5.0", "Where that chunk ends is unknown, closing", "syntax");
    }
    if (is_idle_chunk(server, size, is_last) && server_count_idle(server) == STEP_CLOSE)
        return STEP_CLOSE;
    if (!server->transaction.has_chunks)
        dot_reader_init(&server->incoming.reader);
    struct verdict verdict = judge_chunk(server, size);
    if (verdict.code == VERDICT_CODE_LATER && server_waits(server, ASKS_CONTENT_BEGIN, &verdict))
        return STEP_WAIT;
    return take_chunk(server, size, is_last, verdict);
}

enum step bdat_answered(struct smtp_server *server, struct bytes argument, struct verdict verdict)
{
    uint64_t size;
    bool is_last;
    bool is_good = smtp_bdat_parse(argument, &size, &is_last);

    check(is_good);
    return take_chunk(server, size, is_last, verdict);
}

static enum step take_chunk(struct smtp_server *server, uint64_t size, bool is_last,
                            struct verdict verdict)
{
    struct smtp_incoming *incoming = &server->incoming;

    if (!server->transaction.has_chunks && incoming->broken.code == 0)
        pace_begin(server);
    incoming->is_chunk = true;
    incoming->is_last = is_last;
    incoming->chunk_left = size;
    incoming->refusal = incoming->broken;
    if (verdict.code == 0)
        server->transaction.has_chunks = true;
    else if (incoming->broken.code == 0) /* a pipeline is one error, not one a chunk */
        refuse_content(server, verdict);
    session_enter(&server->session, SERVER_CONTENT);
    return STEP_AGAIN;
}

enum step content_step(struct session *session)
{
    struct smtp_server *server = server_of(session);

    return server->incoming.is_chunk ? chunk_step(server) : data_step(server);
}

/* How much of what has arrived may be taken now; less than `min`: the step waits. */
static size_t content_take_max(struct smtp_server *server, size_t arrived, size_t min)
{
    const struct smtp_service *service = server->service;

    if (server->incoming.refusal.code != 0)
        return arrived;
    size_t room = service->policy->content_room(service->context, server);
    if (room < min)
        pace_wait(server);
    else
        pace_go_on(server);
    return MIN(arrived, room);
}

static enum step data_step(struct smtp_server *server)
{
    struct smtp_incoming *incoming = &server->incoming;
    struct bytes input = conn_input(&server->session.conn);

    if (incoming->reader.done)
        return content_whole(server);
    if (input.len == 0)
        return server->session.conn.eof ? STEP_CLOSE : STEP_WAIT;
    /* One byte less than there is room: the reader may hand out a CR that it held back. */
    size_t len = content_take_max(server, input.len + 1, 2);
    if (len < 2)
        return STEP_WAIT;
    struct bytes rest = bytes_slice(input, 0, len - 1);
    bool is_refused = incoming->refusal.code != 0;
    dot_read(&incoming->reader, &rest, is_refused ? nowhere : content_out, server);
    size_t taken = len - 1 - rest.len;
    conn_consume(&server->session.conn, taken);
    incoming->received += taken;
    if (is_refused)
        return swallow(server, taken);
    metric_add(METRIC_SMTPD_CONTENT_BYTES, (int64_t)taken);
    judge(server);
    return STEP_AGAIN;
}

static enum step chunk_step(struct smtp_server *server)
{
    struct smtp_incoming *incoming = &server->incoming;
    struct bytes input = conn_input(&server->session.conn);

    if (incoming->chunk_left == 0)
        return chunk_end(server);
    if (input.len == 0)
        return server->session.conn.eof ? STEP_CLOSE : STEP_WAIT;
    if (input.len > incoming->chunk_left)
        input.len = (size_t)incoming->chunk_left;
    size_t len = content_take_max(server, input.len, 1);
    if (len == 0)
        return STEP_WAIT;
    bool is_refused = incoming->refusal.code != 0;
    struct bytes run = bytes_slice(input, 0, len);
    chunk_read(&incoming->reader, run);
    if (!is_refused)
        content_out(server, run);
    conn_consume(&server->session.conn, len);
    incoming->chunk_left -= len;
    incoming->received += len;
    if (is_refused)
        return swallow(server, len);
    metric_add(METRIC_SMTPD_CONTENT_BYTES, (int64_t)len);
    judge(server);
    return STEP_AGAIN;
}

static enum step chunk_end(struct smtp_server *server)
{
    struct smtp_incoming *incoming = &server->incoming;

    if (!server_can_reply(server))
        return STEP_WAIT;
    if (incoming->refusal.code == 0 && incoming->is_last) {
        struct bytes missing = chunk_missing(&incoming->reader);
        if (missing.len > 0) {
            if (content_take_max(server, missing.len, missing.len) < missing.len)
                return STEP_WAIT;
            chunk_read(&incoming->reader, missing);
            content_out(server, missing);
        }
        chunk_finish(&incoming->reader);
        judge(server);
    }
    if (incoming->refusal.code == 0 && incoming->is_last)
        return content_whole(server);
    if (incoming->refusal.code == 0) {
        session_enter(&server->session, SERVER_COMMAND);
        return server_reply(server, 250, "2.0.0", "Chunk taken");
    }
    incoming->broken = VERDICT_OK;
    if (!incoming->is_last)
        incoming->broken =
            VERDICT(incoming->refusal.code, incoming->refusal.enhanced,
                    "Chunk dropped: the transaction was refused with an earlier one", "chunk");
    return say_refusal(server);
}

/* All of it was read. */
static enum step content_whole(struct smtp_server *server)
{
    const struct smtp_service *service = server->service;

    if (!server_can_reply(server))
        return STEP_WAIT;
    if (server->incoming.refusal.code != 0)
        return say_refusal(server);
    struct verdict verdict =
        service->policy->content_end(service->context, server, &server->incoming.reader);
    if (verdict.code == VERDICT_CODE_LATER && server_waits(server, ASKS_CONTENT_END, &verdict))
        return STEP_WAIT;
    return content_answered(server, verdict);
}

enum step content_answered(struct smtp_server *server, struct verdict verdict)
{
    enum step next;

    if (verdict.code < 400) {
        server->error_count = 0; /* who gets mail through is no prober */
        server->idle_count = 0;
        next = server_reply(server, 250, "2.0.0", verdict.code == 0 ? "Ok" : verdict.text);
    } else {
        server_note(server, SMTP_DATA, &verdict, BYTES_NONE, BYTES_NONE);
        next = server_say(server, verdict);
    }
    server_reset(server);
    session_enter(&server->session, SERVER_COMMAND);
    return next;
}

static enum step say_refusal(struct smtp_server *server)
{
    struct verdict verdict = server->incoming.refusal;

    /* Whatever it was refused for: a client that ends lines in another way than CRLF may mean
     * another end of its content than we do, and what follows would be run as commands. */
    verdict.close |= server->incoming.reader.has_bare || server->incoming.reader.ends_in_cr;
    server->incoming.refusal = VERDICT_OK;
    session_enter(&server->session, SERVER_COMMAND);
    return server_say(server, verdict);
}

/* Looks at what the reader has seen so far. RFC 5321 section 2.3.8: CR and LF only as CRLF. */
static void judge(struct smtp_server *server)
{
    const struct smtp_service *service = server->service;
    const struct dot_reader *reader = &server->incoming.reader;

    if (service->limits.message_size_max != 0 && reader->size > service->limits.message_size_max)
        refuse_content(server, VERDICT(552, "5.3.4", "The message is larger than we take",
                                       "limits.message_size"));
    else if (reader->has_bare)
        refuse_content(server, VERDICT(554, "5.6.0",
                                       "The content holds a bare CR or LF; lines end in CRLF; "
                                       "closing",
                                       "bare-newline"));
    else if (reader->ends_in_cr)
        refuse_content(server,
                       VERDICT(554, "5.6.0", "The content ends in a bare CR; closing", "final-cr"));
    else if (reader->has_nul)
        refuse_content(server, VERDICT(554, "5.6.0", "The content holds a NUL", "nul"));
    else if (service->limits.line_length_max != 0 &&
             reader->line_len_max + 2 > service->limits.line_length_max)
        refuse_content(server, VERDICT(554, "5.6.0", "A line of the content is too long",
                                       "limits.line_length"));
}

/* The transaction ends here; the reply comes when the content's true end was read. */
static void refuse_content(struct smtp_server *server, struct verdict verdict)
{
    if (server->transaction.is_open)
        server_note(server, SMTP_DATA, &verdict, BYTES_NONE, BYTES_NONE);
    else
        server_count(server, SMTP_BDAT, &verdict);
    server_reset(server);
    server->incoming.refusal = verdict;
}

/* A client may send what it has announced, but not make us read for ever. */
static enum step swallow(struct smtp_server *server, size_t len)
{
    uint64_t swallow_max = server->service->limits.swallow_max;

    server->incoming.swallowed += len;
    if (server->incoming.swallowed <= (swallow_max != 0 ? swallow_max : SWALLOW_DEFAULT))
        return STEP_AGAIN;
    return server_leave(server, "4.7.0", "Too much refused content, closing", "refused-content");
}

static void content_out(void *context, struct bytes run)
{
    struct smtp_server *server = context;
    const struct smtp_service *service = server->service;

    service->policy->content(service->context, server, run);
}

static void nowhere(void *context __attribute__((unused)), struct bytes run __attribute__((unused)))
{
}
