/* test_received.c - our trace field (RFC 5321 section 4.4). */
#include "smtp/header.h"

#include <string.h>

#include "support/unit.h"

#define TEN "aaaaaaaaaa"
#define SIXTY TEN TEN TEN TEN TEN TEN

static const int64_t WALL_MS = 1795489800000; /* 2026-11-24T03:10:00Z */
#define DATE "Tue, 24 Nov 2026 03:10:00 +0000\r\n"

static const struct {
    struct received received;
    struct bytes field;
} rows[] = {
    {{BYTES("client.example"), BYTES("192.0.2.1"), BYTES("mta1.example.net"), BYTES("ESMTPSA"),
      BYTES("3-0a91"), BYTES("bob@b.example"), BYTES(""), 0},
     BYTES("Received: from client.example ([192.0.2.1])\r\n"
           "\tby mta1.example.net with ESMTPSA id 3-0a91\r\n"
           "\tfor <bob@b.example>; " DATE)},
    {{BYTES("[IPv6:2001:db8::1]"), BYTES("2001:db8::1"), BYTES("mta1.example.net"), BYTES("SMTP"),
      BYTES("1"), BYTES("<bob@b.example>"), BYTES(""), 0},
     BYTES("Received: from [IPv6:2001:db8::1] ([IPv6:2001:db8::1])\r\n"
           "\tby mta1.example.net with SMTP id 1\r\n"
           "\tfor <bob@b.example>; " DATE)},
    {{BYTES("a b(c)\"d\\;e\r\n\xff[x]"), BYTES("192.0.2.1"), BYTES("m"), BYTES("SMTP"), BYTES("1"),
      BYTES(""), BYTES(""), 0},
     BYTES("Received: from a?b?c??d??e????x? ([192.0.2.1])\r\n"
           "\tby m with SMTP id 1; " DATE)},
    {{BYTES(""), BYTES("192.0.2.1"), BYTES("m"), BYTES("HTTP"), BYTES("1"), BYTES(""), BYTES(""),
      0},
     BYTES("Received: from [192.0.2.1] ([192.0.2.1])\r\n"
           "\tby m with HTTP id 1; " DATE)},
    {{BYTES(""), BYTES(""), BYTES("m"), BYTES(""), BYTES("1"), BYTES(""), BYTES(""), 0},
     BYTES("Received: by m id 1; " DATE)},
    {{BYTES(SIXTY), BYTES("192.0.2.1"), BYTES(SIXTY ".example"), BYTES("ESMTP"), BYTES(SIXTY),
      BYTES(SIXTY "@b.example"), BYTES(""), 0},
     BYTES("Received: from " SIXTY "\r\n"
           "\t([192.0.2.1])\r\n"
           "\tby " SIXTY ".example\r\n"
           "\twith ESMTP\r\n"
           "\tid " SIXTY "\r\n"
           "\tfor <" SIXTY "@b.example>;\r\n"
           "\t" DATE)},
    {{BYTES("client.example"), BYTES("192.0.2.1"), BYTES("mta1.example.net"), BYTES("ESMTPS"),
      BYTES("3-0a91"), BYTES("bob@b.example"), BYTES("TLS_AES_256_GCM_SHA384"), 0},
     BYTES("Received: from client.example ([192.0.2.1])\r\n"
           "\tby mta1.example.net with ESMTPS tls TLS_AES_256_GCM_SHA384 id 3-0a91\r\n"
           "\tfor <bob@b.example>; " DATE)},
};

TEST(received_format_follows_table)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct received received = rows[i].received;
        struct buf out;

        received.wall_ms = WALL_MS;
        buf_init(&out, 4096);
        expect_row(i, received_format(&received, &out));
        if (!bytes_equal(buf_bytes(&out), rows[i].field))
            fail_msg("row %zu: %.*s", i, BYTES_ARG(buf_bytes(&out)));
        buf_free(&out);
    }
}

/* Another relay, or we, must read it as one field. */
TEST(received_format_is_one_field)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct header_scan scan;
        struct header_table table;
        struct header_rule rule = {.name = BYTES("Received")};
        struct buf out;
        struct bytes input = rows[i].field;

        buf_init(&out, 4096);
        header_table_init(&table);
        expect_row(i, header_table_add(&table, &rule) == 0);
        header_scan_init(&scan, &table, NULL);
        expect_row(i, header_scan_feed(&scan, &input, &out));
        expect_row(i, header_scan_count(&scan, 0) == 1 && !scan.in_body);
        buf_free(&out);
    }
}

TEST(received_format_cuts_ehlo)
{
    uint8_t ehlo[2000];
    struct buf out;

    memset(ehlo, 'x', sizeof(ehlo));
    buf_init(&out, 4096);
    struct received received = {.ehlo = bytes_range(ehlo, sizeof(ehlo)),
                                .by = BYTES("m"),
                                .wall_ms = WALL_MS};
    assert_true(received_format(&received, &out));
    assert_true(buf_len(&out) < 350);
    buf_free(&out);
}

TEST(received_format_fails_whole_when_full)
{
    struct received received = rows[0].received;

    received.wall_ms = WALL_MS;
    for (size_t room = 0; room < rows[0].field.len; room++) {
        struct buf out;

        buf_init(&out, room + 1);
        assert_true(buf_append(&out, BYTES("x")));
        assert_false(received_format(&received, &out));
        assert_true(bytes_equal(buf_bytes(&out), BYTES("x")));
        buf_free(&out);
    }
}
