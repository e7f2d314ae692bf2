/* credentials.c - credentials in the database. */
#include "directory/credentials.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "directory/accounts.h"
#include "directory/store_private.h"

enum { BLOB_LEN = CREDENTIAL_SALT_LEN + 3 * CREDENTIAL_HASH_LEN, NETWORKS_TEXT_MAX = 4096 };

/* Who it is of: the tenant and, perhaps, one of its accounts. */
struct owner {
    int64_t tenant;
    int64_t account; /* 0: none */
};

static enum store_result find_owner(struct store *store, const struct credential_wish *wish,
                                    struct owner *out)
{
    *out = (struct owner){0};
    enum store_result result = store_find_tenant(store, wish->tenant, &out->tenant);
    if (result != STORE_OK || wish->account.ptr == NULL)
        return result;
    int64_t tenant;
    result = store_find_account(store, wish->account, &out->account, &tenant);
    if (result == STORE_OK && tenant != out->tenant)
        result = store_say(store, STORE_CLASH, "account %.*s is of another tenant than %.*s",
                           BYTES_ARG(wish->account), BYTES_ARG(wish->tenant));
    return result;
}

static enum store_result join_networks(struct store *store, const struct credential_wish *wish,
                                       struct buf *out)
{
    for (size_t i = 0; i < wish->network_count; i++) {
        struct network network;

        if (!network_parse(wish->networks[i], &network))
            return store_say(store, STORE_INVALID,
                             "\"%.*s\" is no network; expected such as 192.0.2.0/24, 2001:db8::/32 "
                             "or one address",
                             (int)MIN(wish->networks[i].len, (size_t)80),
                             (const char *)wish->networks[i].ptr);
        if (i >= CREDENTIAL_NETWORKS_MAX || (i > 0 && !buf_append_byte(out, ',')) ||
            !buf_append(out, wish->networks[i]))
            return store_say(store, STORE_INVALID, "more than %d networks",
                             CREDENTIAL_NETWORKS_MAX);
    }
    return STORE_OK;
}

static enum store_result check_wish(struct store *store, const struct credential_wish *wish)
{
    if (wish->name.len > CREDENTIAL_NAME_MAX)
        return store_say(store, STORE_INVALID, "the name is longer than %d bytes",
                         CREDENTIAL_NAME_MAX);
    for (size_t i = 0; i < wish->name.len; i++)
        if (wish->name.ptr[i] < ' ' || wish->name.ptr[i] == 0x7f)
            return store_say(store, STORE_INVALID, "the name has a control character");
    if (wish->expires_s != 0 && wish->expires_s <= clock_wall_ms() / 1000)
        return store_say(store, STORE_INVALID, "it would have expired already");
    if (wish->account.ptr == NULL && (wish->scopes & SCOPE_MAIL) != 0)
        return store_say(store, STORE_INVALID,
                         "the scope mail needs --account local@domain: whose mail it reads");
    return STORE_OK;
}

static enum store_result insert(struct store *store, const struct credential_wish *wish,
                                const struct owner *owner, struct bytes networks,
                                const struct directory_credential *row)
{
    uint8_t blob[BLOB_LEN], *at = blob;
    struct query query;

    (void)bytes_put(bytes_range(row->salt, sizeof(row->salt)), &at);
    (void)bytes_put(bytes_range(row->hash, sizeof(row->hash)), &at);
    (void)bytes_put(bytes_range(row->stored_key, sizeof(row->stored_key)), &at);
    (void)bytes_put(bytes_range(row->server_key, sizeof(row->server_key)), &at);
    query_begin(&query, store,
                "INSERT INTO credentials(tenant, account, key, name, scopes, class, networks,"
                " expires, secret, created) VALUES (?, nullif(?, 0), ?, ?, ?, ?, ?, ?, ?, ?)");
    query_int(&query, owner->tenant);
    query_int(&query, owner->account);
    query_text(&query, bytes_range(row->name, sizeof(row->name)));
    query_text(&query, wish->name.ptr == NULL ? BYTES("") : wish->name);
    query_int(&query, row->scopes);
    query_int(&query, wish->class);
    query_text(&query, networks.ptr == NULL ? BYTES("") : networks);
    query_int(&query, wish->expires_s);
    query_blob(&query, bytes_range(blob, sizeof(blob)));
    query_int(&query, clock_wall_ms() / 1000);
    return query_run(&query);
}

/* "submit,api" */
static void print_scopes(uint8_t scopes, char out[static 32])
{
    snprintf(out, 32, "%s%s%s%s%s", (scopes & SCOPE_SUBMIT) != 0 ? "submit" : "",
             (scopes & SCOPE_SUBMIT) != 0 && scopes > SCOPE_SUBMIT ? "," : "",
             (scopes & SCOPE_API) != 0 ? "api" : "",
             (scopes & SCOPE_API) != 0 && (scopes & SCOPE_MAIL) != 0 ? "," : "",
             (scopes & SCOPE_MAIL) != 0 ? "mail" : "");
}

