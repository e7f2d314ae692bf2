/* put.c - digits. */
#include "inbound/imap/put.h"

#include "base/clock.h"

enum { DIGITS_MAX = 20 };

bool imap_put_number(struct buf *out, uint64_t number)
{
    uint8_t digits[DIGITS_MAX];
    size_t at = DIGITS_MAX;

    do {
        digits[--at] = (uint8_t)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return buf_append(out, bytes_range(digits + at, DIGITS_MAX - at));
}

bool imap_put_date_time(struct buf *out, int64_t seconds)
{
    static const int64_t last = INT64_C(253402300799); /* of the year 9999 */
    char text[CLOCK_TEXT_MAX];
    size_t len = clock_format_rfc9051(MIN(MAX(seconds, (int64_t)0), last), text);

    return buf_append_byte(out, '"') && buf_append(out, bytes_range(text, len)) &&
           buf_append_byte(out, '"');
}
