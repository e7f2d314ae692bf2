/*
 * vote.h - several answers to one question that say the same.
 *
 * For servers that neither repeat the case of a question nor answer over TCP (resolver.h): one
 * answer of theirs may be forged, some in a row that agree would have to be forged each, with an id
 * of its own. The order of records and their TTLs do not count, as servers change both.
 *
 * Pure functions, any thread.
 */
#pragma once

#include "base/siphash.h"
#include "dns/packet.h"

enum { DNS_VOTES = 3 };

enum dns_vote_result {
    DNS_VOTE_OPEN,   /* ask again */
    DNS_VOTE_PASSED, /* the last DNS_VOTES answers agreed */
    DNS_VOTE_SPLIT,  /* this one disagrees with those before */
};

/* Zeroed at first and after it has ended. */
struct dns_vote {
    unsigned count;
    uint64_t digest;
};

/* `key` is random: nobody can make two packets equal that are not. */
must_use enum dns_vote_result dns_vote_take(struct dns_vote *vote, const struct siphash_key *key,
                                            const struct dns_packet *packet);
