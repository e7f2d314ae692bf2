/*
 * returns.h - reports that come back to our return paths: read, tied to their messages, told once.
 *
 * A bounce (RFC 3464, and what inbound/report knows of free forms) becomes events `bounced`, a
 * feedback report (RFC 5965) an event `complained`, both late: of the message that the signed
 * return path names (directory/return_path.h). What else is known of the message, its recipients,
 * tags and so on, comes from the event files, as long as these go back. A DMARC aggregate report or
 * a TLS report becomes events `reported`. Anything else becomes nothing.
 *
 * Reading takes its time, so it is done on a thread of its own; the answer is a letter.
 * Thread: any, but for what is said of each.
 */
#pragma once

#include "base/arena.h"
#include "directory/return_path.h"
#include "event/event.h"
#include "io/blocking.h"

struct returns;

struct returns_settings {
    const char *events; /* the directory of the event files; copied */
    const uint8_t *key; /* of return paths; outlives it */
};

enum returned_kind {
    RETURNED_BOUNCE,
    RETURNED_COMPLAINT,
    RETURNED_DMARC,
    RETURNED_TLS,
    RETURNED_OTHER,   /* it tells of a delay, a delivery, or something else than mail of ours */
    RETURNED_UNTIED,  /* a complaint in which no return path of ours holds */
    RETURNED_UNKNOWN, /* no report that we can read */
    RETURNED_KIND_COUNT
};
const char *returned_kind_name(enum returned_kind kind); /* "bounce" */

enum {
    RETURNED_EVENTS_MAX = 16,
    RETURNED_ARENA_MAX = 1 << 20,
};

/* One report. What it points to stays until the answer. */
struct returned {
    struct chore chore; /* letter.open is the caller's, and engine */
    struct bytes content;
    struct bytes domain; /* it came to, normalised */
    struct bytes tenant; /* whose domain that is */
    bool only_kind;      /* nothing else of the answer is asked for */
    bool is_signed;      /* `back` is what it came to; else it has to be in the report */
    struct return_path back;
    /* the answer */
    enum returned_kind kind;
    size_t count;                             /* 0 where nothing is to be told */
    struct event events[RETURNED_EVENTS_MAX]; /* without a time; texts in the arena */
    struct arena arena;
    /* its own */
    struct returns *returns;
};

/* Copies the settings. NULL with errno: no threads. */
struct returns *returns_start(const struct returns_settings *settings);
void returns_stop(struct returns **returns); /* after every answer was taken */
struct blocking_pool *returns_pool(const struct returns *returns); /* for metrics */
/* False: too many wait. True: once it was answered it is to be freed. */
must_use bool returns_ask(struct returns *returns, struct returned *returned);
void returned_free(struct returned *returned);

/* Whether the same was told of the same recipient of the same message: of the last ones, until the
 * program ends. */
bool returns_was_told(struct returns *returns, const struct event *event);
void returns_told(struct returns *returns, const struct event *event);
