/*
 * disk_sim.h - a disk in memory for the spool, whose power may fail at any moment.
 *
 * It takes the place of queue/disk.c at link time and stands behind the fake engine's reads and
 * writes, so every file operation of a shard comes here. It knows of each sector (512 bytes) what
 * stands on the platter and what was written since and is not durable yet; the same of each name
 * in a directory and of each file's size.
 *
 *   durable     what a durable write wrote, once it has ended; what was written before a sync of
 *               the file; names made, changed or removed before a sync of their directory
 *   not         all else: after a power cut each sector of it may be there or not, in any order,
 *               whole files too short, names old or new
 *
 * disk_sim_cut() makes the disk that a power cut at this moment leaves. It draws from: nothing that
 * is not durable is there; all of it; a beginning of each write; any sectors of any write; and then
 * perhaps the last sector of a torn write lies (garbage, or half of it old), and unwritten parts of
 * new files show what other files held. Directory operations are there up to one, or any of them.
 *
 * Thread: one. Descriptors are numbers beyond the kernel's.
 */
#pragma once

#include "base/bytes.h"

struct disk_sim;

#define DISK_SIM_ROOT "/state" /* the directory that every disk has */

struct disk_sim *disk_sim_create(uint64_t seed);
void disk_sim_free(struct disk_sim **disk); /* every file of it is closed */
/* Which one disk.h and the fake engine mean from now on. */
void disk_sim_use(struct disk_sim *disk);

/* The disk after a power cut now: all of it durable, no file open. */
struct disk_sim *disk_sim_cut(const struct disk_sim *disk, uint64_t seed);
/* New files that were never synced hold bytes nobody wrote there: rightly called damage. */
bool disk_sim_has_strange(const struct disk_sim *disk);

/* Called at every moment at which a cut may leave something else than before; begins_write: a write
 * of the engine is in flight from now on. */
void disk_sim_watch(struct disk_sim *disk, void (*moment)(void *context, bool begins_write),
                    void *context);

/* Operations so far: reads, writes, syncs, opens and all others that can fail. */
uint64_t disk_sim_count(const struct disk_sim *disk);
struct disk_sim_fault {
    uint64_t at, count; /* the operations that fail; count 0: none */
    int error;          /* errno; 0: reads and writes of the engine end short */
    bool spares_reads;  /* and opens: a disk that takes nothing */
};
/* Of a write that fails, any sectors are there: some for good, some until the power goes, or until
 * the file is synced (it was opened with O_DIRECT: they are in a cache of the disk's, not the
 * kernel's). A sync that fails leaves what it was for in doubt for good: a later one that succeeds
 * does not make it durable, as Linux has it. */
void disk_sim_fail(struct disk_sim *disk, struct disk_sim_fault fault);
/* Operations neither fail nor count: it is the test that looks. */
void disk_sim_calm(struct disk_sim *disk, bool is_calm);
bool disk_sim_has_failed(const struct disk_sim *disk); /* a fault has struck, ever */
