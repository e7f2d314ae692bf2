/* recipient_lookup.c - an address followed through accounts and aliases, within bounds. */
#include "directory/recipient_lookup.h"

#include <string.h>

#include "directory/directory_name.h"

enum { TARGETS_FIRST = 4 };

/* One look-up under way. */
struct walk {
    const struct snapshot *snapshot;
    const struct recipient_rules *rules;
    struct arena *arena;
    struct recipient_found *found;
    size_t target_capacity;
    size_t alias_count;
    const struct directory_alias *aliases[RECIPIENT_TARGETS_MAX]; /* met so far */
    bool is_too_much;
    bool met_disabled;
    bool is_of_returns; /* no catch-all takes what nobody signed */
};

static void follow(struct walk *walk, struct bytes address, unsigned depth);

/* --- names ------------------------------------------------------------------------------------ */

static struct bytes local_of(struct bytes address)
{
    struct bytes domain = directory_address_domain(address);

    return bytes_slice(address, 0, address.len - domain.len - 1);
}

/* What old servers took for a route of its own (RFC 5321 appendix F.2 and before). */
static bool asks_for_a_route(struct bytes local)
{
    for (size_t i = 0; i < local.len; i++)
        if (local.ptr[i] == '%' || local.ptr[i] == '!' || local.ptr[i] == '@')
            return true;
    return false;
}

static bool is_role(struct bytes local)
{
    return bytes_equal(local, BYTES("postmaster")) || bytes_equal(local, BYTES("abuse"));
}

bool recipient_domain_is_hosted(const struct snapshot *snapshot, struct bytes domain)
{
    const struct directory_domain *row = snapshot_domain(snapshot, domain);

    return row != NULL && row->is_hosted;
}

/* --- targets ---------------------------------------------------------------------------------- */

static bool has_target(const struct walk *walk, struct bytes address)
{
    const struct recipient_found *found = walk->found;

    for (size_t i = 0; i < found->target_count; i++)
        if (bytes_equal(found->targets[i].address, address))
            return true;
    return false;
}

static bool grow(struct walk *walk)
{
    struct recipient_found *found = walk->found;
    size_t capacity = walk->target_capacity == 0 ? TARGETS_FIRST : 2 * walk->target_capacity;

    if (found->target_count < walk->target_capacity)
        return true;
    struct recipient_target *longer = arena_alloc(walk->arena, capacity * sizeof(*longer));
    if (longer == NULL)
        return false;
    if (found->target_count > 0)
        memcpy(longer, found->targets, found->target_count * sizeof(*longer));
    found->targets = longer;
    walk->target_capacity = capacity;
    return true;
}

static void add_target(struct walk *walk, struct recipient_target target)
{
    struct recipient_found *found = walk->found;

    if (has_target(walk, target.address))
        return;
    if (found->target_count == RECIPIENT_TARGETS_MAX || !grow(walk)) {
        walk->is_too_much = true;
        return;
    }
    found->targets[found->target_count++] = target;
}

static void add_account(struct walk *walk, const struct directory_account *account,
                        struct bytes detail)
{
    if (account->is_disabled)
        walk->met_disabled = true;
    else
        add_target(walk, (struct recipient_target){.account = account,
                                                   .address = account->address,
                                                   .detail = detail});
}

static void add_alias(struct walk *walk, const struct directory_alias *alias, unsigned depth)
{
    for (size_t i = 0; i < walk->alias_count; i++)
        if (walk->aliases[i] == alias)
            return;
    if (walk->alias_count == ARRAY_LEN(walk->aliases) || depth == RECIPIENT_DEPTH_MAX) {
        walk->is_too_much = true;
        return;
    }
    walk->aliases[walk->alias_count++] = alias;
    for (uint32_t i = 0; i < alias->target_count && !walk->is_too_much; i++)
        follow(walk, alias->targets[i], depth + 1);
}

/* --- an address ------------------------------------------------------------------------------- */

