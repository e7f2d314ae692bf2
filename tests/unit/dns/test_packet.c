/* test_packet.c - what a DNS response is believed to say. */
#include "dns/packet.h"

#include <stdio.h>
#include <string.h>

#include "support/unit.h"
#include "unit/dns/wire.h"

static struct wire wire;
static struct arena arena;
static struct dns_packet packet;

static void parse(const char *name, enum dns_type type)
{
    arena_free(&arena);
    arena_init(&arena, DNS_PACKET_ARENA_MAX);
    /* Exactly as large as the packet: AddressSanitizer sees one byte too many. */
    uint8_t *exact = malloc(wire.len + 1);

    memcpy(exact, wire.bytes, wire.len);
    dns_packet_parse(&packet, bytes_range(exact, wire.len), bytes_of(name), type,
                     DNS_CNAME_CHAIN_MAX, &arena);
    free(exact);
}

static void expect_failed(const char *name, enum dns_type type, const char *why)
{
    parse(name, type);
    assert_int_equal(packet.status, DNS_FAILED);
    assert_string_equal(packet.why, why);
    assert_int_equal(packet.record_count, 0);
}

static void expect_bytes(struct bytes b, const char *text)
{
    if (!bytes_equal(b, bytes_of(text)))
        fail_msg("\"%.*s\" is not \"%s\"", BYTES_ARG(b), text);
}

TEST(parse_takes_addresses)
{
    struct in_addr expected;

    wire_begin(&wire, 1, WIRE_ANSWER, "Mail.Example", DNS_TYPE_A);
    wire_a(&wire, "mail.EXAMPLE", 300, "192.0.2.1");
    wire_a(&wire, "mail.example", 200, "192.0.2.2");
    parse("mail.example", DNS_TYPE_A);
    assert_int_equal(packet.status, DNS_OK);
    assert_int_equal(packet.record_count, 2);
    inet_pton(AF_INET, "192.0.2.2", &expected);
    assert_memory_equal(&packet.records[1].a, &expected, sizeof(expected));
    assert_int_equal(packet.ttl_s, 200);
    assert_true(packet.has_ttl);
    expect_bytes(dns_name_bytes(&packet.owner), "mail.example");
}

