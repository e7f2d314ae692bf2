/* session.c - what submission says to an SMTP session's questions (smtpd/policy.h). */
#include "submission/session.h"

#include <string.h>

#include "base/log.h"
#include "base/metric.h"
#include "io/tls.h"
#include "submission/allowed.h"
#include "submission/labels.h"
#include "submission/login.h"
#include "submission/repeated.h"
#include "submission/scan.h"
#include "submission/sender.h"
#include "submission/sent.h"

/* The client waits 10 minutes: RFC 5321 section 4.5.3.2.6. */
enum { COMMIT_MS = 600 * 1000, AGAIN_MS = 10 };

static void on_resume(void *context);
static void on_done(void *context, struct verdict verdict, const char *id);
static void on_again(struct timeout *timeout);

static struct submission_session *session_of(struct smtp_server *server)
{
    return container_of(server, struct submission_session, server);
}

size_t submission_held(const struct session *session)
{
    const struct smtp_server *server = container_of(session, struct smtp_server, session);
    const struct intake *intake = server->transaction.of_service;

    if (!smtp_server_can_be_shed(server))
        return 0;
    return smtp_server_memory(server) + (intake != NULL ? intake_memory(intake) : 0) +
           scan_memory(container_of(server, struct submission_session, server)->scan);
}

/* submission_accept() has turned away whom it had to before there was a session. */
static struct verdict on_connected(void *context __attribute__((unused)),
                                   struct smtp_server *server)
{
    const struct submission_session *session = session_of(server);

    timeout_init(&session_of(server)->again, on_again);
    /* What it has to say there to send is no plain text. */
    server->needs_tls = !session->is_trusted && server->tls == SMTP_TLS_STARTTLS;
    return VERDICT_OK;
}

/* What stands in the configuration and not in the directory is somebody's mistake, or on its way:
 * the mail is to wait and not to be lost. That a tenant is disabled somebody decided. */
static struct verdict check_tenant(const struct submission *submission, const char *name)
{
    static const struct verdict unknown = {.code = 451,
                                           .enhanced = "4.3.5",
                                           .text = "Whose mail this is, is not known",
                                           .rule = "tenant"};
    const struct directory_tenant *tenant = NULL;
    bool is_disabled = false;

    if (name[0] == '\0')
        return VERDICT_OK;
    if (submission->reader != NULL) {
        tenant = snapshot_tenant(snapshot_begin(submission->reader), bytes_of(name));
        is_disabled = tenant != NULL && tenant->is_disabled;
        snapshot_end(submission->reader);
    }
    if (tenant == NULL) {
        log_limited(LOG_LEVEL_WARN,
                    "tenant=%s what=\"a listener's mail waits: there is no such tenant; "
                    "`ringpost tenant add` makes it\"",
                    LOG_STRING(name));
        return unknown;
    }
    return is_disabled ? verdict_refuse(550, "5.7.1", "This tenant may not send now", "tenant")
                       : VERDICT_OK;
}

static struct verdict on_mail(void *context, struct smtp_server *server,
                              const struct smtp_mail *mail)
{
    struct settings_generation *generation = context;
    struct submission_session *session = session_of(server);
    struct intake_client client = {
        .ip = bytes_of(server->session.peer),
        .ehlo = bytes_of(server->ehlo),
        .service = bytes_of(session->listener->name),
        .tenant = bytes_of(session->tenant),
        .hostname = bytes_of(generation->hostname),
        .is_esmtp = server->is_esmtp,
        .is_authenticated = server->is_authenticated,
        .credential = session->credential,
        .class = session->class,
        .session = server->session.serial,
        .connected_ms = server->session.connected_ms,
    };
    struct intake_answer answer = {server, on_resume, on_done};
    struct tls_facts tls;

    struct intake *intake = NULL;

    if (conn_tls_facts(&server->session.conn, &tls))
        client.tls_cipher = bytes_of(tls.cipher);
    if (!session->is_trusted && !server->is_authenticated) /* RFC 4954 section 6 */
        return verdict_refuse(530, "5.7.0", "Authentication required", "trust");
    if (pressure_is_high(&generation->submission->service.pressure))
        return intake_out_of_memory();
    struct verdict verdict = login_still_good(generation->submission, session);
    if (verdict.code == 0)
        verdict = check_tenant(generation->submission, session->tenant);
    if (verdict.code == 0)
        verdict = sender_judge_mail(generation->submission, session, mail);
    if (verdict.code == 0)
        verdict = allowed_foresee(generation->submission, session);
    if (verdict.code == 0)
        verdict = intake_open(&generation->submission->home, mail, &client, &answer, &intake);
    server->transaction.of_service = intake;
    if (verdict.code == 0 && !scan_open(generation->submission, session, &session->scan))
        return intake_out_of_memory();
    return verdict;
}

static struct verdict on_rcpt(void *context, struct smtp_server *server,
                              const struct smtp_rcpt *rcpt)
{
    const struct settings_generation *generation = context;
    struct verdict verdict = sender_judge_rcpt(generation->submission, session_of(server));

    if (verdict.code != 0)
        return verdict;
    return intake_add_recipient(server->transaction.of_service, rcpt);
}

