/* session.c - what receiving says to an SMTP session's questions (smtpd/policy.h). */
#include "inbound/receive/session.h"

#include <stdio.h>

#include "base/log.h"
#include "base/metric.h"
#include "inbound/receive/arrival.h"
#include "inbound/receive/door.h"
#include "inbound/receive/proxy_header.h"
#include "inbound/receive/recipient.h"
#include "inbound/receive/shown.h"

enum { DOOR_LATE_MS = 180 * 1000 };

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

/* Who it is, by the word of a proxy that we know. */
static enum step on_preamble(void *context __attribute__((unused)), struct smtp_server *server)
{
    struct receive_session *session = session_of(server);
    struct conn *conn = &server->session.conn;
    struct bytes input = conn_input(conn), rest = input;
    struct proxy_header header;

    switch (proxy_header_take(&rest, &header)) {
    case PROXY_MORE:
        return conn->eof ? STEP_CLOSE : STEP_WAIT;
    case PROXY_BAD:
        metric_inc(METRIC_INBOUND_PROXY_BAD);
        log_limited(LOG_LEVEL_WARN,
                    "client=%s what=\"it is a proxy by inbound.proxy, and does not speak its "
                    "protocol\"",
                    server->session.peer);
        return STEP_CLOSE;
    case PROXY_DONE:
        break;
    }
    conn_consume(conn, input.len - rest.len);
    if (header.is_local)
        return STEP_AGAIN;
    session->client = header.client;
    address_format(&header.client, server->session.peer);
    session->is_too_many = !service_readmit(&server->session, &header.client);
    return STEP_AGAIN;
}

static bool enter_network(struct receive_session *session, unsigned max)
{
    if (max == 0)
        return true;
    session->network = admission_network_of(&session->client);
    session->has_network = admission_enter(&session->network, max);
    return session->has_network;
}

static void on_door_done(void *context, struct door *door)
{
    struct receive_session *session = context;
    struct verdict verdict = door_verdict(door);

    snprintf(session->list, sizeof(session->list), "%s", door_list(door));
    if (verdict.code != 0)
        metric_inc(METRIC_INBOUND_DOOR_REFUSED);
    bool is_open = smtp_server_answer(&session->server, session->greeting, verdict);
    check(is_open); /* else the cancel has freed the door */
    door_free(&session->door);
}

static struct verdict on_connected(void *context, struct smtp_server *server)
{
    struct receive_session *session = session_of(server);
    const struct receive_setup *setup = &receive_of(context)->setup;
    const struct receive_settings *settings = receive_newest(receive_of(context));
    const struct door_setup door = {
        .names = setup->resolver,
        .lists = setup->lists,
        .rules = &settings->door,
        .client = session->client,
        .done = on_door_done,
        .context = session,
    };

    if (session->is_too_many)
        return verdict_refuse(421, "4.7.0", "Too many sessions of your address, closing",
                              "inbound.sessions_per_client");
    if (!enter_network(session, settings->sessions_per_network_max))
        return verdict_refuse(421, "4.7.0", "Too many sessions of your network, closing",
                              "inbound.sessions_per_network");
    session->door = door_start(&door);
    if (session->door == NULL)
        return VERDICT_OK;
    /* The door has a deadline of its own; this one is never met. */
    return smtp_server_later(server, settings->door.greet_delay_ms + DOOR_LATE_MS,
                             verdict_refuse(421, "4.3.0", "Try again later, closing", "door"),
                             &session->greeting);
}

static void on_cancel(void *context __attribute__((unused)), struct smtp_server *server)
{
    door_free(&session_of(server)->door);
}

static void on_closed(void *context __attribute__((unused)), struct smtp_server *server)
{
    struct receive_session *session = session_of(server);

    check(session->door == NULL);
    if (session->has_network)
        admission_leave(&session->network);
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

static struct verdict on_content_begin(void *context, struct smtp_server *server)
{
    struct arrival *arrival = server->transaction.of_service;

    arrival->asked_tenant[0] = '\0';
    return pressure_is_high(&receive_of(context)->service.pressure) ? intake_out_of_memory()
                                                                    : shown_add(arrival);
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

    if (!server->transaction.is_open)
        return (struct smtp_concerned){0};
    return (struct smtp_concerned){
        .from = intake_reverse_path(arrival->intake),
        .to = intake_recipient(arrival->intake),
        .tenant = arrival->asked_tenant[0] != '\0' ? bytes_of(arrival->asked_tenant)
                                                   : intake_tenant(arrival->intake),
    };
}

static const char *class_of(const struct smtp_enhanced *enhanced)
{
    static const char *const subjects[] = {"other",   "address",  "mailbox", "system",
                                           "network", "protocol", "content", "policy"};

    return enhanced->subject < ARRAY_LEN(subjects) ? subjects[enhanced->subject] : "other";
}

/* Customers' events must not be pushed out by what concerns none of them. */
static bool may_note(struct receive *receive, const struct smtp_refused *refused)
{
    int64_t now_ms = engine_now_ms(receive->setup.engine);

    if (refused->concerned.tenant.len == 0 && !note_budget_take(&receive->notes_of_nobody, now_ms))
        return false;
    return note_budget_take(&receive->notes, now_ms);
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
    if (!may_note(receive, refused)) {
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
        .tenant = refused->concerned.tenant,
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
    .preamble = on_preamble,
    .connected = on_connected,
    .mail = on_mail,
    .rcpt = on_rcpt,
    .content_begin = on_content_begin,
    .content_room = on_content_room,
    .content = on_content,
    .content_end = on_content_end,
    .cancel = on_cancel,
    .reset = on_reset,
    .concerned = on_concerned,
    .refused = on_refused,
    .closed = on_closed,
};
