/* accounts.c - accounts in the database. */
#include "directory/accounts.h"

#include "base/clock.h"
#include "directory/account_sends.h"
#include "directory/account_shows.h"
#include "directory/directory_name.h"
#include "directory/store_private.h"
#include "directory/suggest.h"

enum {
    NAMES_MAX = 4096, /* of an arena for one name */
    LIST_ROOM = 1 << 16,
    SHOWN_MAX = 256
};

enum store_result store_find_account(struct store *store, struct bytes address, int64_t *id_out,
                                     int64_t *tenant_out)
{
    struct arena arena;
    struct bytes name = address;
    char like[SUGGEST_MAX];
    struct query query;
    bool found = false;

    arena_init(&arena, NAMES_MAX);
    if (!directory_address(&arena, address, false, &name))
        name = BYTES("");
    query_begin(&query, store, "SELECT id, tenant FROM accounts WHERE address = ?");
    query_text(&query, name);
    if (query_row(&query)) {
        *id_out = query_column(&query);
        *tenant_out = query_column(&query);
        found = true;
    }
    enum store_result result = query_end(&query);
    if (result == STORE_OK && !found) {
        suggest(store, "SELECT address FROM accounts", name, like);
        result =
            store_say(store, STORE_NONE, "there is no account %.*s%s",
                      (int)MIN(address.len, (size_t)SHOWN_MAX), (const char *)address.ptr, like);
    }
    arena_free(&arena);
    return result;
}

/* The hosted domain of an address. */
static enum store_result find_hosted(struct store *store, struct bytes address, int64_t *domain_out,
                                     int64_t *tenant_out)
{
    struct bytes name = directory_address_domain(address);
    bool is_hosted = false;
    struct query query;
    enum store_result result = store_find_domain(store, name, domain_out, tenant_out);

    if (result != STORE_OK)
        return result;
    query_begin(&query, store, "SELECT hosted FROM domains WHERE id = ?");
    query_int(&query, *domain_out);
    if (query_row(&query))
        is_hosted = query_column(&query) != 0;
    result = query_end(&query);
    if (result == STORE_OK && !is_hosted)
        result = store_say(store, STORE_CLASH,
                           "%.*s is not hosted: no mail is received for it (`ringpost domain add "
                           "TENANT %.*s --hosted` says that it is)",
                           BYTES_ARG(name), BYTES_ARG(name));
    return result;
}

static enum store_result not_both(struct store *store, struct bytes address, const char *sql,
                                  const char *what)
{
    struct query query;

    query_begin(&query, store, sql);
    query_text(&query, address);
    bool is_there = query_row(&query);
    enum store_result result = query_end(&query);
    if (result == STORE_OK && is_there)
        result = store_say(store, STORE_CLASH, "%.*s is %s", BYTES_ARG(address), what);
    return result;
}

static enum store_result insert_account(struct store *store, struct bytes address, uint64_t quota)
{
    int64_t domain, tenant;
    struct query query;
    enum store_result result = find_hosted(store, address, &domain, &tenant);

    if (result == STORE_OK)
        result = not_both(store, address, "SELECT 1 FROM aliases WHERE address = ?", "an alias");
    if (result != STORE_OK)
        return result;
    query_begin(&query, store,
                "INSERT INTO accounts(tenant, domain, address, quota, created)"
                " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING");
    query_int(&query, tenant);
    query_int(&query, domain);
    query_text(&query, address);
    query_int(&query, (int64_t)quota);
    query_int(&query, clock_wall_ms() / 1000);
    result = query_run(&query);
    if (result == STORE_OK && edit_changed(store) == 0)
        result = store_say(store, STORE_SAME, "account %.*s exists", BYTES_ARG(address));
    return result;
}

/* The address in its one form, and an edit begun. On anything but STORE_OK neither is left. */
static enum store_result begin(struct store *store, struct arena *arena, struct bytes *address,
                               bool takes_all)
{
    struct bytes given = *address;

    arena_init(arena, NAMES_MAX);
    enum store_result result =
        directory_address(arena, given, takes_all, address)
            ? edit_begin(store)
            : store_say(store, STORE_INVALID, "\"%.*s\" is no address; expected local@domain%s",
                        (int)MIN(given.len, (size_t)SHOWN_MAX), (const char *)given.ptr,
                        takes_all ? " or @domain" : "");
    if (result != STORE_OK)
        arena_free(arena);
    return result;
}

