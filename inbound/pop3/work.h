/*
 * work.h - what a session has from its login on: the maildrop, and the command that reads or
 * changes it (inbound/access/work.h). Private to the folder.
 */
#pragma once

#include "inbound/access/work.h"
#include "inbound/pop3/maildrop.h"
#include "inbound/pop3/session.h"

struct pop3_work {
    struct access_work access;
    struct maildrop maildrop;
    bool (*run)(struct pop3_work *work); /* of the command; true: it is over */
    bool is_quick;                       /* it may be run on the engine */
};

static inline struct pop3_work *pop3_work_from(struct access_work *access)
{
    return container_of(access, struct pop3_work, access);
}
/* Of who logged in. */
static inline struct pop3_work *pop3_work_of(const struct pop3_session *session)
{
    return pop3_work_from(session->access.work);
}

/* The kind's (inbound/access/session.h). */
void pop3_work_init(struct access_work *access);
bool pop3_work_run(struct access_work *access);
bool pop3_work_enter(struct access_work *access);
void pop3_work_leave(struct access_work *access);
void pop3_work_close(struct access_work *access);
void pop3_work_free(struct access_work *access);

/* On the engine: run() is called on the pool; the session waits in ACCESS_WORK. A quick one is
 * called on the engine while all that it needs is in memory. */
enum step pop3_work_begin(struct pop3_work *work, bool (*run)(struct pop3_work *work));
enum step pop3_work_begin_quick(struct pop3_work *work, bool (*run)(struct pop3_work *work));
/* The first: the maildrop is opened, and the login answered. */
enum step pop3_work_open(struct pop3_work *work);

/* In a slice. */
static inline bool pop3_work_is_full(const struct pop3_work *work)
{
    return access_work_is_full(&work->access);
}
static inline void pop3_work_put(struct pop3_work *work, struct bytes b)
{
    access_put(&work->access, b);
}
#define pop3_work_printf(work, ...) access_printf(&(work)->access, __VA_ARGS__)
