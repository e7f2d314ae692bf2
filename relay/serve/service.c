/* service.c - the sessions of one engine's part of a service: they come, they are counted, and a
 * stop ends them. */
#include "serve/service.h"

#include <sys/socket.h>

#include "base/budget.h"
#include "base/log.h"

static void session_gone(struct session *session);
static void deadline_passed(struct timeout *timeout);
static void stop_ended(struct turn_end *turn_end);

void service_init(struct service *service, struct engine *engine, const struct service_kind *kind,
                  _Atomic int *load)
{
    check(load != NULL);
    check(kind->session_size >= sizeof(struct session));
    *service = (struct service){.engine = engine, .kind = kind, .load = load};
    slab_init(&service->slab, kind->session_size, 0);
    list_init(&service->sessions);
    timeout_init(&service->stop_deadline, deadline_passed);
    turn_end_init(&service->stop_end, stop_ended);
    pressure_watch(&service->pressure, engine, &kind->pressure, &service->sessions);
}

void service_configure(struct service *service, const struct service_limits *limits,
                       struct generation *generation)
{
    struct generation *old = service->generation;

    check(limits->sessions_max > 0);
    service->slab.count_max = limits->sessions_max;
    service->sessions_total_max = limits->sessions_total_max;
    service->sessions_per_client_max = limits->sessions_per_client_max;
    service->pressure.memory_max = limits->memory_max;
    service->generation = generation;
    if (old != NULL)
        generation_release(&old);
}

/* Relaxed: a listener that sees it a moment late chooses nearly as well. */
static void count(struct service *service, int by)
{
    service->session_count += (unsigned)by;
    budget_add(by * (int64_t)service->kind->session_size);
    atomic_fetch_add_explicit(service->load, by, memory_order_relaxed);
}

bool service_peer(struct service *service, int fd, struct address *client_out)
{
    struct sockaddr_storage storage;
    socklen_t len = sizeof(storage);

    if (getpeername(fd, (struct sockaddr *)&storage, &len) == 0 &&
        address_from((const struct sockaddr *)&storage, client_out))
        return true;
    engine_close(service->engine, fd);
    return false;
}

enum service_answer service_admit(struct service *service, const struct address *client,
                                  struct session **session_out)
{
    struct admission_key key = admission_key_of(client);

    if (service->is_stopping)
        return SERVICE_STOPS;
    if (!admission_enter(&key, service->sessions_per_client_max))
        return SERVICE_HAS_TOO_MANY_OF_CLIENT;
    struct session *session = NULL;

    if (admission_enter_total(service->sessions_total_max)) {
        session = slab_alloc(&service->slab);
        if (session == NULL)
            admission_leave_total();
    }
    if (session == NULL) {
        admission_leave(&key);
        return SERVICE_HAS_TOO_MANY;
    }
    session->service = service;
    session->gone = session_gone;
    session->client = key;
    session->generation = generation_keep(service->generation);
    list_node_init(&session->node);
    list_push_back(&service->sessions, &session->node);
    count(service, 1);
    *session_out = session;
    return SERVICE_ADMITS;
}

bool service_readmit(struct session *session, const struct address *client)
{
    struct admission_key key = admission_key_of(client);

    if (!admission_enter(&key, session->service->sessions_per_client_max))
        return false;
    admission_leave(&session->client);
    session->client = key;
    return true;
}

static void session_gone(struct session *session)
{
    struct service *service = session->service;

    list_remove(&session->node);
    admission_leave(&session->client);
    admission_leave_total();
    generation_release(&session->generation);
    slab_release(&service->slab, &session);
    count(service, -1);
    service_look_if_stopped(service);
}

const struct service_refusal *service_refusal_of(enum service_answer answer)
{
    static const struct service_refusal refusals[] = {
        [SERVICE_STOPS] = {"is", "shutting down", NULL},
        [SERVICE_HAS_TOO_MANY_OF_CLIENT] = {"has", "too many sessions of your address",
                                            "sessions_per_client"},
        [SERVICE_HAS_TOO_MANY] = {"has", "too many sessions, try again later", "sessions"},
    };

    check(answer != SERVICE_ADMITS);
    return &refusals[answer];
}

void service_turn_away(struct service *service, int fd, struct bytes line)
{
    /* A fresh socket's buffer is empty: this does not block, and if it fails the client sees a
     * closed connection, which is an answer too. */
    if (line.len > 0)
        (void)send(fd, line.ptr, line.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    engine_close(service->engine, fd);
}

/* --- the end ---------------------------------------------------------------------------------- */

void service_stop(struct service *service, int64_t deadline_ms, void (*stopped)(void *context),
                  void *context)
{
    int64_t left_ms = deadline_ms - engine_now_ms(service->engine);

    check(!service->is_stopping);
    service->is_stopping = true;
    service->stopped = stopped;
    service->stopped_context = context;
    engine_timeout(service->engine, &service->stop_deadline, MAX(left_ms, (int64_t)0));
    list_for_each(node, &service->sessions)
        session_stop(container_of(node, struct session, node));
    service_look_if_stopped(service);
}

void service_abort(struct service *service)
{
    list_for_each(node, &service->sessions)
        session_abort(container_of(node, struct session, node));
}

static void deadline_passed(struct timeout *timeout)
{
    struct service *service = container_of(timeout, struct service, stop_deadline);

    log_warn("sessions=%u what=\"closed at the end of the time to stop\"", service->session_count);
    service_abort(service);
}

static bool is_over(const struct service *service)
{
    return service->session_count == 0 &&
           (service->kind->is_idle == NULL || service->kind->is_idle(service));
}

void service_look_if_stopped(struct service *service)
{
    if (service->stopped != NULL && is_over(service))
        engine_at_turn_end(service->engine, &service->stop_end);
}

static void stop_ended(struct turn_end *turn_end)
{
    struct service *service = container_of(turn_end, struct service, stop_end);
    void (*stopped)(void *context) = service->stopped;

    check(service->session_count == 0);
    service->stopped = NULL;
    engine_timeout_cancel(service->engine, &service->stop_deadline);
    stopped(service->stopped_context);
}

void service_end(struct service *service)
{
    check(service->session_count == 0);
    pressure_leave(&service->pressure);
    engine_timeout_cancel(service->engine, &service->stop_deadline);
    engine_turn_end_cancel(service->engine, &service->stop_end);
    if (service->generation != NULL)
        generation_release(&service->generation);
    slab_free_all(&service->slab);
}
