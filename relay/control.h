/*
 * control.h - the control socket: operators' commands as JSON lines over state_dir/control.sock.
 *
 * A client sends one JSON object with a "command", reads JSON lines until one with "done": true
 * (with totals) or "error": "...". A line {"raw": N} has N bytes of something else behind it
 * (queue_content.h), then lines go on. Only our own user can connect (the socket is 0600 inside a
 * 0700 directory). Each client has a thread, at most CONTROL_CLIENTS_MAX; what must see an engine's
 * data runs there by letter.
 *
 * A circle of control.c, control_commands.c, control_service.c, control_suspensions.c and
 * program.c: the program opens the socket, and its commands reload the program and change its
 * suspensions.
 */
#pragma once

#include <jansson.h>

#include "base/bytes.h"

enum { CONTROL_CLIENTS_MAX = 16, CONTROL_REQUEST_MAX = 65536 };

struct control;
struct program;

/* NULL when the socket cannot be had; that is logged. Where the disk has no room for it, it is made
 * as soon as there is. */
struct control *control_start(struct program *program);
/* Once the program is_stopping: cuts clients off at their next line and waits for them, so that
 * none calls a worker any more. The socket stays; who comes from now on can ask for the status. */
void control_cut_off(struct control *control);
/* Cuts clients off at their next line and ends every thread. */
void control_stop(struct control **control);

/* --- for commands (control_command.h) --------------------------------------------------------- */

struct control_client {
    struct program *program;
    int fd;
    bool is_gone; /* a write failed: stop working for it */
};

/* Sends one line and gives the object back. NULL is an answer that could not be made (jansson's
 * way to say so): the client is told an error instead. False once the client is gone. Text from
 * outside goes into `line` by json_text(). */
bool control_line(struct control_client *client, json_t *line);
bool control_text(struct control_client *client, struct bytes lines);
void control_fail(struct control_client *client, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Reads one request, at most CONTROL_REQUEST_MAX bytes, and answers it. */
void control_serve(struct control_client *client);
/* Runs the command of a request and sends its lines, the last one included. */
void control_dispatch(struct control_client *client, const json_t *request);
