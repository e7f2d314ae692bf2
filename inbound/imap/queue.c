/* queue.c - who looks at the folder Queue, and when. */
#include "inbound/imap/queue.h"

static bool is_shown(const struct imap_work *work, struct bytes name)
{
    return work->access.tenant != NULL && bytes_equal(name, QUEUE_NAME);
}

static void keep(struct imap_work *work, bool is_kept)
{
    const struct access_mirrors *mirrors = work->access.owner->setup.mirrors;

    work->keeps_queue = is_kept;
    mirrors->keep(mirrors->context, work->access.domain, work->access.local, work->access.tenant,
                  is_kept);
}

void queue_refresh(struct imap_work *work, struct bytes name)
{
    const struct access_mirrors *mirrors = work->access.owner->setup.mirrors;

    if (is_shown(work, name))
        mirrors->refresh(mirrors->context, work->access.domain, work->access.local,
                         work->access.tenant);
}

void queue_keep(struct imap_work *work, struct bytes name)
{
    if (is_shown(work, name) && !work->keeps_queue)
        keep(work, true);
}

void queue_let_go(struct imap_work *work)
{
    if (work->keeps_queue)
        keep(work, false);
}
