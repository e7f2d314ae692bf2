/* chat_stub.c - see chat_stub.h. */
#include "support/chat_stub.h"

#include "support/chat.h"

enum { CONTENT_MAX = 64 << 20, SESSIONS_MAX = 100, COMMIT_MS = 600 * 1000, LATER_MS = 60 * 1000 };

enum { ASKED_NOTHING = -1 };

struct stub_session {
    struct smtp_server server;
    struct buf envelope, content;
    int asked;                  /* enum smtp_question_kind, to be answered later */
    uint64_t token, late_token; /* late: of a question that was cancelled */
    struct buf addition;        /* to the envelope, by a yes */
    struct verdict verdict;     /* on the recipient that is asked about */
    bool is_in_transaction;
    bool is_committing;
};

static struct stub_session *session_of(struct smtp_server *server)
{
    return container_of(server, struct stub_session, server);
}

enum { SALT_LEN = 16 };

static const struct verdict overdue = {451, "4.3.0", "The stub took too long", "stub-late", false};

/* Asks for time if the rules want it for such a question; else `verdict`. */
static struct verdict answer_now_or_later(struct chat_stub *stub, struct stub_session *session,
                                          enum smtp_question_kind kind, struct verdict verdict)
{
    if ((stub->rules.later & (1U << kind)) == 0)
        return verdict;
    check(session->asked == ASKED_NOTHING);
    session->asked = (int)kind;
    return smtp_server_later(&session->server,
                             stub->rules.later_ms != 0 ? stub->rules.later_ms : LATER_MS, overdue,
                             &session->token);
}

static struct verdict on_connected(void *context, struct smtp_server *server)
{
    struct chat_stub *stub = context;

    check(server->session.state == SERVER_GREET);
    if (stub->facts != NULL)
        chat_fact(stub->facts, "connected %s", server->session.peer);
    server->needs_tls = stub->rules.needs_tls;
    return answer_now_or_later(stub, session_of(server), ASKS_CONNECTED, stub->rules.connected);
}

static void add_to_envelope(struct stub_session *session)
{
    check(buf_append(&session->envelope, buf_bytes(&session->addition)));
}

static void say_yes_to_mail(struct stub_session *session)
{
    session->is_in_transaction = true;
    session->server.transaction.of_service = session;
    add_to_envelope(session);
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
    buf_clear(&session->addition);
    check(buf_printf(&session->addition, "from=%.*s to=", BYTES_ARG(mail->reverse_path.text)));
    struct verdict verdict = answer_now_or_later(stub, session, ASKS_MAIL, stub->rules.mail);
    if (verdict.code == 0)
        say_yes_to_mail(session);
    return verdict;
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
    buf_clear(&session->addition);
    if (!buf_printf(&session->addition, "%s%.*s",
                    server->transaction.recipient_count > 0 ? "," : "",
                    BYTES_ARG(rcpt->forward_path.text)) ||
        buf_len(&session->addition) > buf_room(&session->envelope))
        return (struct verdict){452, "4.3.0", "No room", "stub", false};
    bool is_refused = stub->rules.rcpt.code != 0 &&
                      (stub->rules.rcpt_refused == NULL ||
                       chat_glob(bytes_of(stub->rules.rcpt_refused), rcpt->forward_path.text));
    session->verdict = is_refused ? stub->rules.rcpt : VERDICT_OK;
    struct verdict verdict = answer_now_or_later(stub, session, ASKS_RCPT, session->verdict);
    if (verdict.code == 0)
        add_to_envelope(session);
    return verdict;
}

static struct verdict on_begin(void *context, struct smtp_server *server)
{
    struct chat_stub *stub = context;
    struct stub_session *session = server->transaction.of_service;

    check(session->is_in_transaction);
    check(server->transaction.recipient_count > 0);
    if (stub->facts != NULL)
        chat_fact(stub->facts, "begin");
    return answer_now_or_later(stub, session, ASKS_CONTENT_BEGIN, stub->rules.begin);
}

static size_t on_room(void *context, struct smtp_server *server __attribute__((unused)))
{
    const struct chat_stub *stub = context;

    return stub->rules.room;
}

static unsigned on_mechanisms(void *context, const struct smtp_server *server,
                              struct verdict *why_out)
{
    const struct chat_stub *stub = context;

    (void)server;
    if (stub->rules.why_not.code != 0)
        *why_out = stub->rules.why_not;
    return stub->rules.why_not.code != 0 ? 0 : stub->rules.mechanisms;
}

static struct verdict on_login_begin(void *context, struct smtp_server *server,
                                     struct sasl_settings *settings_out)
{
    const struct chat_stub *stub = context;

    check(!server->is_authenticated);
    check(!session_of(server)->is_in_transaction);
    *settings_out = (struct sasl_settings){
        .fake_key = BYTES("0123456789abcdef0123456789abcdef"),
        .fake_salt_len = SALT_LEN,
        .fake_iterations = SASL_ITERATIONS_MIN,
        /* RFC 7677 section 3's */
        .nonce = BYTES("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"),
    };
    return stub->rules.login_begin;
}