static struct verdict on_content_begin(void *context, struct smtp_server *server)
{
    const struct settings_generation *generation = context;

    if (pressure_is_high(&generation->submission->service.pressure))
        return intake_out_of_memory();
    return sent_add(generation->submission, session_of(server), server->transaction.of_service);
}

static size_t on_content_room(void *context __attribute__((unused)), struct smtp_server *server)
{
    return intake_room(server->transaction.of_service);
}

static void on_content(void *context __attribute__((unused)), struct smtp_server *server,
                       struct bytes run)
{
    struct scan *scan = session_of(server)->scan;

    intake_content(server->transaction.of_service, run);
    if (scan != NULL)
        scan_content(scan, run);
}

/* What is asked of a whole message that is good by itself; the order matters, since each is taken
 * back if a later one refuses. */
static struct verdict ask(struct submission *submission, struct submission_session *session,
                          struct intake *intake)
{
    struct verdict verdict = repeated_ask(submission, session, intake);

    return verdict.code == 0 ? allowed_take(submission, session, intake) : verdict;
}

static void commit(const struct settings_generation *generation, struct intake *intake)
{
    unsigned received_max = generation->settings.received_max;

    intake_commit(intake, received_max != 0 ? received_max : SUBMISSION_RECEIVED_DEFAULT);
}

/* Until what it depends on is known. */
static void ask_again(struct submission_session *session)
{
    engine_timeout(session->server.session.conn.engine, &session->again, AGAIN_MS);
}

static void on_again(struct timeout *timeout)
{
    struct submission_session *session = container_of(timeout, struct submission_session, again);
    struct smtp_server *server = &session->server;
    const struct settings_generation *generation = server->service->context;
    struct intake *intake = server->transaction.of_service;
    struct verdict verdict = ask(generation->submission, session, intake);

    if (verdict.code == VERDICT_CODE_LATER)
        ask_again(session);
    else if (verdict.code == 0)
        commit(generation, intake);
    else
        (void)smtp_server_answer(server, session->content, verdict);
}

/* What one user may hand in. */
static struct verdict take_rate(const struct submission *submission,
                                const struct submission_session *session, struct intake *intake)
{
    const struct account_rate *rate =
        &container_of(submission->service.generation, struct settings_generation, generation)
             ->settings.account_rate;

    if (session->account == 0 || (rate->messages_max == 0 && rate->recipients_max == 0))
        return VERDICT_OK;
    if (!intake_count_to(intake, session->account))
        return intake_out_of_memory();
    switch (account_rate_take(session->account, rate, session->server.transaction.recipient_count,
                              engine_now_ms(submission->service.engine))) {
    case ACCOUNT_RATE_OK:
        return VERDICT_OK;
    case ACCOUNT_RATE_MESSAGES:
        metric_inc(METRIC_SUBMISSION_OVER_ACCOUNT_RATE);
        return verdict_refuse(451, "4.7.1",
                              "You sent too many messages in an hour, try again later",
                              "limits.account_messages_per_hour");
    case ACCOUNT_RATE_RECIPIENTS:
        break;
    }
    metric_inc(METRIC_SUBMISSION_OVER_ACCOUNT_RATE);
    return verdict_refuse(451, "4.7.1",
                          "You sent to too many recipients in an hour, try again later",
                          "limits.account_recipients_per_hour");
}

static void on_looked_at(struct submission_session *session, struct verdict verdict)
{
    struct smtp_server *server = &session->server;
    const struct settings_generation *generation = server->service->context;

    scan_free(&session->scan);
    if (verdict.code == 0)
        verdict = ask(generation->submission, session, server->transaction.of_service);
    if (verdict.code == VERDICT_CODE_LATER)
        ask_again(session);
    else if (verdict.code == 0)
        commit(generation, server->transaction.of_service);
    else
        (void)smtp_server_answer(server, session->content, verdict);
}

static struct verdict on_content_end(void *context, struct smtp_server *server,
                                     const struct dot_reader *reader)
{
    const struct settings_generation *generation = context;
    struct submission_session *session = session_of(server);
    struct intake *intake = server->transaction.of_service;

    intake_content_end(intake, reader->has_8bit);
    struct verdict verdict =
        sender_judge_content(generation->submission, session, intake, reader->size);
    if (verdict.code == 0)
        verdict = labels_take(generation->submission, session, intake);
    if (verdict.code == 0)
        verdict = take_rate(generation->submission, session, intake);
    if (verdict.code == 0 && session->scan == NULL)
        verdict = ask(generation->submission, session, intake);
    if (verdict.code != 0 && verdict.code != VERDICT_CODE_LATER)
        return verdict;
    /* The message may still be accepted: as after a lost 250, the client's next try makes a
     * duplicate, which RFC 5321 section 6.1 prefers to a loss. */
    struct verdict later =
        smtp_server_later(server, COMMIT_MS,
                          verdict_refuse(421, "4.3.0", "The spool does not answer, closing",
                                         "spool"),
                          &session->content);
    if (session->scan != NULL)
        scan_ask(session->scan, intake, on_looked_at);
    else if (verdict.code == VERDICT_CODE_LATER)
        ask_again(session);
    else
        commit(generation, intake);
    return later;
}

