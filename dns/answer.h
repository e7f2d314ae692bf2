/*
 * answer.h - making the immutable, counted answers that resolver.h hands out.
 *
 * An answer is one allocation: records and their bytes stand behind the struct. Each function
 * returns one reference. Thread: the engine's; counts are not atomic.
 */
#pragma once

#include "dns/packet.h"
#include "dns/resolver.h"

/* `from` is on somebody's stack or another answer; everything it points to is copied. */
must_use const struct dns_answer *dns_answer_copy(const struct dns_answer *from);
/* is_authentic is taken for is_secure: belief.c has judged it. */
must_use const struct dns_answer *dns_answer_from_packet(const struct dns_packet *packet,
                                                         int64_t expires_ms);
/* Without records: DNS_FAILED, DNS_BAD_NAME. `why` is a static string. */
must_use const struct dns_answer *dns_answer_bare(enum dns_status status, const char *why,
                                                  int64_t expires_ms);
/* `old` once more, said to be stale and to be asked for again at expires_ms. */
must_use const struct dns_answer *dns_answer_stale(const struct dns_answer *old, const char *why,
                                                   int64_t expires_ms);