static bool is_user(const struct chat_stub *stub, const struct smtp_login *login)
{
    return stub->rules.user != NULL && bytes_equal(login->user, bytes_of(stub->rules.user));
}

static void give_keys(struct chat_stub *stub, struct smtp_server *server)
{
    static const uint8_t salt[SALT_LEN] = {0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e,
                                           0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81};
    struct sasl_keys keys;

    check(sasl_keys_derive(bytes_of(stub->rules.secret), bytes_range(salt, sizeof(salt)),
                           SASL_ITERATIONS_MIN, &keys));
    smtp_server_keys(server, &keys);
}

static struct verdict on_login(void *context, struct smtp_server *server,
                               const struct smtp_login *login)
{
    static const struct verdict wrong = {535, "5.7.8", "Wrong", "stub", false};
    struct chat_stub *stub = context;
    bool is_right = is_user(stub, login);

    if (stub->facts != NULL)
        chat_fact(stub->facts, "login %s %.*s", sasl_mechanism_name(login->mechanism),
                  BYTES_ARG(login->user));
    if (login->secret.ptr == NULL && is_right)
        give_keys(stub, server);
    if (login->secret.ptr != NULL)
        is_right = is_right && bytes_equal(login->secret, bytes_of(stub->rules.secret));
    struct verdict verdict = is_right || login->secret.ptr == NULL ? stub->rules.login : wrong;
    session_of(server)->verdict = verdict;
    return answer_now_or_later(stub, session_of(server), ASKS_LOGIN, verdict);
}

static struct verdict on_login_done(void *context, struct smtp_server *server,
                                    const struct smtp_login *login)
{
    struct chat_stub *stub = context;

    check(is_user(stub, login));
    check(!server->is_authenticated);
    if (stub->facts != NULL)
        chat_fact(stub->facts, "login_done %.*s", BYTES_ARG(login->user));
    return stub->rules.login_done;
}

