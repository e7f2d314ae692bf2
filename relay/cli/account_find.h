/* account_find.h - an account that a command is given, in its one form. */
#pragma once

#include "base/arena.h"
#include "relay/cli/records.h"

struct account_found {
    struct arena arena; /* the caller's to free in any case */
    struct bytes domain, local;
    uint64_t quota; /* bytes, 0: none */
};

/* An exit code; what went wrong was told, and the records are closed then. */
must_use int cli_find_account(struct records *records, const char *address,
                              struct account_found *found);
