/* arrival.c - the header held back, the body passed on, the checks awaited; arrival.h draws it. */
#include "inbound/receive/arrival.h"

#include <errno.h>
#include <stdio.h>

#include "auth/results.h"
#include "base/budget.h"
#include "base/log.h"
#include "event/event_checks.h"
#include "event/event_privacy.h"
#include "io/tls.h"
#include "queue/tail.h"
#include "smtp/mailbox.h"

enum {
    /* Below what an intake has room for, so that all of it can be handed over at once. */
    HEADER_SIZE_MAX = 200 * 1024,
    RESULTS_MAX = INTAKE_FIELDS_MAX - 1024,
    LOG_CHECKS_MAX = 512,
    SCAN_FIELDS_MAX = 64 * 1024,
    SCORE_TEXT_MAX = 64,
    AUTHORS_MAX = 10, /* of a message, that are looked up */
};

static void on_resume(void *context);
static void on_done(void *context, struct verdict verdict, const char *id);
static void on_verified(void *context, struct verification *verification);
static void on_scanned(struct rspamd_question *question, const struct rspamd_answer *answer,
                       const char *why);
static void on_inspected(void *context, struct attachments *attachments);

static struct receive_generation *generation_of(const struct arrival *arrival)
{
    return receive_generation_of(arrival->session);
}

static struct bytes hostname_of(const struct arrival *arrival)
{
    return bytes_of(generation_of(arrival)->hostname);
}

static void count_memory(struct arrival *arrival)
{
    size_t memory = sizeof(*arrival) + arrival->header.raw.capacity +
                    arrival->header.fields_capacity * sizeof(struct mail_field) +
                    arrival->decision.checks.capacity + arrival->copy.capacity +
                    arrival->told.capacity + attachments_memory(arrival->attachments);

    budget_add((int64_t)memory - (int64_t)arrival->counted);
    arrival->counted = memory;
}

/* --- MAIL ------------------------------------------------------------------------------------- */

static struct verdict open_intake(struct arrival *arrival, const struct smtp_mail *mail)
{
    struct smtp_server *server = &arrival->session->server;
    struct receive *receive = generation_of(arrival)->receive;
    struct intake_client client = {
        .ip = bytes_of(server->session.peer),
        .ehlo = bytes_of(server->ehlo),
        .service = bytes_of(arrival->session->listener->name),
        .hostname = hostname_of(arrival),
        .is_esmtp = server->is_esmtp,
        .is_finished = true,
        .session = server->session.serial,
        .connected_ms = server->session.connected_ms,
    };
    struct intake_answer answer = {arrival, on_resume, on_done};
    struct tls_facts tls;

    if (conn_tls_facts(&server->session.conn, &tls))
        client.tls_cipher = bytes_of(tls.cipher);
    return intake_open(&receive->home, mail, &client, &answer, &arrival->intake);
}

static void start_verifying(struct arrival *arrival, const struct smtp_mail *mail)
{
    const struct receive_generation *generation = generation_of(arrival);
    const struct smtp_server *server = &arrival->session->server;
    struct receive *receive = generation->receive;
    const struct verification_settings settings = {
        .hostname = hostname_of(arrival),
        .deadline_ms = generation->settings.verify_timeout_ms,
        .wall_ms = engine_wall_ms(receive->setup.engine),
        .done = on_verified,
        .context = arrival,
    };
    const struct verification_request request = {
        .client = arrival->session->client,
        .helo = bytes_of(server->ehlo),
        .mail_from = mail->reverse_path.text,
    };

    arrival->verification = verification_start(receive->setup.resolver, &settings, &request);
}

struct verdict arrival_open(struct receive_session *session, const struct smtp_mail *mail,
                            struct arrival **arrival_out)
{
    struct receive *receive = receive_generation_of(session)->receive;
    struct arrival *arrival = slab_alloc(&receive->arrivals);

