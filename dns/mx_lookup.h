/*
 * mx_lookup.h - one lookup in progress: what mx.c, mx_exchange.c and mx_address.c share.
 *
 *                                           .-- too few, and there are more --.
 *                                           v                                 |
 *   mx_lookup_start --MX answer--> choose exchanges --A and AAAA of each--> collect --> done
 *   mx_lookup_host  -----------------------------------^                       ^
 *   an address literal, a name that cannot be asked ---------at end of turn----'
 *
 * A circle of mx.c, mx_address.c and mx_exchange.c: the end of each stage begins the next, or the
 * one before where it found too little, and any of them may end the lookup.
 *
 * Private to the three. Whoever calls mx_finish(), or a function that says it may, returns at once:
 * the lookup is gone.
 */
#pragma once

#include "dns/mx.h"

/* In the order to try. */
enum { FAMILY_IPV6, FAMILY_IPV4, FAMILY_COUNT };

enum { MX_REMARKS_MAX = 400 /* octets of what else is worth saying */ };

struct family_query {
    struct dns_query query;
    struct candidate *candidate;
    const struct dns_answer *answer; /* NULL: not asked, or not answered yet */
};

/* A host that may take the mail. */
struct candidate {
    struct mx_lookup *lookup;
    uint16_t preference;
    struct bytes name;
    struct family_query queries[FAMILY_COUNT];
    bool is_ours;
    bool is_secure;
    struct bytes canonical;
    size_t address_count;
    struct address addresses[MX_ADDRESSES_MAX];
};

struct mx_lookup {
    struct resolver *resolver;
    struct mx_rules rules;
    uint16_t port;
    bool is_route; /* mx_lookup_host() */
    mx_done *done;
    void *context;
    struct arena arena;
    struct bytes domain; /* or the host */
    struct dns_query mx_query;
    const struct dns_answer *mx_answer; /* exchanges' names are its memory */
    struct turn_end turn_end;
    struct mx_exchange *exchanges; /* all that may be tried, in that order */
    size_t exchange_count, exchange_next;
    struct candidate *candidates; /* of them, those that are looked up now */
    size_t candidate_count;
    unsigned ours_limit; /* the best preference at which a host is ourselves; past all: none is */
    unsigned waiting;    /* queries for addresses */
    bool has_loop;
    bool has_forbidden;
    const char *failure; /* of a host's addresses: temporary; NULL: none */
    bool is_telling;
    struct mx_set set;
    char remarks[MX_REMARKS_MAX];
    size_t remarks_len;
};

/* mx.c */

/* Something that was left out, for `note`; cut when there is too much of it. */
void mx_remark(struct mx_lookup *lookup, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Every way to a result comes through here: tells it and frees the lookup. */
void mx_finish(struct mx_lookup *lookup, enum mx_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void mx_finish_without_memory(struct mx_lookup *lookup);
/* What an answer's age means for the whole set. */
void mx_count_answer(struct mx_lookup *lookup, const struct dns_answer *answer);

/* mx_exchange.c: from an MX answer with records to candidates, then asks for their addresses. May
 * finish. */
void mx_choose_exchanges(struct mx_lookup *lookup, const struct dns_answer *answer);
/* The next of the exchanges, of which there must be some, instead of the candidates. False when the
 * arena is full. */
must_use bool mx_next_candidates(struct mx_lookup *lookup);

/* mx_address.c */

void mx_candidate_init(struct candidate *candidate, struct mx_lookup *lookup, struct bytes name,
                       uint16_t preference);
/* Forgets them and what was asked for them. */
void mx_release_candidates(struct mx_lookup *lookup);
/* Asks for the addresses of all candidates, and collects once they are known. */
void mx_ask_addresses(struct mx_lookup *lookup);
/* Gives the candidate an address without asking, if the rules let it. */
void mx_take_literal(struct candidate *candidate, const struct address *address);
/* From candidates and their addresses to a result, which finishes, or on to the next ones. */
void mx_collect(struct mx_lookup *lookup);
