/* snapshot.c - rows made from nothing, shared, and rows that changed since, beside them. */
#include "directory/snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "directory/row_table.h"
#include "directory/snapshot_build.h"

enum {
    /* Rows that changed are copied with every change: a millisecond at most. */
    CHANGED_MAX = 4096,
    CHANGED_SHARE = 16, /* or that part of all rows */
    /* What was changed several times leaves its old texts behind. */
    PUTS_MAX = 65536,
};

/* What snapshots share until one is made from nothing again. */
struct ground {
    struct row_table tables[SNAPSHOT_TABLE_COUNT];
    struct arena text;   /* also of rows that changed since: only added to */
    unsigned references; /* of the thread that makes snapshots */
    uint32_t put_count;  /* since the tables were sealed */
};

struct snapshot {
    struct ground *ground;
    struct row_table changed[SNAPSHOT_TABLE_COUNT]; /* rows without a name are gone */
    uint32_t counts[SNAPSHOT_TABLE_COUNT];
    uint32_t first_hosted; /* its id; 0: none */
    uint64_t version;
    size_t memory;
};

struct snapshot_builder {
    struct snapshot *snapshot;
    const struct snapshot *previous; /* NULL: from nothing */
    bool is_from_nothing;
    /* Of what was put: a tenant that was disabled is not any more; the first that is hosted. */
    bool has_enabled;
    uint32_t first_hosted; /* its id; 0: none */
};

/* --- rows ------------------------------------------------------------------------------------- */

static struct bytes tenant_name(const void *row)
{
    return ((const struct directory_tenant *)row)->name;
}

static struct bytes credential_name(const void *row)
{
    const struct directory_credential *credential = row;

    return credential->name[0] == '\0' ? BYTES_NONE
                                       : bytes_range(credential->name, sizeof(credential->name));
}

static struct bytes domain_name(const void *row)
{
    return ((const struct directory_domain *)row)->name;
}

static struct bytes account_address(const void *row)
{
    return ((const struct directory_account *)row)->address;
}

static struct bytes alias_address(const void *row)
{
    return ((const struct directory_alias *)row)->address;
}

static struct bytes rule_key(const void *row)
{
    return ((const struct directory_rule *)row)->key;
}

static const struct {
    size_t row_size;
    struct bytes (*name)(const void *row);
} kinds[SNAPSHOT_TABLE_COUNT] = {
    [SNAPSHOT_TENANTS] = {sizeof(struct directory_tenant), tenant_name},
    [SNAPSHOT_CREDENTIALS] = {sizeof(struct directory_credential), credential_name},
    [SNAPSHOT_DOMAINS] = {sizeof(struct directory_domain), domain_name},
    [SNAPSHOT_ACCOUNTS] = {sizeof(struct directory_account), account_address},
    [SNAPSHOT_ALIASES] = {sizeof(struct directory_alias), alias_address},
    [SNAPSHOT_RULES] = {sizeof(struct directory_rule), rule_key},
};

static void init_tables(struct row_table tables[static SNAPSHOT_TABLE_COUNT])
{
    for (unsigned i = 0; i < SNAPSHOT_TABLE_COUNT; i++)
        row_table_init(&tables[i], kinds[i].row_size, kinds[i].name);
}

/* --- looking up ------------------------------------------------------------------------------- */

static const void *find_id(const struct snapshot *snapshot, enum snapshot_table table, uint32_t id)
{
    const struct row_table *changed = &snapshot->changed[table];
    const void *row = row_table_find_id(changed, id);

    if (row == NULL)
        return row_table_find_id(&snapshot->ground->tables[table], id);
    return changed->name(row).ptr == NULL ? NULL : row;
}

/* What the ground says of a row counts only where the row has not changed since. */
static const void *find_name(const struct snapshot *snapshot, enum snapshot_table table,
                             struct bytes name)
{
    const struct row_table *changed = &snapshot->changed[table];
    const void *row = row_table_find_name(changed, name);
    uint32_t id;

    if (row != NULL || name.ptr == NULL)
        return row;
    row = row_table_find_name(&snapshot->ground->tables[table], name);
    if (row == NULL)
        return NULL;
    memcpy(&id, row, sizeof(id));
    return row_table_find_id(changed, id) == NULL ? row : NULL;
}

const struct directory_tenant *snapshot_tenant(const struct snapshot *snapshot, struct bytes name)
{
    return find_name(snapshot, SNAPSHOT_TENANTS, name);
}

