/*
 * spf.h - may this client send for this domain? check_host() of RFC 7208, whole.
 *
 * A machine behind auth/lookup.h: spf_start, then spf_run until CHECK_DONE, with one spf_answer
 * after each CHECK_ASKS. One machine judges one identity; a message that has both has two.
 *
 *   record --TXT--> terms, left to right --A, AAAA, MX, PTR--> match: its qualifier's result
 *     ^               |  include: a frame deeper                 none: redirect, else neutral
 *     +---------------+                                          fail: exp= --TXT--> explanation
 *
 * Bounds (RFC 7208 section 4.6.4): ten terms that ask, ten exchanges an mx, ten names of a client,
 * two void questions. A third void question is a permerror; void counts what was asked for terms:
 * not a record itself, not exp=, and not the addresses that should confirm the client's names,
 * because who picks those is not the domain. More than ten exchanges are a permerror whichever
 * comes first, so that the order of an answer decides nothing.
 *
 * Thread: any one at a time. Memory: SPF_MEMORY_MAX at most, from spf_start to spf_free.
 */
#pragma once

#include "auth/lookup.h"
#include "base/arena.h"

enum {
    SPF_TERMS_MAX = 10,
    SPF_VOIDS_MAX = 2,
    SPF_HOSTS_MAX = 10,  /* exchanges of an mx; names of a client */
    SPF_TEXT_MAX = 1024, /* octets of a HELO name, a local part or a domain that are looked at */
    SPF_EXPLANATION_MAX = 1024, /* a longer one is not usable */
    SPF_MEMORY_MAX = 1024 * 1024,
    SPF_REASON_MAX = 400,
    SPF_NAME_MAX = 253,
};

/* RFC 7208 section 2.6; the words are those of RFC 8601 section 2.7.2. */
enum spf_verdict {
    SPF_NONE,
    SPF_NEUTRAL,
    SPF_PASS,
    SPF_FAIL,
    SPF_SOFTFAIL,
    SPF_TEMPERROR,
    SPF_PERMERROR,
};

enum spf_identity {
    SPF_MAIL_FROM, /* with the null path: postmaster at the HELO name (section 2.4) */
    SPF_HELO,
};

/* One answered question, for those who show how a result came about. */
struct spf_trace {
    unsigned depth;      /* 0, one more in each include */
    struct bytes domain; /* whose record is being evaluated */
    struct bytes term;   /* what asks, as published; empty: the record itself is asked for */
    bool is_void;        /* counts as one of SPF_VOIDS_MAX */
    const struct lookup *lookup;
    const struct lookup_answer *answer;
};

struct spf_request {
    struct bytes address;   /* 4 or 16 octets; IPv4-mapped counts as IPv4; empty: result none */
    struct bytes helo;      /* any text */
    struct bytes mail_from; /* any text, without brackets; empty: the null path */
    struct bytes receiver;  /* %{r}: our host name */
    int64_t wall_s;         /* %{t} */
    void (*trace)(void *context, const struct spf_trace *trace); /* or NULL */
    void *trace_context;
};

/* Valid until spf_free. */
struct spf_result {
    enum spf_verdict verdict;
    struct bytes domain;        /* judged: lower case, A-labels; as given where it is no domain */
    struct bytes mechanism;     /* that decided, as published: "-all"; empty: none did */
    struct bytes record_domain; /* whose record that stands in: `domain`, or where redirect led */
    struct bytes explanation;   /* with fail, if the domain gave a usable one; else empty */
    struct bytes reason;        /* a phrase in printable ASCII without quote, backslash, brackets */
    unsigned term_count;        /* of SPF_TERMS_MAX */
    unsigned void_count;        /* of SPF_VOIDS_MAX, one more where that was the end */
    unsigned question_count;    /* all that was asked */
};

struct spf_check;

/* Copies what it keeps of the request. */
struct spf_check *spf_start(const struct spf_request *request, enum spf_identity identity);
must_use enum check_step spf_run(struct spf_check *check, struct lookup *lookup_out);
void spf_answer(struct spf_check *check, const struct lookup_answer *answer);
const struct spf_result *spf_result(const struct spf_check *check); /* once CHECK_DONE */
void spf_free(struct spf_check **check);

const char *spf_verdict_name(enum spf_verdict verdict); /* "softfail" */
