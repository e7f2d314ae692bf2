/*
 * queue_filter.h - which recipients an operator means: by id, sender, recipient, domain, age.
 *
 * What is given must all hold. Domain, id and age are answered from memory; sender and recipient
 * need the envelope read back. Immutable once made; any thread.
 */
#pragma once

#include <jansson.h>

#include "queue/message.h"
#include "queue/stub.h"

struct queue_filter {
    struct message_id id; /* value 0: any */
    char domain[260];     /* name, "*.suffix" or "*"; empty: any */
    char sender[330];     /* address, "@domain" or "<>" for the null path; empty: any */
    char recipient[330];  /* address or "@domain"; empty: any */
    int64_t older_than_s; /* 0: any age */
    int64_t now_ms;       /* monotonic; when it was made */
};

/* From a control request {"id":..,"domain":..,"sender":..,"recipient":..,"older_than_s":..}.
 * False with a sentence in why_out. */
must_use bool queue_filter_from_json(const json_t *request, int64_t now_ms,
                                     struct queue_filter *out, const char **why_out);
bool queue_filter_is_empty(const struct queue_filter *filter);
bool queue_filter_needs_envelope(const struct queue_filter *filter);
/* What memory can answer. */
bool queue_filter_matches_pending(const struct queue_filter *filter, const struct pending *pending);
/* What needs the envelope. */
bool queue_filter_matches_envelope(const struct queue_filter *filter, const struct message *message,
                                   size_t recipient);
