/*
 * proxy_header.h - what a proxy says of the client before the client's first byte: the PROXY
 * protocol, versions 1 (a line) and 2 (binary).
 *
 * Only what comes from networks that are named is read this way: anybody could say it. Pure.
 */
#pragma once

#include "io/address.h"

enum {
    PROXY_LINE_MAX = 107,   /* of version 1, with CRLF */
    PROXY_BLOCK_MAX = 2048, /* of version 2, with what it says besides addresses */
};

enum proxy_step {
    PROXY_MORE, /* it has not come whole; input is unchanged */
    PROXY_DONE, /* taken off the front */
    PROXY_BAD,  /* that is none */
};

struct proxy_header {
    bool is_local; /* the proxy speaks for itself, or does not know: its own address counts */
    struct address client;
};

enum proxy_step proxy_header_take(struct bytes *input, struct proxy_header *out);
