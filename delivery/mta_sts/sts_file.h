/*
 * sts_file.h - mta_sts.db: the policies over restarts. Private to this folder.
 *
 * A row a domain; times are wall time. Thread: one at a time, the store's lock is held.
 */
#pragma once

#include "auth/mta_sts/record.h"
#include "delivery/mta_sts/sts_policy.h"

struct sts_file;

/* NULL after it was told that it cannot be used, or where there is none to be read. */
struct sts_file *sts_file_open(const char *state_dir, bool is_readonly);
void sts_file_close(struct sts_file **file);
/* Every policy that still holds; what does not read back is left out and told. */
void sts_file_load(struct sts_file *file,
                   void (*row)(void *context, struct bytes domain, struct sts_policy *policy),
                   void *context);
/* In place of what was there. False after it was told. */
bool sts_file_put(struct sts_file *file, struct bytes domain, const struct sts_policy *policy);
bool sts_file_forget(struct sts_file *file, struct bytes domain);