/* An account or alias of exactly that address. */
static bool take_exact(struct walk *walk, struct bytes address, struct bytes detail, unsigned depth)
{
    const struct directory_account *account = snapshot_account(walk->snapshot, address);
    const struct directory_alias *alias =
        account != NULL ? NULL : snapshot_alias(walk->snapshot, address);

    if (account != NULL)
        add_account(walk, account, detail);
    if (alias != NULL)
        add_alias(walk, alias, depth);
    if (alias != NULL && depth == 0)
        walk->found->is_alias = true;
    return account != NULL || alias != NULL;
}

/* "local+detail@domain" as local@domain. */
static bool take_sub_address(struct walk *walk, struct bytes address, unsigned depth)
{
    struct bytes local = local_of(address);
    struct bytes at_domain = bytes_slice(address, local.len, address.len);
    size_t plus = bytes_find(local, '+', 0);
    struct bytes base;

    if (plus == local.len || plus == 0 || local.ptr[0] == '"')
        return false;
    if (!arena_printf(walk->arena, &base, "%.*s%.*s", BYTES_ARG(bytes_slice(local, 0, plus)),
                      BYTES_ARG(at_domain))) {
        walk->is_too_much = true;
        return false;
    }
    return take_exact(walk, base, bytes_slice(local, plus + 1, local.len), depth);
}

static bool take_catch_all(struct walk *walk, struct bytes address, unsigned depth)
{
    size_t local_len = local_of(address).len;
    const struct directory_alias *alias =
        snapshot_alias(walk->snapshot, bytes_slice(address, local_len, address.len));

    if (alias == NULL)
        return false;
    if (depth == 0) {
        walk->found->is_catch_all = true;
        walk->found->is_alias = true;
    }
    add_alias(walk, alias, depth);
    return true;
}

/* Of those that hold nobody by their name. */
static void take_role(struct walk *walk, struct bytes address, unsigned depth)
{
    struct bytes domain = directory_address_domain(address);
    struct recipient_found *found = walk->found;
    size_t before = found->target_count;
    struct bytes postmaster;

    if (bytes_equal(local_of(address), BYTES("abuse")) &&
        arena_printf(walk->arena, &postmaster, "postmaster@%.*s", BYTES_ARG(domain)))
        (void)take_exact(walk, postmaster, BYTES_NONE, depth);
    if (found->target_count == before)
        (void)take_catch_all(walk, address, depth);
    if (found->target_count == before && walk->rules->postmaster.len > 0 &&
        !bytes_equal(walk->rules->postmaster, address) && depth < RECIPIENT_DEPTH_MAX)
        follow(walk, walk->rules->postmaster, depth + 1);
    if (found->target_count == before && !walk->is_too_much)
        add_target(walk, (struct recipient_target){.is_role = true, .address = address});
}

static enum recipient_kind kind_of_domain(const struct walk *walk, struct bytes address)
{
    const struct directory_domain *domain =
        snapshot_domain(walk->snapshot, directory_address_domain(address));

    if (domain == NULL || !domain->is_hosted)
        return RECIPIENT_FOREIGN;
    const struct directory_tenant *tenant = snapshot_tenant_of(walk->snapshot, domain->tenant);
    return tenant == NULL || tenant->is_disabled ? RECIPIENT_SUSPENDED : RECIPIENT_KNOWN;
}

/* Within a hosted domain; false: nobody has that name. */
static bool take(struct walk *walk, struct bytes address, unsigned depth)
{
    struct bytes local = local_of(address);
    size_t before = walk->found->target_count;
    bool is_there = take_exact(walk, address, BYTES_NONE, depth);

    if (is_role(local)) {
        if (walk->found->target_count == before)
            take_role(walk, address, depth);
        return true;
    }
    if (is_there)
        return true;
    if (asks_for_a_route(local))
        return false;
    return take_sub_address(walk, address, depth) ||
           (!walk->is_of_returns && take_catch_all(walk, address, depth));
}

/* A target of an alias, and what it leads to. */
static void follow(struct walk *walk, struct bytes address, unsigned depth)
{
    switch (kind_of_domain(walk, address)) {
    case RECIPIENT_FOREIGN:
        add_target(walk, (struct recipient_target){.address = address});
        return;
    case RECIPIENT_KNOWN:
        (void)take(walk, address, depth);
        return;
    case RECIPIENT_UNKNOWN:
    case RECIPIENT_ROUTED:
    case RECIPIENT_DISABLED:
    case RECIPIENT_SUSPENDED:
    case RECIPIENT_BROKEN:
    case RECIPIENT_RETURN:
        return;
    }
}