    if (arrival == NULL)
        return intake_out_of_memory();
    arrival->session = session;
    arrival->size = mail->size;
    struct verdict verdict = open_intake(arrival, mail);
    if (verdict.code != 0) {
        slab_release(&receive->arrivals, &arrival);
        return verdict;
    }
    mail_header_init(&arrival->header, HEADER_SIZE_MAX, MAIL_HEADER_FIELDS_MAX);
    decision_init(&arrival->decision);
    arrival->has_scan = rspamd_is_on(receive->rspamd);
    arrival->is_scannable = arrival->has_scan;
    buf_init(&arrival->copy, RSPAMD_CONTENT_MAX);
    buf_init(&arrival->told, SCAN_FIELDS_MAX);
    if (attachment_rules_any(&receive_newest(receive)->attachments)) {
        arrival->attachments = attachments_open();
        check(arrival->attachments != NULL);
    }
    start_verifying(arrival, mail);
    count_memory(arrival);
    *arrival_out = arrival;
    return VERDICT_OK;
}

/* --- content ---------------------------------------------------------------------------------- */

size_t arrival_room(const struct arrival *arrival)
{
    size_t room = intake_room(arrival->intake);

    if (arrival->refusal.code != 0)
        return SIZE_MAX; /* to nowhere */
    if (arrival->state != ARRIVAL_HEADER)
        return room;
    size_t held = buf_len(&arrival->header.raw);
    return room > held ? room - held : 0;
}

/* Our word is ours alone (RFC 8601 section 5). */
static bool is_forged(const struct arrival *arrival, const struct mail_field *field)
{
    return bytes_equal_nocase(field->name, BYTES("Authentication-Results")) &&
           results_claims(field->value, hostname_of(arrival));
}

static void pass_on(struct arrival *arrival, struct bytes run)
{
    if (run.len == 0)
        return;
    intake_content(arrival->intake, run);
    if (arrival->attachments != NULL)
        attachments_feed(arrival->attachments,
                         &receive_newest(generation_of(arrival)->receive)->attachments, run);
    if (!arrival->is_scannable)
        return;
    if (!buf_append(&arrival->copy, run)) {
        arrival->is_scannable = false; /* larger than is scanned */
        buf_free(&arrival->copy);
    }
    count_memory(arrival);
}

/* The header is whole, with or without a body behind it. */
static void take_header(struct arrival *arrival, bool has_separator)
{
    const struct mail_header *header = &arrival->header;

    arrival->state = ARRIVAL_BODY;
    count_memory(arrival);
    if (header->is_cut) {
        arrival->refusal =
            verdict_refuse(552, "5.3.4",
                           "The header is longer, or has more fields, than is looked at", "header");
        return;
    }
    verification_header(arrival->verification, header);
    for (size_t i = 0; i < header->count; i++) {
        if (is_forged(arrival, &header->fields[i]))
            arrival->forged_count++;
        else
            pass_on(arrival, header->fields[i].raw);
    }
    if (has_separator)
        pass_on(arrival, BYTES("\r\n"));
}

static void take_body(struct arrival *arrival, struct bytes run)
{
    if (run.len == 0 || arrival->refusal.code != 0)
        return;
    verification_body(arrival->verification, run);
    pass_on(arrival, run);
}

struct verdict arrival_too_large(void)
{
    return verdict_refuse(552, "5.2.2", "The message is larger than the whole mailbox may be",
                          "quota");
}

void arrival_content(struct arrival *arrival, struct bytes run)
{
    if (arrival->refusal.code != 0)
        return;
    arrival->content_size += run.len;
    if (arrival->content_size > arrival->holds_max) {
        arrival->refusal = arrival_too_large();
        return;
    }
    if (arrival->state == ARRIVAL_HEADER) {
        bool is_whole = mail_header_feed(&arrival->header, &run);

        if (!is_whole && arrival->header.is_cut)
            is_whole = true; /* it goes nowhere: nothing more of it is kept */
        if (!is_whole) {
            count_memory(arrival);
            return;
        }
        take_header(arrival, !arrival->header.missing_separator);
        take_body(arrival, arrival->header.body_start);
    }
    take_body(arrival, run);
}

