/* test_return_path.c - return paths: whose they are, and that nobody can make one. */
#include "directory/return_path.h"

#include <stdio.h>
#include <string.h>

#include "directory/recipient_lookup.h"
#include "directory/snapshot_build.h"
#include "support/unit.h"

static const uint8_t key[RETURN_PATH_KEY_LEN] = "a key that is told to nobody";
static const uint8_t other_key[RETURN_PATH_KEY_LEN] = "a key that is told to somebody";

/* shop has a domain for returns, with accounts of its own; what bank and off have is none. */
static const struct snapshot *directory(void)
{
    struct snapshot_builder *builder = snapshot_build(NULL);
    static const struct directory_domain domains[] = {
        {.id = 1, .tenant = 1, .is_active = true, .name = BYTES("shop.example")},
        {.id = 2,
         .tenant = 1,
         .is_active = true,
         .is_hosted = true,
         .name = BYTES("bounces.shop.example")},
        {.id = 3,
         .tenant = 1,
         .is_active = true,
         .allows_sub_domains = true,
         .name = BYTES("wide.example")},
        {.id = 4,
         .tenant = 1,
         .is_active = true,
         .is_hosted = true,
         .name = BYTES("bounces.wide.example")},
        {.id = 5, .tenant = 2, .is_active = true, .name = BYTES("bank.example")},
        {.id = 6,
         .tenant = 1,
         .is_active = true,
         .is_hosted = true,
         .name = BYTES("bounces.bank.example")},
        {.id = 7, .tenant = 2, .is_active = true, .name = BYTES("half.example")},
        {.id = 8, .tenant = 2, .is_hosted = true, .name = BYTES("bounces.half.example")},
        {.id = 9, .tenant = 2, .is_active = true, .name = BYTES("away.example")},
        {.id = 10, .tenant = 2, .is_active = true, .name = BYTES("bounces.away.example")},
        {.id = 11,
         .tenant = 1,
         .is_active = true,
         .is_hosted = true,
         .name = BYTES("bounces.alone.example")},
    };
    static const struct bytes box[] = {BYTES("box@bounces.shop.example")};

    snapshot_put_tenant(builder, &(struct directory_tenant){.id = 1, .name = BYTES("shop")});
    snapshot_put_tenant(builder, &(struct directory_tenant){.id = 2, .name = BYTES("bank")});
    for (size_t i = 0; i < ARRAY_LEN(domains); i++)
        snapshot_put_domain(builder, &domains[i]);
    snapshot_put_account(
        builder, &(struct directory_account){.id = 1, .tenant = 1, .domain = 2, .address = box[0]});
    snapshot_put_alias(builder,
                       &(struct directory_alias){.id = 1,
                                                 .tenant = 1,
                                                 .domain = 2,
                                                 .target_count = 1,
                                                 .targets = box,
                                                 .address = BYTES("@bounces.shop.example")});
    return snapshot_finish(&builder, 1);
}

TEST(return_domain_is_the_senders_own_where_it_is_hosted)
{
    static const struct {
        const char *tenant, *sender, *domain;
    } rows[] = {
        {"shop", "app@shop.example", "bounces.shop.example"},
        {"shop", "app@SHOP.example", "bounces.shop.example"},
        {"shop", "\"a@b\"@shop.example", "bounces.shop.example"},
        {"shop", "app@sub.shop.example", ""}, /* it does not allow these */
        {"shop", "app@a.wide.example", "bounces.wide.example"},
        {"bank", "app@shop.example", ""}, /* somebody else's */
        {"", "app@shop.example", ""},
        {"bank", "app@bank.example", ""}, /* its return domain is another tenant's */
        {"bank", "app@half.example", ""}, /* not active */
        {"bank", "app@away.example", ""}, /* not hosted */
        {"shop", "app@", ""},
        {"shop", "app", ""},
        {"shop", "", ""},
        {"shop", "app@nowhere.example", ""},
    };
    const struct snapshot *snapshot = directory();

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_row(i, bytes_equal(return_path_domain(snapshot, bytes_of(rows[i].tenant),
                                                     bytes_of(rows[i].sender)),
                                  bytes_of(rows[i].domain)));
    assert_true(return_path_is_domain(snapshot, BYTES("bounces.shop.example")));
    assert_false(return_path_is_domain(snapshot, BYTES("bounces.bank.example")));
    assert_false(return_path_is_domain(snapshot, BYTES("bounces.alone.example")));
    assert_false(return_path_is_domain(snapshot, BYTES("bounces.half.example")));
    assert_false(return_path_is_domain(snapshot, BYTES("shop.example")));
    snapshot_free(&snapshot);
}

