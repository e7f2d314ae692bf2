/*
 * damage.h - what becomes of records that do not read back: told, counted, copied aside.
 *
 * A spot is told once by an event (damaged). When that event is durable the damaged bytes are
 * copied to spool/damaged/<shard>-<sequence>-<offset>-<bytes>.record, zeros behind them up to a
 * block. The file's name is what keeps a later start from telling the spot again. A shard copies
 * and tells of a bounded number; what goes beyond is logged and counted.
 *
 * Private to queue/. Thread: the owning engine; the copy is written by a thread of the pool, or at
 * once where there is none.
 */
#pragma once

#include "queue/shard_private.h"

enum damage_kind {
    DAMAGE_CONTENT,
    DAMAGE_ACCEPT,
    DAMAGE_OUTCOME,
    DAMAGE_EVENT,
    DAMAGE_UNKNOWN, /* its header cannot be read */
    DAMAGE_SEGMENT, /* all of one; moved away by the caller */
};

struct damage_spot {
    enum damage_kind kind;
    uint32_t sequence, offset, len;
    struct message_id id; /* 0: not readable */
    struct bytes bytes;   /* what stands there; empty: nothing to copy */
};

/* Learns which spots earlier starts copied. */
void damage_open(struct shard *shard);
/* Logs, counts, and, the first time, tells and copies. While the shard is recovering that waits
 * for damage_tell_recovered(). */
void damage_found(struct shard *shard, const struct damage_spot *spot);
/* What was found at [from, to) of a segment during recovery belongs to this message. */
void damage_name(struct shard *shard, uint32_t sequence, uint32_t from, uint32_t to,
                 struct message_id id);
void damage_tell_recovered(struct shard *shard);
enum damage_kind damage_kind_of(const struct record *header); /* NULL: unknown */
/* The id in a record that may be damaged, if it can be one of this shard's. */
struct message_id damage_message_id(const struct shard *shard, const struct record *header);

/* This message was read twice and is damaged: shard_is_damaged() says so from now on. */
void damage_add_message(struct shard *shard, struct message_id id);

/* The event of it is durable, or will not be. */
void damage_told(struct shard *shard, struct damage *damage, bool is_durable);
bool damage_is_idle(const struct shard *shard); /* no copy is being written */
void damage_close(struct shard *shard);
