/*
 * packed.c - answers for the cache.
 *
 *   status (and SECURE) 1, records 1, cut 2, odd 2, odd records 1, canonical length 1 (SAME: the
 *   asked name), canonical, then each record, and each odd one: A 4; AAAA 16; MX preference 2,
 *   length 1, name; CNAME, PTR length 1, name; others length 2, text.
 */
#include "dns/packed.h"

#include <string.h>

enum { HEADER_LEN = 8, SAME = 255, SECURE = 0x80 };
_Static_assert(DNS_NAME_MAX < 255, "a name's length is a byte, and one value is left");
_Static_assert(DNS_RECORDS_MAX <= UINT8_MAX, "their count is a byte");

static bool is_same(const struct dns_answer *answer, struct bytes name)
{
    return answer->canonical.len > 0 && bytes_equal(answer->canonical, name);
}

static size_t record_len(const struct dns_record *record, enum dns_type type)
{
    switch (type) {
    case DNS_TYPE_A:
        return sizeof(record->a);
    case DNS_TYPE_AAAA:
        return sizeof(record->aaaa);
    case DNS_TYPE_MX:
        return 3 + record->name.len;
    case DNS_TYPE_CNAME:
    case DNS_TYPE_PTR:
        return 1 + record->name.len;
    case DNS_TYPE_SOA:
    case DNS_TYPE_TXT:
    case DNS_TYPE_TLSA:
        return 2 + record->text.len;
    }
    check(false);
}

/* Those that are kept; their number is a byte as well. */
static size_t odd_len(const struct dns_answer *answer)
{
    return answer->odd_records == NULL ? 0 : answer->odd_count;
}

size_t dns_packed_len(const struct dns_answer *answer, struct bytes name, enum dns_type type)
{
    size_t len = HEADER_LEN + (is_same(answer, name) ? 0 : answer->canonical.len);

    for (size_t i = 0; i < answer->record_count; i++)
        len += record_len(&answer->records[i], type);
    for (size_t i = 0; i < odd_len(answer); i++)
        len += record_len(&answer->odd_records[i], type);
    return len;
}

/* --- in --------------------------------------------------------------------------------------- */

static void put(uint8_t **at, const void *from, size_t len)
{
    if (len > 0)
        memcpy(*at, from, len);
    *at += len;
}

static void put_u8(uint8_t **at, size_t value)
{
    check(value <= UINT8_MAX);
    *(*at)++ = (uint8_t)value;
}

static void put_u16(uint8_t **at, size_t value)
{
    check(value <= UINT16_MAX);
    put_u8(at, value >> 8);
    put_u8(at, value & 0xff);
}

static void put_record(uint8_t **at, const struct dns_record *record, enum dns_type type)
{
    if (type == DNS_TYPE_A) {
        put(at, &record->a, sizeof(record->a));
    } else if (type == DNS_TYPE_AAAA) {
        put(at, &record->aaaa, sizeof(record->aaaa));
    } else if (type == DNS_TYPE_MX || type == DNS_TYPE_CNAME || type == DNS_TYPE_PTR) {
        if (type == DNS_TYPE_MX)
            put_u16(at, record->preference);
        put_u8(at, record->name.len);
        put(at, record->name.ptr, record->name.len);
    } else {
        put_u16(at, record->text.len);
        put(at, record->text.ptr, record->text.len);
    }
}

void dns_pack(const struct dns_answer *answer, struct bytes name, enum dns_type type, uint8_t *out)
{
    uint8_t *at = out;

    check(answer->status != DNS_FAILED && answer->status != DNS_BAD_NAME && !answer->is_stale);
    put_u8(&at, (unsigned)answer->status | (answer->is_secure ? SECURE : 0u));
    put_u8(&at, answer->record_count);
    put_u16(&at, MIN(answer->cut_count, (size_t)UINT16_MAX));
    put_u16(&at, MIN(answer->odd_count, (size_t)UINT16_MAX));
    put_u8(&at, odd_len(answer));
    if (is_same(answer, name)) {
        put_u8(&at, SAME);
    } else {
        put_u8(&at, answer->canonical.len);
        put(&at, answer->canonical.ptr, answer->canonical.len);
    }
    for (size_t i = 0; i < answer->record_count; i++)
        put_record(&at, &answer->records[i], type);
    for (size_t i = 0; i < odd_len(answer); i++)
        put_record(&at, &answer->odd_records[i], type);
    check(at == out + dns_packed_len(answer, name, type));
}

/* --- out -------------------------------------------------------------------------------------- */

static struct bytes take(struct bytes *rest, size_t len)
{
    struct bytes taken = bytes_range(rest->ptr, len);

    check(len <= rest->len);
    *rest = bytes_range(rest->ptr + len, rest->len - len);
    return taken;
}

static uint8_t take_u8(struct bytes *rest)
{
    return take(rest, 1).ptr[0];
}

static uint16_t take_u16(struct bytes *rest)
{
    struct bytes b = take(rest, 2);

    return (uint16_t)(b.ptr[0] << 8 | b.ptr[1]);
}

static void take_record(struct bytes *rest, struct dns_record *record, enum dns_type type)
{
    if (type == DNS_TYPE_A) {
        memcpy(&record->a, take(rest, sizeof(record->a)).ptr, sizeof(record->a));
    } else if (type == DNS_TYPE_AAAA) {
        memcpy(&record->aaaa, take(rest, sizeof(record->aaaa)).ptr, sizeof(record->aaaa));
    } else if (type == DNS_TYPE_MX || type == DNS_TYPE_CNAME || type == DNS_TYPE_PTR) {
        if (type == DNS_TYPE_MX)
            record->preference = take_u16(rest);
        record->name = take(rest, take_u8(rest));
    } else {
        record->text = take(rest, take_u16(rest));
    }
}

enum dns_status dns_packed_status(struct bytes packed)
{
    return take_u8(&packed) & ~(unsigned)SECURE;
}

const struct dns_answer *dns_unpack(struct bytes packed, struct bytes name, enum dns_type type,
                                    int64_t expires_ms)
{
    struct dns_record records[2 * DNS_RECORDS_MAX];
    struct bytes rest = packed;
    struct dns_answer answer = {.records = records, .expires_ms = expires_ms};

    answer.status = dns_packed_status(rest);
    answer.is_secure = (take_u8(&rest) & SECURE) != 0;
    answer.record_count = take_u8(&rest);
    answer.cut_count = take_u16(&rest);
    answer.odd_count = take_u16(&rest);
    size_t odd_records = take_u8(&rest);

    size_t canonical_len = take_u8(&rest);
    answer.canonical = canonical_len == SAME ? name : take(&rest, canonical_len);
    check(answer.record_count <= DNS_RECORDS_MAX && odd_records <= DNS_RECORDS_MAX);
    answer.odd_records = odd_records > 0 ? &records[answer.record_count] : NULL;
    for (size_t i = 0; i < answer.record_count + odd_records; i++) {
        records[i] = (struct dns_record){0};
        take_record(&rest, &records[i], type);
    }
    check(rest.len == 0);
    return dns_answer_copy(&answer);
}
