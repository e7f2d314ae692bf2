/* put.c - digits. */
#include "inbound/imap/put.h"

#include <string.h>

#include "base/clock.h"

static unsigned digits_of(uint64_t number)
{
    unsigned count = 1;

    for (uint64_t limit = 10; count < IMAP_NUMBER_ROOM && number >= limit; limit *= 10)
        count++;
    return count;
}

uint8_t *imap_write_number(uint8_t *at, uint64_t number)
{
    uint8_t *end = at + digits_of(number);

    at = end;
    do {
        *--at = (uint8_t)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return end;
}

bool imap_put_number(struct buf *out, uint64_t number)
{
    uint8_t digits[IMAP_NUMBER_ROOM];

    return buf_append(out,
                      bytes_range(digits, (size_t)(imap_write_number(digits, number) - digits)));
}

uint8_t *imap_write_date_time(uint8_t *at, int64_t seconds)
{
    static const int64_t last = INT64_C(253402300799); /* of the year 9999 */
    char text[CLOCK_TEXT_MAX];
    size_t len = clock_format_rfc9051(MIN(MAX(seconds, (int64_t)0), last), text);

    *at++ = '"';
    memcpy(at, text, len);
    at += len;
    *at = '"';
    return at + 1;
}

bool imap_put_date_time(struct buf *out, int64_t seconds)
{
    uint8_t text[IMAP_DATE_TIME_ROOM];

    return buf_append(out, bytes_range(text, (size_t)(imap_write_date_time(text, seconds) - text)));
}
