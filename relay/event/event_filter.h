/*
 * event_filter.h - which events somebody wants to see.
 *
 * Pure functions over a line of the event files; any thread.
 */
#pragma once

#include "base/bytes.h"
#include "base/siphash.h"

/* All that is given must hold; NULL and 0: no condition. */
struct event_filter {
    int64_t since_ms;      /* wall */
    const char *id;        /* of the message */
    const char *recipient; /* or "@domain"; ASCII case ignored */
    /* Of hashed local parts (event_privacy.h): the recipient is found behind its hash as well, in
     * the case of its local part as given. NULL: only as it stands. */
    const struct siphash_key *key;
    const char *domain; /* of the recipient; ASCII case ignored */
    const char *tenant; /* "": mail of none */
    const char *kind;   /* or several, with commas between */
    const char *tag;
};

/* `line` without its line feed. False also for what is no JSON object. */
bool event_filter_matches(const struct event_filter *filter, struct bytes line);
