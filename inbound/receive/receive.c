/* receive.c - the service of one engine: its sessions, settings by generation, stop. */
#include "inbound/receive/receive.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/metric.h"
#include "directory/directory_name.h"
#include "inbound/receive/arrival.h"
#include "io/tls_context.h"

enum {
    /* Rejected events of an engine: strangers cause them. */
    NOTES_PER_SECOND = 50,
    NOTES_OF_NOBODY_PER_MINUTE = 20, /* that concern no tenant, as in submission */
    ADDRESS_ROOM = 4096,
};

static struct generation *generation_create(struct receive *receive,
                                            const struct receive_settings *settings);
static bool is_idle(const struct service *service);
static void shed(struct session *session);
static void intake_gone(struct intake_home *home);
static void scanner_gone(void *context);

static const struct service_kind kind = {
    .session_size = sizeof(struct receive_session),
    .pressure = {.held = receive_held, .shed = shed},
    .is_idle = is_idle,
};

/* What only we say of a message does not come from outside. */
static void fields_init(struct header_table *fields)
{
    static const struct header_rule spam = {.name = BYTES("X-Spam"), .drop = true};
    static const struct header_rule score = {.name = BYTES("X-Spam-Score"), .drop = true};

    intake_fields_init(fields);
    int row = header_table_add(fields, &spam);
    check(row == RECEIVE_SPAM);
    row = header_table_add(fields, &score);
    check(row == RECEIVE_SPAM_SCORE);
}

struct receive *receive_create(const struct receive_setup *setup,
                               const struct receive_settings *settings)
{
    struct receive *receive = calloc(1, sizeof(*receive));

    check(receive != NULL);
    receive->setup = *setup;
    service_init(&receive->service, setup->engine, &kind, setup->load);
    fields_init(&receive->fields);
    slab_init(&receive->arrivals, sizeof(struct arrival), settings->sessions.sessions_max);
    slab_init(&receive->intakes, intake_size(&receive->fields), settings->sessions.sessions_max);
    receive->home = (struct intake_home){.engine = setup->engine,
                                         .shard = setup->shard,
                                         .intakes = &receive->intakes,
                                         .fields = &receive->fields,
                                         .messages = METRIC_INBOUND_MESSAGES,
                                         .recipients = METRIC_INBOUND_RECIPIENTS,
                                         .bytes = METRIC_INBOUND_BYTES,
                                         .gone = intake_gone};
    receive->rspamd = rspamd_create(setup->engine, &settings->rspamd, scanner_gone, receive);
    receive->notes = (struct note_budget){.count_max = NOTES_PER_SECOND, .window_ms = 1000};
    receive->notes_of_nobody =
        (struct note_budget){.count_max = NOTES_OF_NOBODY_PER_MINUTE, .window_ms = 60 * 1000};
    receive_configure(receive, settings);
    return receive;
}

void receive_configure(struct receive *receive, const struct receive_settings *settings)
{
    check(settings->hostname != NULL);
    rspamd_configure(receive->rspamd, &settings->rspamd);
    receive->arrivals.count_max = settings->sessions.sessions_max;
    /* Twice: as many again may be left behind by clients that are gone, their commits under way. */
    receive->intakes.count_max = (size_t)settings->sessions.sessions_max * 2;
    service_configure(&receive->service, &settings->sessions, generation_create(receive, settings));
}

static struct receive_generation *newest(struct receive *receive)
{
    return container_of(receive->service.generation, struct receive_generation, generation);
}

static bool is_proxy(const struct receive *receive, const struct address *client)
{
    const struct receive_settings *settings = receive_newest(receive);

    return networks_contain(settings->proxies, settings->proxy_count, client);
}

void receive_accept(struct receive *receive, int fd, const struct receive_listener *listener)
{
    struct service *service = &receive->service;
    struct address client = {0};
    struct session *admitted;

    if (!service_peer(service, fd, &client))
        return;
    enum service_answer answer = service_admit(service, &client, &admitted);
    if (answer != SERVICE_ADMITS) {
        smtp_server_turn_away(service, &newest(receive)->service, fd, &client, answer,
                              listener->tls);
        return;
    }
    struct receive_session *session =
        container_of(admitted, struct receive_session, server.session);
    session->listener = listener;
    session->client = client;
    session->server.is_stranger = true;
    session->server.has_preamble = is_proxy(receive, &client);
    session->server.tls = (uint8_t)listener->tls;
    smtp_server_start(&session->server, service->engine, fd, &newest(receive)->service);
}

unsigned receive_sessions(const struct receive *receive)
{
    return receive->service.session_count;
}

void receive_stop(struct receive *receive, int64_t deadline_ms, void (*stopped)(void *context),
                  void *context)
{
    rspamd_stop(receive->rspamd);
    service_stop(&receive->service, deadline_ms, stopped, context);
}

void receive_abort(struct receive *receive)
{
    service_abort(&receive->service);
}

void receive_free(struct receive **receive)
{
    struct receive *freed = *receive;

    *receive = NULL;
    check(freed->home.count == 0 && freed->inspection_count == 0);
    rspamd_free(&freed->rspamd);
    service_end(&freed->service);
    slab_free_all(&freed->arrivals);
    slab_free_all(&freed->intakes);
    free(freed);
}

static void generation_free(struct generation *generation)
{
    struct receive_generation *freed =
        container_of(generation, struct receive_generation, generation);

    tls_context_release(&freed->service.tls);
    free(freed);
}

/* As the directory compares it. */
static void set_postmaster(struct receive_generation *generation, const char *text)
{
    struct arena arena;
    struct bytes address = BYTES_NONE;

    arena_init(&arena, ADDRESS_ROOM);
    bool is_good = text == NULL || directory_address(&arena, bytes_of(text), false, &address);
    check(is_good);
    snprintf(generation->postmaster, sizeof(generation->postmaster), "%.*s", BYTES_ARG(address));
    arena_free(&arena);
}

static struct generation *generation_create(struct receive *receive,
                                            const struct receive_settings *settings)
{
    struct receive_generation *generation = calloc(1, sizeof(*generation));

    check(generation != NULL);
    generation->receive = receive;
    generation->settings = *settings;
    generation_init(&generation->generation, generation_free);
    snprintf(generation->hostname, sizeof(generation->hostname), "%s", settings->hostname);
    set_postmaster(generation, settings->postmaster);
    generation->settings.hostname = generation->hostname;
    generation->settings.postmaster = generation->postmaster;
    generation->service = (struct smtp_service){
        .policy = &receive_policy,
        .context = generation,
        .name = "inbound",
        .section = "inbound",
        .hostname = generation->hostname,
        .tls = settings->tls != NULL ? tls_context_keep(settings->tls) : NULL,
        .limits = settings->smtp,
    };
    return &generation->generation;
}

/* A commit under way is waited for when its client is gone as well. */
static bool is_idle(const struct service *service)
{
    const struct receive *receive = container_of(service, struct receive, service);

    return receive->home.count == 0 && receive->inspection_count == 0 &&
           rspamd_is_idle(receive->rspamd);
}

static void scanner_gone(void *context)
{
    struct receive *receive = context;

    service_look_if_stopped(&receive->service);
}

static void shed(struct session *session)
{
    metric_inc(METRIC_INBOUND_SHED);
    session_shed(session);
}

static void intake_gone(struct intake_home *home)
{
    service_look_if_stopped(&container_of(home, struct receive, home)->service);
}