const struct directory_tenant *snapshot_tenant_of(const struct snapshot *snapshot, uint32_t id)
{
    return find_id(snapshot, SNAPSHOT_TENANTS, id);
}

const struct directory_credential *snapshot_credential(const struct snapshot *snapshot,
                                                       struct bytes name)
{
    return find_name(snapshot, SNAPSHOT_CREDENTIALS, name);
}

const struct directory_credential *snapshot_credential_of(const struct snapshot *snapshot,
                                                          uint32_t id)
{
    return find_id(snapshot, SNAPSHOT_CREDENTIALS, id);
}

const struct directory_domain *snapshot_domain(const struct snapshot *snapshot, struct bytes name)
{
    return find_name(snapshot, SNAPSHOT_DOMAINS, name);
}

const struct directory_domain *snapshot_domain_of(const struct snapshot *snapshot, uint32_t id)
{
    return find_id(snapshot, SNAPSHOT_DOMAINS, id);
}

const struct directory_domain *snapshot_domain_above(const struct snapshot *snapshot,
                                                     struct bytes name)
{
    const struct directory_domain *domain = snapshot_domain(snapshot, name);

    /* The nearest decides: what stands above one that allows none is not asked. */
    while (domain == NULL) {
        size_t dot = bytes_find(name, '.', 0);

        if (dot == name.len)
            return NULL;
        name = bytes_slice(name, dot + 1, name.len);
        domain = snapshot_domain(snapshot, name);
        if (domain != NULL && !domain->allows_sub_domains)
            return NULL;
    }
    return domain;
}

const struct directory_account *snapshot_account(const struct snapshot *snapshot,
                                                 struct bytes address)
{
    return find_name(snapshot, SNAPSHOT_ACCOUNTS, address);
}

const struct directory_account *snapshot_account_of(const struct snapshot *snapshot, uint32_t id)
{
    return find_id(snapshot, SNAPSHOT_ACCOUNTS, id);
}

const struct directory_alias *snapshot_alias(const struct snapshot *snapshot, struct bytes address)
{
    return find_name(snapshot, SNAPSHOT_ALIASES, address);
}

const struct directory_rule *snapshot_rule(const struct snapshot *snapshot, struct bytes key)
{
    return find_name(snapshot, SNAPSHOT_RULES, key);
}

bool snapshot_takes_mail(const struct snapshot *snapshot, const struct directory_domain *domain)
{
    if (domain == NULL || !domain->is_hosted)
        return false;
    const struct directory_tenant *tenant = snapshot_tenant_of(snapshot, domain->tenant);
    return tenant != NULL && !tenant->is_disabled;
}

const struct directory_domain *snapshot_first_hosted(const struct snapshot *snapshot)
{
    return snapshot->first_hosted == 0 ? NULL
                                       : snapshot_domain_of(snapshot, snapshot->first_hosted);
}

uint32_t snapshot_count(const struct snapshot *snapshot, enum snapshot_table table)
{
    return snapshot->counts[table];
}

void snapshot_for_each(const struct snapshot *snapshot, enum snapshot_table table,
                       void (*visit)(void *context, const void *row), void *context)
{
    const struct row_table *ground = &snapshot->ground->tables[table];
    const struct row_table *changed = &snapshot->changed[table];

    for (uint32_t i = 0; i < ground->count; i++) {
        const void *row = row_table_row(ground, i);
        uint32_t id;

        memcpy(&id, row, sizeof(id));
        if (row_table_find_id(changed, id) == NULL)
            visit(context, row);
    }
    for (uint32_t i = 0; i < changed->count; i++) {
        const void *row = row_table_row(changed, i);

        if (changed->name(row).ptr != NULL)
            visit(context, row);
    }
}

uint64_t snapshot_version(const struct snapshot *snapshot)
{
    return snapshot->version;
}

size_t snapshot_memory(const struct snapshot *snapshot)
{
    return snapshot->memory;
}

/* --- making ----------------------------------------------------------------------------------- */

struct snapshot_builder *snapshot_build(const struct snapshot *previous)
{
    struct snapshot_builder *builder = calloc(1, sizeof(*builder));
    struct snapshot *snapshot = calloc(1, sizeof(*snapshot));

