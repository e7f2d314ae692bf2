/*
 * event_archive.h - the closed event files of a directory: their names, order, compression and end.
 *
 * Private to relay/event. A number is given once and grows: it is the order. Between compressing
 * and removing the plain file both exist; the list then names the compressed one.
 */
#pragma once

#include "base/buf.h"
#include "base/clock.h"

struct event_archive {
    uint64_t number;
    int64_t closed_ms; /* wall, whole seconds */
    bool is_compressed;
};

enum { EVENT_ARCHIVE_NAME_MAX = 80 };
#define EVENT_CURRENT_NAME "current.jsonl"

/* "events-20261124T031000Z-17.jsonl", with ".zst" behind it when compressed. */
void event_archive_name(const struct event_archive *archive,
                        char out[static EVENT_ARCHIVE_NAME_MAX]);
must_use bool event_archive_parse(const char *name, struct event_archive *out);
/* By number, the oldest first; *list_out is for free(). 0 or -errno. */
must_use int event_archive_list(int directory_fd, struct event_archive **list_out,
                                size_t *count_out);
struct event_retention {
    int64_t age_max_ms;
    uint64_t bytes_max;
    uint64_t keep_from; /* a number: from it on everything stays */
};
/* Removes what is older than age_max_ms, then the oldest beyond bytes_max; logs what. */
struct event_age;
must_use int event_archive_retain(int directory_fd, const struct event_age *age,
                                  struct clocks clocks, const struct event_retention *retention);
/* Removes what an interrupted compression left behind. */
void event_archive_clean(int directory_fd);

/* Compresses a closed file a slice at a time, so that the publisher's thread is never away long. */
struct event_packer;
must_use int event_packer_start(int directory_fd, const struct event_archive *archive,
                                struct event_packer **packer_out);
/* 1: done, the plain file is gone and *packer is NULL; 0: more to do; -errno: given up, *packer is
 * NULL and the plain file still there. */
must_use int event_packer_step(struct event_packer **packer);
void event_packer_abandon(struct event_packer **packer);
