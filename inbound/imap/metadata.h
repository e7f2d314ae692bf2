/*
 * metadata.h - GETMETADATA and SETMETADATA, read (RFC 5464).
 *
 * Pure, any thread; all of it is the arena's or the command's.
 */
#pragma once

#include "base/arena.h"
#include "inbound/mailbox/annotation.h"

enum { METADATA_NAMES_MAX = 100 /* of one command */ };
enum metadata_depth { METADATA_ITSELF, METADATA_CHILDREN, METADATA_ALL };

struct metadata_request {
    struct bytes mailbox; /* as the client wrote it; empty: the account */
    bool has_size_max;
    uint64_t size_max;
    bool has_depth;
    enum metadata_depth depth;
    size_t count;
    struct annotation *of; /* names alone of GETMETADATA */
};

/* What stands behind the commands' names. False: BAD. */
must_use bool metadata_take_get(struct arena *arena, struct bytes input,
                                struct metadata_request *request_out);
must_use bool metadata_take_set(struct arena *arena, struct bytes input,
                                struct metadata_request *request_out);
/* Is `name` what `asked` asks for? */
bool metadata_matches(const struct metadata_request *request, struct bytes asked,
                      struct bytes name);
