/* work.c - the maildrop and its commands as a work. */
#include "inbound/pop3/work.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"

static bool run_open(struct pop3_work *work)
{
    struct mail_accounts *accounts = work->access.owner->setup.accounts;
    int more = accounts == NULL ? -EIO : maildrop_open(accounts, &work->maildrop);

    if (more > 0)
        return false;
    if (more < 0) {
        log_limited(LOG_LEVEL_ERROR,
                    "account=%s@%s service=pop3 what=\"the mailbox cannot be opened: %s\"",
                    LOG_STRING(work->maildrop.local), LOG_STRING(work->maildrop.domain),
                    strerror(-more));
        pop3_work_put(work, BYTES("-ERR [SYS/TEMP] The mailbox cannot be opened now\r\n"));
        work->access.is_last = true;
    } else {
        pop3_work_printf(work, "+OK Logged in, %zu messages\r\n", work->maildrop.count);
    }
    return true;
}

enum step pop3_work_open(struct pop3_work *work)
{
    return pop3_work_begin(work, run_open);
}

enum step pop3_work_begin(struct pop3_work *work, bool (*run)(struct pop3_work *work))
{
    work->run = run;
    work->is_quick = false;
    return access_work_begin(&work->access);
}

enum step pop3_work_begin_quick(struct pop3_work *work, bool (*run)(struct pop3_work *work))
{
    work->run = run;
    work->is_quick = true;
    return access_work_begin(&work->access);
}

void pop3_work_init(struct access_work *access)
{
    maildrop_init(&pop3_work_from(access)->maildrop, bytes_of(access->domain),
                  bytes_of(access->local), access->quota);
}

bool pop3_work_run(struct access_work *access)
{
    struct pop3_work *work = pop3_work_from(access);

    return work->run(work) || access->is_last;
}

bool pop3_work_enter(struct access_work *access)
{
    struct pop3_work *work = pop3_work_from(access);

    return work->is_quick && mailbox_hold(work->maildrop.mailbox);
}

void pop3_work_leave(struct access_work *access)
{
    mailbox_let_go(pop3_work_from(access)->maildrop.mailbox);
}

void pop3_work_close(struct access_work *access)
{
    maildrop_close(&pop3_work_from(access)->maildrop);
}

void pop3_work_free(struct access_work *access)
{
    maildrop_free(&pop3_work_from(access)->maildrop);
}
