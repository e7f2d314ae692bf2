/* test_put.c - numbers and dates as replies have them. */
#include <inttypes.h>
#include <stdio.h>

#include "inbound/imap/put.h"
#include "inbound/imap/scan.h"
#include "support/unit.h"

TEST(put_number_writes_what_printf_does)
{
    static const uint64_t numbers[] = {0, 1, 9, 10, 99, 100, 4294967295, 4294967296, UINT64_MAX};

    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        char text[32];
        struct buf out;

        buf_init(&out, sizeof(text));
        snprintf(text, sizeof(text), "%" PRIu64, numbers[i]);
        assert_true(imap_put_number(&out, numbers[i]));
        assert_true(bytes_equal(buf_bytes(&out), bytes_of(text)));
        buf_free(&out);
    }
}

TEST(counting_writes_what_put_number_does)
{
    static const uint64_t begins[] = {0,   1,   95,    99,         100,
                                      101, 995, 99950, 4294967290, UINT64_MAX - 150};

    for (size_t i = 0; i < ARRAY_LEN(begins); i++) {
        struct imap_counting counting;

        imap_counting_begin(&counting, begins[i]);
        for (uint64_t number = begins[i]; number < begins[i] + 120; number++) {
            uint8_t room[IMAP_COUNTING_ROOM], expected[IMAP_NUMBER_ROOM];
            size_t len = (size_t)(imap_counting_write(room, &counting) - room);
            size_t expected_len = (size_t)(imap_write_number(expected, number) - expected);

            assert_true(bytes_equal(bytes_range(room, len), bytes_range(expected, expected_len)));
        }
    }
}

TEST(put_number_without_room_puts_nothing)
{
    struct buf out;

    buf_init(&out, 3);
    assert_false(imap_put_number(&out, 1000));
    assert_int_equal(buf_len(&out), 0);
    assert_true(imap_put_number(&out, 999));
    buf_free(&out);
}

static const struct {
    int64_t seconds;
    const char *text;
} dates[] = {
    {1580518984, "\"01-Feb-2020 01:03:04 +0000\""},   {0, "\"01-Jan-1970 00:00:00 +0000\""},
    {951868799, "\"29-Feb-2000 23:59:59 +0000\""},    {-1, "\"01-Jan-1970 00:00:00 +0000\""},
    {253402300799, "\"31-Dec-9999 23:59:59 +0000\""}, {INT64_MAX, "\"31-Dec-9999 23:59:59 +0000\""},
};

TEST(put_date_time_writes_what_is_read)
{
    for (size_t i = 0; i < ARRAY_LEN(dates); i++) {
        struct buf out;
        int64_t seconds;

        buf_init(&out, 64);
        assert_true(imap_put_date_time(&out, dates[i].seconds));
        assert_true(bytes_equal(buf_bytes(&out), bytes_of(dates[i].text)));
        struct bytes input = buf_bytes(&out);
        assert_true(imap_take_date_time(&input, &seconds));
        assert_true(seconds == MIN(MAX(dates[i].seconds, 0), 253402300799));
        buf_free(&out);
    }
}
