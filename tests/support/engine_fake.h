/*
 * engine_fake.h - what tests may do to the fake engine beyond engine.h.
 *
 * The fake does what the ring does, by plain system calls at the time it chooses: ops that could go
 * on are performed in seeded random order, some a few turns late, sends and receives in part; a
 * cancelled op may still succeed, or end later with -ECANCELED. Received bytes stand in an
 * allocation of exactly their size, and memory of an op is touched when the op ends, so that
 * AddressSanitizer sees what is used too long or freed too early. engine_destroy() insists that
 * nothing is in flight and every buffer was given back.
 *
 * The clock is virtual: it stands still until a test moves it. Turns wait in real time for
 * descriptors and letters.
 *
 * Thread: the engine's.
 */
#pragma once

#include "io/engine.h"

/* Seed of engines that this thread creates from now on; else $FAKE_SEED, else 1. A test that loops
 * over seeds prints the one that failed. */
void fake_seed(uint64_t seed);
/* No randomness in this engine: first come first served, whole sends, no invented -ENOBUFS. */
void fake_calm(struct engine *engine);

/* Moves both clocks; what becomes due fires in the next turn. */
void fake_advance_ms(struct engine *engine, int64_t ms);
/* Moves the wall clock alone, forwards or back. */
void fake_step_wall_ms(struct engine *engine, int64_t ms);
/* A turn that finds nothing to do moves the clocks to the next timeout instead of waiting. Not for
 * tests in which another thread or process answers. */
void fake_clock_runs(struct engine *engine, bool runs);

enum fake_call {
    FAKE_ACCEPT,
    FAKE_CONNECT,
    FAKE_RECEIVE,
    FAKE_SEND,
    FAKE_READ,
    FAKE_WRITE,
    FAKE_WRITE_DURABLE,
    FAKE_SYNC,
    FAKE_POLL,
    FAKE_CALLS
};

enum { FAKE_EVERY = 0 };
/* The nth call from now (1: the next one; FAKE_EVERY: each) is not done and ends with -error. */
void fake_fail(struct engine *engine, enum fake_call call, unsigned nth, int error);
/* The nth call from now is done for the first `len` bytes only. */
void fake_shorten(struct engine *engine, enum fake_call call, unsigned nth, size_t len);
void fake_clear_faults(struct engine *engine);
unsigned fake_count(const struct engine *engine, enum fake_call call); /* performed or failed */
size_t fake_in_flight(const struct engine *engine);

/* A disk that is not the kernel's (disk_sim.h). A write belongs to it from begin to end: meanwhile
 * any part of it may have reached the disk, and its bytes must not change. */
struct fake_disk {
    bool (*owns)(int fd);
    void *(*begin_write)(int fd, struct bytes bytes, uint64_t offset, bool is_durable);
    /* Bytes, at most `limit`, or -errno; a limit below 0 is the -errno it shall fail with. */
    int (*end_write)(void *write, int limit);
    int (*read)(int fd, void *into, size_t len, uint64_t offset);
};
/* For engines of this thread, also those in being; NULL: none. */
void fake_disk(const struct fake_disk *disk);
