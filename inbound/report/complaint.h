/*
 * complaint.h - what a feedback report says: ARF (RFC 5965) and its failures of authentication
 * (RFC 6591). See bounce.h for what is shared: no judgement, pure, lives in the parts' arena.
 */
#pragma once

#include "inbound/report/mail_parts.h"

enum { COMPLAINT_LIST_MAX = 32 };

struct complaint_list {
    size_t count;
    bool is_cut; /* there were more */
    struct bytes texts[COMPLAINT_LIST_MAX];
};

struct complaint {
    struct bytes type;       /* "abuse", "fraud", "auth-failure", ..., as it came */
    struct bytes user_agent; /* of who wrote the report */
    struct bytes version;
    struct bytes sender;      /* Original-Mail-From, without brackets */
    struct bytes envelope_id; /* Original-Envelope-Id */
    struct bytes reporter;    /* Reporting-MTA, without its type */
    struct bytes source_ip;   /* where the message came from */
    struct bytes source_port;
    struct bytes arrived;      /* Arrival-Date or Received-Date, as it came */
    struct bytes message_id;   /* of the message complained about */
    struct bytes auth_failure; /* RFC 6591: "bodyhash", "spf", ... */
    struct bytes delivery_result;
    struct bytes dkim_domain, dkim_identity, dkim_selector;
    uint64_t incidents;               /* 1 unless told */
    bool has_arrived;                 /* arrived_ms is its time */
    int64_t arrived_ms;               /* wall */
    struct complaint_list recipients; /* Original-Rcpt-To, without brackets */
    struct complaint_list domains;    /* Reported-Domain */
    struct complaint_list uris;       /* Reported-URI */
    struct complaint_list results;    /* Authentication-Results */
};

/* False: these parts are no feedback report, or the arena is full. */
must_use bool complaint_read(struct mail_parts *parts, struct complaint *out);
