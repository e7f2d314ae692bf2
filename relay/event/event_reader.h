/*
 * event_reader.h - reads the event files from any place on, line by line, each with its place.
 *
 * It is how every sink reads: never behind what is committed, so that nothing it hands out is cut
 * by a crash and written anew. It follows rotation and compression, and it does not step over what
 * is gone: that is told, and the caller says where to go on (event_reader_seek).
 *
 * Thread: one at a time; blocks.
 */
#pragma once

#include "base/buf.h"
#include "event/event_bounds.h"

struct event_reader;

/* 0 or -errno: no such directory. `from` need not exist. */
must_use int event_reader_open(const char *directory, struct event_place from,
                               struct event_reader **reader_out);
void event_reader_close(struct event_reader **reader);

/* The next line before `until` (what is committed): 1 and the line without its line feed, valid
 * until the next call; 0: that is all for now; -ENOENT: its file is gone; -EBADMSG: its file does
 * not decompress further; -errno. After an error the place is that of the first line that was not
 * read. */
must_use int event_reader_next(struct event_reader *reader, struct event_place until,
                               struct bytes *line_out);
/* After 0 before `until`: the file is there and ends too early. What is committed was on disk
 * before anybody heard of it, so it was cut since then, and waiting brings nothing. */
bool event_reader_is_short(const struct event_reader *reader, struct event_place until);
/* Behind the line that was handed out last. */
struct event_place event_reader_place(const struct event_reader *reader);
/* Costs nothing where that is the line that was handed out last. Else a compressed file is read
 * from its beginning, or on from where it was. */
void event_reader_seek(struct event_reader *reader, struct event_place place);

/* The number of the oldest file from `number` on, which is that of `until` where no closed one is
 * there. 0 or -errno. */
must_use int event_reader_oldest(struct event_reader *reader, uint64_t number,
                                 struct event_place until, uint64_t *number_out);
/* The number of the oldest closed file that can hold an event since `since_ms` (wall), else that of
 * `until`. 0 or -errno. */
must_use int event_reader_since(struct event_reader *reader, int64_t since_ms,
                                struct event_place until, uint64_t *number_out);
/* Closed files, in bytes on disk. */
struct event_held {
    uint64_t bytes;
    uint64_t packed; /* of them, of files that are compressed already */
};
/* Of those from `number` on; UINT64_MAX: of none. 0 or -errno. */
must_use int event_reader_held(struct event_reader *reader, uint64_t number,
                               struct event_held *held_out);
/* Counts the events from its place on to `until` and stays there; stops early, with -ECANCELED,
 * once *stop is true. 0 or -errno as event_reader_next(). */
must_use int event_reader_count(struct event_reader *reader, struct event_place until,
                                const _Atomic bool *stop, uint64_t *count_out);
