/*
 * packed.h - a real answer in few bytes, for the cache: 8 and its records.
 *
 * Only of this process: nothing packed is stored or sent. Pure functions over bytes, any thread.
 */
#pragma once

#include "dns/answer.h"

/* `answer` is DNS_OK, DNS_NO_DATA or DNS_NXDOMAIN and belongs to (name, type). */
size_t dns_packed_len(const struct dns_answer *answer, struct bytes name, enum dns_type type);
void dns_pack(const struct dns_answer *answer, struct bytes name, enum dns_type type, uint8_t *out);
enum dns_status dns_packed_status(struct bytes packed);
/* One reference. */
must_use const struct dns_answer *dns_unpack(struct bytes packed, struct bytes name,
                                             enum dns_type type, int64_t expires_ms);
