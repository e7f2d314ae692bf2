/*
 * allowance.h - how much a tenant may send in a time, counted once for the whole process.
 *
 * A message counts as often as it has recipients. Of three kinds of limit
 *
 *   per second   a bucket: so many a second in the long run, in no second more than the limit, a
 *                twentieth of it and one
 *   per hour, day, month   rates: of what is let go in an hour, day or month of UTC
 *   quotas of a day, a month   of what is accepted in one
 *
 * rates make mail wait and quotas have it refused. What waits is counted, so that there can be a
 * backlog and an end of it. All of it is exact: an engine takes what it uses out of atomics, and no
 * lock is held.
 *
 * Periods are those of a clock that is right when the program starts and runs on from there:
 * setting the wall clock meanwhile moves none of them. A count that a start finds of a period that
 * is still to come is taken for the present one's: the clock was set back, and nothing is
 * forgotten.
 *
 * Who has no limits has no atomics: what is known of it is what events told, so that a limit that
 * is set finds all but the last of it. How much was sent stays over restarts: it is noted from
 * events, and what was noted is kept by relay/tenant_book.h.
 *
 * Thread: any.
 */
#pragma once

#include <stdatomic.h>

#include "base/bytes.h"

enum allowance_limit {
    ALLOWANCE_PER_SECOND,
    ALLOWANCE_PER_HOUR, /* these three in the order of the periods */
    ALLOWANCE_PER_DAY,
    ALLOWANCE_PER_MONTH,
    ALLOWANCE_QUOTA_DAY,
    ALLOWANCE_QUOTA_MONTH,
    ALLOWANCE_BACKLOG,
    ALLOWANCE_LIMIT_COUNT
};

enum { ALLOWANCE_BACKLOG_DEFAULT = 100000 };

/* "messages_per_second": as operators know it. */
const char *allowance_limit_name(enum allowance_limit limit);

struct allowance_limits {
    uint32_t max[ALLOWANCE_LIMIT_COUNT]; /* 0: none; of the backlog: the default */
};

/* Does anything of it make mail wait, or have it refused? */
bool allowance_limits_any(const struct allowance_limits *limits);

enum allowance_count {
    ALLOWANCE_SENT_HOUR, /* let go */
    ALLOWANCE_SENT_DAY,
    ALLOWANCE_SENT_MONTH,
    ALLOWANCE_ACCEPTED_DAY,
    ALLOWANCE_ACCEPTED_MONTH,
    ALLOWANCE_COUNTS
};

/* A moment: monotonic, and which hour, day and month it is in. */
struct allowance_moment {
    int64_t now_ms;
    uint32_t number[ALLOWANCE_COUNTS]; /* of the period of each count */
};

/* The periods' clock: at that monotonic time it is that time of the wall clock. Once, before
 * anything is counted. */
void allowances_begin(int64_t now_ms, int64_t wall_ms);
struct allowance_moment allowance_moment(int64_t now_ms);
/* The same of a time of the wall clock, as events have it; now_ms is not set. */
struct allowance_moment allowance_moment_of_wall(int64_t wall_ms);
/* What the periods' clock says: seconds since 1970. */
int64_t allowance_clock_s(int64_t now_ms);
/* When the period of a count ends: monotonic. */
int64_t allowance_period_end_ms(const struct allowance_moment *moment, enum allowance_count count);

struct allowance {
    uint32_t tenant;
    /* Of the bucket: monotonic ns from which on one more may go. */
    _Alignas(64) _Atomic int64_t next_ns;
    _Atomic uint64_t counts[ALLOWANCE_COUNTS]; /* number of the period << 32 | in it */
    _Atomic uint32_t waiting;
};

/* By the tenant's row in the directory. Made if new, never NULL, and never gone: as many as there
 * are tenants with limits. `name` is what its counts are kept under over restarts. */
