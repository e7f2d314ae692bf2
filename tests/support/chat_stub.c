/* chat_stub.c - see chat_stub.h. */
#include "support/chat_stub.h"

#include "support/chat.h"

enum { CONTENT_MAX = 64 << 20, SESSIONS_MAX = 100 };

struct stub_session {
    struct smtp_server server;
    struct buf envelope, content;
    bool is_in_transaction;
    bool is_committing;
};

static struct stub_session *session_of(struct smtp_server *server)
{
    return container_of(server, struct stub_session, server);
}

static struct verdict on_connected(void *context, struct smtp_server *server)
{
    struct chat_stub *stub = context;

    check(server->session.state == SERVER_GREET);
    if (stub->facts != NULL)
        chat_fact(stub->facts, "connected %s", server->session.peer);
    server->must_wait = stub->rules.must_wait;
    return stub->rules.connected;
}

static struct verdict on_mail(void *context, struct smtp_server *server,
                              const struct smtp_mail *mail)
{
    struct chat_stub *stub = context;
    struct stub_session *session = session_of(server);

    check(!session->is_in_transaction);
    if (stub->facts != NULL)
        chat_fact(stub->facts, "mail %.*s size=%llu body=%s ret=%d envid=%.*s smtputf8=%d",
                  BYTES_ARG(mail->reverse_path.text), (unsigned long long)mail->size,
                  mail->body == SMTP_BODY_8BITMIME ? "8BITMIME" : "7BIT", (int)mail->ret,
                  BYTES_ARG(mail->envid), mail->smtputf8);
    if (stub->rules.mail.code != 0)
        return stub->rules.mail;
    session->is_in_transaction = true;
    server->transaction.of_service = session;
    check(buf_printf(&session->envelope, "from=%.*s to=", BYTES_ARG(mail->reverse_path.text)));
    return VERDICT_OK;
}

static struct verdict on_rcpt(void *context, struct smtp_server *server,
                              const struct smtp_rcpt *rcpt)
{
    struct chat_stub *stub = context;
    struct stub_session *session = server->transaction.of_service;

    check(session->is_in_transaction);
    if (stub->facts != NULL)
        chat_fact(stub->facts, "rcpt %.*s notify=%u orcpt=%.*s", BYTES_ARG(rcpt->forward_path.text),
                  rcpt->notify, BYTES_ARG(rcpt->orcpt));
    if (stub->rules.rcpt.code != 0 &&
        (stub->rules.rcpt_refused == NULL ||
         chat_glob(bytes_of(stub->rules.rcpt_refused), rcpt->forward_path.text)))
        return stub->rules.rcpt;
    if (!buf_printf(&session->envelope, "%s%.*s",
                    server->transaction.recipient_count > 0 ? "," : "",
                    BYTES_ARG(rcpt->forward_path.text)))
        return (struct verdict){452, "4.3.0", "No room", "stub", false};
    return VERDICT_OK;
}

static struct verdict on_begin(void *context, struct smtp_server *server)
{
    struct chat_stub *stub = context;
    struct stub_session *session = server->transaction.of_service;

    check(session->is_in_transaction);
    check(server->transaction.recipient_count > 0);
    if (stub->facts != NULL)
        chat_fact(stub->facts, "begin");
    return stub->rules.begin;
}

static size_t on_room(void *context, struct smtp_server *server __attribute__((unused)))
{
    const struct chat_stub *stub = context;

    return stub->rules.room;
}

static void on_content(void *context, struct smtp_server *server, struct bytes run)
{
    struct chat_stub *stub = context;
    struct stub_session *session = server->transaction.of_service;

    check(session->is_in_transaction);
    check(!session->is_committing);
    check(run.len <= stub->rules.room);
    check(buf_append(&session->content, run));
    if (stub->rules.room != SIZE_MAX)
        stub->rules.room -= run.len;
}

static void answer(struct chat_stub *stub, struct stub_session *session)
{
    session->is_committing = false;
    if (stub->rules.commit.code == 0 && stub->facts != NULL) {
        struct bytes envelope = buf_bytes(&session->envelope);
        chat_fact(stub->facts, "message %.*s size=%zu helo=%s", BYTES_ARG(envelope),
                  buf_len(&session->content), session->server.ehlo);
        chat_fact_bytes(stub->facts, "content", buf_bytes(&session->content));
    }
    smtp_server_accepted(&session->server, stub->rules.commit, "stub-1");
}

/* The obvious look at content that the session has found good. */
static void check_is_clean(struct bytes content)
{
    for (size_t i = 0; i < content.len; i++) {
        uint8_t c = content.ptr[i];
        check(c != '\0');
        check(c != '\r' || (i + 1 < content.len && content.ptr[i + 1] == '\n'));
        check(c != '\n' || (i > 0 && content.ptr[i - 1] == '\r'));
    }
}

