/*
 * source.h - which of our own addresses a connection is made from.
 */
#pragma once

#include "io/address.h"

struct source {
    const char *name;        /* "default" */
    struct address address4; /* zeroed: any */
    struct address address6;
    bool has_address4, has_address6; /* neither: any address, both families */
    const char *ehlo;                /* config `hostname` unless given */
    unsigned weight;                 /* of the pool */
};

bool source_has_ipv4(const struct source *source);
bool source_has_ipv6(const struct source *source);
/* The address to bind for a peer of that family; NULL: any. */
const struct address *source_address(const struct source *source, const struct address *peer);

/* Picks one of those whose bit in `usable` is set, by weight; -1 if none is. */
int source_pick(const struct source *sources, size_t count, uint64_t usable);
enum { SOURCES_MAX = 64 };
