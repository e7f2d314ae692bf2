/*
 * door.h - what is asked about a client before it is greeted: lists of addresses (RFC 5782), and
 * whether its address has a name that leads back (iprev, RFC 8601 section 3). Private to the
 * folder.
 *
 *   start --> lists and name asked side by side, greet delay --> all known or late --> done()
 *
 * A list that does not answer in time lists nobody; neither does one whose answer is outside
 * 127.0.0.0/8, as of a domain that somebody else has now, or in 127.255.255.0/24, by which lists
 * say that they do not want to be asked. The worst of what was found counts.
 *
 * Names of lists are asked of a resolver whose cache is apart: strangers fill it.
 *
 * Thread: the engine's. done() is never called from inside door_start().
 */
#pragma once

#include "dns/resolver.h"
#include "inbound/receive/decision.h"
#include "inbound/receive/receive.h"
#include "io/address.h"

enum { DOOR_TEXT_MAX = DOOR_ZONE_MAX + 128 };

struct door;

struct door_setup {
    struct resolver *names; /* of iprev */
    struct resolver *lists;
    const struct door_rules *rules; /* copied */
    struct address client;
    void (*done)(void *context, struct door *door);
    void *context;
};

/* NULL: there is nothing to be asked or waited for. */
struct door *door_start(const struct door_setup *setup);
/* At any time, also from inside done(), which is not called any more then. */
void door_free(struct door **door);

/* --- once done: lives as long as the door ----------------------------------------------------- */

struct verdict door_verdict(const struct door *door); /* code 0: it may come in */
const char *door_list(const struct door *door);       /* that has it and only marks; "": none */