static void on_end(void *context, struct smtp_server *server, const struct dot_reader *reader)
{
    struct chat_stub *stub = context;
    struct stub_session *session = server->transaction.of_service;

    check(server->session.state == SERVER_COMMIT);
    check(session->is_in_transaction);
    check(reader->size == buf_len(&session->content));
    check(!reader->has_bare && !reader->has_nul);
    check_is_clean(buf_bytes(&session->content));
    session->is_committing = true;
    if (stub->rules.holds_commits)
        return;
    if (stub->rules.answers_at_once)
        answer(stub, session);
    else
        engine_at_turn_end(stub->engine, &stub->answer);
}

static void on_reset(void *context, struct smtp_server *server)
{
    struct chat_stub *stub = context;
    struct stub_session *session = server->transaction.of_service;

    check(session->is_in_transaction);
    session->is_in_transaction = false;
    session->is_committing = false;
    buf_clear(&session->envelope);
    buf_clear(&session->content);
    if (stub->facts != NULL)
        chat_fact(stub->facts, "reset");
}

static void on_refused(void *context, struct smtp_server *server __attribute__((unused)),
                       const struct smtp_refused *refused)
{
    struct chat_stub *stub = context;
    const char *verb = refused->verb == SMTP_MAIL ? "MAIL" : "DATA";

    check(refused->verdict.code >= 400 && refused->verdict.code < 600);
    check(refused->verdict.enhanced[0] == (char)('0' + refused->verdict.code / 100));
    if (stub->facts != NULL)
        chat_fact(stub->facts, "refused %u %s rule=%s verb=%s address=%.*s", refused->verdict.code,
                  refused->verdict.enhanced, refused->verdict.rule,
                  refused->verb == SMTP_RCPT ? "RCPT" : verb, BYTES_ARG(refused->address));
}

static void on_closed(void *context, struct smtp_server *server)
{
    struct chat_stub *stub = context;
    struct stub_session *session = session_of(server);

    check(!session->is_in_transaction);
    if (stub->facts != NULL)
        chat_fact(stub->facts, "closed");
    buf_free(&session->envelope);
    buf_free(&session->content);
}

static const struct smtp_policy policy = {
    .connected = on_connected,
    .mail = on_mail,
    .rcpt = on_rcpt,
    .content_begin = on_begin,
    .content_room = on_room,
    .content = on_content,
    .content_end = on_end,
    .reset = on_reset,
    .refused = on_refused,
    .closed = on_closed,
};

static void answer_all(struct turn_end *turn_end)
{
    chat_stub_release(container_of(turn_end, struct chat_stub, answer));
}

static size_t held(const struct session *session __attribute__((unused)))
{
    return 0;
}

static const struct service_kind kind = {
    .session_size = sizeof(struct stub_session),
    .pressure = {.held = held, .shed = session_shed},
};

void chat_stub_init(struct chat_stub *stub, struct engine *engine)
{
    struct service_limits limits = {.sessions_max = SESSIONS_MAX};

    *stub = (struct chat_stub){
        .engine = engine,
        .service = {.policy = &policy,
                    .context = stub,
                    .name = "stub",
                    .hostname = "relay.example",
                    .message_size_max = 1 << 20,
                    .recipients_max = 1000},
        .rules = {.room = SIZE_MAX},
    };
    generation_init(&stub->generation, NULL);
    service_init(&stub->serving, engine, &kind, &stub->load);
    service_configure(&stub->serving, &limits, &stub->generation);
    turn_end_init(&stub->answer, answer_all);
}

void chat_stub_accept(struct chat_stub *stub, int fd)
{
    struct address nobody = {0}; /* a socketpair's end has none */
    struct session *admitted;

    check(service_admit(&stub->serving, &nobody, &admitted) == SERVICE_ADMITS);
    struct stub_session *session = container_of(admitted, struct stub_session, server.session);
    buf_init(&session->envelope, 1 << 20);
    buf_init(&session->content, CONTENT_MAX);
    smtp_server_start(&session->server, stub->engine, fd, &stub->service);
}

static struct smtp_server *server_at(struct list_node *node)
{
    return container_of(node, struct smtp_server, session.node);
}

void chat_stub_room(struct chat_stub *stub, size_t room)
{
    stub->rules.room = room;
    list_for_each(node, &stub->serving.sessions)
        smtp_server_resume(server_at(node));
}

void chat_stub_release(struct chat_stub *stub)
{
    list_for_each(node, &stub->serving.sessions) {
        struct stub_session *session = session_of(server_at(node));
        if (session->is_committing)
            answer(stub, session);
    }
}

void chat_stub_stop(struct chat_stub *stub)
{
    list_for_each(node, &stub->serving.sessions)
        session_stop(container_of(node, struct session, node));
}

void chat_stub_abort(struct chat_stub *stub)
{
    service_abort(&stub->serving);
}

size_t chat_stub_sessions(const struct chat_stub *stub)
{
    return stub->serving.session_count;
}

void chat_stub_free(struct chat_stub *stub)
{
    check(stub->load == 0);
    check(stub->generation.references == 1);
    service_end(&stub->serving);
    engine_turn_end_cancel(stub->engine, &stub->answer);
}