static struct verdict on_login_failed(void *context, struct smtp_server *server,
                                      const struct smtp_login *login)
{
    static const struct verdict failed = {535, "5.7.8", "Authentication failed", "stub", false};
    struct chat_stub *stub = context;
    struct verdict verdict = stub->rules.login_failed.code != 0 ? stub->rules.login_failed : failed;

    if (stub->facts != NULL)
        chat_fact(stub->facts, "login_failed %.*s", BYTES_ARG(login->user));
    session_of(server)->verdict = verdict;
    return answer_now_or_later(stub, session_of(server), ASKS_LOGIN_FAILED, verdict);
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

static void tell_of_message(struct chat_stub *stub, struct stub_session *session)
{
    session->is_committing = false;
    if (stub->rules.commit.code == 0 && stub->facts != NULL) {
        struct bytes envelope = buf_bytes(&session->envelope);
        chat_fact(stub->facts, "message %.*s size=%zu helo=%s", BYTES_ARG(envelope),
                  buf_len(&session->content), session->server.ehlo);
        chat_fact_bytes(stub->facts, "content", buf_bytes(&session->content));
    }
}

static void answer(struct chat_stub *stub, struct stub_session *session)
{
    struct smtp_server *server = &session->server;
    uint64_t token = session->token;

    tell_of_message(stub, session);
    session->token = 0;
    bool is_open = stub->rules.commit.code == 0
                       ? smtp_server_accepted(server, token, "stub-1")
                       : smtp_server_answer(server, token, stub->rules.commit);
    check(is_open);
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

static struct verdict on_end(void *context, struct smtp_server *server,
                             const struct dot_reader *reader)
{
    static const struct verdict silent = {421, "4.3.0", "The spool does not answer, closing",
                                          "spool", true};
    struct chat_stub *stub = context;
    struct stub_session *session = server->transaction.of_service;

    check(server->session.state == SERVER_CONTENT);
    check(session->is_in_transaction);
    check(reader->size == buf_len(&session->content));
    check(!reader->has_bare && !reader->has_nul);
    check_is_clean(buf_bytes(&session->content));
    session->is_committing = true;
    if (!stub->rules.holds_commits && stub->rules.answers_at_once) {
        tell_of_message(stub, session);
        return stub->rules.commit.code == 0
                   ? (struct verdict){250, "2.0.0", "Ok: queued as stub-1", NULL, false}
                   : stub->rules.commit;
    }
    if (!stub->rules.holds_commits)
        engine_at_turn_end(stub->engine, &stub->answer);
    return smtp_server_later(server, COMMIT_MS, silent, &session->token);
}

static void on_cancel(void *context, struct smtp_server *server)
{
    static const char *const names[] = {
        [ASKS_CONNECTED] = "connected",
        [ASKS_LOGIN] = "login",
        [ASKS_LOGIN_FAILED] = "login_failed",
        [ASKS_MAIL] = "mail",
        [ASKS_RCPT] = "rcpt",
        [ASKS_CONTENT_BEGIN] = "begin",
    };
    struct chat_stub *stub = context;
    struct stub_session *session = session_of(server);

    check(session->token != 0);
    check((session->asked == ASKED_NOTHING) == session->is_committing);
    if (stub->facts != NULL)
        chat_fact(stub->facts, "cancel %s",
                  session->is_committing ? "commit" : names[session->asked]);
    session->late_token = session->token;
    session->token = 0;
    session->asked = ASKED_NOTHING;
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
    check(session->asked == ASKED_NOTHING); /* cancelled before */
    if (stub->facts != NULL)
        chat_fact(stub->facts, "reset");
}

static struct smtp_concerned on_concerned(void *context __attribute__((unused)),
                                          const struct smtp_server *server)
{
    const struct stub_session *session = server->transaction.of_service;

    if (!server->transaction.is_open)
        return (struct smtp_concerned){0};
    check(session->is_in_transaction);
    struct bytes from = buf_bytes(&session->envelope);
    from = bytes_slice(from, BYTES("from=").len, from.len);
    size_t end = bytes_find(from, ' ', 0);
    struct bytes to = bytes_slice(from, MIN(end + BYTES(" to=").len, from.len), from.len);

    return (struct smtp_concerned){
        .from = bytes_slice(from, 0, end),
        .to = server->transaction.recipient_count == 1 ? to : BYTES_NONE,
    };
}

static void on_refused(void *context, struct smtp_server *server __attribute__((unused)),
                       const struct smtp_refused *refused)
{
    struct chat_stub *stub = context;
    const char *verb = refused->verb == SMTP_MAIL ? "MAIL" : "DATA";

    check(refused->verdict.code >= 400 && refused->verdict.code < 600);
    check(refused->verdict.enhanced[0] == (char)('0' + refused->verdict.code / 100));
    if (stub->facts != NULL)
        chat_fact(stub->facts, "refused %u %s rule=%s verb=%s from=%.*s to=%.*s",
                  refused->verdict.code, refused->verdict.enhanced, refused->verdict.rule,
                  refused->verb == SMTP_RCPT ? "RCPT" : verb, BYTES_ARG(refused->concerned.from),
                  BYTES_ARG(refused->concerned.to));
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
    buf_free(&session->addition);
}

static const struct smtp_policy policy = {
    .connected = on_connected,
    .mail = on_mail,
    .rcpt = on_rcpt,
    .content_begin = on_begin,
    .content_room = on_room,
    .content = on_content,
    .content_end = on_end,
    .mechanisms = on_mechanisms,
    .login_begin = on_login_begin,
    .login = on_login,
    .login_done = on_login_done,
    .login_failed = on_login_failed,
    .cancel = on_cancel,
    .reset = on_reset,
    .concerned = on_concerned,
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
                    .limits = {.message_size_max = 1 << 20, .recipients_max = 1000}},
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
    buf_init(&session->addition, 1 << 20);
    session->asked = ASKED_NOTHING;
    session->server.tls = (uint8_t)stub->tls;
    session->server.is_stranger = stub->rules.is_stranger;
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

static struct verdict verdict_of(const struct chat_stub *stub, const struct stub_session *session)
{
    switch ((enum smtp_question_kind)session->asked) {
    case ASKS_CONNECTED:
        return stub->rules.connected;
    case ASKS_MAIL:
        return stub->rules.mail;
    case ASKS_LOGIN:
    case ASKS_LOGIN_FAILED:
    case ASKS_RCPT:
        return session->verdict;
    case ASKS_CONTENT_BEGIN:
        return stub->rules.begin;
    case ASKS_CONTENT_END:
        break;
    }
    check(false);
    return VERDICT_OK;
}

static void answer_asked(struct stub_session *session, struct verdict verdict)
{
    int asked = session->asked;
    uint64_t token = session->token;

    session->asked = ASKED_NOTHING;
    session->token = 0;
    if (verdict.code == 0 && asked == ASKS_MAIL)
        say_yes_to_mail(session);
    if (verdict.code == 0 && asked == ASKS_RCPT)
        add_to_envelope(session);
    check(smtp_server_answer(&session->server, token, verdict));
}

void chat_stub_answer(struct chat_stub *stub, const struct verdict *verdict)
{
    list_for_each(node, &stub->serving.sessions) {
        struct stub_session *session = session_of(server_at(node));
        if (session->asked != ASKED_NOTHING)
            answer_asked(session, verdict != NULL ? *verdict : verdict_of(stub, session));
    }
}

bool chat_stub_is_asked(const struct chat_stub *stub)
{
    list_for_each(node, &stub->serving.sessions)
        if (session_of(server_at(node))->asked != ASKED_NOTHING)
            return true;
    return false;
}

unsigned chat_stub_answer_late(struct chat_stub *stub)
{
    unsigned count = 0;

    list_for_each(node, &stub->serving.sessions) {
        struct stub_session *session = session_of(server_at(node));
        if (session->late_token == 0)
            continue;
        check(!smtp_server_answer(&session->server, session->late_token, VERDICT_OK));
        session->late_token = 0;
        count++;
    }
    return count;
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