/* What rspamd is told beside the content. */
static bool tell_fields(struct arrival *arrival)
{
    const struct smtp_server *server = &arrival->session->server;
    struct bytes from = intake_reverse_path(arrival->intake);
    struct buf *out = &arrival->told;
    size_t count = intake_recipient_count(arrival->intake);
    bool fits = buf_printf(out, "IP: %s\r\nHelo: %s\r\nFrom: <%.*s>\r\nMTA-Name: %s\r\n",
                           server->session.peer, server->ehlo, BYTES_ARG(from),
                           generation_of(arrival)->hostname);

    for (size_t i = 0; fits && i < count; i++)
        fits =
            buf_printf(out, "Rcpt: <%.*s>\r\n", BYTES_ARG(intake_recipient_at(arrival->intake, i)));
    return fits;
}

static void start_scan(struct arrival *arrival)
{
    struct receive *receive = generation_of(arrival)->receive;

    arrival->is_scanned = !arrival->has_scan;
    if (!arrival->has_scan)
        return;
    if (!arrival->is_scannable || !tell_fields(arrival)) {
        arrival->scan_why = "larger than is scanned";
        arrival->is_scanned = true;
        return;
    }
    count_memory(arrival);
    arrival->question = (struct rspamd_question){
        .fields = buf_bytes(&arrival->told),
        .content = buf_bytes(&arrival->copy),
        .done = on_scanned,
    };
    rspamd_ask(receive->rspamd, &arrival->question);
}

static void start_inspecting(struct arrival *arrival)
{
    struct receive *receive = generation_of(arrival)->receive;

    arrival->is_inspected = true;
    if (arrival->attachments == NULL)
        return;
    (void)attachments_end(arrival->attachments, &receive_newest(receive)->attachments);
    arrival->inspection = inspection_start(receive, arrival->attachments, on_inspected, arrival);
    if (arrival->inspection == NULL)
        return;
    arrival->is_inspected = false;
    arrival->attachments = NULL;
    count_memory(arrival);
}

struct verdict arrival_end(struct arrival *arrival, bool has_8bit)
{
    struct receive_session *session = arrival->session;
    static const struct verdict overdue = {421, "4.3.0", "The spool does not answer, closing",
                                           "spool", true};

    if (arrival->state == ARRIVAL_HEADER) {
        mail_header_finish(&arrival->header);
        take_header(arrival, false);
        take_body(arrival, arrival->header.body_start);
    }
    if (arrival->refusal.code != 0)
        return arrival->refusal;
    intake_content_end(arrival->intake, has_8bit);
    arrival->state = ARRIVAL_AWAITED;
    /* The message may still be accepted when that time is over: as after a lost 250, the client's
     * next try makes a duplicate, which RFC 5321 section 6.1 prefers to a loss. */
    struct verdict later =
        smtp_server_later(&session->server, COMMIT_MS, overdue, &session->content);
    verification_finish(arrival->verification);
    start_scan(arrival);
    start_inspecting(arrival);
    return later;
}

/* --- the decision ----------------------------------------------------------------------------- */

/* "spf=pass dkim=pass dmarc=fail/refuse". */
static void write_checks(struct bytes checks, char out[static LOG_CHECKS_MAX])
{
    struct event_check check;
    size_t len = 0;

    out[0] = '\0';
    for (unsigned i = 0; len < LOG_CHECKS_MAX - 64 && event_checks_next(&checks, i, &check); i++) {
        int more = snprintf(out + len, LOG_CHECKS_MAX - len, "%s%.*s=%.*s%s%.*s", i > 0 ? " " : "",
                            BYTES_ARG(check.name), BYTES_ARG(check.result),
                            check.weight.len > 0 ? "/" : "", BYTES_ARG(check.weight));
        len += (size_t)MAX(more, 0);
    }
}