enum store_result credential_add(struct store *store, const struct credential_wish *wish,
                                 char id_out[static CREDENTIAL_ID_LEN],
                                 char secret_out[static SECRET_LEN])
{
    struct directory_credential row = {0};
    char secret[SECRET_LEN], scopes[32];
    struct owner owner = {0};
    struct buf networks;

    row.scopes = wish->scopes;
    if (row.scopes == 0)
        row.scopes = wish->account.ptr != NULL ? SCOPE_MAIL | SCOPE_SUBMIT : SCOPE_SUBMIT;
    buf_init(&networks, NETWORKS_TEXT_MAX);
    enum store_result result = check_wish(store, wish);
    if (result == STORE_OK)
        result = join_networks(store, wish, &networks);
    if (result == STORE_OK && !secret_make(&row, secret))
        result = store_say(store, STORE_BROKEN, "the system gives no random bits");
    if (result == STORE_OK && (result = edit_begin(store)) == STORE_OK) {
        result = find_owner(store, wish, &owner);
        if (result == STORE_OK)
            result = insert(store, wish, &owner, buf_bytes(&networks), &row);
        print_scopes(row.scopes, scopes);
        if (result == STORE_OK)
            result = edit_audit(store, "credential add", bytes_range(row.name, sizeof(row.name)),
                                "tenant=%.*s account=%.*s scopes=%s networks=%.*s",
                                BYTES_ARG(wish->tenant), BYTES_ARG(wish->account), scopes,
                                BYTES_ARG(buf_bytes(&networks)));
        result = edit_end(store, result);
    }
    if (result == STORE_OK) {
        memcpy(id_out, row.name, sizeof(row.name));
        memcpy(secret_out, secret, sizeof(secret));
    }
    OPENSSL_cleanse(secret, sizeof(secret));
    buf_free(&networks);
    return result;
}

/* Gone already, or never there? */
static enum store_result tell_absent(struct store *store, struct bytes id)
{
    struct query query;

    query_begin(&query, store,
                "SELECT 1 FROM audit WHERE subject = ? AND what = 'credential revoke'");
    query_text(&query, id);
    bool was_revoked = query_row(&query);
    enum store_result result = query_end(&query);
    if (result != STORE_OK)
        return result;
    int len = (int)MIN(id.len, (size_t)64);
    const char *text = (const char *)id.ptr;
    return was_revoked
               ? store_say(store, STORE_SAME, "credential %.*s was revoked before", len, text)
               : store_say(store, STORE_NONE,
                           "there is no credential %.*s (`ringpost credential list` lists them)",
                           len, text);
}

enum store_result credential_revoke(struct store *store, struct bytes id)
{
    struct query query;
    struct bytes inside;

    if (secret_id(id, &inside))
        id = inside;
    enum store_result result = edit_begin(store);
    if (result != STORE_OK)
        return result;
    query_begin(&query, store, "DELETE FROM credentials WHERE key = ?");
    query_text(&query, id);
    result = query_run(&query);
    if (result == STORE_OK && edit_changed(store) == 0)
        result = tell_absent(store, id);
    if (result == STORE_OK)
        result = edit_audit(store, "credential revoke", id, "%s", "");
    return edit_end(store, result);
}

enum store_result credential_list(struct store *store, struct bytes tenant,
                                  void (*visit)(void *context, const struct credential_row *row),
                                  void *context)
{
    struct query query;
    int64_t id = 0;

    if (tenant.ptr != NULL) {
        enum store_result result = store_find_tenant(store, tenant, &id);

        if (result != STORE_OK)
            return result;
    }
    query_begin(&query, store,
                "SELECT c.scopes, c.class, c.expires, c.created, coalesce(u.used, 0), c.key,"
                " t.name, a.address, c.name, c.networks FROM credentials c"
                " JOIN tenants t ON t.id = c.tenant LEFT JOIN accounts a ON a.id = c.account"
                " LEFT JOIN credential_uses u ON u.credential = c.id"
                " WHERE ?1 = 0 OR c.tenant = ?1 ORDER BY t.name, c.id");
    query_int(&query, id);
    while (query_row(&query)) {
        struct credential_row row;

        row.scopes = (uint8_t)query_column(&query);
        row.class = (uint8_t)query_column(&query);
        row.expires_s = query_column(&query);
        row.created_s = query_column(&query);
        row.used_s = query_column(&query);
        row.id = query_column_text(&query);
        row.tenant = query_column_text(&query);
        row.account = query_column_text(&query);
        row.name = query_column_text(&query);
        row.networks = query_column_text(&query);
        visit(context, &row);
    }
    return query_end(&query);
}

enum store_result credential_write_uses(struct store *store, const struct credential_use *uses,
                                        size_t count)
{
    struct query query;
    enum store_result result = edit_begin(store);

    if (result != STORE_OK)
        return result;
    query_begin(&query, store,
                "INSERT INTO credential_uses(credential, used)"
                " SELECT id, ?2 FROM credentials WHERE id = ?1"
                " ON CONFLICT DO UPDATE SET used = max(used, excluded.used)");
    for (size_t i = 0; i < count; i++) {
        query_int(&query, uses[i].credential);
        query_int(&query, uses[i].wall_s);
        while (query_row(&query))
            ;
        query_again(&query);
    }
    return edit_end(store, query_end(&query));
}
