#include "directory/recipient_lookup.h"

#include <stdio.h>
#include <string.h>

#include "directory/directory_name.h"
#include "directory/snapshot_build.h"
#include "support/unit.h"

static const struct recipient_rules no_rules = {.hostname = BYTES("mx.example")};

static void put_account(struct snapshot_builder *builder, uint32_t id, const char *address,
                        bool is_disabled)
{
    snapshot_put_account(builder, &(struct directory_account){.id = id,
                                                              .tenant = 1,
                                                              .domain = 1,
                                                              .is_disabled = is_disabled,
                                                              .address = bytes_of(address)});
}

static void put_alias(struct snapshot_builder *builder, uint32_t id, const char *address,
                      const char *first, const char *second)
{
    const struct bytes targets[] = {bytes_of(first), bytes_of(second == NULL ? "" : second)};

    snapshot_put_alias(builder, &(struct directory_alias){.id = id,
                                                          .tenant = 1,
                                                          .domain = 1,
                                                          .target_count = second == NULL ? 1 : 2,
                                                          .targets = targets,
                                                          .address = bytes_of(address)});
}

/* a.example has no catch-all, all.example and all2.example have one; off.example is of a tenant
 * that is disabled; elsewhere.example is not hosted. */
static const struct snapshot *hosted(void)
{
    struct snapshot_builder *builder = snapshot_build(NULL);

    snapshot_put_tenant(builder, &(struct directory_tenant){.id = 1, .name = BYTES("t")});
    snapshot_put_tenant(builder, &(struct directory_tenant){.id = 2,
                                                            .name = BYTES("off"),
                                                            .is_disabled = true});
    static const struct directory_domain domains[] = {
        {.id = 1, .tenant = 1, .is_hosted = true, .name = BYTES("a.example")},
        {.id = 2, .tenant = 1, .is_hosted = true, .name = BYTES("all.example")},
        {.id = 3, .tenant = 2, .is_hosted = true, .name = BYTES("off.example")},
        {.id = 4, .tenant = 1, .is_active = true, .name = BYTES("elsewhere.example")},
        {.id = 5, .tenant = 1, .is_hosted = true, .name = BYTES("xn--bcher-kva.example")},
    };
    for (size_t i = 0; i < ARRAY_LEN(domains); i++)
        snapshot_put_domain(builder, &domains[i]);
    put_account(builder, 1, "bob@a.example", false);
    put_account(builder, 2, "carol@a.example", false);
    put_account(builder, 3, "gone@a.example", true);
    put_account(builder, 4, "bob+exact@a.example", false);
    put_account(builder, 5, "box@all.example", false);
    put_account(builder, 6, "abuse@all.example", true);
    put_account(builder, 7, "odd%name@a.example", false);
    put_alias(builder, 1, "team@a.example", "bob@a.example", "carol@a.example");
    put_alias(builder, 2, "everybody@a.example", "team@a.example", "bob@a.example");
    put_alias(builder, 3, "out@a.example", "friend@elsewhere.example", "x@all.example");
    put_alias(builder, 4, "loop1@a.example", "loop2@a.example", NULL);
    put_alias(builder, 5, "loop2@a.example", "loop1@a.example", NULL);
    put_alias(builder, 6, "ring@a.example", "ring@a.example", "bob@a.example");
    put_alias(builder, 7, "dead@a.example", "nobody@a.example", NULL);
    put_alias(builder, 8, "left@a.example", "gone@a.example", NULL);
    put_alias(builder, 9, "@all.example", "box@all.example", NULL);
    put_alias(builder, 10, "mixed@a.example", "gone@a.example", "bob@a.example");
    return snapshot_finish(&builder, 1);
}

/* "kind: target target" with what is to be known of each. */
static const char *look(const struct recipient_rules *rules, const char *address)
{
    static const char *const kinds[] = {"foreign",   "unknown", "routed", "disabled",
                                        "suspended", "broken",  "known",  "return"};
    static char text[4096];
    struct recipient_found found;
    struct arena arena;
    const struct snapshot *snapshot = hosted();
    int len;

    arena_init(&arena, RECIPIENT_ARENA_MAX);
    recipient_look_up(snapshot, rules, bytes_of(address), &arena, &found);
    len = snprintf(text, sizeof(text), "%s%s:", kinds[found.kind],
                   found.is_catch_all ? " all"
                   : found.is_alias   ? " alias"
                                      : "");
    for (size_t i = 0; i < found.target_count; i++) {
        const struct recipient_target *target = &found.targets[i];

        len += snprintf(text + len, sizeof(text) - (size_t)len, " %s%.*s%s%.*s",
                        target->account != NULL ? ""
                        : target->is_role       ? "role="
                                                : "to=",
                        BYTES_ARG(target->address), target->detail.len > 0 ? "/" : "",
                        BYTES_ARG(target->detail));
    }
    arena_free(&arena);
    snapshot_free(&snapshot);
    return text;
}

