/* rspamd.c - questions in line, and the connections that they go by. */
#include "inbound/rspamd/rspamd.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/metric.h"
#include "inbound/rspamd/http_response.h"
#include "io/conn.h"

enum {
    OUTPUT_MAX = RSPAMD_CONTENT_MAX + 128 * 1024, /* a whole request */
    IDLE_MS = 60 * 1000,
};

struct rspamd_connection {
    struct conn conn;
    struct rspamd *rspamd;
    struct list_node node; /* while idle */
    struct rspamd_question *question;
    bool is_open; /* it is connected */
    bool is_used; /* carried a question before */
    struct buf body;
};

struct rspamd {
    struct engine *engine;
    struct rspamd_settings settings;
    void (*gone)(void *context);
    void *context;
    bool is_stopping;
    unsigned connection_count;
    struct list waiting; /* questions */
    struct list idle;    /* connections */
};

static void pump(struct rspamd *rspamd);

/* --- questions -------------------------------------------------------------------------------- */

/* It is nobody's any more; its done() is the caller's to call. */
static void forget(struct rspamd_question *question)
{
    engine_timeout_cancel(question->rspamd->engine, &question->deadline);
    list_remove(&question->node);
    if (question->connection != NULL)
        question->connection->question = NULL;
    question->connection = NULL;
    question->is_asked = false;
}

static void finish(struct rspamd_question *question, const struct rspamd_answer *answer,
                   const char *why)
{
    struct rspamd *rspamd = question->rspamd;

    metric_inc(answer != NULL ? METRIC_RSPAMD_ANSWERS : METRIC_RSPAMD_FAILURES);
    if (answer == NULL)
        log_limited(LOG_LEVEL_WARN, "rspamd=away why=%s", LOG_STRING(why));
    forget(question);
    question->done(question, answer, why);
    pump(rspamd);
}

static void deadline_passed(struct timeout *timeout)
{
    struct rspamd_question *question = container_of(timeout, struct rspamd_question, deadline);
    struct rspamd_connection *connection = question->connection;

    if (connection != NULL)
        conn_close(&connection->conn);
    finish(question, NULL, "it did not answer in time");
}

void rspamd_ask(struct rspamd *rspamd, struct rspamd_question *question)
{
    unsigned timeout_ms = rspamd->settings.timeout_ms;

    check(!question->is_asked);
    check(question->content.len <= RSPAMD_CONTENT_MAX);
    question->rspamd = rspamd;
    question->is_asked = true;
    question->was_asked_again = false;
    question->connection = NULL;
    list_node_init(&question->node);
    timeout_init(&question->deadline, deadline_passed);
    engine_timeout(rspamd->engine, &question->deadline,
                   timeout_ms != 0 ? timeout_ms : RSPAMD_TIMEOUT_MS);
    list_push_back(&rspamd->waiting, &question->node);
    pump(rspamd);
}

void rspamd_cancel(struct rspamd_question *question)
{
    if (!question->is_asked)
        return;
    if (question->connection != NULL)
        conn_close(&question->connection->conn);
    forget(question);
}

/* --- connections ------------------------------------------------------------------------------ */

static bool send_question(struct rspamd_connection *connection)
{
    const struct rspamd_question *question = connection->question;
    char host[ADDRESS_TEXT_MAX];

    address_format_port(&connection->conn.peer, host);
    return conn_printf(&connection->conn,
                       "POST /checkv2 HTTP/1.1\r\nHost: %s\r\nContent-Length: %zu\r\n", host,
                       question->content.len) &&
           conn_write(&connection->conn, question->fields) &&
           conn_write(&connection->conn, BYTES("\r\n")) &&
           conn_write(&connection->conn, question->content);
}

/* The connection is lost before an answer came. */
static void lost(struct rspamd_connection *connection, const char *why)
{
    struct rspamd_question *question = connection->question;

    list_remove(&connection->node);
    conn_close(&connection->conn);
    if (question == NULL)
        return;
    if (!connection->is_used || question->was_asked_again) {
        finish(question, NULL, why);
        return;
    }
    connection->question = NULL;
    question->connection = NULL;
    question->was_asked_again = true;
    list_push_front(&connection->rspamd->waiting, &question->node);
    pump(connection->rspamd);
}

static void answered(struct rspamd_connection *connection, const struct http_response *response)
{
    struct rspamd_question *question = connection->question;
    struct rspamd *rspamd = connection->rspamd;
    struct rspamd_answer answer;
    bool is_answer = response->status == 200 && rspamd_parse(buf_bytes(&connection->body), &answer);

    buf_free(&connection->body);
    connection->question = NULL;
    question->connection = NULL;
    connection->is_used = true;
    if (response->keeps_alive && !rspamd->is_stopping && !connection->conn.eof) {
        list_push_back(&rspamd->idle, &connection->node);
        conn_deadline(&connection->conn, IDLE_MS);
    } else {
        conn_close(&connection->conn);
    }
    finish(question, is_answer ? &answer : NULL, is_answer ? NULL : "its answer cannot be read");
}

