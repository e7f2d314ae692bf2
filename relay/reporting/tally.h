/*
 * tally.h - what is to be reported: messages by what DMARC found of them, sessions by what became
 * of their TLS, each for a domain and a day (UTC); and which reports were sent.
 *
 * A database, reports.db in the state directory (SQLite, WAL). What was counted and how far the
 * event files were read for it are one transaction: a crash counts nothing twice and leaves
 * nothing out. A report that is closed takes nothing more: what comes late for it counts to the
 * next day. Bounded: TALLY_DOMAINS_MAX domains a day and kind, TALLY_ROWS_MAX rows of each,
 * TALLY_DAYS days; what has no room is a number.
 *
 * Thread: one at a time; blocks. Readers in other processes do not disturb.
 */
#pragma once

#include "base/bytes.h"
#include "event/event_bounds.h"

enum {
    TALLY_DOMAINS_MAX = 20000,
    TALLY_ROWS_MAX = 10000,
    TALLY_DAYS = 14,
    TALLY_WHY_MAX = 256,
    TALLY_DOMAIN_MAX = 253,
    TALLY_ANY_DAY = -1,
};

enum tally_kind { TALLY_DMARC, TALLY_TLS };
const char *tally_kind_name(enum tally_kind kind); /* "dmarc" */

enum tally_state {
    TALLY_OPEN,     /* counts */
    TALLY_CLOSED,   /* is being sent */
    TALLY_SENT,     /* to each address that takes it */
    TALLY_UNWANTED, /* the domain asks for none */
    TALLY_FAILED,   /* given up */
};
const char *tally_state_name(enum tally_state state); /* "sent" */

/* One report. Texts live until the next call for the same list, or the end of the visit. */
struct tally_report {
    enum tally_kind kind;
    int64_t day; /* days since 1970 */
    struct bytes domain;
    struct bytes policy; /* DMARC: as counted last (dmarc_count.h); else empty */
    uint64_t rows, total, left_out;
    enum tally_state state;
    unsigned tries;
    int64_t next_ms;   /* wall: not tried before */
    struct bytes said; /* what became of it, for people */
};

/* Which columns there are is what kinds of tally rows have in common: DMARC's are source_ip,
 * disposition, dkim, spf, reason, header_from, envelope_from, auth; TLS' are policy_type,
 * policy_domain, result, source_ip, mx_host, mx_ip, reason, "". */
enum { TALLY_COLUMNS = 8 };
struct tally_row {
    struct bytes columns[TALLY_COLUMNS];
    uint64_t count;
};

struct tally;

/* NULL with a sentence. `is_readonly`: for commands; -ENOENT's sentence where there is none yet. */
struct tally *tally_open(const char *state_dir, bool is_readonly, char why[static TALLY_WHY_MAX]);
void tally_close(struct tally **tally);
const char *tally_why(const struct tally *tally); /* of what failed last */
/* Reports that begin to be counted from now on are due at a time of their own within so long behind
 * the end of their day, so that not all are sent at midnight. */
void tally_spread(struct tally *tally, unsigned spread_s);

/* All false: the database takes it not; the transaction is to be taken back. */
must_use bool tally_begin(struct tally *tally);
must_use bool tally_commit(struct tally *tally);
void tally_take_back(struct tally *tally);

must_use bool tally_place(struct tally *tally, struct event_place *place_out); /* 0: none yet */
must_use bool tally_set_place(struct tally *tally, struct event_place place);

/* Counts row->count into the row; within a transaction. `policy` is kept as the report's. */
must_use bool tally_add(struct tally *tally, enum tally_kind kind, int64_t day, struct bytes domain,
                        struct bytes policy, const struct tally_row *row);
/* The first report, by day and domain, that is open or closed and due, of a day before `day` or
 * hurried; false in *has_out: none. What it points to lives until the next call. */
must_use bool tally_next_due(struct tally *tally, int64_t day, int64_t now_ms,
                             struct tally_report *out, bool *has_out);
/* Of a day (TALLY_ANY_DAY: all) and domain (empty: all), newest first; visit() false: enough. */
must_use bool tally_reports(struct tally *tally, enum tally_kind kind, int64_t day,
                            struct bytes domain,
                            bool (*visit)(void *context, const struct tally_report *report),
                            void *context);
/* Rows of a report, the largest count first. */
must_use bool tally_rows(struct tally *tally, const struct tally_report *report,
                         void (*visit)(void *context, const struct tally_row *row), void *context);
/* Moves a report on. `said` for people. */
must_use bool tally_settle(struct tally *tally, const struct tally_report *report,
                           enum tally_state state, unsigned tries, int64_t next_ms,
                           const char *said);
/* An address of a report that was served; asked before it is served again. */
must_use bool tally_add_target(struct tally *tally, const struct tally_report *report,
                               struct bytes target);
must_use bool tally_has_target(struct tally *tally, const struct tally_report *report,
                               struct bytes target, bool *has_out);
/* A POST to an address that may come to be unclear, whether it was taken: durable before it begins,
 * and taken back by end, once it is known that it was not. How many of them there were. */
must_use bool tally_begin_post(struct tally *tally, const struct tally_report *report,
                               struct bytes target);
must_use bool tally_end_post(struct tally *tally, const struct tally_report *report,
                             struct bytes target);
must_use bool tally_unclear_posts(struct tally *tally, const struct tally_report *report,
                                  struct bytes target, unsigned *count_out);
/* Makes reports of a day and domain (empty: all) due at once, today's and those given up too, whose
 * unclear POSTs are forgotten, not what was sent; how many. */
must_use bool tally_hurry(struct tally *tally, enum tally_kind kind, int64_t day,
                          struct bytes domain, uint64_t *count_out);
/* Forgets days before `day`. */
must_use bool tally_forget(struct tally *tally, int64_t day);

/* "2026-11-28" <-> days since 1970. */
enum { TALLY_DAY_TEXT_MAX = 16 };
void tally_day_format(int64_t day, char out[static TALLY_DAY_TEXT_MAX]);
must_use bool tally_day_parse(struct bytes text, int64_t *day_out);
