/*
 * inspect_walk.h - every record of a stopped spool, shard by shard: what check and dump have in
 * common. Private to queue/.
 */
#pragma once

#include "queue/segment_reader.h"

/* Every function is called; record, damage and torn as of record_scan(). */
struct spool_walk {
    void *context;
    void (*begin_shard)(void *context, unsigned shard);
    void (*end_shard)(void *context);
    /* Segments first..last are not there although later ones are. */
    void (*missing)(void *context, uint32_t first, uint32_t last);
    /* A file that is no segment: is_unfinished when a crash explains that. */
    void (*unreadable)(void *context, uint32_t sequence, bool is_unfinished);
    void (*begin_segment)(void *context, const struct segment_reader *segment);
    void (*record)(void *context, const struct record *record, bool is_alone);
    void (*damage)(void *context, uint32_t offset, uint32_t len, const struct record *header);
    void (*torn)(void *context, uint32_t offset, uint32_t len);
    void (*end_segment)(void *context, const struct record_scan_result *result);
};

/* 0 or -errno; -EBUSY while a server has the spool open. */
must_use int spool_walk(const char *spool, const struct spool_walk *walk);
