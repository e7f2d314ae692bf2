/* session.c - what receiving says to an SMTP session's questions (smtpd/policy.h). */
#include "inbound/receive/session.h"

#include "base/metric.h"
#include "inbound/receive/arrival.h"
#include "inbound/receive/recipient.h"

static struct receive_session *session_of(struct smtp_server *server)
{
    return container_of(server, struct receive_session, server);
}

static struct receive *receive_of(void *context)
{
    const struct receive_generation *generation = context;

    return generation->receive;
}

size_t receive_held(const struct session *session)
{
    const struct smtp_server *server = container_of(session, struct smtp_server, session);
    const struct arrival *arrival = server->transaction.of_service;

    if (!smtp_server_can_be_shed(server))
        return 0;
    return smtp_server_memory(server) + (arrival != NULL ? arrival_memory(arrival) : 0);
}

static struct verdict on_connected(void *context __attribute__((unused)),
                                   struct smtp_server *server)
{
    server->must_wait = true;
    return VERDICT_OK;
}

static struct verdict on_mail(void *context, struct smtp_server *server,
                              const struct smtp_mail *mail)
{
    struct arrival *arrival = NULL;

    if (pressure_is_high(&receive_of(context)->service.pressure))
        return intake_out_of_memory();
    struct verdict verdict = arrival_open(session_of(server), mail, &arrival);
    server->transaction.of_service = arrival;
    return verdict;
}

static struct verdict on_rcpt(void *context __attribute__((unused)), struct smtp_server *server,
                              const struct smtp_rcpt *rcpt)
{
    return recipient_judge(server->transaction.of_service, rcpt);
}

static struct verdict on_content_begin(void *context,
                                       struct smtp_server *server __attribute__((unused)))
{
    return pressure_is_high(&receive_of(context)->service.pressure) ? intake_out_of_memory()
                                                                    : VERDICT_OK;
}

static size_t on_content_room(void *context __attribute__((unused)), struct smtp_server *server)
{
    return arrival_room(server->transaction.of_service);
}

static void on_content(void *context __attribute__((unused)), struct smtp_server *server,
                       struct bytes run)
{
    arrival_content(server->transaction.of_service, run);
}

static struct verdict on_content_end(void *context __attribute__((unused)),
                                     struct smtp_server *server, const struct dot_reader *reader)
{
    return arrival_end(server->transaction.of_service, reader->has_8bit);
}

static void on_reset(void *context __attribute__((unused)), struct smtp_server *server)
{
    struct arrival *arrival = server->transaction.of_service;

    server->transaction.of_service = NULL;
    arrival_let_go(&arrival);
}

static struct smtp_concerned on_concerned(void *context __attribute__((unused)),
                                          const struct smtp_server *server)
{
    const struct arrival *arrival = server->transaction.of_service;

    return (struct smtp_concerned){intake_reverse_path(arrival->intake),
                                   intake_recipient(arrival->intake)};
}

static const char *class_of(const struct smtp_enhanced *enhanced)
{
    static const char *const subjects[] = {"other",   "address",  "mailbox", "system",
                                           "network", "protocol", "content", "policy"};

    return enhanced->subject < ARRAY_LEN(subjects) ? subjects[enhanced->subject] : "other";
}

/* A refusal for good is a fact of the domain's; what is refused for now comes again. */
static void on_refused(void *context, struct smtp_server *server,
                       const struct smtp_refused *refused)
{
    struct receive *receive = receive_of(context);
    const struct arrival *arrival = server->transaction.of_service;
    const struct verdict *verdict = &refused->verdict;
    struct smtp_enhanced enhanced = {0};
    struct bytes enhanced_text = bytes_of(verdict->enhanced);
    char name[SESSION_NAME_MAX];

    if (verdict->code < 500)
        return;
    if (!note_budget_take(&receive->notes, engine_now_ms(receive->setup.engine))) {
        metric_inc(METRIC_INBOUND_REJECTED_UNTOLD);
        return;
    }
    bool is_enhanced = smtp_enhanced_take(&enhanced_text, &enhanced);
    check(is_enhanced);
    session_name(&server->session, name);
    struct event event = {
        .kind = EVENT_REJECTED,
        .time_ms = engine_wall_ms(receive->setup.engine),
        .sender = refused->concerned.from,
        .recipient = refused->concerned.to,
        .tenant = arrival != NULL ? intake_tenant(arrival->intake) : BYTES_NONE,
        .session = bytes_of(name),
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
        .checks = arrival != NULL ? buf_bytes(&arrival->decision.checks) : BYTES_NONE,
    };
    if (!shard_note(receive->setup.shard, &event))
        metric_inc(METRIC_INBOUND_REJECTED_UNTOLD);
}

const struct smtp_policy receive_policy = {
    .connected = on_connected,
    .mail = on_mail,
    .rcpt = on_rcpt,
    .content_begin = on_content_begin,
    .content_room = on_content_room,
    .content = on_content,
    .content_end = on_content_end,
    .reset = on_reset,
    .concerned = on_concerned,
    .refused = on_refused,
};