TEST(repeats_compares_byte_by_byte)
{
    static const struct {
        const char *asked, *name;
        bool repeats;
    } rows[] = {
        {"mAil.exAMple", "mAil.exAMple", true},
        {"mAil.exAMple", "mail.exAMple", false},
        {"mAil.exAMple", "mAil.exAMplE", false},
        {"mAil.exAMple", "mAil", false},
        {"mAil", "mAil.exAMple", false},
        {"a-b.exAMple", "a.b.exAMple", false},
        {"x", "x", true},
        {"", "x", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        wire_begin(&wire, 1, WIRE_ANSWER, rows[i].asked, DNS_TYPE_A);
        expect_row(i, dns_packet_repeats(bytes_range(wire.bytes, wire.len),
                                         bytes_of(rows[i].name)) == rows[i].repeats);
    }
    wire_begin(&wire, 1, WIRE_ANSWER, "mAil.exAMple", DNS_TYPE_A);
    for (size_t len = 0; len < 12 + 14; len++) { /* cut: exactly as large as it says */
        uint8_t *exact = malloc(len + 1);

        memcpy(exact, wire.bytes, len);
        expect_row(len, !dns_packet_repeats(bytes_range(exact, len), BYTES("mAil.exAMple")));
        free(exact);
    }
}

TEST(parse_takes_mx_with_compressed_names)
{
    wire_begin(&wire, 1, WIRE_ANSWER, "example", DNS_TYPE_MX);
    wire_set_u16(&wire, WIRE_ANSWERS, 1);
    wire_u16(&wire, 0xc00c); /* the question's name */
    wire_u16(&wire, DNS_TYPE_MX);
    wire_u16(&wire, 1);
    wire_u32(&wire, 60);
    wire_u16(&wire, 2 + 3 + 2);
    wire_u16(&wire, 10);
    wire_u8(&wire, 2);
    wire_bytes(&wire, "MX", 2);
    wire_u16(&wire, 0xc00c);
    parse("example", DNS_TYPE_MX);
    assert_int_equal(packet.status, DNS_OK);
    assert_int_equal(packet.records[0].preference, 10);
    expect_bytes(packet.records[0].name, "mx.example");
}

TEST(parse_takes_null_mx)
{
    wire_begin(&wire, 1, WIRE_ANSWER, "example", DNS_TYPE_MX);
    wire_mx(&wire, "example", 60, 0, "");
    parse("example", DNS_TYPE_MX);
    assert_int_equal(packet.status, DNS_OK);
    assert_int_equal(packet.record_count, 1);
    assert_int_equal(packet.records[0].name.len, 0);
}

TEST(parse_joins_strings_of_txt)
{
    static const uint8_t rdata[] = "\x03v=s\x00\x02pf";

    wire_begin(&wire, 1, WIRE_ANSWER, "example", DNS_TYPE_TXT);
    wire_raw(&wire, WIRE_ANSWERS, "example", DNS_TYPE_TXT, 60, rdata, sizeof(rdata) - 1);
    wire_raw(&wire, WIRE_ANSWERS, "example", DNS_TYPE_TXT, 60, rdata, 4);
    wire_raw(&wire, WIRE_ANSWERS, "example", DNS_TYPE_TXT, 60, "", 0);
    parse("example", DNS_TYPE_TXT);
    assert_int_equal(packet.status, DNS_OK);
    assert_int_equal(packet.record_count, 3);
    expect_bytes(packet.records[0].text, "v=spf");
    expect_bytes(packet.records[1].text, "v=s");
    assert_int_equal(packet.records[2].text.len, 0);
}

TEST(parse_takes_ptr_and_counts_odd_ones)
{
    static const uint8_t odd[] = "\x03"
                                 "a b"
                                 "\x07"
                                 "example";

    wire_begin(&wire, 1, WIRE_ANSWER, "1.2.0.192.in-addr.arpa", DNS_TYPE_PTR);
    size_t start =
        wire_begin_record(&wire, WIRE_ANSWERS, "1.2.0.192.in-addr.arpa", DNS_TYPE_PTR, 60);

    wire_name(&wire, "Mail.example");
    wire_end_record(&wire, start);
    wire_raw(&wire, WIRE_ANSWERS, "1.2.0.192.in-addr.arpa", DNS_TYPE_PTR, 60, odd, sizeof(odd));
    parse("1.2.0.192.in-addr.arpa", DNS_TYPE_PTR);
    assert_int_equal(packet.status, DNS_OK);
    assert_int_equal(packet.record_count, 1);
    assert_int_equal(packet.odd_count, 1);
    expect_bytes(packet.records[0].name, "mail.example");
}

TEST(parse_tells_a_dot_inside_a_label_from_one_between)
{
    static const uint8_t rdata[] = {192, 0, 2, 1};
    static const char text[] = "a.b.example";

    /* One label "a.b": neither the question nor an owner "a.b.example". */
    wire_begin(&wire, 1, WIRE_ANSWER, text, DNS_TYPE_A);
    memcpy(wire.bytes + 12,
           "\x03"
           "a.b"
           "\x07"
           "example",
           13);
    expect_failed(text, DNS_TYPE_A, "answer to another question");
    wire_begin(&wire, 1, WIRE_ANSWER, text, DNS_TYPE_A);
    size_t at = wire.len;

    wire_raw(&wire, WIRE_ANSWERS, text, DNS_TYPE_A, 60, rdata, sizeof(rdata));
    memcpy(wire.bytes + at,
           "\x03"
           "a.b"
           "\x07"
           "example",
           13);
    expect_failed(text, DNS_TYPE_A, "answer to another question");
}

TEST(parse_follows_cnames_in_any_order)
{
    wire_begin(&wire, 1, WIRE_ANSWER, "www.example", DNS_TYPE_A);
    wire_a(&wire, "c.example", 300, "192.0.2.1");
    wire_cname(&wire, "b.example", 100, "c.example");
    wire_cname(&wire, "www.example", 200, "b.example");
    parse("www.example", DNS_TYPE_A);
    assert_int_equal(packet.status, DNS_OK);
    assert_int_equal(packet.chain_len, 2);
    assert_int_equal(packet.ttl_s, 100);
    expect_bytes(dns_name_bytes(&packet.owner), "c.example");
}

TEST(parse_ignores_records_off_the_chain)
{
    wire_begin(&wire, 1, WIRE_ANSWER, "mail.example", DNS_TYPE_A);
    wire_a(&wire, "bank.example", 300, "192.0.2.66");
    wire_cname(&wire, "bank.example", 300, "evil.example");
    wire_a(&wire, "mail.example", 300, "192.0.2.1");
    parse("mail.example", DNS_TYPE_A);
    assert_int_equal(packet.status, DNS_OK);
    assert_int_equal(packet.record_count, 1);
}

TEST(parse_says_unfinished_where_a_cname_leads_out)
{
    wire_begin(&wire, 1, WIRE_ANSWER, "www.example", DNS_TYPE_A);
    wire_cname(&wire, "www.example", 200, "host.other");
    parse("www.example", DNS_TYPE_A);
    assert_int_equal(packet.status, DNS_NO_DATA);
    assert_true(packet.is_unfinished);
    assert_int_equal(packet.ttl_s, 200);
    expect_bytes(dns_name_bytes(&packet.owner), "host.other");
}

TEST(parse_believes_no_data_behind_a_cname_with_soa)
{
    wire_begin(&wire, 1, WIRE_ANSWER, "www.example", DNS_TYPE_A);
    wire_cname(&wire, "www.example", 200, "host.other");
    wire_soa(&wire, "other", 100, 50);
    parse("www.example", DNS_TYPE_A);
    assert_int_equal(packet.status, DNS_NO_DATA);
    assert_false(packet.is_unfinished);
    assert_int_equal(packet.ttl_s, 50);
}

TEST(parse_refuses_cname_loop)
{
    wire_begin(&wire, 1, WIRE_ANSWER, "a.example", DNS_TYPE_A);
    wire_cname(&wire, "a.example", 200, "b.example");
    wire_cname(&wire, "b.example", 200, "a.example");
    expect_failed("a.example", DNS_TYPE_A, "CNAME chain too long");
    wire_begin(&wire, 1, WIRE_ANSWER, "a.example", DNS_TYPE_A);
    wire_cname(&wire, "a.example", 200, "a.example");
    expect_failed("a.example", DNS_TYPE_A, "CNAME chain too long");
}

TEST(parse_takes_negative_ttl_from_soa)
{
    wire_begin(&wire, 1, WIRE_ANSWER, "example", DNS_TYPE_MX);
    wire_soa(&wire, "example", 900, 300);
    parse("example", DNS_TYPE_MX);
    assert_int_equal(packet.status, DNS_NO_DATA);
    assert_int_equal(packet.ttl_s, 300);
    wire_begin(&wire, 1, WIRE_ANSWER | 3, "gone.example", DNS_TYPE_MX);
    wire_soa(&wire, "example", 100, 300);
    parse("gone.example", DNS_TYPE_MX);
    assert_int_equal(packet.status, DNS_NXDOMAIN);
    assert_true(packet.has_ttl);
    assert_int_equal(packet.ttl_s, 100);
}

TEST(parse_ignores_soa_of_another_zone)
{
    wire_begin(&wire, 1, WIRE_ANSWER | 3, "gone.example", DNS_TYPE_MX);
    wire_soa(&wire, "other", 100, 300);
    parse("gone.example", DNS_TYPE_MX);
    assert_int_equal(packet.status, DNS_NXDOMAIN);
    assert_false(packet.has_ttl);
    wire_begin(&wire, 1, WIRE_ANSWER | 3, "notexample", DNS_TYPE_MX);
    wire_soa(&wire, "example", 100, 300); /* a suffix, but no parent */
    parse("notexample", DNS_TYPE_MX);
    assert_false(packet.has_ttl);
}

TEST(parse_takes_ttl_with_high_bit_as_zero)
{
    wire_begin(&wire, 1, WIRE_ANSWER, "mail.example", DNS_TYPE_A); /* RFC 2181 section 8 */
    wire_a(&wire, "mail.example", 0x80000001u, "192.0.2.1");
    parse("mail.example", DNS_TYPE_A);
    assert_int_equal(packet.status, DNS_OK);
    assert_int_equal(packet.ttl_s, 0);
}

TEST(parse_refuses_referral)
{
    wire_begin(&wire, 1, WIRE_ANSWER, "mail.example", DNS_TYPE_A);
    wire_raw(&wire, WIRE_AUTHORITY, "example", 2, 300, "\x02ns\x00", 4);
    expect_failed("mail.example", DNS_TYPE_A, "referral instead of an answer");
}

TEST(parse_refuses_answer_to_another_question)
{
    static const struct {
        const char *name;
        unsigned type;
    } asked[] = {
        {"mail.example", DNS_TYPE_MX},   {"mail.exampl", DNS_TYPE_A},   {"", DNS_TYPE_A},
        {"mail.example.", DNS_TYPE_TXT}, {"ma il.example", DNS_TYPE_A},
    };

    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        wire_begin(&wire, 1, WIRE_ANSWER, asked[i].name, asked[i].type);
        wire_a(&wire, "mail.example", 300, "192.0.2.1");
        expect_failed("mail.example", DNS_TYPE_A, "answer to another question");
    }
    wire_begin(&wire, 1, WIRE_ANSWER, "mail.example", DNS_TYPE_A);
    wire_set_u16(&wire, 4, 0);
    expect_failed("mail.example", DNS_TYPE_A, "answer to another question");
    wire_begin(&wire, 1, WIRE_ANSWER, "mail.example", DNS_TYPE_A);
    wire_set_u16(&wire, wire.len - 2, 3); /* class CHAOS */
    expect_failed("mail.example", DNS_TYPE_A, "answer to another question");
}

