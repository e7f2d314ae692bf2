/* uid_map.c - UIDs by names. */
#include "inbound/mailbox/uid_map.h"

#include <errno.h>
#include <stdlib.h>

#include "inbound/mailbox/file_read.h"

static void add(void *context, const struct uidlist_line *line)
{
    struct uid_map *map = context;

    if (map->count == map->capacity) {
        map->capacity = MAX(map->capacity * 2, (size_t)64);
        map->lines = realloc(map->lines, map->capacity * sizeof(*map->lines));
        check(map->lines != NULL);
    }
    map->lines[map->count++] = *line;
}

static int by_name(const void *a, const void *b)
{
    const struct uidlist_line *x = a, *y = b;
    int order = bytes_compare(x->base, y->base);

    return order != 0 ? order : (x->uid > y->uid) - (x->uid < y->uid);
}

int uid_map_read(int folder, struct uid_map **map_out)
{
    struct uid_map *map = calloc(1, sizeof(*map));

    check(map != NULL);
    buf_init(&map->text, UINT32_MAX);
    int error = file_read(folder, "dovecot-uidlist", &map->text);

    if (error == 0 && !uidlist_parse(buf_bytes(&map->text), &map->header, add, map))
        error = -ENOENT;
    if (error < 0) {
        uid_map_free(&map);
        return error;
    }
    if (map->count > 0)
        qsort(map->lines, map->count, sizeof(*map->lines), by_name);
    *map_out = map;
    return 0;
}

void uid_map_free(struct uid_map **map)
{
    if (*map == NULL)
        return;
    buf_free(&(*map)->text);
    free((*map)->lines);
    free(*map);
    *map = NULL;
}

const struct uidlist_line *uid_map_find(const struct uid_map *map, struct bytes base)
{
    size_t low = 0, high = map->count;

    while (low < high) { /* the last of that name: it was given last */
        size_t middle = low + (high - low) / 2;

        if (bytes_compare(map->lines[middle].base, base) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && bytes_equal(map->lines[low - 1].base, base) ? &map->lines[low - 1] : NULL;
}
