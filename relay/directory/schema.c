/* schema.c - the tables, version by version.
 *
 * A version's SQL never changes once it was released: the next one changes what it made. */
#include <stdio.h>

#include "directory/store_private.h"

/* Tables of snapshots: numbers of enum snapshot_table, which are kept in `changes`. */
#define CHANGED(table, kind, id) \
    "CREATE TRIGGER " table "_inserted AFTER INSERT ON " table \
    " BEGIN INSERT INTO changes(kind, id) VALUES (" kind ", new." id "); END;" \
    "CREATE TRIGGER " table "_deleted AFTER DELETE ON " table \
    " BEGIN INSERT INTO changes(kind, id) VALUES (" kind ", old." id "); END;" \
    "CREATE TRIGGER " table "_updated AFTER UPDATE ON " table \
    " BEGIN INSERT INTO changes(kind, id) VALUES (" kind ", old." id ");" \
    " INSERT INTO changes(kind, id) SELECT " kind ", new." id " WHERE new." id " <> old." id \
    "; END;"

static const char version_1[] =
    "CREATE TABLE generation(id TEXT NOT NULL) STRICT;"
    "INSERT INTO generation(id) VALUES (lower(hex(randomblob(16))));"
    "CREATE TABLE changes(seq INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL,"
    " id INTEGER NOT NULL) STRICT;"
    "CREATE TABLE audit(id INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL,"
    " who TEXT NOT NULL, what TEXT NOT NULL, subject TEXT NOT NULL, detail TEXT NOT NULL) STRICT;"
    "CREATE INDEX audit_subject ON audit(subject);"
    "CREATE TABLE tenants(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,"
    " disabled INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1)),"
    " null_sender INTEGER NOT NULL DEFAULT 0 CHECK (null_sender IN (0, 1)),"
    " created INTEGER NOT NULL) STRICT;"
    "CREATE TABLE limits(tenant INTEGER NOT NULL REFERENCES tenants ON DELETE CASCADE,"
    " name TEXT NOT NULL, value INTEGER NOT NULL CHECK (value > 0),"
    " PRIMARY KEY (tenant, name)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE domains(id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " tenant INTEGER NOT NULL REFERENCES tenants, name TEXT NOT NULL UNIQUE,"
    " active INTEGER NOT NULL DEFAULT 0 CHECK (active IN (0, 1)),"
    " hosted INTEGER NOT NULL DEFAULT 0 CHECK (hosted IN (0, 1)),"
    " sub_domains INTEGER NOT NULL DEFAULT 0 CHECK (sub_domains IN (0, 1)),"
    " created INTEGER NOT NULL, verified INTEGER) STRICT;"
    "CREATE INDEX domains_tenant ON domains(tenant);"
    "CREATE TABLE dkim_keys(id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " domain INTEGER NOT NULL REFERENCES domains ON DELETE CASCADE, selector TEXT NOT NULL,"
    " algorithm INTEGER NOT NULL CHECK (algorithm IN (0, 1)),"
    " state INTEGER NOT NULL CHECK (state IN (0, 1, 2)), file TEXT NOT NULL,"
    " public TEXT NOT NULL, created INTEGER NOT NULL, changed INTEGER NOT NULL,"
    " UNIQUE (domain, selector)) STRICT;"
    "CREATE TABLE accounts(id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " tenant INTEGER NOT NULL REFERENCES tenants, domain INTEGER NOT NULL REFERENCES domains,"
    " address TEXT NOT NULL UNIQUE, quota INTEGER NOT NULL DEFAULT 0 CHECK (quota >= 0),"
    " disabled INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1)),"
    " created INTEGER NOT NULL) STRICT;"
    "CREATE INDEX accounts_tenant ON accounts(tenant);"
    "CREATE INDEX accounts_domain ON accounts(domain);"
    "CREATE TABLE aliases(id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " tenant INTEGER NOT NULL REFERENCES tenants, domain INTEGER NOT NULL REFERENCES domains,"
    " address TEXT NOT NULL UNIQUE, created INTEGER NOT NULL) STRICT;"
    "CREATE INDEX aliases_tenant ON aliases(tenant);"
    "CREATE INDEX aliases_domain ON aliases(domain);"
    "CREATE TABLE alias_targets(alias INTEGER NOT NULL REFERENCES aliases ON DELETE CASCADE,"
    " address TEXT NOT NULL, PRIMARY KEY (alias, address)) STRICT, WITHOUT ROWID;"
    /* secret: salt, SHA-256, StoredKey, ServerKey, one behind the other (credential_secret.h) */
    "CREATE TABLE credentials(id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " tenant INTEGER NOT NULL REFERENCES tenants,"
    " account INTEGER REFERENCES accounts ON DELETE CASCADE, key TEXT NOT NULL UNIQUE"
    " CHECK (length(key) = 12), name TEXT NOT NULL,"
    " scopes INTEGER NOT NULL CHECK (scopes BETWEEN 1 AND 7),"
    " class INTEGER NOT NULL CHECK (class BETWEEN 0 AND 2), networks TEXT NOT NULL,"
    " expires INTEGER NOT NULL, secret BLOB NOT NULL CHECK (length(secret) = 112),"
    " created INTEGER NOT NULL) STRICT;"
    "CREATE INDEX credentials_tenant ON credentials(tenant);"
    "CREATE INDEX credentials_account ON credentials(account) WHERE account IS NOT NULL;"
    /* Of its own, so that a login is no change of what snapshots show. */
    "CREATE TABLE credential_uses(credential INTEGER PRIMARY KEY"
    " REFERENCES credentials ON DELETE CASCADE, used INTEGER NOT NULL) STRICT;" /**/
    CHANGED("tenants", "0", "id") CHANGED("limits", "0", "tenant") CHANGED("credentials", "1", "id")
        CHANGED("domains", "2", "id") CHANGED("dkim_keys", "2", "domain")
            CHANGED("accounts", "3", "id") CHANGED("aliases", "4", "id")
                CHANGED("alias_targets", "4", "alias")
    /* An account shows its newest credential. */
    "CREATE TRIGGER credentials_of_account_inserted AFTER INSERT ON credentials"
    " WHEN new.account IS NOT NULL"
    " BEGIN INSERT INTO changes(kind, id) VALUES (3, new.account); END;"
    "CREATE TRIGGER credentials_of_account_deleted AFTER DELETE ON credentials"
    " WHEN old.account IS NOT NULL"
    " BEGIN INSERT INTO changes(kind, id) VALUES (3, old.account); END;";

