/* put.c - digits. */
#include "inbound/imap/put.h"

#include <string.h>

#include "base/clock.h"

static const uint64_t powers[] = {
    0,
    10,
    100,
    1000,
    10000,
    100000,
    1000000,
    10000000,
    100000000,
    1000000000,
    10000000000,
    100000000000,
    1000000000000,
    10000000000000,
    100000000000000,
    1000000000000000,
    10000000000000000,
    100000000000000000,
    1000000000000000000,
    10000000000000000000U,
};

/* A bit is 0.301 of a digit: 1233 / 4096. */
static unsigned digits_of(uint64_t number)
{
    unsigned bits = 64 - (unsigned)__builtin_clzll(number | 1), digits = bits * 1233 >> 12;

    return digits + (number >= powers[digits]);
}

static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233"
                            "34353637383940414243444546474849505152535455565758596061626364656667"
                            "6869707172737475767778798081828384858687888990919293949596979899";

/* Two digits at a time: a division takes longer than all else. */
uint8_t *imap_write_number(uint8_t *at, uint64_t number)
{
    uint8_t *end = at + digits_of(number);

    for (at = end; number >= 10; number /= 100) {
        at -= 2;
        memcpy(at, pairs + 2 * (number % 100), 2);
    }
    if (number > 0 || at == end)
        *--at = (uint8_t)('0' + number);
    return end;
}

void imap_counting_begin(struct imap_counting *counting, uint64_t number)
{
    *counting = (struct imap_counting){.next = number};
    counting->hundreds_len =
        (size_t)(imap_write_number(counting->hundreds, number / 100) - counting->hundreds);
}

uint8_t *imap_counting_write(uint8_t *at, struct imap_counting *counting)
{
    uint64_t number = counting->next++;

    if (number < 100)
        return imap_write_number(at, number);
    if (number % 100 == 0)
        imap_counting_begin(counting, number);
    counting->next = number + 1;
    memcpy(at, counting->hundreds, sizeof(counting->hundreds));
    at += counting->hundreds_len;
    memcpy(at, pairs + 2 * (number % 100), 2);
    return at + 2;
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
