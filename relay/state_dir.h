/*
 * state_dir.h - the one directory that is ours: checked, locked, and named.
 *
 *   lock          held (flock) by the serving process, with its pid inside
 *   node          this node's 16 bits, four hex digits, made once; part of every id
 *   login.key     32 secret bytes, made once (login_key.h)
 *   spool/        the shards (queue/shard.h)
 *   events/       the event files (event/event_file.h)
 *   suspensions.json   rules that hold mail back
 *   clock         since when the wall clock was not set (clock_file.h)
 *   control.sock  the control socket
 */
#pragma once

#include "base/bytes.h"

enum { STATE_DIR_WHY_MAX = 512 };

struct state_dir {
    const char *path;
    int lock_fd;
    uint16_t node;
};

/* Makes what is missing (0700), refuses a directory others can read, one that another process
 * serves, or one we cannot write. 0 or -errno with a sentence in why_out. Calls
 * event_set_node(). */
must_use int state_dir_open(const char *path, struct state_dir *out,
                            char why_out[static STATE_DIR_WHY_MAX]);
void state_dir_close(struct state_dir *state_dir);
/* The node of a directory that may be served meanwhile; makes nothing. 0, -ENOENT where it has none
 * yet, or -errno with the sentence of state_dir_open(). */
must_use int state_dir_look_at_node(const char *path, uint16_t *node_out,
                                    char why_out[static STATE_DIR_WHY_MAX]);
/* "path/name" into out; false if it does not fit. */
must_use bool state_dir_file(const char *path, const char *name, char *out, size_t out_size);
/* Gives a synced file its name for good: after 0 a power cut finds it there, whole. After -errno it
 * may have the name or not. */
must_use int state_dir_rename(const char *from, const char *to);