static void on_resume(void *context)
{
    smtp_server_resume(context);
}

static void on_done(void *context, struct verdict verdict, const char *id)
{
    struct smtp_server *server = context;
    uint64_t content = session_of(server)->content;
    bool is_open = verdict.code == 0 ? smtp_server_accepted(server, content, id)
                                     : smtp_server_answer(server, content, verdict);

    check(is_open); /* else the reset has let the intake go, and it does not answer */
}

static void on_reset(void *context __attribute__((unused)), struct smtp_server *server)
{
    struct intake *intake = server->transaction.of_service;

    server->transaction.of_service = NULL;
    session_of(server)->has_claim = false;
    scan_free(&session_of(server)->scan);
    engine_timeout_cancel(server->session.conn.engine, &session_of(server)->again);
    intake_let_go(&intake);
}

static bool may_note(struct submission *submission, const struct submission_session *session)
{
    int64_t now_ms = engine_now_ms(submission->service.engine);

    bool is_stranger = !session->is_trusted && !session->server.is_authenticated;

    if (is_stranger && !note_budget_take(&submission->stranger_notes, now_ms)) {
        metric_inc(METRIC_SUBMISSION_STRANGERS_UNTOLD);
        return false;
    }
    if (note_budget_take(&submission->notes, now_ms))
        return true;
    metric_inc(METRIC_SUBMISSION_REJECTED_UNTOLD);
    return false;
}

static const char *class_of(const struct smtp_enhanced *enhanced)
{
    static const char *const subjects[] = {"other",   "address",  "mailbox", "system",
                                           "network", "protocol", "content", "policy"};

    return enhanced->subject < ARRAY_LEN(subjects) ? subjects[enhanced->subject] : "other";
}

static struct smtp_concerned on_concerned(void *context __attribute__((unused)),
                                          const struct smtp_server *server)
{
    const struct intake *intake = server->transaction.of_service;

    const struct submission_session *session =
        container_of(server, struct submission_session, server);
    struct smtp_concerned whom = {.tenant = bytes_of(session->tenant)};

    if (server->transaction.is_open) {
        whom.from = intake_reverse_path(intake);
        whom.to = intake_recipient(intake);
    }
    return whom;
}

/* A refusal for good is a customer's fact; what is refused for now will be tried again. */
void submission_tell_refused(const struct settings_generation *generation,
                             struct smtp_server *server, const struct verdict *verdict,
                             struct smtp_concerned whom)
{
    struct submission *submission = generation->submission;
    struct smtp_enhanced enhanced = {0};
    struct bytes enhanced_text = bytes_of(verdict->enhanced);
    char name[SESSION_NAME_MAX];

    if (verdict->code < 500)
        return;
    if (!may_note(submission, session_of(server)))
        return;
    bool is_enhanced = smtp_enhanced_take(&enhanced_text, &enhanced);
    check(is_enhanced);
    session_name(&server->session, name);
    struct event event = {
        .kind = EVENT_REJECTED,
        .time_ms = engine_wall_ms(submission->service.engine),
        .sender = whom.from,
        .recipient = whom.to,
        .session = bytes_of(name),
        .tenant = bytes_of(session_of(server)->tenant),
        .connected_ms = server->session.connected_ms,
        .client_ip = bytes_of(server->session.peer),
        .client_ehlo = bytes_of(server->ehlo),
        .service = bytes_of(session_of(server)->listener->name),
        .times = {-1, -1, -1, -1, -1, -1},
        .reply_is_ours = true,
        .reply_code = (uint16_t)verdict->code,
        .enhanced_class = enhanced.class,
        .enhanced_subject = enhanced.subject,
        .enhanced_detail = enhanced.detail,
        .reply_text = bytes_of(verdict->text),
        .class = bytes_of(class_of(&enhanced)),
        .rule = bytes_of(verdict->rule != NULL ? verdict->rule : ""),
    };
    if (!shard_note(submission->shard, &event))
        metric_inc(METRIC_SUBMISSION_REJECTED_UNTOLD);
}

static void on_refused(void *context, struct smtp_server *server,
                       const struct smtp_refused *refused)
{
    submission_tell_refused(context, server, &refused->verdict, refused->concerned);
}

const struct smtp_policy submission_policy = {
    .connected = on_connected,
    .mail = on_mail,
    .rcpt = on_rcpt,
    .content_begin = on_content_begin,
    .content_room = on_content_room,
    .content = on_content,
    .content_end = on_content_end,
    .mechanisms = login_mechanisms,
    .login_begin = login_begin,
    .login = login_asked,
    .login_done = login_done,
    .login_failed = login_failed,
    .reset = on_reset,
    .concerned = on_concerned,
    .refused = on_refused,
};
