/* metrics_http.c - metrics and health over HTTP. */
#include "relay/metrics_http.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "relay/metrics_accept.h"
#include "relay/program.h"

enum { METRICS_SIZE_MAX = 4 << 20, METRICS_CONNECTIONS_MAX = 32, METRICS_TIMEOUT_S = 10 };

struct metrics_http {
    struct program *program;
    struct MHD_Daemon *daemon;
};

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned code, struct bytes body,
                              const char *type)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(body.len, (void *)(uintptr_t)body.ptr,
                                        MHD_RESPMEM_MUST_COPY);

    if (response == NULL)
        return MHD_NO;
    MHD_add_response_header(response, "Content-Type", type);
    enum MHD_Result result = MHD_queue_response(connection, code, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result answer_metrics(struct metrics_http *metrics,
                                      struct MHD_Connection *connection)
{
    static const char *const types[] = {
        [EXPOSITION_PROMETHEUS] = "text/plain; version=0.0.4; charset=utf-8",
        [EXPOSITION_OPENMETRICS] = "application/openmetrics-text; version=1.0.0; charset=utf-8",
    };
    const char *accept =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT);
    enum exposition_format format = metrics_accept(accept != NULL ? bytes_of(accept) : BYTES_NONE);
    struct buf out;
    enum MHD_Result result;

    buf_init(&out, METRICS_SIZE_MAX);
    if (program_metrics(metrics->program, format, &out))
        result = answer(connection, MHD_HTTP_OK, buf_bytes(&out), types[format]);
    else
        result = answer(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, BYTES("too many metrics\n"),
                        "text/plain");
    buf_free(&out);
    return result;
}

static enum MHD_Result answer_health(struct metrics_http *metrics,
                                     struct MHD_Connection *connection)
{
    struct program_status status;

    if (atomic_load(&metrics->program->is_stopping))
        return answer(connection, MHD_HTTP_SERVICE_UNAVAILABLE, BYTES("stopping\n"), "text/plain");
    program_status(metrics->program, &status);
    if (status.spool.is_full)
        return answer(connection, MHD_HTTP_SERVICE_UNAVAILABLE,
                      BYTES("spool full: mail is refused with 452, delivery goes on\n"),
                      "text/plain");
    if (atomic_load(&metrics->program->shared.space.sinks_are_full))
        return answer(connection, MHD_HTTP_SERVICE_UNAVAILABLE,
                      BYTES("sinks of events too far behind: mail is refused with 452, delivery "
                            "goes on\n"),
                      "text/plain");
    return answer(connection, MHD_HTTP_OK, BYTES("ok\n"), "text/plain");
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **state)
{
    struct metrics_http *metrics = context;

    (void)version, (void)upload, (void)upload_size, (void)state;
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        return answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED, BYTES("GET only\n"), "text/plain");
    if (strcmp(url, "/metrics") == 0)
        return answer_metrics(metrics, connection);
    if (strcmp(url, "/health") == 0)
        return answer_health(metrics, connection);
    return answer(connection, MHD_HTTP_NOT_FOUND, BYTES("/metrics and /health are here\n"),
                  "text/plain");
}

struct metrics_http *metrics_http_start(struct program *program, int fd,
                                        const struct address *address)
{
    struct metrics_http *metrics = calloc(1, sizeof(*metrics));
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_AUTO;
    char text[ADDRESS_TEXT_MAX];

    check(metrics != NULL);
    metrics->program = program;
    if (address->any.sa_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    address_format_port(address, text);
    errno = 0;
    metrics->daemon =
        MHD_start_daemon(flags, address_port(address), NULL, NULL, on_request, metrics,
                         MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
                         (unsigned)METRICS_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
                         (unsigned)METRICS_TIMEOUT_S, MHD_OPTION_END);
    if (metrics->daemon == NULL) {
        log_error("metrics=%s what=\"cannot serve: %s\"", text, strerror(errno));
        close(fd);
        free(metrics);
        return NULL;
    }
    log_info("metrics=%s what=listening", text);
    return metrics;
}

void metrics_http_stop(struct metrics_http **metrics)
{
    MHD_stop_daemon((*metrics)->daemon);
    free(*metrics);
    *metrics = NULL;
}