static const struct {
    const char *address, *found;
} looks[] = {
    {"bob@a.example", "known: bob@a.example"},
    {"BoB@A.Example", "known: bob@a.example"},
    {"\"bob\"@a.example", "known: bob@a.example"},
    {"\"b\\ob\"@a.example", "known: bob@a.example"},
    {"bob+Lists@a.example", "known: bob@a.example/lists"},
    {"bob+x+y@a.example", "known: bob@a.example/x+y"},
    {"bob+exact@a.example", "known: bob+exact@a.example"},
    {"+x@a.example", "unknown:"},
    {"\"bob+x\"@a.example", "known: bob@a.example/x"},
    {"\"bob x\"@a.example", "unknown:"},
    {"nobody@a.example", "unknown:"},
    {"nobody@b.example", "foreign:"},
    {"a@elsewhere.example", "foreign:"},
    {"a@off.example", "suspended:"},
    {"postmaster@off.example", "suspended:"},
    {"gone@a.example", "disabled:"},
    {"gone+x@a.example", "disabled:"},
    {"team@a.example", "known alias: bob@a.example carol@a.example"},
    {"team+x@a.example", "known alias: bob@a.example carol@a.example"},
    {"everybody@a.example", "known alias: bob@a.example carol@a.example"},
    {"out@a.example", "known alias: to=friend@elsewhere.example box@all.example"},
    {"loop1@a.example", "broken alias:"},
    {"ring@a.example", "known alias: bob@a.example"},
    {"dead@a.example", "broken alias:"},
    {"left@a.example", "disabled alias:"},
    {"mixed@a.example", "known alias: bob@a.example"},
    {"any@all.example", "known all: box@all.example"},
    {"any+x@all.example", "known all: box@all.example"},
    /* no relaying, in any disguise */
    {"user%elsewhere.example@a.example", "routed:"},
    {"user%elsewhere.example@all.example", "routed:"},
    {"elsewhere.example!user@all.example", "routed:"},
    {"\"user@elsewhere.example\"@all.example", "routed:"},
    {"\"user%elsewhere.example\"@all.example", "routed:"},
    {"odd%name@a.example", "known: odd%name@a.example"},
    /* roles */
    {"postmaster@a.example", "known: role=postmaster@a.example"},
    {"Abuse@a.example", "known: role=abuse@a.example"},
    {"postmaster@all.example", "known all: box@all.example"},
    {"abuse@all.example", "known all: box@all.example"},
    {"abuse+x@a.example", "unknown:"},
    {"postmaster", "known: role=postmaster@a.example"}, /* the first that was added */
    {"no address", "unknown:"},
    {"", "unknown:"},
    {"a@[192.0.2.1]", "unknown:"},
    {"../../etc@a.example", "unknown:"},
    {"x@b\xc3\xbc"
     "cher.example",
     "unknown:"},
};

TEST(recipient_is_found_as_the_directory_says)
{
    for (size_t i = 0; i < ARRAY_LEN(looks); i++) {
        const char *found = look(&no_rules, looks[i].address);

        if (strcmp(found, looks[i].found) != 0)
            fail_msg("%s: %s, expected %s", looks[i].address, found, looks[i].found);
    }
}

TEST(recipient_postmaster_is_found_behind_many_domains_that_are_gone)
{
    struct snapshot_builder *builder = snapshot_build(NULL);
    struct recipient_found found;
    struct arena arena;

    snapshot_put_tenant(builder, &(struct directory_tenant){.id = 1, .name = BYTES("t")});
    snapshot_put_domain(builder, &(struct directory_domain){.id = 3000000,
                                                            .tenant = 1,
                                                            .is_hosted = true,
                                                            .name = BYTES("late.example")});
    const struct snapshot *snapshot = snapshot_finish(&builder, 1);

    arena_init(&arena, 4096);
    recipient_look_up(snapshot, &no_rules, BYTES("postmaster"), &arena, &found);
    assert_int_equal(found.kind, RECIPIENT_KNOWN);
    assert_true(bytes_equal(found.address, BYTES("postmaster@late.example")));
    arena_free(&arena);
    snapshot_free(&snapshot);
}

