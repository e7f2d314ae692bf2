/*
 * put.h - numbers and dates of replies, written where they go: what stands in each line of a FETCH
 * of all is not worth a format.
 *
 * Pure, any thread. False: no room in `out`. Those that write in place return where they ended.
 */
#pragma once

#include "base/buf.h"

enum { IMAP_NUMBER_ROOM = 20, IMAP_DATE_TIME_ROOM = 40 };

must_use bool imap_put_number(struct buf *out, uint64_t number);
uint8_t *imap_write_number(uint8_t *at, uint64_t number);
/* Numbers that ascend by one: in each hundred all but two digits are the same. */
struct imap_counting {
    uint64_t next;
    size_t hundreds_len;
    uint8_t hundreds[IMAP_NUMBER_ROOM];
};
void imap_counting_begin(struct imap_counting *counting, uint64_t number);
/* The next one, with room for IMAP_COUNTING_ROOM. */
enum { IMAP_COUNTING_ROOM = IMAP_NUMBER_ROOM + 2 };
uint8_t *imap_counting_write(uint8_t *at, struct imap_counting *counting);
/* "\"01-Feb-2020 02:03:04 +0000\""; what lies outside of 1970 to 9999 is clipped. */
must_use bool imap_put_date_time(struct buf *out, int64_t seconds);
uint8_t *imap_write_date_time(uint8_t *at, int64_t seconds);
