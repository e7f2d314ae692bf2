/* modules: dns io base */
/* fuzz_dns_packet.c - any bytes as the response to the question that they contain. */
#include <stdint.h>

#include "dns/answer.h"
#include "dns/packet.h"
#include "dns/vote.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

static const enum dns_type types[] = {
    DNS_TYPE_A,  DNS_TYPE_CNAME, DNS_TYPE_SOA,  DNS_TYPE_PTR,
    DNS_TYPE_MX, DNS_TYPE_TXT,   DNS_TYPE_AAAA, DNS_TYPE_TLSA,
};

/* The question, so that mutations get past it. */
static void read_question(struct bytes packet, struct dns_name *name, enum dns_type *type)
{
    size_t position = 12;

    *type = DNS_TYPE_A;
    struct dns_name taken;

    if (packet.len < position || dns_name_take(packet, &position, &taken) == DNS_NAME_BROKEN ||
        !dns_name_parse_any(dns_name_bytes(&taken), name)) {
        check(dns_name_parse(BYTES("example"), name));
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(types) && packet.len - position >= 2; i++)
        if (packet.ptr[position + 1] == (uint8_t)types[i])
            *type = types[i];
}

static void check_packet(const struct dns_packet *packet, enum dns_type type, unsigned chain_max)
{
    struct dns_name again;

    check(packet->chain_len <= chain_max);
    check(packet->record_count + packet->odd_count <= DNS_RECORDS_MAX);
    check(packet->status != DNS_FAILED || packet->why != NULL);
    check(packet->status == DNS_OK || packet->record_count == 0);
    check(!packet->is_unfinished || (packet->status == DNS_NO_DATA && packet->chain_len > 0));
    check(packet->ttl_s <= INT32_MAX);
    check(dns_name_parse_any(dns_name_bytes(&packet->owner), &again));
    check((packet->odd_records != NULL) == (packet->odd_count > 0));
    for (size_t i = 0; i < packet->odd_count; i++)
        check(!dns_name_parse(packet->odd_records[i].name, &again));
    for (size_t i = 0; i < packet->record_count; i++) {
        struct bytes name = packet->records[i].name;

        check(name.len == 0 || dns_name_parse(name, &again));
        check(name.len == 0 || type == DNS_TYPE_MX || type == DNS_TYPE_CNAME ||
              type == DNS_TYPE_PTR);
    }
}

/* The same in another order and with another TTL agrees; one record less does not. */
static void check_vote(struct dns_packet packet)
{
    static const struct siphash_key key = {{3, 4}};
    struct dns_vote vote = {0};

    check(dns_vote_take(&vote, &key, &packet) == DNS_VOTE_OPEN);
    for (size_t i = 0; i < packet.record_count / 2; i++) {
        struct dns_record swapped = packet.records[i];

        packet.records[i] = packet.records[packet.record_count - 1 - i];
        packet.records[packet.record_count - 1 - i] = swapped;
    }
    packet.ttl_s++;
    check(dns_vote_take(&vote, &key, &packet) == DNS_VOTE_OPEN);
    if (packet.record_count == 0)
        return;
    packet.record_count--;
    check(dns_vote_take(&vote, &key, &packet) == DNS_VOTE_SPLIT);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct bytes bytes = bytes_range(input, len);
    struct dns_packet packet;
    struct dns_name name;
    struct arena arena;
    enum dns_type type;

    if (len > UINT16_MAX)
        return 0;
    unsigned chain_max = len > 0 ? input[0] % (DNS_CNAME_CHAIN_MAX + 1) : 0;

    read_question(bytes, &name, &type);
    arena_init(&arena, DNS_PACKET_ARENA_MAX);
    dns_packet_parse(&packet, bytes, dns_name_bytes(&name), type, chain_max, &arena);
    check_packet(&packet, type, chain_max);
    (void)dns_packet_has_opt(bytes);
    struct dns_name mixed = name;

    dns_name_mix_case(&mixed, len > 0 ? input[len - 1] : 0);
    check(!dns_packet_repeats(bytes, dns_name_bytes(&name)) ||
          dns_packet_repeats(bytes, dns_name_bytes(&mixed)) ==
              bytes_equal(dns_name_bytes(&name), dns_name_bytes(&mixed)));
    const struct dns_answer *answer = dns_answer_from_packet(&packet, 1000);
    const struct dns_answer *stale = dns_answer_stale(answer, "SERVFAIL", 2000);

    dns_answer_release(&answer);
    check(stale->record_count == packet.record_count);
    for (size_t i = 0; i < packet.odd_count; i++)
        check(bytes_equal(stale->odd_records[i].name, packet.odd_records[i].name));
    for (size_t i = 0; i < stale->record_count; i++) {
        check(bytes_equal(stale->records[i].name, packet.records[i].name));
        check(bytes_equal(stale->records[i].text, packet.records[i].text));
    }
    dns_answer_release(&stale);
    check_vote(packet); /* last: it turns the records round */
    arena_free(&arena);
    return 0;
}