static enum store_result end(struct store *store, struct arena *arena, enum store_result result)
{
    result = edit_end(store, result);
    arena_free(arena);
    return result;
}

enum store_result account_add(struct store *store, struct bytes address, uint64_t quota)
{
    struct arena arena;
    enum store_result result = begin(store, &arena, &address, false);

    if (result != STORE_OK)
        return result;
    result = insert_account(store, address, quota);
    if (result == STORE_OK)
        result = edit_audit(store, "account add", address, "quota=%llu", (unsigned long long)quota);
    return end(store, &arena, result);
}

/* One column of one account gets a value. */
static enum store_result set(struct store *store, struct bytes address, const char *sql,
                             int64_t value, const char *what)
{
    struct arena arena;
    struct query query;
    int64_t id, tenant;
    enum store_result result = begin(store, &arena, &address, false);

    if (result != STORE_OK)
        return result;
    result = store_find_account(store, address, &id, &tenant);
    if (result == STORE_OK) {
        query_begin(&query, store, sql);
        query_int(&query, value);
        query_int(&query, id);
        result = query_run(&query);
    }
    if (result == STORE_OK && edit_changed(store) == 0)
        result = store_say(store, STORE_SAME, "account %.*s is so already", BYTES_ARG(address));
    if (result == STORE_OK)
        result = edit_audit(store, what, address, "%lld", (long long)value);
    return end(store, &arena, result);
}

enum store_result account_set_quota(struct store *store, struct bytes address, uint64_t quota)
{
    return set(store, address, "UPDATE accounts SET quota = ?1 WHERE id = ?2 AND quota <> ?1",
               (int64_t)quota, "account set quota");
}

enum store_result account_set_sent(struct store *store, struct bytes address, bool files_sent)
{
    return set(store, address,
               "UPDATE accounts SET files_sent = ?1 WHERE id = ?2 AND files_sent <> ?1", files_sent,
               "account set sent");
}

static enum store_result check_showing(struct store *store, int64_t tenant)
{
    struct query query;
    int64_t count = 0;

    query_begin(&query, store, "SELECT count(*) FROM accounts WHERE shows > 0 AND tenant = ?");
    query_int(&query, tenant);
    if (query_row(&query))
        count = query_column(&query);
    enum store_result result = query_end(&query);
    if (result == STORE_OK && count > SHOWING_ACCOUNTS_MAX)
        result = store_say(store, STORE_CLASH, "%d accounts of the tenant show its mail already",
                           SHOWING_ACCOUNTS_MAX);
    return result;
}

enum store_result account_set_shows(struct store *store, struct bytes address, unsigned shows)
{
    char text[SHOWS_TEXT_MAX];
    struct arena arena;
    struct query query;
    int64_t id, tenant;
    enum store_result result = begin(store, &arena, &address, false);

    if (result != STORE_OK)
        return result;
    result = store_find_account(store, address, &id, &tenant);
    if (result == STORE_OK) {
        query_begin(&query, store, "UPDATE accounts SET shows = ?1 WHERE id = ?2 AND shows <> ?1");
        query_int(&query, shows);
        query_int(&query, id);
        result = query_run(&query);
    }
    if (result == STORE_OK && edit_changed(store) == 0)
        result = store_say(store, STORE_SAME, "account %.*s is so already", BYTES_ARG(address));
    if (result == STORE_OK)
        result = check_showing(store, tenant);
    if (result == STORE_OK)
        result = edit_audit(store, "account set shows", address, "%.*s",
                            BYTES_ARG(account_shows_format(shows, text)));
    return end(store, &arena, result);
}

static enum store_result change_sends_as(struct store *store, struct bytes address,
                                         struct bytes list)
{
    struct query query;
    int64_t id, tenant;
    enum store_result result = store_find_account(store, address, &id, &tenant);