/* id NULL: nothing came of it. */
static void log_decision(const struct arrival *arrival, const char *id)
{
    bool is_spam = arrival->decision.is_spam;
    char name[SESSION_NAME_MAX], checks[LOG_CHECKS_MAX], shown[PRIVACY_ADDRESS_MAX];
    struct bytes from = privacy_address(intake_tenant(arrival->intake),
                                        intake_reverse_path(arrival->intake), shown);

    session_name(&arrival->session->server.session, name);
    write_checks(buf_bytes(&arrival->decision.checks), checks);
    if (id == NULL)
        log_info("session=%s from=%s checks=%s spam=%d forged=%u", name, LOG_TEXT(from),
                 LOG_STRING(checks), is_spam, arrival->forged_count);
    else
        log_info("id=%s session=%s from=%s checks=%s spam=%d forged=%u", id, name, LOG_TEXT(from),
                 LOG_STRING(checks), is_spam, arrival->forged_count);
}

static void answer(struct arrival *arrival, struct verdict verdict)
{
    bool is_open =
        smtp_server_answer(&arrival->session->server, arrival->session->content, verdict);

    check(is_open); /* else the reset has let the arrival go */
}

/* The field without its CRLF, as intakes add them. */
static int add_results(struct arrival *arrival)
{
    struct buf out;
    struct bytes name, value;
    int error = -ENOBUFS;

    buf_init(&out, RESULTS_MAX);
    if (verification_write(arrival->verification, hostname_of(arrival), &out)) {
        value = buf_bytes(&out);
        bool has_colon = bytes_take_until(&value, ':', &name);
        check(has_colon && value.len > 3);
        error = intake_add_field(arrival->intake, name, bytes_slice(value, 1, value.len - 3));
    }
    buf_free(&out);
    return error;
}

static int add_fields(struct arrival *arrival)
{
    const struct decision *decision = &arrival->decision;
    int error = 0;

    char score[SCORE_TEXT_MAX];

    snprintf(score, sizeof(score), "%.2f / %.2f", arrival->score.score, arrival->score.required);
    if (arrival->has_score)
        error = intake_add_field(arrival->intake, BYTES("X-Spam-Score"), bytes_of(score));
    if (error == 0 && decision->is_spam)
        error = intake_add_field(arrival->intake, BYTES("X-Spam"), BYTES("Yes"));
    if (error == 0)
        error = add_results(arrival);
    if (error == 0 && !intake_add_tail(arrival->intake, TAIL_CHECKS, buf_bytes(&decision->checks)))
        error = -ENOMEM;
    return error;
}

void arrival_keep_rule(struct arrival *arrival, const struct directory_rule *rule)
{
    struct bytes value = sender_rule_text(rule);
    uint8_t *at = (uint8_t *)arrival->rule_value;

    if (value.len > sizeof(arrival->rule_value))
        return;
    arrival->has_rule = true;
    arrival->rule = (struct decision_sender){
        .is_allowed = rule->is_allowed,
        .is_of_client =
            bytes_find(value, '/', 0) < value.len && bytes_find(value, '@', 0) == value.len,
        .value = bytes_put(value, &at),
    };
}

/* The author's address was not known at RCPT. A rule about it that blocks counts in any case, one
 * that allows where there is none about the return path or the client. */
static void look_for_author_rule(struct arrival *arrival)
{
    struct snapshot_reader *reader = generation_of(arrival)->receive->setup.reader;
    const struct mail_header *header = &arrival->header;
    ptrdiff_t at = mail_header_find(header, BYTES("From"), header->count);
    struct mailbox_reader mailboxes;
    struct mailbox mailbox;
    char address[MAILBOX_LOCAL_MAX + MAILBOX_DOMAIN_MAX + 2];

    if (at < 0)
        return;
    const struct snapshot *snapshot = snapshot_begin(reader);
    const struct directory_tenant *tenant =
        snapshot_tenant(snapshot, intake_tenant(arrival->intake));

    mailbox_reader_init(&mailboxes, header->fields[at].value);
    for (unsigned i = 0;
         tenant != NULL && i < AUTHORS_MAX && mailbox_next(&mailboxes, &mailbox) == MAILBOX_FOUND;
         i++) {
        int len = snprintf(address, sizeof(address), "%.*s@%.*s",
                           BYTES_ARG(mailbox_local(&mailbox)), BYTES_ARG(mailbox_domain(&mailbox)));
        const struct directory_rule *rule =
            sender_rule_find(snapshot, tenant->id, bytes_range(address, (size_t)MAX(len, 0)), NULL);

        if (rule != NULL && (!rule->is_allowed || !arrival->has_rule))
            arrival_keep_rule(arrival, rule);
    }
    snapshot_end(reader);
}

