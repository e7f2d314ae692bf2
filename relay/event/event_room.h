/*
 * event_room.h - blocks that current.jsonl has before it needs them.
 *
 * Events of deliveries must find room on a disk that is full: until they are in the files the spool
 * keeps their segments, and so the disk stays full. The file has blocks behind its end, therefore,
 * which nobody else can take. Where a file system cannot set blocks aside nothing is promised and
 * the room counts as there until a write fails.
 *
 * Thread: the event file's. Blocks.
 */
#pragma once

#include "base/bytes.h"

enum { EVENT_ROOM_MIN = 1 << 20, EVENT_ROOM_MAX = 32 << 20 }; /* bytes */

struct event_room {
    uint64_t wanted; /* a sixteenth of the file system, within the bounds */
    uint64_t end;    /* offset in the file up to which there are blocks */
    bool is_unsupported;
};

/* For a file that was just opened or made. What an earlier run set aside in it is found again. */
void event_room_init(struct event_room *room, int fd);
/* Sets blocks aside behind `len`, the bytes written so far; on a full disk as many as there are.
 * Cheap while there are enough. */
void event_room_keep(struct event_room *room, int fd, uint64_t len);
/* At least half of what is wanted is there: attempts may begin. */
bool event_room_is_enough(const struct event_room *room, uint64_t len);
/* Gives back what a file has behind its end, for one that is closed. */
void event_room_release(int fd, uint64_t len);