    check(builder != NULL && snapshot != NULL);
    builder->snapshot = snapshot;
    builder->previous = previous;
    builder->is_from_nothing = previous == NULL;
    init_tables(snapshot->changed);
    if (previous == NULL) {
        snapshot->ground = calloc(1, sizeof(*snapshot->ground));
        check(snapshot->ground != NULL);
        arena_init(&snapshot->ground->text, SIZE_MAX);
        init_tables(snapshot->ground->tables);
    } else {
        snapshot->ground = previous->ground;
        snapshot->first_hosted = previous->first_hosted;
        for (unsigned i = 0; i < SNAPSHOT_TABLE_COUNT; i++)
            row_table_copy(&snapshot->changed[i], &previous->changed[i]);
    }
    snapshot->ground->references++;
    return builder;
}

static void put(struct snapshot_builder *builder, enum snapshot_table table, const void *row)
{
    struct snapshot *snapshot = builder->snapshot;

    snapshot->ground->put_count += !builder->is_from_nothing;
    row_table_put(builder->is_from_nothing ? &snapshot->ground->tables[table]
                                           : &snapshot->changed[table],
                  row);
}

static struct bytes keep(struct snapshot_builder *builder, struct bytes text)
{
    struct bytes copy = BYTES_NONE;

    check(arena_copy(&builder->snapshot->ground->text, text, &copy));
    return copy;
}

static void *keep_array(struct snapshot_builder *builder, const void *array, size_t size)
{
    if (size == 0)
        return NULL;
    void *copy = arena_alloc(&builder->snapshot->ground->text, size);

    check(copy != NULL);
    memcpy(copy, array, size);
    return copy;
}

void snapshot_put_tenant(struct snapshot_builder *builder, const struct directory_tenant *row)
{
    struct directory_tenant kept = *row;
    const struct directory_tenant *before =
        builder->is_from_nothing ? NULL : snapshot_tenant_of(builder->previous, row->id);

    builder->has_enabled |= before != NULL && before->is_disabled && !row->is_disabled;
    check(row->id != 0 && row->name.len > 0);
    kept.name = keep(builder, row->name);
    kept.showing = keep_array(builder, row->showing, row->showing_count * sizeof(*row->showing));
    put(builder, SNAPSHOT_TENANTS, &kept);
}

void snapshot_put_credential(struct snapshot_builder *builder,
                             const struct directory_credential *row)
{
    struct directory_credential kept = *row;

    check(row->id != 0 && row->name[0] != '\0');
    kept.networks = keep_array(builder, row->networks, row->network_count * sizeof(*row->networks));
    put(builder, SNAPSHOT_CREDENTIALS, &kept);
}

void snapshot_put_domain(struct snapshot_builder *builder, const struct directory_domain *row)
{
    struct directory_domain kept = *row;

    check(row->id != 0 && row->name.len > 0);
    kept.name = keep(builder, row->name);
    struct directory_key *keys =
        keep_array(builder, row->keys, row->key_count * sizeof(*row->keys));
    for (unsigned i = 0; i < row->key_count; i++) {
        keys[i].selector = keep(builder, row->keys[i].selector);
        keys[i].file = keep(builder, row->keys[i].file);
    }
    kept.keys = keys;
    if (row->is_hosted && (builder->first_hosted == 0 || row->id < builder->first_hosted))
        builder->first_hosted = row->id;
    put(builder, SNAPSHOT_DOMAINS, &kept);
}

void snapshot_put_account(struct snapshot_builder *builder, const struct directory_account *row)
{
    struct directory_account kept = *row;

    check(row->id != 0 && row->address.len > 0);
    kept.address = keep(builder, row->address);
    kept.sends_as = keep(builder, row->sends_as);
    put(builder, SNAPSHOT_ACCOUNTS, &kept);
}

void snapshot_put_alias(struct snapshot_builder *builder, const struct directory_alias *row)
{
    struct directory_alias kept = *row;

    check(row->id != 0 && row->address.len > 0);
    kept.address = keep(builder, row->address);
    struct bytes *targets =
        keep_array(builder, row->targets, row->target_count * sizeof(*row->targets));
    for (uint32_t i = 0; i < row->target_count; i++)
        targets[i] = keep(builder, row->targets[i]);
    kept.targets = targets;
    put(builder, SNAPSHOT_ALIASES, &kept);
}

void snapshot_put_rule(struct snapshot_builder *builder, const struct directory_rule *row)
{
    struct directory_rule kept = *row;

    check(row->id != 0 && row->key.len > 0);
    kept.key = keep(builder, row->key);
    put(builder, SNAPSHOT_RULES, &kept);
}

