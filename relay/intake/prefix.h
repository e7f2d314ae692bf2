/*
 * prefix.h - the header fields that we put before a message. Private to the folder.
 *
 * Fields of the service first (Authentication-Results, DKIM-Signature), in the order in which they
 * were added, then Received, then Message-ID and Date where the message has none.
 */
#pragma once

#include "queue/message.h"

struct prefix_facts {
    struct bytes fields;              /* of the service, each with its CRLF */
    struct bytes hostname, with, tls; /* as struct received has them */
    struct bytes for_path;            /* empty: not told */
    int64_t wall_ms;
    bool has_date, has_message_id;
    struct bytes header_message_id; /* as the message has it */
};

/* Makes message->prefix and message->header_message_id, in its arena; the message has its id.
 * False: no memory. */
must_use bool prefix_build(struct message *message, const struct prefix_facts *facts);
/* Would "name: value CRLF" be one field? Lines of a value may be folded: a CRLF stands before a
 * space or tab, and no line is of white space only (RFC 5322 section 3.2.2). Bytes above 127 only
 * where `may_8bit`. */
bool prefix_field_is_valid(struct bytes name, struct bytes value, bool may_8bit);
