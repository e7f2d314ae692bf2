/*
 * srs_secret.h - the secrets that senders of forwarded mail are rewritten with:
 * state_dir/keys/srs.key.
 *
 * The file holds one secret a line, each at least SRS_KEY_LEN_MIN octets: the first signs, each
 * reads. It is made at the first start, one line of 64 random hex digits. Who replaces one puts a
 * new line before it, restarts, and takes the old one out SRS_DAYS_MAX days later.
 *
 * Thread: one at a time; blocks.
 */
#pragma once

#include "auth/srs/srs.h"

/* 0; -errno, -EBADMSG for a file that holds no secret. What it reads lives as long as the program;
 * called once. */
must_use int srs_secret_open(const char *state_dir, struct srs_keys *out);
