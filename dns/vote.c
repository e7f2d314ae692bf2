/* vote.c - a digest of what a packet says. */
#include "dns/vote.h"

#include <string.h>

static uint64_t digest_of_record(const struct siphash_key *key, const struct dns_record *record)
{
    struct {
        uint64_t name, text, preference;
        struct in_addr a;
        struct in6_addr aaaa;
        uint32_t zero;
    } said;

    memset(&said, 0, sizeof(said));
    said.name = siphash(key, record->name);
    said.text = siphash(key, record->text);
    said.preference = record->preference;
    said.a = record->a;
    said.aaaa = record->aaaa;
    return siphash(key, bytes_range(&said, sizeof(said)));
}

static uint64_t digest_of(const struct siphash_key *key, const struct dns_packet *packet)
{
    uint64_t said[] = {
        siphash(key, dns_name_bytes(&packet->owner)),
        packet->status,
        packet->is_unfinished,
        packet->is_authentic,
        packet->record_count,
        packet->cut_count,
        packet->odd_count,
    };
    uint64_t sum = siphash(key, bytes_range(said, sizeof(said)));

    for (size_t i = 0; i < packet->record_count; i++) /* a sum: in any order */
        sum += digest_of_record(key, &packet->records[i]);
    return sum;
}

enum dns_vote_result dns_vote_take(struct dns_vote *vote, const struct siphash_key *key,
                                   const struct dns_packet *packet)
{
    uint64_t digest = digest_of(key, packet);

    if (vote->count > 0 && digest != vote->digest)
        return DNS_VOTE_SPLIT;
    vote->digest = digest;
    vote->count++;
    check(vote->count <= DNS_VOTES);
    return vote->count == DNS_VOTES ? DNS_VOTE_PASSED : DNS_VOTE_OPEN;
}
