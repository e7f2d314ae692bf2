/*
 * event_head.h - the first keys of an event's line, read without a JSON parser: what counting needs
 * of millions of lines.
 *
 * Takes lines as event_json() writes them (event_line.h), and nothing else.
 * Pure functions over bytes; any thread.
 */
#pragma once

#include "event/event.h"

struct event_head {
    enum event_kind kind;   /* EVENT_KIND_COUNT: of a later version */
    bool has_seq;           /* else it stands beside a message's events */
    uint32_t seq;           /* where has_seq */
    struct message_id id;   /* of whatever node; value 0: null */
    struct bytes id_text;   /* as it stands there */
    struct bytes recipient; /* as it stands between the quotes; ptr NULL: null */
    struct bytes tenant;    /* likewise */
    unsigned shard;         /* where the fact stands in the spool, as event_id says */
    uint64_t position;      /* of the shard's journal; 0: event_id is of another form */
    uint64_t part;          /* of what stands there */
};

/* `line` without its line feed. False: not an event as we write them; *out is not set. */
must_use bool event_head_parse(struct bytes line, struct event_head *out);
/* A message's id as text, of whatever node; ptr NULL is id 0. */
must_use bool event_head_parse_id(struct bytes text, struct message_id *id_out);
/* Microseconds since 1970 at which the message got its id. */
int64_t event_head_id_us(struct message_id id);
