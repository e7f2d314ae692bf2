/* test_vote.c - which answers say the same. */
#include "dns/vote.h"

#include <string.h>

#include "support/unit.h"

static const struct siphash_key key = {{1, 2}};

static struct dns_packet packet_of(struct dns_record *records, size_t count)
{
    struct dns_packet packet = {
        .status = count > 0 ? DNS_OK : DNS_NO_DATA,
        .ttl_s = 300,
        .record_count = count,
        .records = records,
    };

    memcpy(packet.owner.text, "a.example", 10);
    packet.owner.len = 9;
    return packet;
}

static enum dns_vote_result both(const struct dns_packet *one, const struct dns_packet *other)
{
    struct dns_vote vote = {0};

    assert_int_equal(dns_vote_take(&vote, &key, one), DNS_VOTE_OPEN);
    return dns_vote_take(&vote, &key, other);
}

TEST(as_many_as_it_takes_pass)
{
    struct dns_packet packet = packet_of(NULL, 0);
    struct dns_vote vote = {0};

    for (unsigned i = 1; i < DNS_VOTES; i++)
        assert_int_equal(dns_vote_take(&vote, &key, &packet), DNS_VOTE_OPEN);
    assert_int_equal(dns_vote_take(&vote, &key, &packet), DNS_VOTE_PASSED);
}

TEST(order_and_ttl_do_not_count)
{
    struct dns_record records[] = {{.a.s_addr = 1}, {.a.s_addr = 2}, {.a.s_addr = 3}};
    struct dns_record turned[] = {{.a.s_addr = 3}, {.a.s_addr = 1}, {.a.s_addr = 2}};
    struct dns_packet one = packet_of(records, 3), other = packet_of(turned, 3);

    other.ttl_s = 17;
    assert_int_equal(both(&one, &other), DNS_VOTE_OPEN);
}

TEST(every_other_difference_counts)
{
    struct dns_record record = {.name = BYTES("mx.example"), .preference = 10};
    struct dns_packet one = packet_of(&record, 1);
    struct dns_packet others[12];
    struct dns_record changed[5];

    for (size_t i = 0; i < ARRAY_LEN(changed); i++)
        changed[i] = record;
    changed[0].name = BYTES("my.example");
    changed[1].preference = 11;
    changed[2].a.s_addr = 1;
    changed[3].aaaa.s6_addr[15] = 1;
    changed[4].text = BYTES("x");
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        others[i] = packet_of(i < ARRAY_LEN(changed) ? &changed[i] : &record, 1);
    others[5].status = DNS_NXDOMAIN;
    others[6].owner.text[0] = 'b';
    others[7].is_unfinished = true;
    others[8].cut_count = 1;
    others[9].odd_count = 1;
    others[10].record_count = 0;
    others[11].is_authentic = true;
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        expect_row(i, both(&one, &others[i]) == DNS_VOTE_SPLIT);
}
