/* submission.c - the service of one engine: its sessions, settings by generation, stop. */
#include "submission/submission.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/budget.h"
#include "base/log.h"
#include "base/metric.h"
#include "submission/pressure.h"
#include "submission/session.h"

enum {
    /* Rejected events of an engine. A stranger's are there to be noticed, not to be complete. */
    NOTES_PER_SECOND = 200,
    STRANGER_NOTES_PER_MINUTE = 20,
};

static struct generation *generation_create(struct submission *submission,
                                            const struct submission_settings *settings);
static void generation_release(struct generation *generation);
static void intake_gone(struct intake_home *home);
static void deadline_passed(struct timeout *timeout);
static void stop_ended(struct turn_end *turn_end);
static void look_if_stopped(struct submission *submission);

struct submission *submission_create(struct engine *engine, struct shard *shard,
                                     const struct submission_settings *settings)
{
    struct submission *submission = calloc(1, sizeof(*submission));

    check(submission != NULL);
    submission->engine = engine;
    submission->shard = shard;
    slab_init(&submission->sessions, sizeof(struct session), settings->sessions_max);
    slab_init(&submission->intakes, intake_size(), settings->sessions_max);
    list_init(&submission->list);
    submission->home = (struct intake_home){.engine = engine,
                                            .shard = shard,
                                            .intakes = &submission->intakes,
                                            .messages = METRIC_SUBMISSION_MESSAGES,
                                            .recipients = METRIC_SUBMISSION_RECIPIENTS,
                                            .bytes = METRIC_SUBMISSION_BYTES,
                                            .gone = intake_gone};
    timeout_init(&submission->deadline, deadline_passed);
    turn_end_init(&submission->stop_end, stop_ended);
    submission->notes = (struct note_budget){.count_max = NOTES_PER_SECOND, .window_ms = 1000};
    submission->stranger_notes =
        (struct note_budget){.count_max = STRANGER_NOTES_PER_MINUTE, .window_ms = 60 * 1000};
    submission_configure(submission, settings);
    pressure_watch(submission);
    return submission;
}

void submission_count_in(struct submission *submission, _Atomic int *load)
{
    submission->load = load;
}

void submission_configure(struct submission *submission, const struct submission_settings *settings)
{
    struct generation *old = submission->generation;

    check(settings->hostname != NULL);
    check(settings->sessions_max > 0);
    submission->generation = generation_create(submission, settings);
    submission->sessions.count_max = settings->sessions_max;
    /* Twice: as many again may be left behind by clients that are gone, their commits under way. */
    submission->intakes.count_max = (size_t)settings->sessions_max * 2;
    if (old != NULL)
        generation_release(old);
}

static bool is_trusted(const struct submission_listener *listener, const struct address *client)
{
    for (size_t i = 0; i < listener->trust_count; i++)
        if (network_contains(&listener->trust[i], client))
            return true;
    return false;
}

static void turn_away(struct submission *submission, int fd, const struct address *client,
                      const char *enhanced, const char *text, const char *rule)
{
    char peer[ADDRESS_TEXT_MAX];

    address_format(client, peer);
    log_limited(LOG_LEVEL_WARN, "client=%s refused=\"421 %s %s\" rule=%s sessions=%u", peer,
                enhanced, text, rule, submission->session_count);
    smtp_server_turn_away(submission->engine, fd, submission->generation->hostname, enhanced, text);
}

void submission_accept(struct submission *submission, int fd,
                       const struct submission_listener *listener)
{
    struct generation *generation = submission->generation;
    struct sockaddr_storage storage;
    socklen_t len = sizeof(storage);
    struct address client = {0};

    if (getpeername(fd, (struct sockaddr *)&storage, &len) != 0 ||
        !address_from((const struct sockaddr *)&storage, &client)) {
        engine_close(submission->engine, fd); /* gone already */
        return;
    }
    if (submission->is_stopping) {
        turn_away(submission, fd, &client, "4.3.2", "is shutting down", "shutdown");
        return;
    }
    struct admission_key key = admission_key_of(&client);
    if (!admission_enter(&key, generation->settings.sessions_per_client_max)) {
        turn_away(submission, fd, &client, "4.7.0", "has too many sessions of your address",
                  "limits.sessions_per_client");
        return;
    }
    struct session *session = slab_alloc(&submission->sessions);
    if (session == NULL) {
        admission_leave(&key);
        turn_away(submission, fd, &client, "4.3.2", "has too many sessions, try again later",
                  "limits.sessions");
        return;
    }
    session->listener = listener;
    session->client = key;
    session->is_trusted = is_trusted(listener, &client);
    session->server.is_stranger = !session->is_trusted;
    budget_add((int64_t)sizeof(*session));
    list_node_init(&session->server.sessions);
    list_push_back(&submission->list, &session->server.sessions);
    submission->session_count++;
    if (submission->load != NULL)
        atomic_fetch_add(submission->load, 1);
    smtp_server_start(&session->server, submission->engine, fd, &generation->service);
}

