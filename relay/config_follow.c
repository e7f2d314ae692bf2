/* config_follow.c - which keys differ in two configurations, of those that need a restart. */
#include <stdio.h>
#include <string.h>

#include "io/address.h"
#include "relay/config_key.h"

static bool text_is_equal(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool scalar_is_equal(const struct config_key *key, const void *a, const void *b)
{
    const char *text_a, *text_b;

    switch (key->kind) {
    case CONFIG_TEXT:
    case CONFIG_PATTERN:
        memcpy(&text_a, a, sizeof(text_a));
        memcpy(&text_b, b, sizeof(text_b));
        return text_is_equal(text_a, text_b);
    case CONFIG_ADDRESS:
    case CONFIG_IPV4:
    case CONFIG_IPV6:
        return address_len(a) == address_len(b) &&
               (address_len(a) == 0 || (address_equal(a, b) && address_port(a) == address_port(b)));
    case CONFIG_NETWORK: /* bytes without a gap */
    case CONFIG_BOOL:
    case CONFIG_COUNT:
    case CONFIG_SIZE:
    case CONFIG_SECONDS:
    case CONFIG_MILLISECONDS:
    case CONFIG_PERCENT:
    case CONFIG_NUMBER:
    case CONFIG_RATE:
    case CONFIG_NAME:
        return memcmp(a, b, key->at.size) == 0;
    case CONFIG_END:
    case CONFIG_SECTION:
    case CONFIG_PART:
    case CONFIG_LIST:
    case CONFIG_OPTIONS:
        break;
    }
    check(false); /* no scalar */
    return false;
}

static bool concerns_restart(const struct config_key *keys)
{
    for (const struct config_key *key = keys; key->kind != CONFIG_END; key++) {
        if (key->needs_restart)
            return true;
        if ((key->kind == CONFIG_SECTION || key->kind == CONFIG_PART) &&
            concerns_restart(key->keys))
            return true;
    }
    return false;
}

static bool keys_differ(char *path, const struct config_key *keys, const void *old,
                        const void *next, bool all);

static bool item_differs(char *path, const struct config_key *item, const void *old,
                         const void *next, bool all)
{
    if (item->kind == CONFIG_SECTION)
        return keys_differ(path, item->keys, old, next, all);
    return all && !scalar_is_equal(item, old, next);
}

/* `all`: every key of its items counts, not only those that say so. `path` has CONFIG_PATH_MAX
 * bytes and is as it was unless something differs. */
static bool list_differs(char *path, const struct config_key *key, const void *old,
                         const void *next, bool all)
{
    const char *old_items, *next_items;
    size_t old_count, next_count, size = key->item->at.size;
    size_t outer_len = strlen(path);

    if (!all && (key->item->kind != CONFIG_SECTION || !concerns_restart(key->item->keys)))
        return false;
    memcpy(&old_items, config_const_at(old, key->at), sizeof(old_items));
    memcpy(&next_items, config_const_at(next, key->at), sizeof(next_items));
    memcpy(&old_count, config_const_at(old, key->count_at), sizeof(old_count));
    memcpy(&next_count, config_const_at(next, key->count_at), sizeof(next_count));
    if (old_count != next_count)
        return true;
    for (size_t i = 0; i < old_count; i++) {
        snprintf(path + outer_len, CONFIG_PATH_MAX - outer_len, "[%zu]", i);
        if (item_differs(path, key->item, old_items + i * size, next_items + i * size, all))
            return true;
    }
    path[outer_len] = '\0';
    return false;
}

static bool field_differs(char *path, const struct config_key *key, const void *old,
                          const void *next, bool all)
{
    if (key->kind == CONFIG_SECTION)
        return keys_differ(path, key->keys, config_const_at(old, key->at),
                           config_const_at(next, key->at), all);
    if (key->kind == CONFIG_OPTIONS)
        return false; /* none of those there are needs a restart */
    if (key->kind == CONFIG_LIST)
        return list_differs(path, key, old, next, all);
    return all &&
           !scalar_is_equal(key, config_const_at(old, key->at), config_const_at(next, key->at));
}

/* True with the path of the first one, whose keys these are so far, in `path`. */
static bool keys_differ(char *path, const struct config_key *keys, const void *old,
                        const void *next, bool all)
{
    size_t outer_len = strlen(path);

    for (const struct config_key *key = keys; key->kind != CONFIG_END; key++) {
        if (key->kind == CONFIG_PART) {
            if (keys_differ(path, key->keys, config_const_at(old, key->at),
                            config_const_at(next, key->at), all))
                return true;
            continue;
        }
        snprintf(path + outer_len, CONFIG_PATH_MAX - outer_len, "%s%s", outer_len == 0 ? "" : ".",
                 key->name);
        if (field_differs(path, key, old, next, all || key->needs_restart))
            return true;
        path[outer_len] = '\0';
    }
    return false;
}

bool config_key_differs(const struct config_key *keys, const void *old, const void *next,
                        char path_out[static CONFIG_PATH_MAX])
{
    path_out[0] = '\0';
    return keys_differ(path_out, keys, old, next, false);
}