static const char version_2[] =
    "CREATE TABLE webhooks(id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " tenant INTEGER NOT NULL REFERENCES tenants ON DELETE CASCADE, name TEXT NOT NULL,"
    " settings TEXT NOT NULL, created INTEGER NOT NULL, UNIQUE (tenant, name)) STRICT;"
    /* By name, because it holds for mail of a tenant that was removed, too. */
    "CREATE TABLE privacy(tenant TEXT NOT NULL PRIMARY KEY,"
    " mode INTEGER NOT NULL CHECK (mode IN (1, 2))) STRICT, WITHOUT ROWID;";

/* Up to where changes were told as events. What was changed before there were any is not told. */
static const char version_3[] =
    "CREATE TABLE audit_told(id INTEGER NOT NULL) STRICT;"
    "INSERT INTO audit_told(id) SELECT coalesce(max(id), 0) FROM audit;";

static const char version_4[] =
    "ALTER TABLE accounts"
    " ADD COLUMN files_sent INTEGER NOT NULL DEFAULT 0 CHECK (files_sent IN (0, 1));";

/* What a tenant says of senders; kind 5 of snapshots. */
static const char version_5[] =
    "CREATE TABLE sender_rules(id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " tenant INTEGER NOT NULL REFERENCES tenants ON DELETE CASCADE, value TEXT NOT NULL,"
    " allowed INTEGER NOT NULL CHECK (allowed IN (0, 1)), created INTEGER NOT NULL,"
    " UNIQUE (tenant, value)) STRICT;" /**/
    CHANGED("sender_rules", "5", "id");

/* Which folders of its tenant's an account has (account_shows.h). Tenants know these accounts. */
static const char version_6[] =
    "ALTER TABLE accounts"
    " ADD COLUMN shows INTEGER NOT NULL DEFAULT 0 CHECK (shows BETWEEN 0 AND 15);"
    "CREATE INDEX accounts_showing ON accounts(tenant, id) WHERE shows > 0;"
    "CREATE TRIGGER accounts_showing_inserted AFTER INSERT ON accounts WHEN new.shows > 0"
    " BEGIN INSERT INTO changes(kind, id) VALUES (0, new.tenant); END;"
    "CREATE TRIGGER accounts_showing_updated AFTER UPDATE OF shows ON accounts"
    " BEGIN INSERT INTO changes(kind, id) VALUES (0, new.tenant); END;"
    "CREATE TRIGGER accounts_showing_deleted AFTER DELETE ON accounts WHEN old.shows > 0"
    " BEGIN INSERT INTO changes(kind, id) VALUES (0, old.tenant); END;";

/* As whom an account may send besides (account_sends.h). */
static const char version_7[] =
    "ALTER TABLE accounts ADD COLUMN sends_as TEXT NOT NULL DEFAULT '';";

static const char *const versions[] = {version_1, version_2, version_3, version_4,
                                       version_5, version_6, version_7};

const char *schema_sql(unsigned version)
{
    return version >= 1 && version <= ARRAY_LEN(versions) ? versions[version - 1] : NULL;
}

enum store_result schema_version(struct store *store, int64_t *version_out)
{
    struct query query;
    int64_t version = 0;

    query_begin(&query, store, "PRAGMA user_version");
    if (query_row(&query))
        version = query_column(&query);
    enum store_result result = query_end(&query);
    if (result != STORE_OK)
        return result;
    if (version < 0 || version > (int64_t)ARRAY_LEN(versions))
        return store_say(store, STORE_NEWER,
                         "%s: written by a newer ringpost (schema %lld, this one knows %zu)",
                         store->path, (long long)version, ARRAY_LEN(versions));
    *version_out = version;
    return STORE_OK;
}

static enum store_result migrate(struct store *store)
{
    enum store_result result;
    char pragma[48];
    int64_t version;

    /* Asked again: another process may have done it while we waited to write. */
    if ((result = schema_version(store, &version)) != STORE_OK)
        return result;
    for (; version < (int64_t)ARRAY_LEN(versions); version++)
        if ((result = store_run(store, versions[version])) != STORE_OK)
            return result;
    snprintf(pragma, sizeof(pragma), "PRAGMA user_version = %zu", ARRAY_LEN(versions));
    return store_run(store, pragma);
}

enum store_result schema_migrate(struct store *store)
{
    int64_t version;
    enum store_result result = schema_version(store, &version);

    if (result != STORE_OK || version == (int64_t)ARRAY_LEN(versions))
        return result;
    result = store_run(store, "BEGIN IMMEDIATE");
    if (result != STORE_OK)
        return result;
    result = migrate(store);
    if (result == STORE_OK)
        return store_run(store, "COMMIT");
    sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL); /* what went wrong is said already */
    return result;
}
