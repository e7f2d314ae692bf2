/*
 * tenant_book_frame.h - the book's file as bytes: a line that says what it is, and frames.
 *
 *   frame: u32 length, u32 0, u64 XXH3 of the entries, entries
 *   entry: 1, u8 shard, u64 position, u32 part           events before that are in the book
 *          2, u8 length, name, 5 x u64                   a tenant's counts (allowance.h)
 *          3, 24 bytes, u64 message id, u32 seconds      a claim
 *          4, u32 account, u32 seconds, 4 x u32          what an account sent (account_rate.h), in
 *                                                        the hour that began then and that before
 *
 * A later entry of the same shard, tenant, claim or account overrides an earlier one. Numbers are
 * little-endian. Pure.
 */
#pragma once

#include "base/buf.h"
#include "intake/claims.h"
#include "queue/allowance.h"
#include "submission/account_rate.h"

enum { FRAME_HEADER_LEN = 16, FRAME_MAX = 4 * 1024 * 1024 };

struct bytes book_magic(void);
/* Header of a frame whose entries stand behind FRAME_HEADER_LEN bytes at `frame`. */
void frame_seal(uint8_t *frame, size_t len);

/* False: no room. */
must_use bool frame_put_position(struct buf *out, unsigned shard, uint64_t position, uint32_t part);
must_use bool frame_put_counts(struct buf *out, struct bytes name,
                               const uint64_t counts[static ALLOWANCE_COUNTS]);
must_use bool frame_put_claim(struct buf *out, const struct claim *claim, uint64_t id,
                              int64_t since_s);

must_use bool frame_put_rate(struct buf *out, const struct account_rate_noted *noted,
                             int64_t began_s);

struct book_visitor {
    void *context;
    void (*position)(void *context, unsigned shard, uint64_t position, uint32_t part);
    void (*counts)(void *context, struct bytes name,
                   const uint64_t counts[static ALLOWANCE_COUNTS]);
    void (*claim)(void *context, const struct claim *claim, uint64_t id, int64_t since_s);
    /* began_ms is not set. */
    void (*rate)(void *context, const struct account_rate_noted *noted, int64_t began_s);
};

enum book_state { BOOK_WHOLE, BOOK_TORN, BOOK_FOREIGN, BOOK_NEWER };
/* Visits all frames up to the first that is not whole; *good_out is where that begins. */
enum book_state book_visit(struct bytes file, const struct book_visitor *visitor, size_t *good_out);
