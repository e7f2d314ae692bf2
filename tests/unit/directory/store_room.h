/* store_room.h - a directory of a test's own with a database in it. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "directory/store.h"
#include "support/unit.h"

enum { STORE_ROOM_FILE_MAX = 320 };

struct store_room {
    char path[64];
};

static inline void store_room_make(struct store_room *room)
{
    snprintf(room->path, sizeof(room->path), "/tmp/ringpost-store-XXXXXX");
    assert_non_null(mkdtemp(room->path));
}

static inline void store_room_file(const struct store_room *room, const char *name,
                                   char out[static STORE_ROOM_FILE_MAX])
{
    snprintf(out, STORE_ROOM_FILE_MAX, "%s/%s", room->path, name);
}

/* Everything in it goes; it has no folders but those of keys. */
static inline void store_room_drop(const struct store_room *room)
{
    char command[sizeof(room->path) + sizeof("rm -rf -- ''")];

    snprintf(command, sizeof(command), "rm -rf -- '%.*s'", (int)sizeof(room->path) - 1, room->path);
    assert_int_equal(system(command), 0);
}

static inline struct store *store_room_open(const struct store_room *room)
{
    enum store_result result;
    char why[STORE_WHY_MAX] = "";
    struct store *store = store_open(room->path, STORE_MAKE, STORE_PATIENCE_MS, &result, why);

    if (store == NULL)
        fail_msg("store: %s", why);
    return store;
}
