/*
 * sorting.h - what the script of an account makes of a message that is to be filed.
 *
 * An account without a script, or with one that cannot be read or fails, keeps its mail where it
 * goes without: a line in the log says so, and nothing is lost. The same where it would send a
 * message on that has been sent on for this account before, which a Delivered-To of it tells.
 *
 * Blocks for a file of at most SIEVE_SIZE_MAX bytes; any thread.
 */
#pragma once

#include "inbound/sieve/sieve.h"
#include "inbound/store/mail_store.h"

struct sorting_request {
    const char *directory;      /* state_dir/sieve */
    struct bytes domain, local; /* of the account, as the directory has them */
    struct bytes from, to;      /* paths of the envelope without brackets */
    struct bytes head, prefix, content;
    const struct filing_target *usual; /* where the message goes without a script */
};

enum sorting_kind {
    SORTING_NONE, /* as without a script */
    SORTING_FILED,
    SORTING_REDIRECTED, /* and not filed */
    SORTING_DISCARDED,
    SORTING_REJECTED,
};

enum { SORTING_ADDRESS_MAX = 256 };

struct sorting {
    enum sorting_kind kind;
    size_t target_count; /* SORTING_FILED: at least one, each folder once */
    struct filing_target targets[FILING_TARGETS_MAX];
    size_t redirect_count; /* beside SORTING_FILED as well */
    char redirects[SIEVE_REDIRECTS_MAX][SORTING_ADDRESS_MAX + 1];
    char reason[SIEVE_REASON_MAX + 1]; /* SORTING_REJECTED; lines end in LF */
};

void sort_message(const struct sorting_request *request, struct sorting *out);
