#include "directory/snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "directory/snapshot_build.h"
#include "support/unit.h"

static const struct snapshot *shop(void)
{
    struct snapshot_builder *builder = snapshot_build(NULL);
    struct network network;
    struct directory_key keys[] = {
        {11, SIGNATURE_RSA_SHA256, DKIM_KEY_ACTIVE, BYTES("rp1r"), BYTES("shop.example/rp1r.pem"),
         3},
        {12, SIGNATURE_ED25519_SHA256, DKIM_KEY_ACTIVE, BYTES("rp1e"),
         BYTES("shop.example/rp1e.pem"), 4},
    };
    struct bytes targets[] = {BYTES("a@x.example"), BYTES("b@x.example")};

    assert_true(network_parse(BYTES("192.0.2.0/24"), &network));
    snapshot_put_tenant(builder, &(struct directory_tenant){.id = 7, .name = BYTES("shop")});
    snapshot_put_credential(builder,
                            &(struct directory_credential){.id = 3,
                                                           .tenant = 7,
                                                           .scopes = SCOPE_SUBMIT,
                                                           .name = {'a', 'b', 'c', 'd', 'e', 'f',
                                                                    'g', 'h', 'i', 'j', 'k', 'l'},
                                                           .network_count = 1,
                                                           .networks = &network});
    snapshot_put_domain(builder, &(struct directory_domain){.id = 1,
                                                            .tenant = 7,
                                                            .name = BYTES("shop.example"),
                                                            .allows_sub_domains = true,
                                                            .key_count = 2,
                                                            .keys = keys});
    snapshot_put_domain(builder, &(struct directory_domain){.id = 2,
                                                            .tenant = 7,
                                                            .name = BYTES("no.shop.example")});
    snapshot_put_account(builder, &(struct directory_account){.id = 4,
                                                              .tenant = 7,
                                                              .domain = 1,
                                                              .address = BYTES("a@shop.example")});
    snapshot_put_alias(builder, &(struct directory_alias){.id = 5,
                                                          .tenant = 7,
                                                          .domain = 1,
                                                          .address = BYTES("@shop.example"),
                                                          .targets = targets,
                                                          .target_count = 2});
    return snapshot_finish(&builder, 1);
}

TEST(snapshot_rows_are_found_by_name_and_id)
{
    const struct snapshot *snapshot = shop();

    assert_int_equal(snapshot_tenant(snapshot, BYTES("shop"))->id, 7);
    assert_true(bytes_equal(snapshot_tenant_of(snapshot, 7)->name, BYTES("shop")));
    assert_null(snapshot_tenant(snapshot, BYTES("Shop")));
    assert_null(snapshot_tenant(snapshot, BYTES_NONE));
    assert_null(snapshot_tenant_of(snapshot, 1));
    const struct directory_credential *credential =
        snapshot_credential(snapshot, BYTES("abcdefghijkl"));
    assert_int_equal(credential->network_count, 1);
    assert_int_equal(credential->networks[0].prefix_len, 120);
    assert_ptr_equal(credential, snapshot_credential_of(snapshot, 3));
    assert_null(snapshot_credential(snapshot, BYTES("abcdefghijkm")));
    assert_null(snapshot_credential(snapshot, BYTES("abcdefghijk")));
    const struct directory_domain *domain = snapshot_domain(snapshot, BYTES("shop.example"));
    assert_int_equal(domain->key_count, 2);
    assert_true(bytes_equal(domain->keys[1].selector, BYTES("rp1e")));
    assert_int_equal(snapshot_account(snapshot, BYTES("a@shop.example"))->id, 4);
    const struct directory_alias *alias = snapshot_alias(snapshot, BYTES("@shop.example"));
    assert_true(bytes_equal(alias->targets[1], BYTES("b@x.example")));
    assert_int_equal(snapshot_count(snapshot, SNAPSHOT_DOMAINS), 2);
    snapshot_free(&snapshot);
}

TEST(snapshot_domain_above_is_the_nearest_where_allowed)
{
    const struct snapshot *snapshot = shop();

    assert_int_equal(snapshot_domain_above(snapshot, BYTES("shop.example"))->id, 1);
    assert_int_equal(snapshot_domain_above(snapshot, BYTES("a.b.shop.example"))->id, 1);
    assert_int_equal(snapshot_domain_above(snapshot, BYTES("no.shop.example"))->id, 2);
    assert_null(snapshot_domain_above(snapshot, BYTES("x.no.shop.example")));
    assert_null(snapshot_domain_above(snapshot, BYTES("xshop.example")));
    assert_null(snapshot_domain_above(snapshot, BYTES("example")));
    assert_null(snapshot_domain_above(snapshot, BYTES("")));
    assert_null(snapshot_domain_above(snapshot, BYTES("...")));
    snapshot_free(&snapshot);
}

