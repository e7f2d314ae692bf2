/* modules: smtp base */
/* fuzz_received.c - whatever a client calls itself, the Received field is one field. */
#include "smtp/address.h"
#include "smtp/header.h"
#include "support/fuzz_files.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

/* One field of printable lines, below 998 columns. */
static void check_field(struct bytes field, bool is_utf8)
{
    size_t start = 0;

    check(bytes_starts_nocase(field, BYTES("Received:")));
    check(bytes_ends_nocase(field, BYTES("\r\n")));
    for (size_t i = 0; i < field.len; i++) {
        uint8_t c = field.ptr[i];

        if (c == '\r') {
            check(field.ptr[i + 1] == '\n');
            check(i - start <= 998);
            check(bytes_find(bytes_trim(bytes_slice(field, start, i - start)), ' ', 0) > 0);
            start = i + 2;
            check(start == field.len || field.ptr[start] == '\t');
        } else if (c != '\n' && c != '\t') {
            check(c >= ' ' && c != 0x7f && (c < 0x80 || is_utf8));
        }
    }
}

/* Our own scanner takes it for one field and nothing else. */
static void check_scanned(struct bytes field)
{
    static const struct header_rule rules[] = {{.name = BYTES("Received")},
                                               {.name = BYTES("From")},
                                               {.name = BYTES("Date")}};
    struct header_table table;
    struct header_scan scan;
    struct buf stored;
    struct bytes rest = field;

    buf_init(&stored, field.len + 16);
    header_table_init(&table);
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        check(header_table_add(&table, &rules[i]) == (int)i);
    header_scan_init(&scan, &table, NULL);
    check(header_scan_feed(&scan, &rest, &stored));
    check(header_scan_finish(&scan, &stored));
    check(bytes_equal(buf_bytes(&stored), field));
    check(header_scan_count(&scan, 0) == 1);
    check(!scan.in_body && header_scan_count(&scan, 1) == 0 && header_scan_count(&scan, 2) == 0);
    buf_free(&stored);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    static const char *const peers[] = {"", "192.0.2.1", "2001:db8::1:2:3:4"};
    struct bytes rest = {input, len};
    struct smtp_address address = {0};
    struct buf out;
    struct buf small;

    unsigned how = fuzz_byte(&rest);
    size_t room = 1 + fuzz_byte(&rest) * 4;
    struct bytes ehlo = fuzz_field(&rest);
    if (!smtp_parse_address(rest, &address))
        address = (struct smtp_address){0};
    struct received received = {
        .ehlo = ehlo,
        .peer = bytes_of(peers[how % 3]),
        .by = BYTES("relay.example"),
        .with = BYTES("ESMTP"),
        .id = BYTES("000001-000000000beef"),
        .for_path = address.text,
        .wall_ms = 1795489800000,
    };

    buf_init(&out, 4096);
    check(received_format(&received, &out));
    check_field(buf_bytes(&out), address.is_utf8);
    check_scanned(buf_bytes(&out));
    buf_init(&small, room);
    bool fits = received_format(&received, &small);
    check(fits == (buf_len(&out) <= room));
    check(fits || buf_len(&small) == 0);
    buf_free(&small);
    buf_free(&out);
    return 0;
}
