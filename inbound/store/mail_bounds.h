/*
 * mail_bounds.h - a folder that what is filed there does not let grow for ever: the newest stay.
 *
 * What counts is what filing put there, by the names of the files. Of that no message goes which is
 * flagged (\Flagged), and none that somebody copied or moved there.
 *
 * Blocks; any thread. Errors are -errno.
 */
#pragma once

#include "inbound/store/maildir.h"

struct mail_bounds {
    uint32_t messages_max;
};

/* Removes the oldest beyond that. `folder` is encoded and exists. */
must_use int mail_bounds_keep(const struct maildir *maildir, const char *folder,
                              const struct mail_bounds *bounds, struct maildir_usage *removed_out);

/* Pure: whether a file of that name may go, and when its message was accepted. */
must_use bool mail_bounds_may_go(struct bytes name, int64_t *time_s_out);
