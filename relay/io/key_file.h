/*
 * key_file.h - secret files below state_dir/keys, for nobody's eyes but the program's.
 *
 * Mode 0600 in folders of 0700, of whoever owns the state directory, also where root makes them;
 * durable when made. Thread: any; blocks.
 */
#pragma once

#include "base/buf.h"

/* Makes state_dir/keys/`file`, and its folder: `file` is NAME or FOLDER/NAME, made of names that
 * were checked. 0; -EEXIST: there is one; -ENAMETOOLONG; -errno. */
must_use int key_file_make(const char *state_dir, const char *file, struct bytes text);
/* Appends what stands in it. 0; -ENOENT; -EFBIG: more than `out` may hold; -errno. */
must_use int key_file_read(const char *state_dir, const char *file, struct buf *out);
/* And its folder where nothing else is in it. Nothing happens where it is not there. */
void key_file_remove(const char *state_dir, const char *file);
