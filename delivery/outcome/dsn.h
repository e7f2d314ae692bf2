/*
 * dsn.h - delivery status notifications: multipart/report of RFC 3464, asked for as RFC 3461 says.
 *
 * Pure but for the clock and a random boundary: from what happened to a message of ours ready to be
 * committed. Where an address or header needs UTF-8 the forms of RFC 6533 are used. No line is
 * longer than 998 octets: texts are folded, and an original with longer lines returns its header
 * section, encoded. What is 8-bit is encoded towards a server that does not take it (dsn_7bit.h).
 */
#pragma once

#include "queue/message.h"
#include "smtp/reply.h"

enum dsn_action { DSN_FAILED, DSN_DELAYED, DSN_RELAYED, DSN_DELIVERED, DSN_EXPANDED };

struct dsn_recipient {
    const struct recipient *recipient;
    enum dsn_action action;
    struct smtp_enhanced status;
    bool is_ours;  /* the text is ours, not a peer's reply */
    uint16_t code; /* of the reply */
    struct smtp_enhanced enhanced;
    struct bytes text;
    struct bytes mx_host;   /* who said it; empty: nobody */
    int64_t attempt_ms;     /* wall; 0: none */
    int64_t retry_until_ms; /* DSN_DELAYED */
};

struct dsn_request {
    const char *hostname;
    struct message_id id; /* of the notification */
    int64_t now_ms;
    const struct message *message; /* the one it is about */
    struct bytes head;             /* of its content where that is not in memory */
    size_t returned_max;           /* bytes of it that are returned */
    size_t count;
    const struct dsn_recipient *recipients;
};

/* RFC 3461 section 5.2: is a notification of this action wanted for this recipient? */
bool dsn_is_wanted(const struct message *message, const struct recipient *recipient,
                   enum dsn_action action);

/* NULL: its reverse-path is none that can be written to, or memory ran dry. */
struct message *dsn_create(const struct dsn_request *request);
