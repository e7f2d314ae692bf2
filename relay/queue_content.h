/*
 * queue_content.h - "queue.content": an unfinished message as it is delivered, the fields that we
 * add and then the content, over the control socket.
 *
 * Thread: the client's; what is read back is read on the message's engine.
 */
#pragma once

#include "relay/control.h"

/*
 * Answers {"raw": N} lines, each followed by N bytes (at most QUEUE_CONTENT_SLICE), in order, then
 * a line with "done" and the number of all "bytes", or an "error" at any place.
 *
 * A slice is sent before the next one is read, and in between nothing of the message is held: a
 * reader that takes its time holds no segment, one that goes away leaves nothing behind. So the
 * message may end meanwhile, and that is an error.
 */
void queue_content(struct control_client *client, const json_t *request);

enum { QUEUE_CONTENT_SLICE = 1 << 20 };
