/*
 * cache.h - what is known of (name, type), how long, and what to say while the servers fail.
 *
 * One for all engines: what one has asked, the others know, and a queue's domains are in memory
 * once. An entry has up to two sides: the last real answer (data or a negative one), and, since the
 * servers failed, what is told meanwhile: the failure, or the old data said to be stale (RFC 8767).
 *
 * Facts are kept packed (packed.h), so an entry takes about 100 bytes. When they pass bytes_max the
 * oldest go, but for some of those that were asked for since.
 *
 * Times are monotonic milliseconds and come from the caller. Any thread: calls lock for about a
 * microsecond, a store that lets a block of the oldest go for some ten. Answers that come out are
 * the caller's alone.
 */
#pragma once

#include "dns/answer.h"

struct dns_cache;

struct dns_cache *dns_cache_create(size_t bytes_max, int64_t stale_ms);
void dns_cache_free(struct dns_cache **cache);

/* One reference to what holds at now_ms, or NULL: it has to be asked. Names are as dns_name_parse()
 * makes them. */
must_use const struct dns_answer *dns_cache_find(struct dns_cache *cache, struct bytes name,
                                                 enum dns_type type, int64_t now_ms);
/* Takes in what was just learned and returns a reference to what is to be told: `answer` itself,
 * or if it is a failure what another engine learned meanwhile, or old data, not too old. */
must_use const struct dns_answer *dns_cache_store(struct dns_cache *cache, struct bytes name,
                                                  enum dns_type type,
                                                  const struct dns_answer *answer, int64_t now_ms);
void dns_cache_flush(struct dns_cache *cache, struct bytes name); /* all types; "": everything */
size_t dns_cache_bytes(struct dns_cache *cache);
size_t dns_cache_count(struct dns_cache *cache);
