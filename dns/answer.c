/* answer.c - DNS answers in one allocation each. */
#include "dns/answer.h"

#include <stdlib.h>
#include <string.h>

static size_t names_len(const struct dns_record *records, size_t count)
{
    size_t len = 0;

    for (size_t i = 0; i < count; i++)
        len += records[i].name.len + records[i].text.len;
    return len;
}

static void copy_records(struct dns_record *into, const struct dns_record *records, size_t count,
                         uint8_t **free_bytes)
{
    for (size_t i = 0; i < count; i++) {
        into[i] = records[i];
        into[i].name = bytes_put(records[i].name, free_bytes);
        into[i].text = bytes_put(records[i].text, free_bytes);
    }
}

const struct dns_answer *dns_answer_copy(const struct dns_answer *from)
{
    size_t odd_count = from->odd_records == NULL ? 0 : from->odd_count;
    size_t records_size = (from->record_count + odd_count) * sizeof(struct dns_record);
    size_t size = sizeof(struct dns_answer) + records_size + from->canonical.len +
                  names_len(from->records, from->record_count) +
                  names_len(from->odd_records, odd_count);
    struct dns_answer *answer = malloc(size);

    check(answer != NULL);
    struct dns_record *records = (struct dns_record *)(answer + 1);
    uint8_t *free_bytes = (uint8_t *)(answer + 1) + records_size;

    *answer = *from;
    answer->references = 1;
    answer->records = from->record_count > 0 ? records : NULL;
    answer->odd_records = odd_count > 0 ? records + from->record_count : NULL;
    answer->canonical = bytes_put(from->canonical, &free_bytes);
    copy_records(answer->records, from->records, from->record_count, &free_bytes);
    copy_records(answer->odd_records, from->odd_records, odd_count, &free_bytes);
    check(free_bytes == (uint8_t *)answer + size);
    return answer;
}

const struct dns_answer *dns_answer_from_packet(const struct dns_packet *packet, int64_t expires_ms)
{
    struct dns_answer answer = {
        .status = packet->status,
        .why = packet->why,
        .is_secure = packet->is_authentic,
        .canonical = dns_name_bytes(&packet->owner),
        .expires_ms = expires_ms,
        .record_count = packet->record_count,
        .records = packet->records,
        .cut_count = packet->cut_count,
        .odd_count = packet->odd_count,
        .odd_records = packet->odd_records,
    };

    return dns_answer_copy(&answer);
}

const struct dns_answer *dns_answer_bare(enum dns_status status, const char *why,
                                         int64_t expires_ms)
{
    struct dns_answer answer = {.status = status, .why = why, .expires_ms = expires_ms};

    check(status == DNS_FAILED || status == DNS_BAD_NAME || status == DNS_NXDOMAIN);
    return dns_answer_copy(&answer);
}

const struct dns_answer *dns_answer_stale(const struct dns_answer *old, const char *why,
                                          int64_t expires_ms)
{
    struct dns_answer answer = *old;

    answer.is_stale = true;
    answer.why = why;
    answer.expires_ms = expires_ms;
    return dns_answer_copy(&answer);
}

const struct dns_answer *dns_answer_keep(const struct dns_answer *answer)
{
    struct dns_answer *counted = (struct dns_answer *)answer; /* the count is not the content */

    check(counted->references > 0);
    counted->references++;
    return answer;
}

void dns_answer_release(const struct dns_answer **answer)
{
    struct dns_answer *counted = (struct dns_answer *)*answer;

    *answer = NULL;
    if (counted == NULL)
        return;
    check(counted->references > 0);
    if (--counted->references == 0)
        free(counted);
}
