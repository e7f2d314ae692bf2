/*
 * ledger.h - a file of lines: what was promised, what arrived.
 *
 * Several threads may write the same file, each with a ledger of its own: the file is opened for
 * appending and only whole lines are written. `bench/ledger` compares the files of load and sink.
 * One thread.
 */
#pragma once

#include "base/buf.h"

struct ledger {
    int fd; /* -1: nothing is kept */
    bool is_immediate;
    bool has_failed; /* a write failed; lines are missing */
    struct buf lines;
};

/* path NULL: a ledger that keeps nothing. is_immediate: each line is written at once, so that it
 * survives a kill of the process. 0 or -errno. */
must_use int ledger_open(struct ledger *ledger, const char *path, bool is_immediate);
/* The parts of one line, without its newline. */
void ledger_line(struct ledger *ledger, const struct bytes *parts, size_t count);
void ledger_flush(struct ledger *ledger);
void ledger_close(struct ledger *ledger); /* with a flush */
