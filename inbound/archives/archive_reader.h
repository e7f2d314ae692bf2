/*
 * archive_reader.h - asks for the names in archives: processes that read them, and who waits.
 *
 * Threads of a pool send archives to processes of their own (archive_child.h), which are started
 * when they are needed, kept, and started anew where one died of what it read. An answer is checked
 * as a stranger's.
 *
 * Thread: archive_reader_ask() any; done() the engine's that asked.
 */
#pragma once

#include "inbound/archives/archive_names.h"
#include "io/blocking.h"

struct archive_reader;

struct archive_reader_settings {
    const char *const *command; /* how a process is started: argv, NULL behind it; its standard
                                 * input is what archive_child_run() answers; outlives the reader */
    unsigned threads;
    unsigned waiting_max;
    unsigned patience_ms; /* for a start, and for an answer: far beyond what CPU time allows, so
                           * that it is not too short on a busy machine */
};

/* One archive; zeroed but for what is named here. */
struct archive_question {
    struct bytes archive; /* until done() */
    unsigned members_max;
    struct engine *engine;
    void (*done)(struct archive_question *question);
    _Atomic bool is_let_go; /* nobody waits for it any more: what has not begun is not read */
    /* the answer */
    enum archive_result result;
    bool is_broken;     /* of ours, and not the archive's: no process could be started */
    struct buf members; /* archive_answer_next(); the caller's to free */
    /* private */
    struct archive_reader *reader;
    struct chore chore;
};

/* NULL with errno: no threads. */
struct archive_reader *archive_reader_start(const struct archive_reader_settings *settings);
/* All that was asked is answered before; clears *reader; NULL is fine. */
void archive_reader_stop(struct archive_reader **reader);
struct blocking_pool *archive_reader_pool(struct archive_reader *reader);
/* False: too many wait, and done() is not called. */
must_use bool archive_reader_ask(struct archive_reader *reader, struct archive_question *question);
/* The next member of an answer; its path lies in it. */
must_use bool archive_answer_next(struct bytes *answer, struct archive_member *member_out);
