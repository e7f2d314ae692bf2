/* control_answer.c - the lines that answer a request. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/log.h"
#include "event/json_text.h"
#include "relay/control_command.h"

bool control_text(struct control_client *client, struct bytes lines)
{
    while (lines.len > 0 && !client->is_gone) {
        ssize_t sent = send(client->fd, lines.ptr, lines.len, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            client->is_gone = true;
        else
            lines = bytes_slice(lines, (size_t)sent, lines.len);
    }
    return !client->is_gone;
}

bool control_line(struct control_client *client, json_t *line)
{
    char *text = line == NULL ? NULL : json_dumps(line, JSON_COMPACT);

    if (text == NULL) {
        log_error("what=\"an answer on the control socket could not be written as JSON\"");
        (void)control_text(client, BYTES("{\"error\":\"the answer cannot be written\"}\n"));
    } else if (control_text(client, bytes_of(text))) {
        (void)control_text(client, BYTES("\n")); /* a failure is kept in is_gone */
    }
    free(text);
    json_decref(line);
    return !client->is_gone;
}

void control_fail(struct control_client *client, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    (void)control_line(client, json_pack("{s:o}", "error", json_text_of(text)));
}

json_t *control_done(void)
{
    return json_pack("{s:b}", "done", 1);
}
