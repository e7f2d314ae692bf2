/*
 * queue_explain.h - the control command that tells what a message or a domain waits for.
 *
 * {"command":"queue.explain","id":..} answers with a line for each unfinished recipient,
 * {"command":"queue.explain","domain":..} with one line of counts, the constraint that says most,
 * and what each engine knows of the domain. Thread: the control client's.
 */
#pragma once

#include "relay/control.h"

void queue_explain(struct control_client *client, const json_t *request);
/* The answer to an id that names nothing unfinished. */
void queue_explain_unknown(struct control_client *client, const char *id);
