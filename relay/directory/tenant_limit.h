/*
 * tenant_limit.h - what a tenant can be held to, as operators write it: `tenant set NAME KEY=N`.
 *
 * Pure.
 */
#pragma once

#include "directory/snapshot.h"

struct tenant_limit_row {
    const char *name; /* "message_size" */
    bool is_size;     /* bytes, written with a unit; else a count */
    uint64_t max;
    const char *says;
};

const struct tenant_limit_row *tenant_limit_row(enum tenant_limit limit);
must_use bool tenant_limit_find(struct bytes name, enum tenant_limit *limit_out);
