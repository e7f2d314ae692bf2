/*
 * sent.h - what the event files say of a message that we accepted: for whom it was, and whose.
 *
 * Private to inbound/returns. Blocks: it reads from about the message's time on until it is found,
 * SENT_BYTES_MAX at most.
 */
#pragma once

#include "base/arena.h"
#include "event/event.h"

enum { SENT_BYTES_MAX = 256 << 20, SENT_RECIPIENTS_MAX = 1000 };

struct sent_recipient {
    uint32_t number;
    struct bytes address, orcpt; /* as its tenant's events show them */
};

struct sent {
    struct event message; /* what all its events have; texts in the arena */
    size_t count;
    struct sent_recipient *recipients;
};

/* False: it is not in the files any more, or they cannot be read. */
must_use bool sent_find(const char *events, struct message_id id, struct arena *arena,
                        struct sent *out);
