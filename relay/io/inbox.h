/*
 * inbox.h - letters from any thread to one engine: a lock-free stack, reversed when drained.
 *
 * The doorbell is rung only for an engine that sleeps or is about to: it says so before it looks
 * into the inbox for the last time, posters look after they posted, and with sequential
 * consistency one of the two sees the other.
 *
 * Internal to relay/io: the engine and its fake.
 */
#pragma once

#include <stdatomic.h>

#include "io/engine.h"

struct inbox {
    /* Written by other threads, hence on a line of their own. */
    _Alignas(64) _Atomic(struct letter *) posted; /* newest first */
    atomic_bool is_asleep;
    atomic_bool is_stopped;
    atomic_uint visitors;              /* threads inside a post or a stop */
    _Alignas(64) struct letter *taken; /* oldest first; the engine's */
};

void inbox_init(struct inbox *inbox);
/* Waits for threads that are still ringing: what they posted may be why the engine ends. */
void inbox_destroy(struct inbox *inbox);
/* Any thread, between inbox_enter() and inbox_leave(). True: ring the doorbell. */
must_use bool inbox_post(struct inbox *inbox, struct letter *letter);
must_use bool inbox_stop(struct inbox *inbox);
void inbox_enter(struct inbox *inbox);
void inbox_leave(struct inbox *inbox);

/* The next letter, or NULL. The engine's thread, like everything below. */
struct letter *inbox_take(struct inbox *inbox);
/* True: nothing is there and whoever posts from now on rings. */
must_use bool inbox_fall_asleep(struct inbox *inbox);
void inbox_wake_up(struct inbox *inbox);
/* Whether inbox_stop() was called since the last time. */
bool inbox_was_stopped(struct inbox *inbox);