TEST(return_path_reads_back_and_not_where_a_letter_is_another)
{
    static const struct return_path paths[] = {{0x01071a2b3c4d5e6f, 0},
                                               {1, 7},
                                               {UINT64_MAX, RETURN_PATH_ANY},
                                               {0, 0x80000001}};
    const struct bytes domain = BYTES("bounces.shop.example");

    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        char local[RETURN_PATH_LOCAL_LEN];
        struct return_path read = {0};

        return_path_sign(key, &paths[i], domain, local);
        struct bytes text = bytes_range(local, sizeof(local));
        assert_true(return_path_read(key, text, domain, &read));
        expect_row(i, read.message == paths[i].message && read.recipient == paths[i].recipient);
        assert_false(return_path_read(other_key, text, domain, &read));
        assert_false(return_path_read(key, text, BYTES("bounces.wide.example"), &read));
        assert_false(return_path_read(key, bytes_slice(text, 0, text.len - 1), domain, &read));
        for (size_t at = 0; at < sizeof(local); at++) {
            char kept = local[at];

            local[at] = kept == 'a' ? 'c' : 'a';
            expect_row(at, !return_path_read(key, text, domain, &read));
            local[at] = (char)(kept >= 'a' ? kept - 'a' + 'A' : kept);
            expect_row(at, return_path_read(key, text, domain, &read));
            local[at] = '=';
            expect_row(at, !return_path_read(key, text, domain, &read));
            local[at] = kept;
        }
    }
}

TEST(return_path_has_one_form_only)
{
    const struct return_path path = {77, 1};
    char local[RETURN_PATH_LOCAL_LEN];
    struct return_path read;

    return_path_sign(key, &path, BYTES("d.example"), local);
    char *last = &local[RETURN_PATH_LOCAL_LEN - 1];
    assert_true(*last == 'a' || *last == 'q'); /* four bits of it are none */
    *last = (char)(*last + 1);
    assert_false(
        return_path_read(key, bytes_range(local, sizeof(local)), BYTES("d.example"), &read));
}

TEST(return_path_is_found_in_a_report)
{
    const struct return_path path = {77, 1};
    const struct bytes domain = BYTES("bounces.shop.example");
    char local[RETURN_PATH_LOCAL_LEN], text[512];
    struct return_path read = {0};

    return_path_sign(key, &path, domain, local);
    snprintf(text, sizeof(text),
             "@x\nFrom: a@b\nTo: <zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz@%s>\n"
             "Return-Path: <%.*s@Bounces.shop.example>\n",
             "bounces.shop.example", RETURN_PATH_LOCAL_LEN, local);
    assert_true(return_path_find(key, bytes_of(text), domain, &read));
    assert_int_equal(read.message, 77);
    assert_false(return_path_find(other_key, bytes_of(text), domain, &read));
    assert_false(return_path_find(key, bytes_of(text), BYTES("bounces.wide.example"), &read));
    assert_false(return_path_find(key, BYTES_NONE, domain, &read));
}

TEST(recipient_at_a_return_domain_is_signed_or_somebody_by_name)
{
    const struct snapshot *snapshot = directory();
    struct recipient_rules rules = {.hostname = BYTES("mx.example"), .return_key = key};
    const struct return_path path = {77, 1};
    char local[RETURN_PATH_LOCAL_LEN], address[RETURN_PATH_MAX];
    struct recipient_found found;
    struct arena arena;

    arena_init(&arena, RECIPIENT_ARENA_MAX);
    return_path_sign(key, &path, BYTES("bounces.shop.example"), local);
    snprintf(address, sizeof(address), "%.*s@BOUNCES.shop.example", RETURN_PATH_LOCAL_LEN, local);
    recipient_look_up(snapshot, &rules, bytes_of(address), &arena, &found);
    assert_int_equal(found.kind, RECIPIENT_RETURN);
    assert_true(found.is_signed);
    assert_int_equal(found.back.message, 77);
    recipient_look_up(snapshot, &rules, BYTES("Complaints@bounces.shop.example"), &arena, &found);
    assert_int_equal(found.kind, RECIPIENT_RETURN);
    assert_false(found.is_signed);
    recipient_look_up(snapshot, &rules, BYTES("complaints@bounces.bank.example"), &arena, &found);
    assert_int_equal(found.kind, RECIPIENT_UNKNOWN);
    recipient_look_up(snapshot, &rules, BYTES("box@bounces.shop.example"), &arena, &found);
    assert_int_equal(found.kind, RECIPIENT_KNOWN);
    recipient_look_up(snapshot, &rules, BYTES("abuse@bounces.shop.example"), &arena, &found);
    assert_int_equal(found.kind, RECIPIENT_KNOWN);
    /* Not for the catch-all: it would take forged ones. */
    address[3] = address[3] == 'a' ? 'b' : 'a';
    recipient_look_up(snapshot, &rules, bytes_of(address), &arena, &found);
    assert_int_equal(found.kind, RECIPIENT_UNKNOWN);
    rules.return_key = NULL;
    recipient_look_up(snapshot, &rules, bytes_of(address), &arena, &found);
    assert_int_equal(found.kind, RECIPIENT_KNOWN);
    arena_free(&arena);
    snapshot_free(&snapshot);
}
