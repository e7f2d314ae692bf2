/*
 * credentials.h - revocable secrets of tenants and of their accounts.
 *
 * A credential is named by its id: CREDENTIAL_ID_LEN letters and digits that also stand inside its
 * secret. Revoking removes it; the audit remembers.
 *
 * Thread: the store's.
 */
#pragma once

#include "directory/credential_secret.h"
#include "directory/store.h"

enum { CREDENTIAL_NAME_MAX = 100, CREDENTIAL_NETWORKS_MAX = 64 };

struct credential_wish {
    struct bytes tenant;
    struct bytes account; /* address, as written; ptr NULL: none. Then the scope is mail */
    struct bytes name;    /* what it is for; may be empty */
    uint8_t scopes;       /* enum credential_scope; 0: the default */
    uint8_t class;        /* enum mail_class */
    size_t network_count;
    const struct bytes *networks; /* as written */
    int64_t expires_s;            /* wall; 0: never */
};

struct credential_row {
    struct bytes id, tenant, account, name, networks; /* account ptr NULL: of none */
    uint8_t scopes, class;
    int64_t expires_s, created_s;
    int64_t used_s; /* 0: never */
};

/* The secret is not kept: this is the only time that it is told. *tenant's and account's names as
 * they are kept are not told: ask credential_list(). */
enum store_result credential_add(struct store *store, const struct credential_wish *wish,
                                 char id_out[static CREDENTIAL_ID_LEN],
                                 char secret_out[static SECRET_LEN]);
/* STORE_SAME: it was revoked before. A whole secret instead of the id is taken too. */
enum store_result credential_revoke(struct store *store, struct bytes id);
/* Of a tenant; ptr NULL: of all. */
enum store_result credential_list(struct store *store, struct bytes tenant,
                                  void (*visit)(void *context, const struct credential_row *row),
                                  void *context);

struct credential_use {
    uint32_t credential; /* its row */
    int64_t wall_s;
};
/* When credentials were last used; what is gone or was used later is passed over. */
enum store_result credential_write_uses(struct store *store, const struct credential_use *uses,
                                        size_t count);
