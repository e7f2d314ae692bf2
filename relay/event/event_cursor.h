/*
 * event_cursor.h - the small file that says what the event files durably hold.
 *
 * Private to relay/event. Text, with a checksum in its last line; replaced whole, by rename.
 */
#pragma once

#include "event/event_file.h"

struct event_cursor {
    uint64_t number;   /* the one current.jsonl will have when closed */
    uint64_t len;      /* bytes of it that count; behind them nothing was committed */
    int64_t opened_ms; /* wall; when it was begun, for rotation by age; 0: it is empty */
    uint64_t events;   /* up to `len`, of all files since the first; 0 also where it is not known */
    struct event_cursors cursors;
};

/* 0; -ENOENT: there is none; -EBADMSG: it is damaged; -ENOTSUP: of a later version; -errno. */
must_use int event_cursor_read(int directory_fd, struct event_cursor *out);
/* Durable when it returns 0; else the old one or the new one stands. */
must_use int event_cursor_write(int directory_fd, const struct event_cursor *cursor);