static void read_answer(struct rspamd_connection *connection)
{
    struct bytes input = conn_input(&connection->conn), rest = input;
    struct http_response response;

    if (connection->question == NULL) { /* idle: nothing is to come */
        lost(connection, "");
        return;
    }
    switch (http_response_take(&rest, connection->conn.eof, &response, &connection->body)) {
    case HTTP_MORE:
        return;
    case HTTP_BAD:
        if (connection->conn.eof && input.len == 0) {
            lost(connection, "it closed the connection");
            return;
        }
        connection->is_used = false; /* it did speak: not to be asked again */
        lost(connection, "its answer cannot be read");
        return;
    case HTTP_DONE:
        conn_consume(&connection->conn, input.len - rest.len);
        answered(connection, &response);
        return;
    }
}

static void on_wake(struct conn *conn, enum conn_wake reason)
{
    struct rspamd_connection *connection = container_of(conn, struct rspamd_connection, conn);
    struct rspamd *rspamd = connection->rspamd;

    switch (reason) {
    case CONN_CONNECTED:
        connection->is_open = true;
        if (connection->question != NULL && !send_question(connection))
            lost(connection, "there is no memory to ask it");
        return;
    case CONN_DATA:
    case CONN_EOF:
        read_answer(connection);
        return;
    case CONN_TIMEOUT: /* of an idle one */
    case CONN_ERROR:
        lost(connection, connection->is_open ? "the connection broke" : "it takes no connection");
        return;
    case CONN_CLOSED:
        check(connection->question == NULL);
        list_remove(&connection->node);
        buf_free(&connection->body);
        free(connection);
        rspamd->connection_count--;
        pump(rspamd);
        rspamd->gone(rspamd->context);
        return;
    case CONN_SECURED:
    case CONN_DETACHED: /* never asked for */
    case CONN_DRAINED:
        return;
    }
}

static void give(struct rspamd_connection *connection, struct rspamd_question *question)
{
    connection->question = question;
    question->connection = connection;
}

static void open_connection(struct rspamd *rspamd, struct rspamd_question *question)
{
    static const struct conn_settings settings = {.input_max = HTTP_INPUT_MAX,
                                                  .output_max = OUTPUT_MAX};
    struct rspamd_connection *connection = calloc(1, sizeof(*connection));

    check(connection != NULL);
    connection->rspamd = rspamd;
    list_node_init(&connection->node);
    buf_init(&connection->body, HTTP_BODY_MAX);
    rspamd->connection_count++;
    give(connection, question);
    conn_connect(&connection->conn, rspamd->engine, &rspamd->settings.address, NULL, on_wake,
                 &settings);
}

static void pump(struct rspamd *rspamd)
{
    unsigned max = rspamd->settings.connections_max;
    struct list_node *node;

    while (!list_is_empty(&rspamd->waiting)) {
        bool has_idle = !list_is_empty(&rspamd->idle);

        if (!has_idle && rspamd->connection_count >= (max != 0 ? max : RSPAMD_CONNECTIONS))
            return;
        node = list_pop_front(&rspamd->waiting);
        struct rspamd_question *question = container_of(node, struct rspamd_question, node);
        if (!has_idle) {
            open_connection(rspamd, question);
            continue;
        }
        node = list_pop_front(&rspamd->idle);
        struct rspamd_connection *connection = container_of(node, struct rspamd_connection, node);
        conn_deadline(&connection->conn, 0);
        give(connection, question);
        if (send_question(connection))
            continue;
        conn_close(&connection->conn); /* it is on its way out: by another one */
        connection->question = NULL;
        question->connection = NULL;
        list_push_front(&rspamd->waiting, &question->node);
    }
}

/* --- life ------------------------------------------------------------------------------------- */

struct rspamd *rspamd_create(struct engine *engine, const struct rspamd_settings *settings,
                             void (*gone)(void *context), void *context)
{
    struct rspamd *rspamd = calloc(1, sizeof(*rspamd));

    check(rspamd != NULL);
    rspamd->engine = engine;
    rspamd->settings = *settings;
    rspamd->gone = gone;
    rspamd->context = context;
    list_init(&rspamd->waiting);
    list_init(&rspamd->idle);
    return rspamd;
}

static void close_idle(struct rspamd *rspamd)
{
    struct list_node *node;

    while ((node = list_pop_front(&rspamd->idle)) != NULL)
        conn_close(&container_of(node, struct rspamd_connection, node)->conn);
}

void rspamd_configure(struct rspamd *rspamd, const struct rspamd_settings *settings)
{
    rspamd->settings = *settings;
    close_idle(rspamd); /* it may be another one now */
}

bool rspamd_is_on(const struct rspamd *rspamd)
{
    return address_len(&rspamd->settings.address) > 0;
}

void rspamd_stop(struct rspamd *rspamd)
{
    rspamd->is_stopping = true;
    close_idle(rspamd);
}

bool rspamd_is_idle(const struct rspamd *rspamd)
{
    return rspamd->connection_count == 0;
}

void rspamd_free(struct rspamd **rspamd)
{
    struct rspamd *freed = *rspamd;

    *rspamd = NULL;
    if (freed == NULL)
        return;
    check(freed->connection_count == 0);
    check(list_is_empty(&freed->waiting));
    free(freed);
}
