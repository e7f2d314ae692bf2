/*
 * bounce.h - what a delivery status notification says: RFC 3464, and the free forms of programs
 * that write none (qmail's, and Exim's X-Failed-Recipients).
 *
 * Whether it is true is not judged here: anybody can write a bounce. Pure functions over the parts
 * of a message; what they give lives in the parts' arena, as long as the parts do.
 */
#pragma once

#include "inbound/report/mail_parts.h"

enum {
    BOUNCE_RECIPIENTS_MAX = 256,
    BOUNCE_TEXT_MAX = 1024, /* of a diagnostic, what is beyond is left out */
};

enum bounce_action {
    BOUNCE_FAILED,
    BOUNCE_DELAYED,
    BOUNCE_DELIVERED,
    BOUNCE_RELAYED,
    BOUNCE_EXPANDED,
};

struct bounce_recipient {
    enum bounce_action action;
    struct bytes address;    /* Final-Recipient's, without its type */
    struct bytes original;   /* Original-Recipient's; empty: not told */
    struct bytes status;     /* "5.1.1"; empty: not told */
    struct bytes diagnostic; /* what the server that refused said; empty: not told */
    struct bytes server;     /* Remote-MTA; empty: not told */
};

struct bounce {
    bool is_standard;         /* RFC 3464, no free form */
    bool is_cut;              /* there were more recipients */
    struct bytes reporter;    /* Reporting-MTA */
    struct bytes envelope_id; /* Original-Envelope-Id */
    struct bytes message_id;  /* Message-ID of what came back, with its brackets */
    size_t count;             /* of recipients; at least 1 */
    struct bounce_recipient recipients[BOUNCE_RECIPIENTS_MAX];
};

const char *bounce_action_name(enum bounce_action action); /* RFC 3464 section 2.3.3's word */
/* False: these parts are no bounce, or the arena is full. */
must_use bool bounce_read(struct mail_parts *parts, struct bounce *out);
/* Message-ID of the message, or the header of one, that a report has with it; empty: none. */
struct bytes bounce_message_id(struct mail_parts *parts);
