/* pop3.c - the service of one engine: its sessions, settings by generation, stop. */
#include "inbound/pop3/pop3.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "inbound/pop3/session.h"
#include "io/tls_context.h"

static bool is_idle(const struct service *service);
static void shed(struct session *session);
static struct generation *generation_create(const struct pop3_settings *settings);

static const struct service_kind kind = {
    .session_size = sizeof(struct pop3_session),
    .pressure = {.held = pop3_session_held, .shed = shed},
    .is_idle = is_idle,
};

struct pop3 *pop3_create(const struct pop3_setup *setup, const struct pop3_settings *settings)
{
    struct pop3 *pop3 = calloc(1, sizeof(*pop3));

    check(pop3 != NULL);
    pop3->setup = *setup;
    memcpy(pop3->login_key, setup->login_key, sizeof(pop3->login_key));
    service_init(&pop3->service, setup->engine, &kind, setup->load);
    pop3_configure(pop3, settings);
    return pop3;
}

void pop3_configure(struct pop3 *pop3, const struct pop3_settings *settings)
{
    struct service_limits limits = {
        .sessions_max = settings->sessions_max,
        .sessions_per_client_max = settings->sessions_per_client_max,
        .memory_max = settings->memory_max,
    };

    service_configure(&pop3->service, &limits, generation_create(settings));
}

static void turn_away(struct pop3 *pop3, int fd, const struct address *client,
                      const struct pop3_listener *listener, enum service_answer answer)
{
    static const char *const words[] = {
        [SERVICE_STOPS] = "[SYS/TEMP] Shutting down",
        [SERVICE_HAS_TOO_MANY_OF_CLIENT] = "[SYS/TEMP] Too many sessions of your address",
        [SERVICE_HAS_TOO_MANY] = "[SYS/TEMP] Too many sessions, try again later",
    };
    char peer[ADDRESS_TEXT_MAX], line[128];

    address_format(client, peer);
    metric_inc(METRIC_POP3_REFUSED);
    log_limited(LOG_LEVEL_WARN, "client=%s service=pop3 refused=\"%s\" sessions=%u", peer,
                words[answer], pop3->service.session_count);
    int len = snprintf(line, sizeof(line), "-ERR %s\r\n", words[answer]);
    bool is_plain = listener->tls != POP3_TLS_IMPLICIT;

    service_turn_away(&pop3->service, fd, bytes_range(line, is_plain && len > 0 ? len : 0));
}

static bool may_log_in_plain(const struct pop3_listener *listener, const struct address *client)
{
    for (size_t i = 0; i < listener->plaintext_count; i++)
        if (network_contains(&listener->plaintext[i], client))
            return true;
    return false;
}

void pop3_accept(struct pop3 *pop3, int fd, const struct pop3_listener *listener)
{
    struct service *service = &pop3->service;
    struct sockaddr_storage storage;
    socklen_t len = sizeof(storage);
    struct address client = {0};
    struct session *admitted;

    if (getpeername(fd, (struct sockaddr *)&storage, &len) != 0 ||
        !address_from((const struct sockaddr *)&storage, &client)) {
        engine_close(service->engine, fd); /* gone already */
        return;
    }
    enum service_answer answer = service_admit(service, &client, &admitted);

    if (answer != SERVICE_ADMITS) {
        turn_away(pop3, fd, &client, listener, answer);
        return;
    }
    struct pop3_session *session = pop3_session_of(admitted);

    session->listener = listener;
    session->may_log_in_plain = may_log_in_plain(listener, &client);
    pop3_session_start(session, fd);
}

unsigned pop3_sessions(const struct pop3 *pop3)
{
    return pop3->service.session_count;
}

void pop3_stop(struct pop3 *pop3, int64_t deadline_ms, void (*stopped)(void *context),
               void *context)
{
    service_stop(&pop3->service, deadline_ms, stopped, context);
}

void pop3_abort(struct pop3 *pop3)
{
    service_abort(&pop3->service);
}

void pop3_free(struct pop3 **pop3)
{
    struct pop3 *freed = *pop3;

    *pop3 = NULL;
    check(freed->work_count == 0);
    service_end(&freed->service);
    free(freed);
}

static void generation_free(struct generation *generation)
{
    struct pop3_generation *freed = container_of(generation, struct pop3_generation, generation);

    tls_context_release(&freed->settings.tls);
    free(freed);
}

static struct generation *generation_create(const struct pop3_settings *settings)
{
    struct pop3_generation *generation = calloc(1, sizeof(*generation));

    check(generation != NULL);
    generation->settings = *settings;
    generation_init(&generation->generation, generation_free);
    snprintf(generation->hostname, sizeof(generation->hostname), "%s", settings->hostname);
    generation->settings.hostname = generation->hostname;
    generation->settings.tls = settings->tls != NULL ? tls_context_keep(settings->tls) : NULL;
    return &generation->generation;
}

static bool is_idle(const struct service *service)
{
    return container_of(service, struct pop3, service)->work_count == 0;
}

static void shed(struct session *session)
{
    metric_inc(METRIC_POP3_SHED);
    session_shed(session);
}