struct allowance *allowance_get(uint32_t tenant, struct bytes name, int64_t now_ms);
void allowances_forget(void); /* all of them: for tests, nobody holds one */

/* What is known of a tenant from before: counts as in struct allowance. */
void allowance_remember(struct bytes name, const uint64_t counts[static ALLOWANCE_COUNTS]);
/* False until a start has been told all that was before it: then nothing is let go, and whoever
 * wants an admission is to wait. True where nobody says otherwise. */
void allowances_are_known(bool are_known);
bool allowances_known(void);
/* An event tells that one more was accepted (ALLOWANCE_ACCEPTED_DAY, which counts its month too) or
 * sent (ALLOWANCE_SENT_HOUR, which counts day and month), at now_ms, or before the start: then
 * wall_ms, which may be of a clock that was wrong, says when. Also of a tenant without limits, so
 * that those that are set know of what came before them. */
void allowance_note(struct bytes name, enum allowance_count what, int64_t now_ms, bool is_late,
                    int64_t wall_ms);
/* What was noted and remembered, of all, or of those that changed since they were visited. */
void allowances_visit(bool changed_only,
                      void (*visit)(void *context, struct bytes name,
                                    const uint64_t counts[static ALLOWANCE_COUNTS]),
                      void *context);
/* Of a tenant that has an allowance, in `moment`. */
uint32_t allowance_used(struct allowance *allowance, const struct allowance_moment *moment,
                        enum allowance_count count);

/* What stops so many more from being let go now, ALLOWANCE_LIMIT_COUNT: nothing, and they are
 * counted. *until_ms_out: monotonic, when it may be asked again. */
must_use enum allowance_limit allowance_take(struct allowance *allowance,
                                             const struct allowance_limits *limits,
                                             const struct allowance_moment *moment, uint32_t count,
                                             int64_t *until_ms_out);

/* What holds those that wait: a count that is used up, else the bucket, else any rate there is;
 * ALLOWANCE_LIMIT_COUNT: none, they may go. */
enum allowance_limit allowance_stopper(struct allowance *allowance,
                                       const struct allowance_limits *limits,
                                       const struct allowance_moment *moment);
/* About when the last of so many that wait is let go, by what holds the first: monotonic. */
int64_t allowance_foresee_ms(const struct allowance_limits *limits,
                             const struct allowance_moment *moment, enum allowance_limit limit,
                             uint32_t waiting);

enum admission_kind {
    ADMISSION_NONE,    /* not limited, or given back */
    ADMISSION_LET,     /* may be sent at once */
    ADMISSION_WAITS,   /* accepted, and among those that wait */
    ADMISSION_BACKLOG, /* not accepted: too many wait */
    ADMISSION_QUOTA,   /* not accepted: too many were */
};

/* A message that is to be accepted, and what stopped it. */
struct admission {
    struct allowance *allowance;
    struct allowance_moment moment;
    uint8_t kind;     /* enum admission_kind */
    uint8_t limit;    /* enum allowance_limit; LET: none */
    uint32_t count;   /* recipients */
    uint32_t max;     /* of the limit */
    int64_t until_ms; /* monotonic: WAITS: about when the last of it is let go; QUOTA: its end */
};

/* Before content comes for nothing: ADMISSION_BACKLOG and _QUOTA as far as one recipient goes, else
 * ADMISSION_NONE. Counts nothing. */
struct admission admission_foresee(struct allowance *allowance,
                                   const struct allowance_limits *limits, int64_t now_ms);
struct admission admission_ask(struct allowance *allowance, const struct allowance_limits *limits,
                               uint32_t count, int64_t now_ms);
/* It was not accepted after all. */
void admission_give_back(struct admission *admission);

/* So many recipients that were not counted when they were accepted wait; or do so no more, whether
 * they were let go or ended. */
void allowance_wait(struct allowance *allowance, uint32_t count);
void allowance_wait_over(struct allowance *allowance, uint32_t count);
