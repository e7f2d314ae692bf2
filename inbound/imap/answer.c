/* answer.c - what a work puts out. */
#include "inbound/imap/work.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

enum work_step work_answer(struct imap_work *work, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(work->answer, sizeof(work->answer), format, args);
    va_end(args);
    work->has_answer = true;
    return WORK_DONE;
}

enum work_step work_bye(struct imap_work *work, const char *text)
{
    work_printf(work, "* BYE %s\r\n", text);
    work->access.is_last = true;
    return WORK_DONE;
}

enum work_step work_fail(struct imap_work *work, int error)
{
    static const struct {
        int error;
        const char *answer;
    } rows[] = {
        {ENOENT, "NO [NONEXISTENT] There is no such mailbox"},
        {EEXIST, "NO [ALREADYEXISTS] There is a mailbox of that name"},
        {EINVAL, "NO [CANNOT] That cannot be a mailbox, or not this one"},
        {EMFILE, "NO [LIMIT] There are too many mailboxes"},
        {EROFS, "NO [NOPERM] That mailbox can only be read"},
        {EDQUOT, "NO [OVERQUOTA] The mailbox is full"},
        {EFBIG, "NO [OVERQUOTA] The message is larger than the whole quota"},
        {ENOSPC, "NO [UNAVAILABLE] The disk is full, try again later"},
        {ENOMEM, "NO [UNAVAILABLE] Out of memory, try again later"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].error == -error)
            return work_answer(work, "%s", rows[i].answer);
    log_limited(LOG_LEVEL_ERROR, "account=%s@%s what=\"an IMAP command failed: %s\"",
                LOG_STRING(work->access.local), LOG_STRING(work->access.domain), strerror(-error));
    return work_answer(work, "NO [UNAVAILABLE] The mail cannot be read or written now");
}