void submission_session_gone(struct submission *submission, struct session *session,
                             struct generation *generation)
{
    list_remove(&session->server.sessions);
    admission_leave(&session->client);
    submission->session_count--;
    if (submission->load != NULL)
        atomic_fetch_sub(submission->load, 1);
    slab_release(&submission->sessions, &session);
    budget_add(-(int64_t)sizeof(*session));
    if (generation->references == 0)
        free(generation);
    look_if_stopped(submission);
}

unsigned submission_sessions(const struct submission *submission)
{
    return submission->session_count;
}

void submission_stop(struct submission *submission, int64_t deadline_ms,
                     void (*stopped)(void *context), void *context)
{
    int64_t left_ms = deadline_ms - engine_now_ms(submission->engine);

    check(!submission->is_stopping);
    submission->is_stopping = true;
    submission->stopped = stopped;
    submission->stopped_context = context;
    engine_timeout(submission->engine, &submission->deadline, MAX(left_ms, (int64_t)0));
    list_for_each(node, &submission->list)
        smtp_server_stop(container_of(node, struct smtp_server, sessions));
    look_if_stopped(submission);
}

void submission_abort(struct submission *submission)
{
    list_for_each(node, &submission->list)
        smtp_server_abort(container_of(node, struct smtp_server, sessions));
}

void submission_free(struct submission **submission)
{
    struct submission *freed = *submission;

    *submission = NULL;
    check(freed->session_count == 0);
    check(freed->home.count == 0);
    pressure_leave(freed);
    generation_release(freed->generation);
    slab_free_all(&freed->sessions);
    slab_free_all(&freed->intakes);
    free(freed);
}

static struct generation *generation_create(struct submission *submission,
                                            const struct submission_settings *settings)
{
    struct generation *generation = calloc(1, sizeof(*generation));

    check(generation != NULL);
    generation->submission = submission;
    generation->settings = *settings;
    generation->references = 1;
    snprintf(generation->hostname, sizeof(generation->hostname), "%s", settings->hostname);
    generation->settings.hostname = generation->hostname;
    generation->service = (struct smtp_service){
        .policy = &submission_policy,
        .context = generation,
        .name = "submission",
        .hostname = generation->hostname,
        .message_size_max = settings->message_size_max,
        .recipients_max = settings->recipients_max,
        .errors_max = settings->errors_max,
        .line_length_max = settings->line_length_max,
        .command_timeout_s = settings->command_timeout_s,
        .content_timeout_s = settings->content_timeout_s,
        .content_deadline_s = settings->content_deadline_s,
        .content_rate_min = settings->content_rate_min,
        .idle_commands_max = settings->idle_commands_max,
        .is_strict = settings->is_strict,
        .references = &generation->references,
    };
    return generation;
}

/* No longer the newest. */
static void generation_release(struct generation *generation)
{
    check(generation->references > 0);
    if (--generation->references == 0)
        free(generation);
}

static void intake_gone(struct intake_home *home)
{
    look_if_stopped(container_of(home, struct submission, home));
}

static void deadline_passed(struct timeout *timeout)
{
    struct submission *submission = container_of(timeout, struct submission, deadline);

    log_warn("sessions=%u what=\"closed at the end of the time to stop\"",
             submission->session_count);
    submission_abort(submission);
}

static void look_if_stopped(struct submission *submission)
{
    if (submission->stopped != NULL && submission->session_count == 0 &&
        submission->home.count == 0)
        engine_at_turn_end(submission->engine, &submission->stop_end);
}

static void stop_ended(struct turn_end *turn_end)
{
    struct submission *submission = container_of(turn_end, struct submission, stop_end);
    void (*stopped)(void *context) = submission->stopped;

    check(submission->session_count == 0);
    submission->stopped = NULL;
    engine_timeout_cancel(submission->engine, &submission->deadline);
    stopped(submission->stopped_context);
}
