/* imap.c - the service of one engine: its sessions, settings by generation, stop. */
#include "inbound/imap/imap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "inbound/imap/session.h"
#include "io/tls_context.h"

static bool is_idle(const struct service *service);
static void shed(struct session *session);
static struct generation *generation_create(const struct imap_settings *settings);

static const struct service_kind kind = {
    .session_size = sizeof(struct imap_session),
    .pressure = {.held = imap_session_held, .shed = shed},
    .is_idle = is_idle,
};

struct imap *imap_create(const struct imap_setup *setup, const struct imap_settings *settings)
{
    struct imap *imap = calloc(1, sizeof(*imap));

    check(imap != NULL);
    imap->setup = *setup;
    memcpy(imap->login_key, setup->login_key, sizeof(imap->login_key));
    service_init(&imap->service, setup->engine, &kind, setup->load);
    imap_configure(imap, settings);
    return imap;
}

void imap_configure(struct imap *imap, const struct imap_settings *settings)
{
    struct service_limits limits = {
        .sessions_max = settings->sessions_max,
        .sessions_per_client_max = settings->sessions_per_client_max,
        .memory_max = settings->memory_max,
    };

    service_configure(&imap->service, &limits, generation_create(settings));
}

static void turn_away(struct imap *imap, int fd, const struct address *client,
                      const struct imap_listener *listener, enum service_answer answer)
{
    static const char *const words[] = {
        [SERVICE_STOPS] = "[UNAVAILABLE] Shutting down",
        [SERVICE_HAS_TOO_MANY_OF_CLIENT] = "[LIMIT] Too many sessions of your address",
        [SERVICE_HAS_TOO_MANY] = "[UNAVAILABLE] Too many sessions, try again later",
    };
    char peer[ADDRESS_TEXT_MAX], line[128];

    address_format(client, peer);
    metric_inc(METRIC_IMAP_REFUSED);
    log_limited(LOG_LEVEL_WARN, "client=%s service=imap refused=\"%s\" sessions=%u", peer,
                words[answer], imap->service.session_count);
    int len = snprintf(line, sizeof(line), "* BYE %s\r\n", words[answer]);
    bool is_plain = listener->tls != IMAP_TLS_IMPLICIT;

    service_turn_away(&imap->service, fd, bytes_range(line, is_plain && len > 0 ? len : 0));
}

static bool may_log_in_plain(const struct imap_listener *listener, const struct address *client)
{
    for (size_t i = 0; i < listener->plaintext_count; i++)
        if (network_contains(&listener->plaintext[i], client))
            return true;
    return false;
}

void imap_accept(struct imap *imap, int fd, const struct imap_listener *listener)
{
    struct service *service = &imap->service;
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
        turn_away(imap, fd, &client, listener, answer);
        return;
    }
    struct imap_session *session = imap_session_of(admitted);

    session->listener = listener;
    session->may_log_in_plain = may_log_in_plain(listener, &client);
    imap_session_start(session, fd);
}

unsigned imap_sessions(const struct imap *imap)
{
    return imap->service.session_count;
}

void imap_stop(struct imap *imap, int64_t deadline_ms, void (*stopped)(void *context),
               void *context)
{
    service_stop(&imap->service, deadline_ms, stopped, context);
}

void imap_abort(struct imap *imap)
{
    service_abort(&imap->service);
}

void imap_free(struct imap **imap)
{
    struct imap *freed = *imap;

    *imap = NULL;
    check(freed->work_count == 0);
    service_end(&freed->service);
    free(freed);
}

static void generation_free(struct generation *generation)
{
    struct imap_generation *freed = container_of(generation, struct imap_generation, generation);

    tls_context_release(&freed->settings.tls);
    free(freed);
}

static struct generation *generation_create(const struct imap_settings *settings)
{
    struct imap_generation *generation = calloc(1, sizeof(*generation));

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
    return container_of(service, struct imap, service)->work_count == 0;
}

static void shed(struct session *session)
{
    metric_inc(METRIC_IMAP_SHED);
    session_shed(session);
}
