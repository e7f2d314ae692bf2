/* modules: directory */
/* directory.c - ringpost-bench-directory: what a large directory costs: building its snapshot, one
 * change, looking up, memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"
#include "directory/load.h"
#include "directory/snapshot_build.h"
#include "directory/store_private.h"
#include "directory/tenants.h"

enum { CHANGES = 1000, LOOKUPS = 1000000 };

static const char synopsis[] =
    "ringpost-bench-directory [TENANTS [CREDENTIALS [DIRECTORY]]]\n"
    "\n"
    "Makes a directory.db with as many tenants (100000), each with a domain of two keys, and\n"
    "credentials (1000000) in DIRECTORY (a new one in /tmp, removed afterwards), then prints\n"
    "a line of JSON: how long the first snapshot takes (wall and CPU), what it keeps in memory,\n"
    "a change from its commit to the next snapshot, and a look-up by name of each kind.\n";

static double cpu_ms(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
}

/* Rows that differ as real ones do; nobody could log in with them. */
static void fill(struct store *store, long tenants, long credentials)
{
    static const char *const statements[] = {
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)"
        " INSERT INTO tenants(name, created) SELECT 'tenant-' || i, 1 FROM n",
        "INSERT INTO limits(tenant, name, value) SELECT id, 'recipients', 1000 FROM tenants"
        " WHERE id <= ?1 / 10",
        "INSERT INTO domains(tenant, name, active, created)"
        " SELECT id, 'mail.customer-' || id || '.example', 1, 1 FROM tenants WHERE id <= ?1",
        "INSERT INTO dkim_keys(domain, selector, algorithm, state, file, public, created, changed)"
        " SELECT id, 'rp20260101r0', 0, 1, name || '/rp20260101r0.pem', 'MIIB', 1, 1 FROM domains"
        " WHERE id <= ?1",
        "INSERT INTO dkim_keys(domain, selector, algorithm, state, file, public, created, changed)"
        " SELECT id, 'rp20260101e0', 1, 1, name || '/rp20260101e0.pem', 'MCow', 1, 1 FROM domains"
        " WHERE id <= ?1",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)"
        " INSERT INTO credentials(tenant, key, name, scopes, class, networks, expires, secret,"
        " created) SELECT 1 + i % ?1, printf('%012d', i), '', 1, 0, '', 0, randomblob(112), 1"
        " FROM n",
    };

    check(store_run(store, "PRAGMA synchronous = OFF") == STORE_OK);
    check(edit_begin(store) == STORE_OK);
    for (size_t i = 0; i < ARRAY_LEN(statements); i++) {
        struct query query;

        query_begin(&query, store, statements[i]);
        query_int(&query, tenants);
        if (i + 1 == ARRAY_LEN(statements))
            query_int(&query, credentials);
        check(query_run(&query) == STORE_OK);
    }
    check(edit_end(store, STORE_OK) == STORE_OK);
    check(store_run(store, "PRAGMA wal_checkpoint(TRUNCATE)") == STORE_OK);
}

static double measure_changes(struct store *store, const struct snapshot **snapshot,
                              struct load_mark *mark)
{
    int64_t took_us = 0;
    char name[32];

    for (int i = 0; i < CHANGES; i++) {
        const struct snapshot *next;
        bool is_whole;
        int len = snprintf(name, sizeof(name), "new-%d", i);

        check(tenant_add(store, bytes_range(name, (size_t)len)) == STORE_OK);
        int64_t began_us = clock_monotonic_us();
        check(load_changes(store, *snapshot, mark, &next, &is_whole) == STORE_OK);
        check(next != NULL && !is_whole);
        snapshot_free(snapshot);
        *snapshot = next;
        took_us += clock_monotonic_us() - began_us;
    }
    return (double)took_us / CHANGES;
}

static double measure_lookups(const struct snapshot *snapshot, long credentials)
{
    int64_t began_us = clock_monotonic_us();
    unsigned found = 0;
    char name[16];

    for (int i = 0; i < LOOKUPS; i++) {
        snprintf(name, sizeof(name), "%012llu",
                 1 + (unsigned long long)random_below((uint64_t)credentials));
        const struct directory_credential *credential =
            snapshot_credential(snapshot, bytes_range(name, CREDENTIAL_ID_LEN));
        found += credential != NULL && snapshot_tenant_of(snapshot, credential->tenant) != NULL;
    }
    check(found == LOOKUPS);
    return (double)(clock_monotonic_us() - began_us) * 1000 / LOOKUPS;
}

static void run(const char *directory, long tenants, long credentials)
{
    struct load_mark mark = {0};
    const struct snapshot *snapshot;
    enum store_result result;
    char why[STORE_WHY_MAX] = "";
    struct store *store = store_open(directory, STORE_MAKE, STORE_PATIENCE_MS, &result, why);

    if (store == NULL) {
        fprintf(stderr, "%s\n", why);
        exit(1);
    }
    fill(store, tenants, credentials);
    double cpu_before = cpu_ms();
    int64_t began_us = clock_monotonic_us();
    check(load_all(store, &mark, &snapshot) == STORE_OK);
    double wall = (double)(clock_monotonic_us() - began_us) / 1e3;
    double cpu = cpu_ms() - cpu_before;
    size_t memory = snapshot_memory(snapshot);
    double lookup_ns = measure_lookups(snapshot, credentials);
    double change_us = measure_changes(store, &snapshot, &mark);
    printf("{\"tenants\": %ld, \"domains\": %ld, \"credentials\": %ld, \"build_ms\": %.0f, "
           "\"build_cpu_ms\": %.0f, \"memory_mib\": %.1f, \"change_us\": %.0f, "
           "\"lookup_ns\": %.0f}\n",
           tenants, tenants, credentials, wall, cpu, (double)memory / 1048576, change_us,
           lookup_ns);
    snapshot_free(&snapshot);
    store_close(&store);
}

int main(int argc, char **argv)
{
    char made[] = "/tmp/ringpost-bench-directory-XXXXXX", path[64];
    long tenants = argc > 1 ? strtol(argv[1], NULL, 10) : 100000;
    long credentials = argc > 2 ? strtol(argv[2], NULL, 10) : 1000000;

    if (tenants < 1 || credentials < 1) {
        fputs(synopsis, stderr);
        return 64;
    }
    if (argc > 3) {
        run(argv[3], tenants, credentials);
        return 0;
    }
    check(mkdtemp(made) != NULL);
    run(made, tenants, credentials);
    snprintf(path, sizeof(path), "%s/directory.db", made);
    check(unlink(path) == 0 && rmdir(made) == 0);
    return 0;
}
