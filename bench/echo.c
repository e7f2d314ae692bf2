/* echo.c - ringpost-bench-echo: a line in, the line out, on one engine and nothing else: what no
 * server that stands on it can be cheaper than. */
#include <stdio.h>
#include <stdlib.h>

#include "bench/common/options.h"
#include "bench/common/tool.h"
#include "io/conn.h"
#include "io/listener.h"

enum { EXIT_FAILED = 1 };

static const char synopsis[] =
    "usage: ringpost-bench-echo --listen ADDRESS\n"
    "\n"
    "Greets with a line and gives back each that it gets, until it is killed.\n";

static void give_back(struct conn *conn)
{
    struct bytes input = conn_input(conn);
    size_t len = input.len;

    while (len > 0 && input.ptr[len - 1] != '\n')
        len--;
    if (len == 0)
        return;
    if (!conn_write(conn, bytes_slice(input, 0, len))) {
        conn_close(conn); /* whoever does not read what he asked for */
        return;
    }
    conn_consume(conn, len);
}

static void woken(struct conn *conn, enum conn_wake reason)
{
    switch (reason) {
    case CONN_DATA:
        give_back(conn);
        break;
    case CONN_EOF:
        conn_finish(conn);
        break;
    case CONN_CLOSED:
        free(conn);
        break;
    case CONN_CONNECTED:
    case CONN_SECURED:
    case CONN_DRAINED:
    case CONN_TIMEOUT:
    case CONN_ERROR:
    case CONN_DETACHED:
        break;
    }
}

static void accepted(void *context, int fd, void *listener_context)
{
    struct conn *conn = calloc(1, sizeof(*conn));

    (void)listener_context;
    check(conn != NULL);
    conn_accept(conn, context, fd, woken, NULL);
    check(conn_write(conn, BYTES("* OK\r\n")));
}

int main(int argc, char **argv)
{
    struct address address = {0};
    const struct option_spec specs[] = {
        {"listen", "ADDRESS", "where it waits for connections", option_address, &address},
    };
    struct engine_settings settings = {0};
    int exit_code;

    if (!options_parse(specs, ARRAY_LEN(specs), synopsis, argc, argv, &exit_code))
        return exit_code;
    if (!tool_probe())
        return EXIT_FAILED;
    int fd = listener_bind(&address, 0);
    struct engine *engine = engine_create(&settings);

    if (fd < 0 || engine == NULL) {
        fprintf(stderr, "ringpost-bench-echo: cannot listen there\n");
        return EXIT_FAILED;
    }
    static struct listener_load load;

    load = (struct listener_load){.engine = engine, .accepted = accepted, .context = engine};
    struct listener *listener =
        listener_start(engine, fd,
                       &(struct listener_settings){&load, 1, NULL, "echo", BYTES("* BYE\r\n")});

    check(listener != NULL);
    engine_run(engine); /* until it is killed */
    return 0;
}
