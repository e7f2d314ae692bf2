/*
 * privacy_rows.h - the key of hashed local parts, and whose are: from state_dir to
 * event/event_privacy.h.
 *
 * The key is state_dir/keys/privacy.key, 16 random bytes, made once: with another one the same
 * address has another hash. Thread: one at a time; blocks.
 */
#pragma once

#include "base/siphash.h"

/* The key that is there, without making one. False: there is none that the caller may read. */
bool privacy_key_read(const char *state_dir, struct siphash_key *key_out);
/* Reads both. While the rules were never read, no tenant's local parts are shown. False after it
 * was logged; then the rules stay as they were. */
bool privacy_rows_load(const char *state_dir, bool is_first);
