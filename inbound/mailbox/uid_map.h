/*
 * uid_map.h - dovecot-uidlist as others wrote it, to be asked by names of files. One thread.
 * Private to this folder.
 */
#pragma once

#include "inbound/mailbox/uidlist.h"

struct uid_map {
    struct uidlist_header header;
    struct buf text;
    struct uidlist_line *lines; /* by name */
    size_t count, capacity;
};

/* 0; -ENOENT: there is none, or it makes no sense; or why it cannot be read. */
must_use int uid_map_read(int folder, struct uid_map **map_out);
void uid_map_free(struct uid_map **map);
/* NULL: it does not know. */
const struct uidlist_line *uid_map_find(const struct uid_map *map, struct bytes base);
