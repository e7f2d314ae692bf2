/*
 * server_pace.c - how long content may take: a client that drips holds what it has sent so far.
 *
 * content_timeout_s of grace, then what it has sent must have come at content_rate_min; and all of
 * it within content_deadline_s. Chunks of one transaction are one content, with the commands
 * between them.
 */
#include "smtpd/server_parts.h"

#include "base/metric.h"

static const char too_slow[] = "The content comes too slowly, closing";
static const char too_long[] = "The content takes too long, closing";

void pace_begin(struct smtp_server *server)
{
    server->incoming.received = 0;
    server->incoming.began_ms = engine_now_ms(server->session.conn.engine);
    server->incoming.waits_since_ms = 0;
}

void pace_wait(struct smtp_server *server)
{
    struct smtp_incoming *incoming = &server->incoming;

    if (incoming->waits_since_ms != 0)
        return;
    incoming->waits_since_ms = MAX(engine_now_ms(server->session.conn.engine), (int64_t)1);
    /* The deadline that runs may be that of the rate. */
    conn_deadline(&server->session.conn, server_block_ms(server));
}

void pace_go_on(struct smtp_server *server)
{
    struct smtp_incoming *incoming = &server->incoming;

    if (incoming->waits_since_ms == 0)
        return;
    incoming->began_ms += engine_now_ms(server->session.conn.engine) - incoming->waits_since_ms;
    incoming->waits_since_ms = 0;
}

static bool is_under_way(const struct smtp_server *server)
{
    bool is_between_chunks = server->transaction.has_chunks || server->incoming.broken.code != 0;

    return server->session.state == SERVER_CONTENT ||
           (server->session.state == SERVER_COMMAND && is_between_chunks);
}

static int64_t deadline_ms(const struct smtp_server *server)
{
    unsigned deadline_s = server->service->limits.content_deadline_s;

    return (int64_t)(deadline_s != 0 ? deadline_s : SMTP_SERVER_CONTENT_S_DEFAULT) * 1000;
}

/* What it may have taken so far by its rate. */
static int64_t paced_ms(const struct smtp_server *server)
{
    unsigned rate_min = server->service->limits.content_rate_min;

    if (rate_min == 0)
        return INT64_MAX;
    return server_block_ms(server) + (int64_t)(server->incoming.received * 1000 / rate_min);
}

static int64_t taken_ms(const struct smtp_server *server)
{
    return engine_now_ms(server->session.conn.engine) - server->incoming.began_ms;
}

int64_t pace_left_ms(const struct smtp_server *server)
{
    if (!is_under_way(server) || server->incoming.waits_since_ms != 0)
        return INT64_MAX;
    return MIN(deadline_ms(server), paced_ms(server)) - taken_ms(server);
}

enum step pace_leave(struct smtp_server *server)
{
    metric_inc(METRIC_SMTPD_CONTENT_SLOW);
    if (paced_ms(server) < deadline_ms(server))
        return server_leave(server, "4.4.2", too_slow, "limits.content_rate");
    return server_leave(server, "4.4.2", too_long, "limits.content_deadline");
}