TEST(parse_refuses_flags_that_are_no_answer)
{
    static const struct {
        unsigned flags;
        const char *why;
    } rows[] = {
        {0x0100, "not an answer"},
        {0xa800, "not an answer"}, /* another opcode */
        {WIRE_ANSWER | 0x200, "truncated answer"},
        {WIRE_ANSWER | 2, "SERVFAIL"},
        {WIRE_ANSWER | 5, "REFUSED"},
        {WIRE_ANSWER | 15, "unknown response code"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        wire_begin(&wire, 1, rows[i].flags, "mail.example", DNS_TYPE_A);
        expect_failed("mail.example", DNS_TYPE_A, rows[i].why);
    }
}

TEST(parse_refuses_extended_rcode)
{
    wire_begin(&wire, 1, WIRE_ANSWER, "mail.example", DNS_TYPE_A);
    wire_raw(&wire, WIRE_ADDITIONAL, "", 41, 1u << 24, "", 0);
    expect_failed("mail.example", DNS_TYPE_A, "BADVERS");
}

TEST(parse_refuses_nxdomain_with_data)
{
    wire_begin(&wire, 1, WIRE_ANSWER | 3, "mail.example", DNS_TYPE_A);
    wire_a(&wire, "mail.example", 300, "192.0.2.1");
    expect_failed("mail.example", DNS_TYPE_A, "NXDOMAIN with data");
}

TEST(parse_refuses_every_truncation)
{
    wire_begin(&wire, 1, WIRE_ANSWER, "www.example", DNS_TYPE_MX);
    wire_cname(&wire, "www.example", 200, "example");
    wire_mx(&wire, "example", 300, 10, "mail.example");
    wire_soa(&wire, "example", 300, 300);
    size_t whole = wire.len;

    parse("www.example", DNS_TYPE_MX);
    assert_int_equal(packet.status, DNS_OK);
    for (wire.len = 0; wire.len < whole; wire.len++)
        expect_failed("www.example", DNS_TYPE_MX, "malformed answer");
}

TEST(parse_refuses_rdata_of_wrong_length)
{
    static const struct {
        enum dns_type type;
        const char *rdata;
        size_t len;
    } rows[] = {
        {DNS_TYPE_A, "abc", 3},
        {DNS_TYPE_A, "abcde", 5},
        {DNS_TYPE_A, "", 0},
        {DNS_TYPE_AAAA, "0123456789abcde", 15},
        {DNS_TYPE_MX, "\0\x0a", 2},
        {DNS_TYPE_MX, "\0", 1},
        {DNS_TYPE_MX, "\0\x0a\x01m\0x", 6},
        {DNS_TYPE_MX, "\0\x0a\x05m", 4},
        {DNS_TYPE_CNAME, "", 0},
        {DNS_TYPE_TXT,
         "\x04"
         "abc",
         4},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        wire_begin(&wire, 1, WIRE_ANSWER, "example", rows[i].type);
        wire_raw(&wire, WIRE_ANSWERS, "example", rows[i].type, 60, rows[i].rdata, rows[i].len);
        parse("example", rows[i].type);
        expect_row(i, packet.status == DNS_FAILED);
    }
}

/* RFC 7672 section 2.2: it is a record all the same, of no use, and demands TLS. */
TEST(tlsa_record_that_is_cut_off_is_kept)
{
    for (size_t len = 0; len <= 4; len++) {
        wire_begin(&wire, 1, WIRE_ANSWER, "example", DNS_TYPE_TLSA);
        wire_raw(&wire, WIRE_ANSWERS, "example", DNS_TYPE_TLSA, 60, "\x03\x01\x01\x00", len);
        parse("example", DNS_TYPE_TLSA);
        expect_row(len, packet.status == DNS_OK && packet.record_count == 1);
        expect_row(len, packet.records[0].text.len == len);
    }
}

/* A record whose owner name is `owner`, right behind the question. */
static void expect_owner_refused(const char *owner, size_t len)
{
    wire_begin(&wire, 1, WIRE_ANSWER, "example", DNS_TYPE_A);
    wire_set_u16(&wire, WIRE_ANSWERS, 1);
    wire_bytes(&wire, owner, len);
    wire_u16(&wire, DNS_TYPE_A);
    wire_u16(&wire, 1);
    wire_u32(&wire, 60);
    wire_u16(&wire, 4);
    wire_u32(&wire, 1);
    expect_failed("example", DNS_TYPE_A, "malformed answer");
}

TEST(parse_refuses_bad_compression)
{
    /* The question's name stands at 12, its type at 21, the owner at 25. */
    expect_owner_refused("\xc0\x19", 2); /* itself */
    expect_owner_refused("\xc0\x1b", 2); /* forward */
    expect_owner_refused("\xc0\x02", 2); /* the header */
    expect_owner_refused("\xff\xff", 2); /* far out */
    expect_owner_refused("\x01"
                         "a\xc0\x19",
                         4); /* a loop by way of a label */
    expect_owner_refused("\x40"
                         "a",
                         2); /* reserved label types */
    expect_owner_refused("\x80"
                         "a",
                         2);
    expect_owner_refused("\xc0", 1); /* half a pointer, its rest a type */
}

TEST(parse_refuses_name_too_long)
{
    char name[5 * 64 + 1] = {0};

    for (size_t i = 0; i < 5; i++) {
        name[i * 64] = 63;
        memset(name + i * 64 + 1, 'a', 63);
    }
    expect_owner_refused(name, sizeof(name));
}

TEST(parse_leaves_odd_names_out)
{
    wire_begin(&wire, 1, WIRE_ANSWER, "example", DNS_TYPE_MX);
    wire_mx(&wire, "example", 60, 10, "mail one.example");
    wire_mx(&wire, "example", 60, 20, "mx.example");
    wire_mx(&wire, "example", 60, 30, "m\x01x.example");
    parse("example", DNS_TYPE_MX);
    assert_int_equal(packet.status, DNS_OK);
    assert_int_equal(packet.odd_count, 2);
    assert_int_equal(packet.record_count, 1);
    expect_bytes(packet.records[0].name, "mx.example");
    /* They are kept apart, for who takes any. */
    expect_bytes(packet.odd_records[0].name, "m\x01x.example");
    expect_bytes(packet.odd_records[1].name, "mail one.example");
    assert_int_equal(packet.odd_records[1].preference, 10);
    wire_begin(&wire, 1, WIRE_ANSWER, "example", DNS_TYPE_MX);
    wire_cname(&wire, "example", 60, "mail one.example");
    expect_failed("example", DNS_TYPE_MX, "CNAME to a name that cannot be");
}

TEST(parse_takes_dot_inside_a_label_as_odd)
{
    static const uint8_t rdata[] = "\x00\x0a\x0amx.example\x03net";

    wire_begin(&wire, 1, WIRE_ANSWER, "example", DNS_TYPE_MX);
    wire_raw(&wire, WIRE_ANSWERS, "example", DNS_TYPE_MX, 60, rdata, sizeof(rdata));
    parse("example", DNS_TYPE_MX);
    assert_int_equal(packet.status, DNS_OK);
    assert_int_equal(packet.odd_count, 1);
    assert_int_equal(packet.record_count, 0);
    assert_true(bytes_equal(packet.odd_records[0].name, bytes_range("mx\0example.net", 14)));
}

TEST(parse_cuts_huge_sets)
{
    wire_begin(&wire, 1, WIRE_ANSWER, "example", DNS_TYPE_MX);
    for (unsigned i = 0; i < 1500; i++) {
        char exchange[32];

        snprintf(exchange, sizeof(exchange), "mx%u.example", i);
        wire_mx(&wire, "example", 60, i, exchange);
    }
    parse("example", DNS_TYPE_MX);
    assert_int_equal(packet.status, DNS_OK);
    assert_int_equal(packet.record_count, DNS_RECORDS_MAX);
    assert_int_equal(packet.cut_count, 1500 - DNS_RECORDS_MAX);
}

TEST(parse_refuses_records_of_another_name)
{
    wire_begin(&wire, 1, WIRE_ANSWER, "bank.example", DNS_TYPE_A);
    wire_a(&wire, "other.example", 300, "192.0.2.1");
    expect_failed("bank.example", DNS_TYPE_A, "answer to another question");
    wire_begin(&wire, 1, WIRE_ANSWER | 3, "bank.example", DNS_TYPE_A);
    wire_a(&wire, "other.example", 300, "192.0.2.1");
    wire_soa(&wire, "example", 100, 300);
    expect_failed("bank.example", DNS_TYPE_A, "answer to another question");
}

TEST(parse_refuses_records_of_another_class)
{
    wire_begin(&wire, 1, WIRE_ANSWER, "mail.example", DNS_TYPE_A);
    size_t before = wire.len;

    wire_a(&wire, "mail.example", 300, "192.0.2.1");
    wire_set_u16(&wire, before + 14 + 2, 3); /* CHAOS */
    expect_failed("mail.example", DNS_TYPE_A, "answer to another question");
}

TEST(parse_reads_whether_the_answer_is_authentic)
{
    static const unsigned rcodes[] = {0, 3};

    for (size_t i = 0; i < ARRAY_LEN(rcodes); i++) {
        for (unsigned bits = 0; bits < 256; bits++) { /* AD, and each bit beside it */
            wire_begin(&wire, 1, WIRE_ANSWER | rcodes[i], "mail.example", DNS_TYPE_A);
            wire_soa(&wire, "example", 100, 300);
            wire.bytes[3] = (uint8_t)((bits & 0xf0) | rcodes[i]);
            parse("mail.example", DNS_TYPE_A);
            expect_row(bits, packet.is_authentic == ((bits & 0x20) != 0));
        }
    }
}

TEST(has_opt_finds_it_among_others)
{
    size_t start;

    wire_begin(&wire, 1, WIRE_ANSWER, "mail.example", DNS_TYPE_A);
    wire_a(&wire, "mail.example", 300, "192.0.2.1");
    assert_false(dns_packet_has_opt(bytes_range(wire.bytes, wire.len)));
    start = wire_begin_record(&wire, WIRE_ADDITIONAL, "", 41, 0);
    wire_end_record(&wire, start);
    size_t len = wire.len;

    assert_true(dns_packet_has_opt(bytes_range(wire.bytes, len)));
    while (len-- > 0) /* cut: exactly as large as it says */
        assert_false(dns_packet_has_opt(bytes_range(wire.bytes, len)));
    wire_begin(&wire, 1, WIRE_ANSWER, "mail.example", DNS_TYPE_A);
    wire_set_u16(&wire, 4, 65535); /* questions */
    assert_false(dns_packet_has_opt(bytes_range(wire.bytes, wire.len)));
}
