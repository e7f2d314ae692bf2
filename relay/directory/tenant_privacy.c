/* tenant_privacy.c - privacy in the database. */
#include "directory/tenant_privacy.h"

#include "directory/store_private.h"

enum store_result tenant_privacy_set(struct store *store, struct bytes tenant, unsigned mode)
{
    static const char *const names[] = {"none", "hash", "cut"};
    struct query query;
    int64_t id;

    check(mode < ARRAY_LEN(names));
    enum store_result result = edit_begin(store);
    if (result != STORE_OK)
        return result;
    result = store_find_tenant(store, tenant, &id);
    if (result == STORE_OK) {
        query_begin(&query, store,
                    mode == 0 ? "DELETE FROM privacy WHERE tenant = ?1"
                              : "INSERT INTO privacy(tenant, mode) VALUES (?1, ?2)"
                                " ON CONFLICT DO UPDATE SET mode = excluded.mode"
                                " WHERE mode <> excluded.mode");
        query_text(&query, tenant);
        if (mode != 0)
            query_int(&query, mode);
        result = query_run(&query);
    }
    if (result == STORE_OK && edit_changed(store) == 0)
        result = store_say(store, STORE_SAME, "tenant %.*s has privacy=%s", BYTES_ARG(tenant),
                           names[mode]);
    if (result == STORE_OK)
        result = edit_audit(store, "tenant set", tenant, "privacy=%s", names[mode]);
    return edit_end(store, result);
}

enum store_result tenant_privacy_list(struct store *store,
                                      void (*visit)(void *context, struct bytes tenant,
                                                    unsigned mode),
                                      void *context)
{
    struct query query;

    query_begin(&query, store, "SELECT mode, tenant FROM privacy");
    while (query_row(&query)) {
        unsigned mode = (unsigned)query_column(&query);

        visit(context, query_column_text(&query), mode);
    }
    return query_end(&query);
}