void snapshot_drop(struct snapshot_builder *builder, enum snapshot_table table, uint32_t id)
{
    union {
        uint32_t id;
        struct directory_tenant tenant;
        struct directory_credential credential;
        struct directory_domain domain;
        struct directory_account account;
        struct directory_alias alias;
        struct directory_rule rule;
    } gone;

    check(id != 0);
    memset(&gone, 0, sizeof(gone));
    gone.id = id;
    put(builder, table, &gone);
}

static uint32_t count_rows(const struct snapshot *snapshot, enum snapshot_table table)
{
    const struct row_table *ground = &snapshot->ground->tables[table];
    const struct row_table *changed = &snapshot->changed[table];
    uint32_t count = ground->count;

    for (uint32_t i = 0; i < changed->count; i++) {
        const void *row = row_table_row(changed, i);
        uint32_t id;

        memcpy(&id, row, sizeof(id));
        count -= row_table_find_id(ground, id) != NULL;
        count += changed->name(row).ptr != NULL;
    }
    return count;
}

/* The arena grows while others read, so that it is counted here and not when somebody asks. */
static void count_memory(struct snapshot *snapshot)
{
    snapshot->memory = sizeof(*snapshot) + sizeof(*snapshot->ground) + snapshot->ground->text.held;
    for (unsigned i = 0; i < SNAPSHOT_TABLE_COUNT; i++)
        snapshot->memory += row_table_memory(&snapshot->ground->tables[i]) +
                            row_table_memory(&snapshot->changed[i]);
}

static void take_first(void *context, const void *row)
{
    struct snapshot *snapshot = context;
    const struct directory_domain *domain = row;

    if ((snapshot->first_hosted == 0 || domain->id < snapshot->first_hosted) &&
        snapshot_takes_mail(snapshot, domain))
        snapshot->first_hosted = domain->id;
}

/* Of all rows only where what is known of the one before says nothing of this one. */
static void find_first(struct snapshot *snapshot, const struct snapshot_builder *builder)
{
    uint32_t put = builder->first_hosted, first = snapshot->first_hosted;
    bool is_put_first = put != 0 && (first == 0 || put < first);

    if (is_put_first && !builder->has_enabled &&
        snapshot_takes_mail(snapshot, snapshot_domain_of(snapshot, put)))
        snapshot->first_hosted = put;
    else if (is_put_first || builder->is_from_nothing || builder->has_enabled ||
             (first != 0 && !snapshot_takes_mail(snapshot, snapshot_domain_of(snapshot, first)))) {
        snapshot->first_hosted = 0;
        snapshot_for_each(snapshot, SNAPSHOT_DOMAINS, take_first, snapshot);
    }
}

const struct snapshot *snapshot_finish(struct snapshot_builder **builder, uint64_t version)
{
    struct snapshot *snapshot = (*builder)->snapshot;

    for (unsigned i = 0; i < SNAPSHOT_TABLE_COUNT; i++) {
        if ((*builder)->is_from_nothing)
            row_table_seal(&snapshot->ground->tables[i]);
        row_table_seal(&snapshot->changed[i]);
        snapshot->counts[i] = count_rows(snapshot, i);
    }
    find_first(snapshot, *builder);
    snapshot->version = version;
    count_memory(snapshot);
    free(*builder);
    *builder = NULL;
    return snapshot;
}

void snapshot_abandon(struct snapshot_builder **builder)
{
    const struct snapshot *snapshot = (*builder)->snapshot;

    free(*builder);
    *builder = NULL;
    snapshot_free(&snapshot);
}

void snapshot_free(const struct snapshot **snapshot)
{
    struct snapshot *freed = (struct snapshot *)(uintptr_t)*snapshot;
    struct ground *ground = freed->ground;

    *snapshot = NULL;
    for (unsigned i = 0; i < SNAPSHOT_TABLE_COUNT; i++)
        row_table_free(&freed->changed[i]);
    free(freed);
    if (--ground->references > 0)
        return;
    for (unsigned i = 0; i < SNAPSHOT_TABLE_COUNT; i++)
        row_table_free(&ground->tables[i]);
    arena_free(&ground->text);
    free(ground);
}

bool snapshot_is_worn(const struct snapshot *snapshot)
{
    uint64_t rows = 0, changed = 0;

    for (unsigned i = 0; i < SNAPSHOT_TABLE_COUNT; i++) {
        rows += snapshot->ground->tables[i].count;
        changed += snapshot->changed[i].count;
    }
    return changed > MAX((uint64_t)CHANGED_MAX, rows / CHANGED_SHARE) ||
           snapshot->ground->put_count > MAX((uint64_t)PUTS_MAX, rows);
}
