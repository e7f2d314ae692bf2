/*
 * tenant_webhooks.h - webhooks of tenants, as the directory keeps them.
 *
 * A webhook is named TENANT.NAME, which is also its sink's name. Its settings are JSON that the
 * program reads (relay/webhook_rows.h); here they are text. An id is never used again, so that a
 * cursor of one that was removed is not taken for its successor's.
 *
 * Thread: the store's.
 */
#pragma once

#include "directory/store.h"

enum {
    TENANT_WEBHOOK_NAME_MAX = 32,
    TENANT_WEBHOOKS_MAX = 10000, /* of all tenants */
    TENANT_WEBHOOK_SETTINGS_MAX = 32768,
};

struct tenant_webhook_row {
    uint64_t id;
    struct bytes tenant, name, settings;
    int64_t created_s;
};

/* Letters, digits, "_" and "-". */
bool tenant_webhook_name_is_valid(struct bytes name);
/* STORE_CLASH: the tenant has one of this name, or there are too many. */
enum store_result tenant_webhook_add(struct store *store, struct bytes tenant, struct bytes name,
                                     struct bytes settings);
/* By its whole name. */
enum store_result tenant_webhook_remove(struct store *store, struct bytes tenant, struct bytes name,
                                        uint64_t *id_out);
/* Of a tenant; ptr NULL: of all, by name. */
enum store_result tenant_webhook_list(struct store *store, struct bytes tenant,
                                      void (*visit)(void *context,
                                                    const struct tenant_webhook_row *row),
                                      void *context);
