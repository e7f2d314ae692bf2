/* access.c - the service of one engine: its sessions, settings by generation, stop. */
#include "inbound/access/access.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "inbound/access/session.h"
#include "io/tls_context.h"

static bool is_idle(const struct service *service);
static void shed(struct session *session);
static struct generation *generation_create(const struct access_settings *settings);

struct access *access_create(const struct access_kind *kind, const struct access_setup *setup,
                             const struct access_settings *settings)
{
    struct access *access = calloc(1, sizeof(*access));

    check(access != NULL);
    access->kind = kind;
    access->setup = *setup;
    access->service_kind = (struct service_kind){
        .session_size = kind->session_size,
        .pressure = {.held = access_session_held, .shed = shed},
        .is_idle = is_idle,
    };
    memcpy(access->login_key, setup->login_key, sizeof(access->login_key));
    service_init(&access->service, setup->engine, &access->service_kind, setup->load);
    access_configure(access, settings);
    return access;
}

void access_configure(struct access *access, const struct access_settings *settings)
{
    service_configure(&access->service, &settings->sessions, generation_create(settings));
}

static void turn_away(struct access *access, int fd, const struct address *client,
                      const struct access_listener *listener, enum service_answer answer)
{
    const struct access_kind *kind = access->kind;
    const struct access_words *words = &kind->words;
    const char *what = service_refusal_of(answer)->what;
    char peer[ADDRESS_TEXT_MAX], text[96], line[128];

    address_format(client, peer);
    snprintf(text, sizeof(text), "%s %c%s",
             answer == SERVICE_HAS_TOO_MANY_OF_CLIENT ? words->limit : words->unavailable,
             toupper((unsigned char)what[0]), what + 1);
    metric_inc(kind->refused);
    log_limited(LOG_LEVEL_WARN, "client=%s service=%s refused=\"%s\" sessions=%u", peer, kind->name,
                text, access->service.session_count);
    int len = snprintf(line, sizeof(line), "%s %s\r\n", kind->last, text);
    bool is_plain = listener->tls != ACCESS_TLS_IMPLICIT;

    check(len > 0 && (size_t)len < sizeof(line));
    service_turn_away(&access->service, fd, bytes_range(line, is_plain ? (size_t)len : 0));
}

void access_accept(struct access *access, int fd, const struct access_listener *listener)
{
    struct address client = {0};
    struct session *admitted;

    if (!service_peer(&access->service, fd, &client))
        return;
    enum service_answer answer = service_admit(&access->service, &client, &admitted);

    if (answer != SERVICE_ADMITS) {
        turn_away(access, fd, &client, listener, answer);
        return;
    }
    struct access_session *session = access_session_of(admitted);

    session->listener = listener;
    session->may_log_in_plain =
        networks_contain(listener->plaintext, listener->plaintext_count, &client);
    session->is_shared = networks_contain(listener->shared, listener->shared_count, &client);
    access_session_start(session, fd);
}

unsigned access_sessions(const struct access *access)
{
    return access->service.session_count;
}

void access_stop(struct access *access, int64_t deadline_ms, void (*stopped)(void *context),
                 void *context)
{
    service_stop(&access->service, deadline_ms, stopped, context);
}

void access_abort(struct access *access)
{
    service_abort(&access->service);
}

void access_free(struct access **access)
{
    struct access *freed = *access;

    *access = NULL;
    check(freed->work_count == 0);
    service_end(&freed->service);
    free(freed);
}

static void generation_free(struct generation *generation)
{
    struct access_generation *freed =
        container_of(generation, struct access_generation, generation);

    tls_context_release(&freed->settings.tls);
    free(freed);
}

static struct generation *generation_create(const struct access_settings *settings)
{
    struct access_generation *generation = calloc(1, sizeof(*generation));

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
    return container_of(service, struct access, service)->work_count == 0;
}

static void shed(struct session *session)
{
    metric_inc(access_kind_of(access_session_of(session))->shed);
    session_shed(session);
}
