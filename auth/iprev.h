/*
 * iprev.h - does the client's address have a name, and the name the address? RFC 8601 sections 3
 * and 2.7.3.
 *
 * A machine behind auth/lookup.h: PTR, then A or AAAA of its names in order until one confirms the
 * address. IPREV_NAMES_MAX names are tried, because whoever owns the address may publish any
 * number. Any thread, one at a time; the struct is all there is.
 */
#pragma once

#include "auth/client_address.h"
#include "auth/lookup.h"

enum { IPREV_NAMES_MAX = 10, IPREV_NAME_MAX = 253 };

enum iprev_verdict {
    IPREV_NONE,      /* there is no address to look at */
    IPREV_PASS,      /* a name has the address */
    IPREV_FAIL,      /* there are names, and none has it */
    IPREV_TEMPERROR, /* that cannot be said for now */
    IPREV_PERMERROR, /* the address has no name */
};

const char *iprev_verdict_name(enum iprev_verdict verdict);

struct iprev_check {
    /* Once done. */
    enum iprev_verdict verdict;
    struct bytes name; /* of a pass: the name; else what the address says first, or empty */
    /* private */
    bool has_started, is_done, has_failed;
    uint8_t address[16];
    uint8_t address_len;
    size_t count, at;
    char reverse[CLIENT_REVERSE_MAX];
    struct {
        uint8_t len;
        uint8_t text[IPREV_NAME_MAX]; /* lower case */
    } names[IPREV_NAMES_MAX];
};

/* `address` has 4 or 16 octets; IPv4-mapped counts as IPv4; empty: none. */
void iprev_start(struct iprev_check *check, struct bytes address);
must_use enum check_step iprev_run(struct iprev_check *check, struct lookup *question_out);
void iprev_answer(struct iprev_check *check, const struct lookup_answer *answer);