/* A report for us; false: the domain is like any other, or it may be somebody there. */
static bool take_return(struct walk *walk, struct bytes address)
{
    const uint8_t *key = walk->rules->return_key;
    struct bytes domain = directory_address_domain(address), local = local_of(address);

    if (key == NULL || !return_path_is_domain(walk->snapshot, domain))
        return false;
    walk->is_of_returns = true;
    walk->found->is_signed = return_path_read(key, local, domain, &walk->found->back);
    return walk->found->is_signed || bytes_equal(local, BYTES(RETURN_PATH_COMPLAINTS)) ||
           bytes_equal(local, BYTES(RETURN_PATH_REPORTS));
}

/* Whose postmaster is everybody's where the configuration names none; empty: nobody's. */
static struct bytes domain_of_postmaster(const struct walk *walk)
{
    const struct snapshot *snapshot = walk->snapshot;
    struct bytes name = walk->rules->hostname;

    if (recipient_domain_is_hosted(snapshot, name))
        return name;
    for (struct bytes label; bytes_take_until(&name, '.', &label);)
        if (snapshot_takes_mail(snapshot, snapshot_domain(snapshot, name)))
            return name;
    const struct directory_domain *first = snapshot_first_hosted(snapshot);
    return first != NULL ? first->name : walk->rules->hostname;
}

/* In its one form; "postmaster" alone gets a domain, or is rules.postmaster itself. */
static bool normalise(struct walk *walk, struct bytes address, struct bytes *out)
{
    const struct recipient_rules *rules = walk->rules;
    struct bytes joined;

    if (!bytes_equal_nocase(address, BYTES("postmaster")))
        return directory_address(walk->arena, address, false, out);
    if (!recipient_domain_is_hosted(walk->snapshot, rules->hostname) && rules->postmaster.len > 0) {
        *out = rules->postmaster;
        return true;
    }
    return arena_printf(walk->arena, &joined, "postmaster@%.*s",
                        BYTES_ARG(domain_of_postmaster(walk))) &&
           directory_address(walk->arena, joined, false, out);
}

static enum recipient_kind judge(struct walk *walk)
{
    struct recipient_found *found = walk->found;

    if (found->target_count > 0 && !walk->is_too_much)
        return RECIPIENT_KNOWN;
    found->target_count = 0;
    return walk->met_disabled && !walk->is_too_much ? RECIPIENT_DISABLED : RECIPIENT_BROKEN;
}

void recipient_look_up(const struct snapshot *snapshot, const struct recipient_rules *rules,
                       struct bytes address, struct arena *arena, struct recipient_found *out)
{
    struct walk walk = {.snapshot = snapshot, .rules = rules, .arena = arena, .found = out};

    *out = (struct recipient_found){.kind = RECIPIENT_UNKNOWN};
    if (!normalise(&walk, address, &out->address))
        return;
    out->kind = kind_of_domain(&walk, out->address);
    if (out->kind == RECIPIENT_FOREIGN &&
        bytes_equal_nocase(address, BYTES("postmaster"))) { /* rules.postmaster's */
        if (rules->postmaster.len == 0) {
            out->kind = RECIPIENT_UNKNOWN;
            return;
        }
        add_target(&walk, (struct recipient_target){.address = out->address});
        out->kind = judge(&walk);
        return;
    }
    if (out->kind != RECIPIENT_KNOWN)
        return;
    if (take_return(&walk, out->address))
        out->kind = RECIPIENT_RETURN;
    else if (take(&walk, out->address, 0))
        out->kind = judge(&walk);
    else if (walk.is_too_much)
        out->kind = RECIPIENT_BROKEN;
    else
        out->kind = asks_for_a_route(local_of(out->address)) ? RECIPIENT_ROUTED : RECIPIENT_UNKNOWN;
}
