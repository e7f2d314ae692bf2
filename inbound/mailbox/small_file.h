/*
 * small_file.h - a file that is written whole, beside a Maildir.
 *
 * Blocks; any thread.
 */
#pragma once

#include "base/bytes.h"

/* `name` in the directory holds `text`, durably, or still what it held. What `temporary` names is
 * written over. 0 or -errno. */
must_use int small_file_write(int directory, const char *name, const char *temporary,
                              struct bytes text);
