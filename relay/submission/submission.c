/* submission.c - the service of one engine: its sessions, settings by generation, stop. */
#include "submission/submission.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/metric.h"
#include "io/tls_context.h"
#include "submission/labels.h"
#include "submission/session.h"

enum {
    /* Rejected events of an engine. A stranger's are there to be noticed, not to be complete. */
    NOTES_PER_SECOND = 200,
    STRANGER_NOTES_PER_MINUTE = 20,
    /* Longer fields are refused of those whose addresses are judged. */
    FROM_KEPT = 2048,
    SENDER_KEPT = 512,
};

static struct generation *generation_create(struct submission *submission,
                                            const struct submission_settings *settings);
static bool is_idle(const struct service *service);
static void shed(struct session *session);
static void intake_gone(struct intake_home *home);
static void scanner_gone(void *context);

static const struct service_kind kind = {
    .session_size = sizeof(struct submission_session),
    .pressure = {.held = submission_held, .shed = shed},
    .is_idle = is_idle,
};

/* What only the sender is to know is taken out (RFC 6409 section 8). */
static void fields_init(struct submission *submission, const struct submission_settings *settings)
{
    struct header_table *fields = &submission->fields;
    static const struct header_rule rules[] = {
        {.name = BYTES("Bcc"), .drop = true},
        {.name = BYTES("Resent-Bcc"), .drop = true},
        {.name = BYTES("From"), .capture_count = 1, .capture_max = FROM_KEPT},
        {.name = BYTES("Sender"), .capture_count = 1, .capture_max = SENDER_KEPT},
    };

    intake_fields_init(fields);
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        int row = header_table_add(fields, &rules[i]);
        check(row == SUBMISSION_BCC + (int)i);
    }
    labels_add_rows(submission, settings->labels);
}

struct submission *submission_create(struct engine *engine, struct shard *shard,
                                     const struct submission_settings *settings, _Atomic int *load)
{
    struct submission *submission = calloc(1, sizeof(*submission));

    check(submission != NULL);
    service_init(&submission->service, engine, &kind, load);
    submission->shard = shard;
    fields_init(submission, settings);
    slab_init(&submission->intakes, intake_size(&submission->fields),
              settings->sessions.sessions_max);
    submission->home = (struct intake_home){.engine = engine,
                                            .shard = shard,
                                            .intakes = &submission->intakes,
                                            .fields = &submission->fields,
                                            .messages = METRIC_SUBMISSION_MESSAGES,
                                            .recipients = METRIC_SUBMISSION_RECIPIENTS,
                                            .bytes = METRIC_SUBMISSION_BYTES,
                                            .gone = intake_gone};
    submission->notes = (struct note_budget){.count_max = NOTES_PER_SECOND, .window_ms = 1000};
    submission->stranger_notes =
        (struct note_budget){.count_max = STRANGER_NOTES_PER_MINUTE, .window_ms = 60 * 1000};
    submission->rspamd = rspamd_create(engine, &settings->rspamd, scanner_gone, submission);
    submission_configure(submission, settings);
    return submission;
}

void submission_configure(struct submission *submission, const struct submission_settings *settings)
{
    check(settings->hostname != NULL);
    rspamd_configure(submission->rspamd, &settings->rspamd);
    /* Twice: as many again may be left behind by clients that are gone, their commits under way. */
    submission->intakes.count_max = (size_t)settings->sessions.sessions_max * 2;
    service_configure(&submission->service, &settings->sessions,
                      generation_create(submission, settings));
}

void submission_read(struct submission *submission, struct snapshot_reader *reader)
{
    submission->reader = reader;
}

void submission_sign(struct submission *submission, struct signer *signer)
{
    submission->home.signer = signer;
}

void submission_set_login_key(struct submission *submission, const uint8_t key[static SASL_KEY_LEN])
{
    memcpy(submission->login_key, key, sizeof(submission->login_key));
}

static struct settings_generation *newest(struct submission *submission)
{
    return container_of(submission->service.generation, struct settings_generation, generation);
}

void submission_accept(struct submission *submission, int fd,
                       const struct submission_listener *listener)
{
    struct service *service = &submission->service;
    struct address client = {0};
    struct session *admitted;

    if (!service_peer(service, fd, &client))
        return;
    enum service_answer answer = service_admit(service, &client, &admitted);
    if (answer != SERVICE_ADMITS) {
        smtp_server_turn_away(service, &newest(submission)->service, fd, &client, answer,
                              listener->tls);
        return;
    }
    struct submission_session *session =
        container_of(admitted, struct submission_session, server.session);
    session->listener = listener;
    session->is_trusted = networks_contain(listener->trust, listener->trust_count, &client);
    session->may_log_in_plain =
        networks_contain(listener->plaintext, listener->plaintext_count, &client);
    session->is_shared = networks_contain(listener->shared, listener->shared_count, &client);
    if (session->is_trusted && listener->tenant != NULL)
        snprintf(session->tenant, sizeof(session->tenant), "%s", listener->tenant);
    session->server.is_stranger = !session->is_trusted;
    session->server.tls = (uint8_t)listener->tls;
    smtp_server_start(&session->server, service->engine, fd, &newest(submission)->service);
}

unsigned submission_sessions(const struct submission *submission)
{
    return submission->service.session_count;
}

void submission_stop(struct submission *submission, int64_t deadline_ms,
                     void (*stopped)(void *context), void *context)
{
    rspamd_stop(submission->rspamd);
    service_stop(&submission->service, deadline_ms, stopped, context);
}

void submission_abort(struct submission *submission)
{
    service_abort(&submission->service);
}

void submission_free(struct submission **submission)
{
    struct submission *freed = *submission;

    *submission = NULL;
    check(freed->home.count == 0);
    rspamd_free(&freed->rspamd);
    service_end(&freed->service);
    slab_free_all(&freed->intakes);
    free(freed);
}

static void generation_free(struct generation *generation)
{
    struct settings_generation *freed =
        container_of(generation, struct settings_generation, generation);

    tls_context_release(&freed->service.tls);
    free(freed);
}

static struct generation *generation_create(struct submission *submission,
                                            const struct submission_settings *settings)
{
    struct settings_generation *generation = calloc(1, sizeof(*generation));

    check(generation != NULL);
    generation->submission = submission;
    generation->settings = *settings;
    generation_init(&generation->generation, generation_free);
    snprintf(generation->hostname, sizeof(generation->hostname), "%s", settings->hostname);
    generation->settings.hostname = generation->hostname;
    generation->service = (struct smtp_service){
        .policy = &submission_policy,
        .context = generation,
        .name = "submission",
        .section = "limits",
        .hostname = generation->hostname,
        .tls = settings->tls != NULL ? tls_context_keep(settings->tls) : NULL,
        .limits = settings->smtp,
    };
    return &generation->generation;
}

/* A commit under way is waited for when its client is gone as well. */
static bool is_idle(const struct service *service)
{
    const struct submission *submission = container_of(service, struct submission, service);

    return submission->home.count == 0 && rspamd_is_idle(submission->rspamd);
}

static void scanner_gone(void *context)
{
    struct submission *submission = context;

    service_look_if_stopped(&submission->service);
}

static void shed(struct session *session)
{
    metric_inc(METRIC_SUBMISSION_SHED);
    session_shed(session);
}

static void intake_gone(struct intake_home *home)
{
    service_look_if_stopped(&container_of(home, struct submission, home)->service);
}