TEST(recipient_postmaster_is_who_the_rules_say)
{
    const struct recipient_rules rules = {.hostname = BYTES("mx.example"),
                                          .postmaster = BYTES("carol@a.example")};
    const struct recipient_rules outside = {.hostname = BYTES("a.example"),
                                            .postmaster = BYTES("noc@b.example")};
    const struct recipient_rules itself = {.hostname = BYTES("mx.example"),
                                           .postmaster = BYTES("postmaster@a.example")};

    assert_string_equal(look(&rules, "postmaster@a.example"), "known: carol@a.example");
    assert_string_equal(look(&rules, "abuse@a.example"), "known: carol@a.example");
    assert_string_equal(look(&rules, "POSTMASTER"), "known: carol@a.example");
    assert_string_equal(look(&outside, "abuse@a.example"), "known: to=noc@b.example");
    assert_string_equal(look(&outside, "postmaster"), "known: to=noc@b.example");
    /* Of the nearest domain that the name lies in, though it is not the first. */
    const struct recipient_rules inside = {.hostname = BYTES("mx1.eu.all.example")};
    const struct recipient_rules off = {.hostname = BYTES("mx1.off.example")};

    assert_string_equal(look(&inside, "Postmaster"), "known all: box@all.example");
    assert_string_equal(look(&off, "postmaster"), "known: role=postmaster@a.example");
    assert_string_equal(look(&itself, "postmaster@a.example"), "known: role=postmaster@a.example");
    assert_string_equal(look(&itself, "abuse@a.example"), "known: role=postmaster@a.example");
}

/* A chain of aliases, one longer than is followed. */
TEST(recipient_depth_is_bounded)
{
    struct snapshot_builder *builder = snapshot_build(NULL);
    struct recipient_found found;
    struct arena arena;
    char from[32], to[32];

    snapshot_put_tenant(builder, &(struct directory_tenant){.id = 1, .name = BYTES("t")});
    snapshot_put_domain(builder, &(struct directory_domain){.id = 1,
                                                            .tenant = 1,
                                                            .is_hosted = true,
                                                            .name = BYTES("a.example")});
    put_account(builder, 1, "c11@a.example", false);
    for (uint32_t i = 0; i <= RECIPIENT_DEPTH_MAX; i++) {
        snprintf(from, sizeof(from), "c%u@a.example", i);
        snprintf(to, sizeof(to), "c%u@a.example", i + 1);
        put_alias(builder, i + 1, from, to, NULL);
    }
    const struct snapshot *snapshot = snapshot_finish(&builder, 1);
    arena_init(&arena, RECIPIENT_ARENA_MAX);
    recipient_look_up(snapshot, &no_rules, BYTES("c1@a.example"), &arena, &found);
    assert_int_equal(found.kind, RECIPIENT_KNOWN);
    recipient_look_up(snapshot, &no_rules, BYTES("c0@a.example"), &arena, &found);
    assert_int_equal(found.kind, RECIPIENT_BROKEN);
    assert_int_equal(found.target_count, 0);
    arena_free(&arena);
    snapshot_free(&snapshot);
}

/* More targets than one address may mean, by two aliases. */
TEST(recipient_targets_are_bounded)
{
    struct snapshot_builder *builder = snapshot_build(NULL);
    static char names[RECIPIENT_TARGETS_MAX][32];
    static struct bytes targets[RECIPIENT_TARGETS_MAX];
    struct recipient_found found;
    struct arena arena;

    snapshot_put_tenant(builder, &(struct directory_tenant){.id = 1, .name = BYTES("t")});
    snapshot_put_domain(builder, &(struct directory_domain){.id = 1,
                                                            .tenant = 1,
                                                            .is_hosted = true,
                                                            .name = BYTES("a.example")});
    for (uint32_t i = 0; i < RECIPIENT_TARGETS_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), "u%u@a.example", i);
        targets[i] = bytes_of(names[i]);
        put_account(builder, i + 1, names[i], false);
    }
    snapshot_put_alias(builder, &(struct directory_alias){.id = 1,
                                                          .tenant = 1,
                                                          .domain = 1,
                                                          .address = BYTES("most@a.example"),
                                                          .targets = targets,
                                                          .target_count = RECIPIENT_TARGETS_MAX});
    put_alias(builder, 2, "more@a.example", "most@a.example", "one@b.example");
    const struct snapshot *snapshot = snapshot_finish(&builder, 1);
    arena_init(&arena, RECIPIENT_ARENA_MAX);
    recipient_look_up(snapshot, &no_rules, BYTES("most@a.example"), &arena, &found);
    assert_int_equal(found.kind, RECIPIENT_KNOWN);
    assert_int_equal(found.target_count, RECIPIENT_TARGETS_MAX);
    recipient_look_up(snapshot, &no_rules, BYTES("more@a.example"), &arena, &found);
    assert_int_equal(found.kind, RECIPIENT_BROKEN);
    arena_free(&arena);
    arena_init(&arena, 256); /* no room: nobody is lost by a half answer */
    recipient_look_up(snapshot, &no_rules, BYTES("most@a.example"), &arena, &found);
    assert_int_equal(found.kind, RECIPIENT_BROKEN);
    arena_free(&arena);
    snapshot_free(&snapshot);
}