    if (result != STORE_OK)
        return result;
    query_begin(&query, store,
                "UPDATE accounts SET sends_as = ?1 WHERE id = ?2 AND sends_as <> ?1");
    query_text(&query, list);
    query_int(&query, id);
    result = query_run(&query);
    if (result == STORE_OK && edit_changed(store) == 0)
        result = store_say(store, STORE_SAME, "account %.*s is so already", BYTES_ARG(address));
    return result != STORE_OK ? result
                              : edit_audit(store, "account set sends-as", address, "%.*s",
                                           BYTES_ARG(list.len > 0 ? list : BYTES("none")));
}

enum store_result account_set_sends_as(struct store *store, struct bytes address, struct bytes text)
{
    struct arena arena, list_arena;
    struct bytes list;
    enum store_result result = STORE_INVALID;

    arena_init(&list_arena, LIST_ROOM);
    if (!account_sends_parse(&list_arena, text, &list))
        result = store_say(store, STORE_INVALID,
                           "\"%.*s\" is no list of addresses, @domains or *, nor none",
                           (int)MIN(text.len, (size_t)SHOWN_MAX), (const char *)text.ptr);
    else if ((result = begin(store, &arena, &address, false)) == STORE_OK)
        result = end(store, &arena, change_sends_as(store, address, list));
    arena_free(&list_arena);
    return result;
}

enum store_result account_disable(struct store *store, struct bytes address, bool is_disabled)
{
    return set(store, address, "UPDATE accounts SET disabled = ?1 WHERE id = ?2 AND disabled <> ?1",
               is_disabled, is_disabled ? "account disable" : "account enable");
}

enum store_result account_remove(struct store *store, struct bytes address)
{
    struct arena arena;
    struct query query;
    int64_t id, tenant;
    enum store_result result = begin(store, &arena, &address, false);

    if (result != STORE_OK)
        return result;
    result = store_find_account(store, address, &id, &tenant);
    if (result == STORE_OK) {
        query_begin(&query, store, "DELETE FROM accounts WHERE id = ?");
        query_int(&query, id);
        result = query_run(&query);
    }
    if (result == STORE_OK)
        result = edit_audit(store, "account remove", address, "%s", "");
    return end(store, &arena, result);
}

enum store_result account_note_script(struct store *store, struct bytes address, bool is_gone,
                                      size_t size)
{
    struct arena arena;
    int64_t id, tenant;
    enum store_result result = begin(store, &arena, &address, false);

    if (result != STORE_OK)
        return result;
    result = store_find_account(store, address, &id, &tenant);
    if (result == STORE_OK && is_gone)
        result = edit_audit(store, "account sieve remove", address, "%s", "");
    else if (result == STORE_OK)
        result = edit_audit(store, "account sieve", address, "bytes=%zu", size);
    return end(store, &arena, result);
}

enum store_result account_list(struct store *store, struct bytes address,
                               void (*visit)(void *context, const struct account_row *row),
                               void *context)
{
    int64_t id = 0, tenant;
    struct query query;

    if (address.ptr != NULL) {
        enum store_result result = store_find_account(store, address, &id, &tenant);

        if (result != STORE_OK)
            return result;
    }
    query_begin(
        &query, store,
        "SELECT a.disabled, a.quota, a.files_sent, a.shows, a.created,"
        " (SELECT count(*) FROM credentials WHERE account = a.id), a.address, t.name,"
        " a.sends_as FROM accounts a JOIN tenants t ON t.id = a.tenant WHERE ?1 = 0 OR a.id = ?1"
        " ORDER BY a.domain, a.address");
    query_int(&query, id);
    while (query_row(&query)) {
        struct account_row row;

        row.is_disabled = query_column(&query) != 0;
        row.quota = (uint64_t)query_column(&query);
        row.files_sent = query_column(&query) != 0;
        row.shows = (unsigned)query_column(&query);
        row.created_s = query_column(&query);
        row.credentials = query_column(&query);
        row.address = query_column_text(&query);
        row.tenant = query_column_text(&query);
        row.sends_as = query_column_text(&query);
        visit(context, &row);
    }
    return query_end(&query);
}

/* --- aliases ---------------------------------------------------------------------------------- */

static enum store_result get_alias(struct store *store, struct bytes address, int64_t *id_out)
{
    int64_t domain, tenant;
    struct query query;
    enum store_result result = find_hosted(store, address, &domain, &tenant);

