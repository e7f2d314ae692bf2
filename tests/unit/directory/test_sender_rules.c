/* test_sender_rules.c - what rules are about, which of several counts, and that they are kept. */
#include "directory/sender_rules.h"

#include <string.h>

#include "directory/load.h"
#include "directory/snapshot_build.h"
#include "directory/tenants.h"
#include "support/unit.h"
#include "unit/directory/store_room.h"

static const struct {
    const char *text, *value; /* NULL: none */
} values[] = {
    {"Alice@Good.Example", "alice@good.example"},
    {"\"alice\"@good.example", "alice@good.example"},
    {"Good.Example", "good.example"},
    {"*.Good.example", "*.good.example"},
    {"192.0.2.0/24", "192.0.2.0/24"},
    {"192.0.2.7", "192.0.2.7/32"},
    {"2001:DB8::/32", "2001:db8::/32"},
    {"::1", "::1/128"},
    {"0.0.0.0/0", "0.0.0.0/0"},
    {"192.0.2.1/24", NULL}, /* bits behind the prefix */
    {"@good.example", NULL},
    {"*", NULL},
    {"*.*.example", NULL},
    {"good .example", NULL},
    {"alice@", NULL},
    {"[192.0.2.1]", NULL},
    {"", NULL},
};

TEST(values_have_one_form)
{
    struct arena arena;

    arena_init(&arena, 4096);
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        struct bytes value = BYTES_NONE;
        bool is = sender_rule_value(&arena, bytes_of(values[i].text), &value);

        expect_row(i, is == (values[i].value != NULL));
        expect_row(i, !is || bytes_equal(value, bytes_of(values[i].value)));
    }
    arena_free(&arena);
}

static const struct snapshot *make_snapshot(size_t count, const char *const *rules)
{
    struct snapshot_builder *builder = snapshot_build(NULL);
    struct arena arena;

    arena_init(&arena, 8192);
    for (size_t i = 0; i < count; i++) {
        struct directory_rule row = {.id = (uint32_t)i + 1,
                                     .tenant = 3,
                                     .is_allowed = rules[i][0] == '+'};

        assert_true(sender_rule_key(&arena, 3, bytes_of(rules[i] + 1), &row.key));
        snapshot_put_rule(builder, &row);
    }
    arena_free(&arena);
    return snapshot_finish(&builder, 1);
}

static const char *const rules[] = {
    "+alice@bad.example", "-bad.example",  "+*.bad.example",   "-*.worse.bad.example",
    "-192.0.2.0/24",      "+192.0.2.9/32", "-2001:db8:1::/48", "+bob@good.example",
};

static const struct {
    const char *sender, *client;
    const char *found; /* NULL: none */
} searches[] = {
    {"ALICE@bad.example", "192.0.2.1", "alice@bad.example"},
    {"carol@Bad.Example", "198.51.100.1", "bad.example"},
    {"carol@sub.bad.example", NULL, "*.bad.example"},
    {"carol@a.worse.bad.example", NULL, "*.worse.bad.example"},
    {"carol@worse.bad.example", NULL, "*.bad.example"},
    {"carol@notbad.example", NULL, NULL},
    {"bob@good.example", "192.0.2.1", "bob@good.example"},
    {"bob+x@good.example", NULL, NULL}, /* another sender */
    {"carol@good.example", "192.0.2.1", "192.0.2.0/24"},
    {"carol@good.example", "192.0.2.9", "192.0.2.9/32"},
    {"carol@good.example", "192.0.3.1", NULL},
    {"", "2001:db8:1:2::9", "2001:db8:1::/48"},
    {"", "2001:db8:2::9", NULL},
    {"no address", "192.0.2.4", "192.0.2.0/24"},
};

TEST(the_most_particular_rule_counts)
{
    const struct snapshot *snapshot = make_snapshot(ARRAY_LEN(rules), rules);

    for (size_t i = 0; i < ARRAY_LEN(searches); i++) {
        struct address client;

        if (searches[i].client != NULL)
            assert_true(address_parse(bytes_of(searches[i].client), 0, &client));
        const struct directory_rule *rule =
            sender_rule_find(snapshot, 3, bytes_of(searches[i].sender),
                             searches[i].client != NULL ? &client : NULL);

        expect_row(i, (rule == NULL) == (searches[i].found == NULL));
        expect_row(i, rule == NULL ||
                          bytes_equal(sender_rule_text(rule), bytes_of(searches[i].found)));
    }
    /* Another tenant's are none. */
    assert_null(sender_rule_find(snapshot, 33, BYTES("carol@bad.example"), NULL));
    snapshot_free(&snapshot);
}

TEST(rules_are_kept_and_shown)
{
    static const char *const three[] = {"Bad.example", "192.0.2.7", "x@y.example"};
    static const char *const mixed[] = {"good.example", "no sender"};
    const struct snapshot *snapshot = NULL;
    struct load_mark mark = {0};
    struct store_room room;

    store_room_make(&room);
    struct store *store = store_room_open(&room);

    assert_int_equal(tenant_add(store, BYTES("shop")), STORE_OK);
    assert_int_equal(sender_rules_set(store, BYTES("shop"), false, 3, three), STORE_OK);
    assert_int_equal(sender_rules_set(store, BYTES("shop"), false, 2, three), STORE_SAME);
    assert_int_equal(sender_rules_set(store, BYTES("shop"), true, 1, three), STORE_OK);
    assert_int_equal(sender_rules_set(store, BYTES("shop"), true, 2, mixed), STORE_INVALID);
    assert_int_equal(sender_rules_set(store, BYTES("none"), true, 1, three), STORE_NONE);
    assert_int_equal(load_all(store, &mark, &snapshot), STORE_OK);
    assert_int_equal(snapshot_count(snapshot, SNAPSHOT_RULES), 3);
    const struct directory_rule *rule = sender_rule_find(snapshot, 1, BYTES("a@bad.example"), NULL);

    assert_non_null(rule);
    assert_true(rule->is_allowed);
    assert_null(sender_rule_find(snapshot, 1, BYTES("a@good.example"), NULL)); /* taken back */
    snapshot_free(&snapshot);
    assert_int_equal(sender_rules_remove(store, BYTES("shop"), 1, mixed), STORE_NONE);
    assert_int_equal(sender_rules_remove(store, BYTES("shop"), 3, three), STORE_OK);
    assert_int_equal(tenant_remove(store, BYTES("shop"), false), STORE_OK);
    store_close(&store);
    store_room_drop(&room);
}
