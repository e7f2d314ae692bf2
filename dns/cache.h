/*
 * cache.h - what is known of (name, type), how long, and what to say while the servers fail.
 *
 * An entry has up to two sides: the last real answer (data or a negative one), and, since the
 * servers failed, what is told meanwhile: the failure, or the old data said to be stale (RFC 8767).
 * Times are monotonic milliseconds and come from the caller. Thread: the engine's.
 */
#pragma once

#include "base/map.h"
#include "dns/answer.h"

struct dns_cache {
    struct map entries; /* by type and name */
    struct list by_use; /* least recently used first */
    size_t count_max;
    int64_t stale_ms;
};

void dns_cache_init(struct dns_cache *cache, size_t count_max, int64_t stale_ms);
void dns_cache_free(struct dns_cache *cache);

/* What holds at now_ms, or NULL: it has to be asked. Not a new reference: valid until the next
 * call. Names are as dns_name_parse() makes them. */
const struct dns_answer *dns_cache_find(struct dns_cache *cache, struct bytes name,
                                        enum dns_type type, int64_t now_ms);
/* Takes what was just learned (keeping a reference of its own) and returns a reference to what
 * is to be told: `answer` itself, or old data if `answer` is a failure and they are not too old. */
must_use const struct dns_answer *dns_cache_store(struct dns_cache *cache, struct bytes name,
                                                  enum dns_type type,
                                                  const struct dns_answer *answer, int64_t now_ms);
void dns_cache_flush(struct dns_cache *cache, struct bytes name); /* all types; "": everything */