    if (result == STORE_OK)
        result = not_both(store, address, "SELECT 1 FROM accounts WHERE address = ?", "an account");
    if (result != STORE_OK)
        return result;
    query_begin(&query, store,
                "INSERT INTO aliases(tenant, domain, address, created) VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING");
    query_int(&query, tenant);
    query_int(&query, domain);
    query_text(&query, address);
    query_int(&query, clock_wall_ms() / 1000);
    if ((result = query_run(&query)) != STORE_OK)
        return result;
    query_begin(&query, store, "SELECT id FROM aliases WHERE address = ?");
    query_text(&query, address);
    if (query_row(&query))
        *id_out = query_column(&query);
    return query_end(&query);
}

static enum store_result add_target(struct store *store, int64_t alias, struct bytes text,
                                    int64_t *added)
{
    struct arena arena;
    struct bytes target;
    struct query query;
    enum store_result result;

    arena_init(&arena, NAMES_MAX);
    if (!directory_address(&arena, text, false, &target)) {
        result = store_say(store, STORE_INVALID, "\"%.*s\" is no address; expected local@domain",
                           (int)MIN(text.len, (size_t)SHOWN_MAX), (const char *)text.ptr);
    } else {
        query_begin(&query, store,
                    "INSERT INTO alias_targets(alias, address) VALUES (?, ?)"
                    " ON CONFLICT DO NOTHING");
        query_int(&query, alias);
        query_text(&query, target);
        result = query_run(&query);
        *added += result == STORE_OK ? edit_changed(store) : 0;
    }
    arena_free(&arena);
    return result;
}

static enum store_result check_target_count(struct store *store, int64_t alias)
{
    struct query query;
    int64_t count = 0;

    query_begin(&query, store, "SELECT count(*) FROM alias_targets WHERE alias = ?");
    query_int(&query, alias);
    if (query_row(&query))
        count = query_column(&query);
    enum store_result result = query_end(&query);
    if (result == STORE_OK && count > ALIAS_TARGETS_MAX)
        result =
            store_say(store, STORE_INVALID, "more than %d targets of one alias", ALIAS_TARGETS_MAX);
    return result;
}

enum store_result alias_add(struct store *store, struct bytes address, size_t count,
                            const struct bytes *targets)
{
    int64_t id = 0, added = 0;
    struct arena arena;
    enum store_result result = begin(store, &arena, &address, true);

    if (result != STORE_OK)
        return result;
    result = get_alias(store, address, &id);
    for (size_t i = 0; result == STORE_OK && i < count; i++) {
        result = add_target(store, id, targets[i], &added);
        if (result == STORE_OK)
            result = edit_audit(store, "alias add", address, "%.*s", BYTES_ARG(targets[i]));
    }
    if (result == STORE_OK)
        result = check_target_count(store, id);
    if (result == STORE_OK && added == 0)
        result = store_say(store, STORE_SAME, "alias %.*s has them", BYTES_ARG(address));
    return end(store, &arena, result);
}

enum store_result alias_remove(struct store *store, struct bytes address)
{
    struct arena arena;
    struct query query;
    enum store_result result = begin(store, &arena, &address, true);

    if (result != STORE_OK)
        return result;
    query_begin(&query, store, "DELETE FROM aliases WHERE address = ?");
    query_text(&query, address);
    result = query_run(&query);
    if (result == STORE_OK && edit_changed(store) == 0)
        result = store_say(store, STORE_NONE,
                           "there is no alias %.*s (`ringpost alias list` lists them)",
                           BYTES_ARG(address));
    if (result == STORE_OK)
        result = edit_audit(store, "alias remove", address, "%s", "");
    return end(store, &arena, result);
}

enum store_result alias_list(struct store *store,
                             void (*visit)(void *context, const struct alias_row *row),
                             void *context)
{
    struct query query;

    query_begin(&query, store,
                "SELECT a.address, t.name,"
                " (SELECT group_concat(address) FROM alias_targets WHERE alias = a.id)"
                " FROM aliases a JOIN tenants t ON t.id = a.tenant ORDER BY a.domain, a.address");
    while (query_row(&query)) {
        struct alias_row row;

        row.address = query_column_text(&query);
        row.tenant = query_column_text(&query);
        row.targets = query_column_text(&query);
        visit(context, &row);
    }
    return query_end(&query);
}