static void decide(struct arrival *arrival)
{
    const struct decision_rules *rules = &receive_newest(generation_of(arrival)->receive)->rules;
    unsigned received_max = generation_of(arrival)->settings.received_max;

    look_for_author_rule(arrival);
    if (arrival->has_rule)
        decision_note_sender(&arrival->decision, &arrival->rule, arrival->verification);
    if (arrival->attachments != NULL)
        decision_note_attachment(&arrival->decision, attachments_found(arrival->attachments));
    if (arrival->has_scan)
        decision_note_scan(&arrival->decision, rules, arrival->has_score ? &arrival->score : NULL,
                           arrival->scan_why);
    decision_note_list(&arrival->decision, arrival->session->list);
    decision_make(&arrival->decision, rules, arrival->verification, &arrival->session->client);
    count_memory(arrival);
    if (arrival->decision.verdict.code != 0) {
        log_decision(arrival, NULL);
        answer(arrival, arrival->decision.verdict);
        return;
    }
    int error = add_fields(arrival);
    if (error < 0) {
        log_decision(arrival, NULL);
        log_error("error=%d what=\"the results of the checks cannot be written\"", error);
        answer(arrival, intake_out_of_memory());
        return;
    }
    arrival->state = ARRIVAL_COMMITTING;
    intake_commit(arrival->intake, received_max != 0 ? received_max : RECEIVE_RECEIVED_DEFAULT);
}

static void decide_if_known(struct arrival *arrival)
{
    if (arrival->is_verified && arrival->is_scanned && arrival->is_inspected)
        decide(arrival);
}

static void on_verified(void *context, struct verification *verification)
{
    struct arrival *arrival = context;

    check(verification == arrival->verification);
    arrival->is_verified = true;
    decide_if_known(arrival);
}

static void on_scanned(struct rspamd_question *question, const struct rspamd_answer *answer,
                       const char *why)
{
    struct arrival *arrival = container_of(question, struct arrival, question);

    arrival->scan_why = why;
    arrival->has_score = answer != NULL;
    if (answer != NULL)
        arrival->score = *answer;
    buf_free(&arrival->copy);
    arrival->is_scanned = true;
    decide_if_known(arrival);
}

static void on_inspected(void *context, struct attachments *attachments)
{
    struct arrival *arrival = context;

    arrival->inspection = NULL;
    arrival->attachments = attachments;
    arrival->is_inspected = true;
    decide_if_known(arrival);
}

static void on_resume(void *context)
{
    struct arrival *arrival = context;

    smtp_server_resume(&arrival->session->server);
}

static void on_done(void *context, struct verdict verdict, const char *id)
{
    struct arrival *arrival = context;

    if (verdict.code != 0) {
        answer(arrival, verdict);
        return;
    }
    log_decision(arrival, id);
    bool is_open = smtp_server_accepted(&arrival->session->server, arrival->session->content, id);
    check(is_open); /* else the reset has let the arrival go */
}

/* --- the end ---------------------------------------------------------------------------------- */

size_t arrival_memory(const struct arrival *arrival)
{
    return arrival->counted + intake_memory(arrival->intake);
}

void arrival_let_go(struct arrival **arrival)
{
    struct arrival *gone = *arrival;
    struct receive *receive = generation_of(gone)->receive;

    *arrival = NULL;
    rspamd_cancel(&gone->question);
    buf_free(&gone->copy);
    buf_free(&gone->told);
    intake_let_go(&gone->intake);
    verification_free(&gone->verification);
    attachments_free(&gone->attachments);
    inspection_let_go(&gone->inspection);
    mail_header_free(&gone->header);
    decision_free(&gone->decision);
    budget_add(-(int64_t)gone->counted);
    slab_release(&receive->arrivals, &gone);
}