/* A name goes from one row to another: whoever has it now is found, however it was told. */
TEST(snapshot_changed_names_go_with_their_rows)
{
    const struct snapshot *first = shop();

    for (unsigned order = 0; order < 2; order++) {
        struct snapshot_builder *builder = snapshot_build(first);
        struct directory_domain next = {.id = 9, .tenant = 7, .name = BYTES("shop.example")};

        if (order == 0)
            snapshot_drop(builder, SNAPSHOT_DOMAINS, 1);
        snapshot_put_domain(builder, &next);
        if (order == 1)
            snapshot_drop(builder, SNAPSHOT_DOMAINS, 1);
        snapshot_put_tenant(builder, &(struct directory_tenant){.id = 7, .name = BYTES("store")});
        const struct snapshot *second = snapshot_finish(&builder, 2);
        assert_int_equal(snapshot_domain(second, BYTES("shop.example"))->id, 9);
        assert_null(snapshot_domain_of(second, 1));
        assert_null(snapshot_tenant(second, BYTES("shop")));
        assert_int_equal(snapshot_tenant(second, BYTES("store"))->id, 7);
        assert_int_equal(snapshot_count(second, SNAPSHOT_DOMAINS), 2);
        assert_int_equal(snapshot_count(second, SNAPSHOT_TENANTS), 1);
        /* and the one before says what it said */
        assert_int_equal(snapshot_domain(first, BYTES("shop.example"))->id, 1);
        assert_int_equal(snapshot_tenant(first, BYTES("shop"))->id, 7);
        snapshot_free(&second);
    }
    snapshot_free(&first);
}

TEST(snapshot_outlives_the_one_it_was_made_from)
{
    const struct snapshot *first = shop();
    struct snapshot_builder *builder = snapshot_build(first);

    snapshot_put_tenant(builder, &(struct directory_tenant){.id = 8, .name = BYTES("club")});
    const struct snapshot *second = snapshot_finish(&builder, 2);
    snapshot_free(&first);
    assert_int_equal(snapshot_tenant(second, BYTES("shop"))->id, 7);
    builder = snapshot_build(second);
    snapshot_drop(builder, SNAPSHOT_TENANTS, 8);
    snapshot_abandon(&builder);
    assert_int_equal(snapshot_tenant(second, BYTES("club"))->id, 8);
    snapshot_free(&second);
}

/* --- changed or made from nothing: the same --------------------------------------------------- */

enum { MODEL_ROWS = 400, MODEL_NAMES = 600 };

struct model {
    unsigned name_of[MODEL_ROWS]; /* 0: no such row */
    unsigned size_of[MODEL_ROWS];
    unsigned row_of[MODEL_NAMES];
};

static struct bytes model_name(unsigned name, char out[static 16])
{
    return bytes_range(out, (size_t)snprintf(out, 16, "t%u", name));
}

static void model_put(struct snapshot_builder *builder, const struct model *model, unsigned row)
{
    char text[16];

    if (model->name_of[row] == 0) {
        snapshot_drop(builder, SNAPSHOT_TENANTS, row);
        return;
    }
    snapshot_put_tenant(builder,
                        &(struct directory_tenant){.id = row,
                                                   .name = model_name(model->name_of[row], text),
                                                   .limits = {model->size_of[row]}});
}

/* Some row gets some name that is free, or goes. */
static unsigned model_change(struct model *model)
{
    unsigned row = 1 + (unsigned)random_below(MODEL_ROWS - 1);
    unsigned name = (unsigned)random_below(MODEL_NAMES);

    if (name == 0 || model->row_of[name] == 0) {
        model->row_of[model->name_of[row]] = 0;
        model->name_of[row] = name;
        model->row_of[name] = name == 0 ? 0 : row;
    }
    model->size_of[row] = (unsigned)random_below(1000);
    return row;
}

static void model_compare(const struct model *model, const struct snapshot *snapshot)
{
    uint32_t count = 0;
    char text[16];

    for (unsigned row = 1; row < MODEL_ROWS; row++) {
        const struct directory_tenant *tenant = snapshot_tenant_of(snapshot, row);

        expect_row(row, (tenant == NULL) == (model->name_of[row] == 0));
        if (tenant == NULL)
            continue;
        count++;
        struct bytes name = model_name(model->name_of[row], text);
        expect_row(row, bytes_equal(tenant->name, name));
        expect_row(row, tenant->limits[0] == model->size_of[row]);
        expect_row(row, snapshot_tenant(snapshot, name) == tenant);
    }
    for (unsigned name = 1; name < MODEL_NAMES; name++)
        if (model->row_of[name] == 0)
            expect_row(name, snapshot_tenant(snapshot, model_name(name, text)) == NULL);
    assert_int_equal(snapshot_count(snapshot, SNAPSHOT_TENANTS), count);
}

static void count_row(void *context, const void *row __attribute__((unused)))
{
    ++*(uint32_t *)context;
}

