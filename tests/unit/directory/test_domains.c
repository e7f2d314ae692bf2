#include "directory/domains.h"

#include <glob.h>
#include <openssl/pem.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "directory/store_private.h"
#include "directory/tenants.h"
#include "unit/directory/store_room.h"

struct seen {
    const struct store_room *room;
    unsigned rows, published, active, retired;
    bool is_active, is_hosted;
};

/* Every key has its file, of its owner alone, and the private half of what is published. */
static void see(void *context, const struct domain_row *row)
{
    struct seen *seen = context;

    seen->rows++;
    seen->is_active = row->is_active;
    seen->is_hosted = row->is_hosted;
    for (size_t i = 0; i < row->key_count; i++) {
        char name[192], path[STORE_ROOM_FILE_MAX];
        struct stat status;

        seen->published += row->keys[i].state == DKIM_KEY_PUBLISHED;
        seen->active += row->keys[i].state == DKIM_KEY_ACTIVE;
        seen->retired += row->keys[i].state == DKIM_KEY_RETIRED;
        snprintf(name, sizeof(name), "keys/%.*s", BYTES_ARG(row->keys[i].file));
        store_room_file(seen->room, name, path);
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode & 0777, 0600);
        FILE *file = fopen(path, "r");
        EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
        assert_non_null(key);
        assert_int_equal(EVP_PKEY_get_base_id(key), row->keys[i].algorithm == SIGNATURE_RSA_SHA256
                                                        ? EVP_PKEY_RSA
                                                        : EVP_PKEY_ED25519);
        EVP_PKEY_free(key);
        fclose(file);
    }
}

static struct seen look(struct store *store, const struct store_room *room)
{
    struct seen seen = {.room = room};

    assert_int_equal(domain_list(store, BYTES("SHOP.example"), see, &seen), STORE_OK);
    return seen;
}

TEST(domain_lives_from_adding_to_removing)
{
    struct domain_wish wish = {.tenant = BYTES("shop"), .name = BYTES("Shop.Example.")};
    struct store_room room;
    char path[STORE_ROOM_FILE_MAX];
    struct stat status;

    store_room_make(&room);
    struct store *store = store_room_open(&room);
    assert_int_equal(tenant_add(store, BYTES("shop")), STORE_OK);
    assert_int_equal(tenant_add(store, BYTES("other")), STORE_OK);
    assert_int_equal(domain_add(store, room.path, &wish), STORE_INVALID); /* a trailing dot */
    wish.name = BYTES("Shop.Example");
    assert_int_equal(domain_add(store, room.path, &wish), STORE_OK);
    struct seen seen = look(store, &room);
    assert_int_equal(seen.published, 2);
    assert_false(seen.is_active);
    assert_int_equal(domain_add(store, room.path, &wish), STORE_SAME);
    wish.is_hosted = wish.is_active = true;
    assert_int_equal(domain_add(store, room.path, &wish), STORE_OK);
    seen = look(store, &room);
    assert_true(seen.is_active && seen.is_hosted);
    assert_int_equal(seen.active, 2);
    wish.tenant = BYTES("other");
    assert_int_equal(domain_add(store, room.path, &wish), STORE_CLASH);
    assert_int_equal(tenant_remove(store, BYTES("shop"), false), STORE_CLASH);
    assert_int_equal(domain_remove(store, room.path, BYTES("shop.example")), STORE_OK);
    assert_int_equal(domain_remove(store, room.path, BYTES("shop.example")), STORE_NONE);
    store_room_file(&room, "keys/shop.example", path);
    assert_int_equal(stat(path, &status), -1);
    store_close(&store);
    store_room_drop(&room);
}

