/* scan.c - the question to rspamd, and its answer as a verdict. */
#include "submission/scan.h"

#include <stdlib.h>

#include "base/budget.h"
#include "base/log.h"
#include "base/metric.h"

enum { FIELDS_MAX = 64 * 1024 };

struct scan {
    struct submission *submission;
    struct submission_session *session;
    struct rspamd_question question;
    struct buf copy, told;
    bool is_too_large;
    size_t counted;
    struct timeout now; /* answers what is not asked */
    void (*done)(struct submission_session *session, struct verdict verdict);
};

static const struct submission_settings *settings_of(const struct submission *submission)
{
    return &container_of(submission->service.generation, struct settings_generation, generation)
                ->settings;
}

static void count_memory(struct scan *scan)
{
    size_t memory = sizeof(*scan) + scan->copy.capacity + scan->told.capacity;

    budget_add((int64_t)memory - (int64_t)scan->counted);
    scan->counted = memory;
}

/* --- the answer ------------------------------------------------------------------------------- */

static struct verdict away(const struct scan *scan)
{
    return settings_of(scan->submission)->scan_defers
               ? verdict_refuse(451, "4.7.1", "Mail cannot be scanned now, try again later",
                                "inbound.rspamd_away")
               : VERDICT_OK;
}

static struct verdict verdict_of(const struct rspamd_answer *answer)
{
    switch (answer->action) {
    case RSPAMD_NO_ACTION:
    case RSPAMD_GREYLIST:
    case RSPAMD_ADD_HEADER:
    case RSPAMD_REWRITE_SUBJECT:
        return VERDICT_OK;
    case RSPAMD_SOFT_REJECT:
        metric_inc(METRIC_SUBMISSION_SCAN_DEFERRED);
        return verdict_refuse(451, "4.7.1", "Try again later", "inbound.rspamd");
    case RSPAMD_REJECT:
        break;
    }
    metric_inc(METRIC_SUBMISSION_SCAN_REFUSED);
    return verdict_refuse(550, "5.7.1", "This message is refused as spam", "inbound.rspamd");
}

static void finish(struct scan *scan, struct verdict verdict)
{
    buf_free(&scan->copy);
    count_memory(scan);
    scan->done(scan->session, verdict); /* which may free it */
}

static void on_scanned(struct rspamd_question *question, const struct rspamd_answer *answer,
                       const char *why)
{
    struct scan *scan = container_of(question, struct scan, question);
    const struct smtp_server *server = &scan->session->server;
    char name[SESSION_NAME_MAX];

    session_name(&server->session, name);
    metric_inc(METRIC_SUBMISSION_SCANNED);
    log_info("session=%s tenant=%s account=%u rspamd=%s score=%.2f", name,
             LOG_STRING(scan->session->tenant), scan->session->account,
             LOG_STRING(answer != NULL ? rspamd_action_name(answer->action) : why),
             answer != NULL ? answer->score : 0.0);
    finish(scan, answer != NULL ? verdict_of(answer) : away(scan));
}

/* What is larger than is scanned is as what has no answer. */
static void on_now(struct timeout *timeout)
{
    struct scan *scan = container_of(timeout, struct scan, now);

    finish(scan, away(scan));
}

/* --- the question ----------------------------------------------------------------------------- */

bool scan_open(struct submission *submission, struct submission_session *session,
               struct scan **scan_out)
{
    if (session->account == 0 || !rspamd_is_on(submission->rspamd))
        return true;
    struct scan *scan = calloc(1, sizeof(*scan));

    if (scan == NULL)
        return false;
    scan->submission = submission;
    scan->session = session;
    buf_init(&scan->copy, RSPAMD_CONTENT_MAX);
    buf_init(&scan->told, FIELDS_MAX);
    timeout_init(&scan->now, on_now);
    count_memory(scan);
    *scan_out = scan;
    return true;
}

void scan_content(struct scan *scan, struct bytes run)
{
    if (scan->is_too_large)
        return;
    if (!buf_append(&scan->copy, run)) {
        scan->is_too_large = true;
        buf_free(&scan->copy);
    }
    count_memory(scan);
}

static bool tell_user(struct scan *scan)
{
    const struct snapshot *snapshot = snapshot_begin(scan->submission->reader);
    const struct directory_account *account = snapshot_account_of(snapshot, scan->session->account);
    bool fits =
        account == NULL || buf_printf(&scan->told, "User: %.*s\r\n", BYTES_ARG(account->address));

    snapshot_end(scan->submission->reader);
    return fits;
}

static bool tell_fields(struct scan *scan, const struct intake *intake)
{
    const struct smtp_server *server = &scan->session->server;
    struct buf *out = &scan->told;
    size_t count = intake_recipient_count(intake);
    bool fits =
        tell_user(scan) &&
        buf_printf(out, "IP: %s\r\nHelo: %s\r\nFrom: <%.*s>\r\nMTA-Name: %s\r\n",
                   server->session.peer, server->ehlo, BYTES_ARG(intake_reverse_path(intake)),
                   settings_of(scan->submission)->hostname);

    for (size_t i = 0; fits && i < count; i++)
        fits = buf_printf(out, "Rcpt: <%.*s>\r\n", BYTES_ARG(intake_recipient_at(intake, i)));
    return fits;
}

void scan_ask(struct scan *scan, struct intake *intake,
              void (*done)(struct submission_session *session, struct verdict verdict))
{
    scan->done = done;
    if (scan->is_too_large || !tell_fields(scan, intake)) {
        engine_timeout(scan->submission->service.engine, &scan->now, 0);
        return;
    }
    count_memory(scan);
    scan->question = (struct rspamd_question){
        .fields = buf_bytes(&scan->told),
        .content = buf_bytes(&scan->copy),
        .done = on_scanned,
    };
    rspamd_ask(scan->submission->rspamd, &scan->question);
}

size_t scan_memory(const struct scan *scan)
{
    return scan != NULL ? scan->counted : 0;
}

void scan_free(struct scan **scan)
{
    struct scan *freed = *scan;

    *scan = NULL;
    if (freed == NULL)
        return;
    rspamd_cancel(&freed->question);
    engine_timeout_cancel(freed->submission->service.engine, &freed->now);
    buf_free(&freed->copy);
    buf_free(&freed->told);
    budget_add(-(int64_t)freed->counted);
    free(freed);
}