TEST(snapshot_changed_at_random_is_as_the_model)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct model model = {0};
        struct snapshot_builder *builder = snapshot_build(NULL);

        random_seed(seed);
        for (unsigned i = 0; i < 300; i++)
            model_change(&model);
        for (unsigned row = 1; row < MODEL_ROWS; row++)
            if (model.name_of[row] != 0)
                model_put(builder, &model, row);
        const struct snapshot *snapshot = snapshot_finish(&builder, 1);
        for (unsigned round = 0; round < 40; round++) {
            const struct snapshot *before = snapshot;
            uint32_t visited = 0;

            builder = snapshot_build(before);
            for (uint64_t i = random_below(20); i > 0; i--)
                model_put(builder, &model, model_change(&model));
            /* Rows that another took a name from are told too, as the database does. */
            for (unsigned row = 1; row < MODEL_ROWS; row++)
                if (random_below(20) == 0)
                    model_put(builder, &model, row);
            snapshot = snapshot_finish(&builder, round + 2);
            snapshot_free(&before);
            model_compare(&model, snapshot);
            snapshot_for_each(snapshot, SNAPSHOT_TENANTS, count_row, &visited);
            assert_int_equal(visited, snapshot_count(snapshot, SNAPSHOT_TENANTS));
        }
        snapshot_free(&snapshot);
    }
}

/* --- the first domain that mail is taken for -------------------------------------------------- */

enum { HOSTED_TENANTS = 4, HOSTED_DOMAINS = 12, HOSTED_ID = 1000000 };

struct hosts {
    bool is_disabled[HOSTED_TENANTS], is_hosted[HOSTED_DOMAINS], is_there[HOSTED_DOMAINS];
};

static void hosts_put(struct snapshot_builder *builder, const struct hosts *hosts, unsigned i)
{
    char text[16];

    if (i < HOSTED_TENANTS)
        snapshot_put_tenant(builder,
                            &(struct directory_tenant){.id = 1 + i,
                                                       .is_disabled = hosts->is_disabled[i],
                                                       .name = model_name(1 + i, text)});
    else if (!hosts->is_there[i - HOSTED_TENANTS])
        snapshot_drop(builder, SNAPSHOT_DOMAINS, HOSTED_ID + i);
    else
        snapshot_put_domain(builder,
                            &(struct directory_domain){.id = HOSTED_ID + i,
                                                       .tenant = 1 + i % HOSTED_TENANTS,
                                                       .is_hosted =
                                                           hosts->is_hosted[i - HOSTED_TENANTS],
                                                       .name = model_name(i, text)});
}

static uint32_t hosts_first(const struct hosts *hosts)
{
    for (unsigned i = 0; i < HOSTED_DOMAINS; i++)
        if (hosts->is_there[i] && hosts->is_hosted[i] &&
            !hosts->is_disabled[(i + HOSTED_TENANTS) % HOSTED_TENANTS])
            return HOSTED_ID + HOSTED_TENANTS + i;
    return 0;
}

static unsigned hosts_change(struct hosts *hosts)
{
    unsigned i = (unsigned)random_below(HOSTED_TENANTS + HOSTED_DOMAINS);

    if (i < HOSTED_TENANTS)
        hosts->is_disabled[i] = random_below(2) == 0;
    else if (random_below(2) == 0)
        hosts->is_hosted[i - HOSTED_TENANTS] = random_below(2) == 0;
    else
        hosts->is_there[i - HOSTED_TENANTS] = random_below(2) == 0;
    return i;
}

TEST(snapshot_first_hosted_is_that_of_the_model_however_large_its_id)
{
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct hosts hosts = {0};
        struct snapshot_builder *builder = snapshot_build(NULL);

        random_seed(seed);
        for (unsigned i = 0; i < 20; i++)
            (void)hosts_change(&hosts);
        /* Domains before their tenants. */
        for (unsigned i = HOSTED_TENANTS + HOSTED_DOMAINS; i > 0; i--)
            if (i <= HOSTED_TENANTS || hosts.is_there[i - 1 - HOSTED_TENANTS])
                hosts_put(builder, &hosts, i - 1);
        const struct snapshot *snapshot = snapshot_finish(&builder, 1);
        for (unsigned round = 0; round < 100; round++) {
            const struct snapshot *before = snapshot;
            const struct directory_domain *first = snapshot_first_hosted(snapshot);

            expect_row(seed, (first == NULL ? 0 : first->id) == hosts_first(&hosts));
            builder = snapshot_build(before);
            for (uint64_t i = random_below(4); i > 0; i--)
                hosts_put(builder, &hosts, hosts_change(&hosts));
            snapshot = snapshot_finish(&builder, round + 2);
            snapshot_free(&before);
        }
        snapshot_free(&snapshot);
    }
}

TEST(snapshot_changed_often_is_worn)
{
    const struct snapshot *snapshot = shop();
    unsigned changes = 0;
    char text[16];

    while (!snapshot_is_worn(snapshot)) {
        struct snapshot_builder *builder = snapshot_build(snapshot);
        const struct snapshot *before = snapshot;

        for (unsigned i = 0; i < 500; i++) {
            changes++;
            snapshot_put_tenant(builder,
                                &(struct directory_tenant){.id = 100 + changes,
                                                           .name = model_name(changes, text)});
        }
        snapshot = snapshot_finish(&builder, 2);
        snapshot_free(&before);
        assert_true(changes < 10000);
    }
    assert_true(changes > 4000);
    snapshot_free(&snapshot);
}