TEST(domain_keys_are_rotated_in_two_steps)
{
    const struct domain_wish wish = {.tenant = BYTES("shop"),
                                     .name = BYTES("shop.example"),
                                     .is_active = true};
    struct store_room room;

    store_room_make(&room);
    struct store *store = store_room_open(&room);
    assert_int_equal(tenant_add(store, BYTES("shop")), STORE_OK);
    assert_int_equal(domain_add(store, room.path, &wish), STORE_OK);
    assert_int_equal(domain_switch_keys(store, room.path, wish.name), STORE_CLASH);
    assert_int_equal(domain_publish_keys(store, room.path, wish.name), STORE_OK);
    assert_int_equal(domain_publish_keys(store, room.path, wish.name), STORE_SAME);
    struct seen seen = look(store, &room);
    assert_int_equal(seen.published, 2);
    assert_int_equal(seen.active, 2);
    assert_int_equal(domain_switch_keys(store, room.path, wish.name), STORE_OK);
    seen = look(store, &room);
    assert_int_equal(seen.published, 0);
    assert_int_equal(seen.active, 2);
    assert_int_equal(seen.retired, 2);
    /* A week later the next rotation takes the retired ones away. */
    assert_int_equal(store_run(store, "UPDATE dkim_keys SET changed = changed - 8 * 86400"),
                     STORE_OK);
    assert_int_equal(domain_publish_keys(store, room.path, wish.name), STORE_OK);
    assert_int_equal(domain_switch_keys(store, room.path, wish.name), STORE_OK);
    seen = look(store, &room);
    assert_int_equal(seen.active, 2);
    assert_int_equal(seen.retired, 2);
    store_close(&store);
    store_room_drop(&room);
}

static size_t count_files(const struct store_room *room)
{
    char pattern[STORE_ROOM_FILE_MAX];
    glob_t found = {0};

    store_room_file(room, "keys/*/*.pem", pattern);
    (void)glob(pattern, 0, NULL, &found);
    size_t count = found.gl_pathc;
    globfree(&found);
    return count;
}

static struct seen look_at_all(struct store *store, const struct store_room *room)
{
    struct seen seen = {.room = room};

    assert_int_equal(domain_list(store, BYTES_NONE, see, &seen), STORE_OK);
    return seen;
}

TEST(domain_keys_that_were_retired_long_ago_go_by_the_clock)
{
    static const char *const names[] = {"shop.example", "other.example"};
    enum { WEEK_S = 7 * 86400 };
    int64_t now_s = clock_wall_ms() / 1000;
    struct store_room room;

    store_room_make(&room);
    struct store *store = store_room_open(&room);
    assert_int_equal(tenant_add(store, BYTES("shop")), STORE_OK);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct domain_wish wish = {.tenant = BYTES("shop"),
                                         .name = bytes_of(names[i]),
                                         .is_active = true};

        assert_int_equal(domain_add(store, room.path, &wish), STORE_OK);
        assert_int_equal(domain_publish_keys(store, room.path, wish.name), STORE_OK);
        assert_int_equal(domain_switch_keys(store, room.path, wish.name), STORE_OK);
    }
    assert_int_equal(domain_drop_retired(store, room.path, now_s + WEEK_S - 60), STORE_SAME);
    struct seen seen = look_at_all(store, &room);
    assert_int_equal(seen.retired, 4);
    assert_int_equal(count_files(&room), 8);
    for (unsigned left = 2; left > 0; left--) { /* a domain each time */
        assert_int_equal(domain_drop_retired(store, room.path, now_s + WEEK_S + 60), STORE_OK);
        seen = look_at_all(store, &room);
        assert_int_equal(seen.retired, 2 * (left - 1));
        assert_int_equal(seen.active, 4);
        assert_int_equal(count_files(&room), 4 + 2 * (left - 1));
    }
    assert_int_equal(domain_drop_retired(store, room.path, now_s + WEEK_S + 60), STORE_SAME);
    store_close(&store);
    store_room_drop(&room);
}

TEST(domain_keys_sign_once_their_records_were_seen)
{
    const struct domain_wish wish = {.tenant = BYTES("shop"), .name = BYTES("shop.example")};
    struct store_room room;

    store_room_make(&room);
    struct store *store = store_room_open(&room);
    assert_int_equal(tenant_add(store, BYTES("shop")), STORE_OK);
    assert_int_equal(domain_add(store, room.path, &wish), STORE_OK);
    assert_int_equal(look(store, &room).active, 0);
    assert_int_equal(domain_activate(store, wish.name), STORE_OK);
    struct seen seen = look(store, &room);
    assert_true(seen.is_active && seen.active == 2 && seen.published == 0);
    /* Of a rotation it is not the word: those that sign go on. */
    assert_int_equal(domain_publish_keys(store, room.path, wish.name), STORE_OK);
    assert_int_equal(domain_activate(store, wish.name), STORE_OK);
    seen = look(store, &room);
    assert_true(seen.active == 2 && seen.published == 2);
    store_close(&store);
    store_room_drop(&room);
}
