/*
 * sorting.h - what the script of an account makes of a message that is to be filed.
 *
 * An account without a script, or with one that cannot be read or fails, keeps its mail where it
 * goes without: a line in the log says so, and nothing is lost. The same where it would send a
 * message on that has been sent on for this account before, which a Delivered-To of it tells.
 *
 * Where the script answers the message (RFC 5230) the answer is made here, after its sender was
 * claimed (vacation_memory.h): who sorts the message again gets it again, until it was sent.
 *
 * Blocks for a file of at most SIEVE_SIZE_MAX bytes, and where it answers for another one, which is
 * written; any thread, an account one at a time.
 */
#pragma once

#include "base/buf.h"
#include "inbound/sieve/sieve.h"
#include "inbound/store/mail_store.h"

struct sorting_request {
    const char *directory;      /* state_dir/sieve */
    struct bytes domain, local; /* of the account, as the directory has them */
    struct bytes from, to;      /* paths of the envelope without brackets */
    struct bytes head, prefix, content;
    const struct filing_target *usual; /* where the message goes without a script */
    /* for answers */
    struct bytes alias; /* the recipient, where it means this one alone by an alias; or empty */
    uint64_t message;   /* with the number of its recipient: what is sorted */
    uint32_t recipient;
    struct bytes answer_id; /* Message-ID of the answer, with its brackets */
    int64_t now_ms;         /* wall */
};

enum sorting_answer {
    SORTING_NOT_ASKED,  /* the script does not answer */
    SORTING_ANSWERED,   /* `answer` is to be sent */
    SORTING_UNANSWERED, /* `why` says it: not one that is answered */
    SORTING_ANSWERED_BEFORE,
    SORTING_ANSWER_FAILED, /* `why` says it: nothing is known, or nothing can be sent */
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
    enum sorting_answer answered;
    const char *why;                           /* a constant */
    struct buf answer;                         /* header and body */
    char answer_from[SORTING_ADDRESS_MAX + 1]; /* whose it is */
};

/* *out is to be freed. */
void sort_message(const struct sorting_request *request, struct sorting *out);
void sorting_free(struct sorting *sorting);
