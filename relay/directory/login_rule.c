/* login_rule.c - names, secrets and scopes of logins. */
#include "directory/login_rule.h"

#include "base/utf8.h"
#include "directory/credential_secret.h"
#include "directory/directory_name.h"

enum { ADDRESS_MAX = 1024 };

struct bytes login_credential_name(const struct directory_credential *credential)
{
    return bytes_range(credential->name, sizeof(credential->name));
}

static const struct directory_account *account_of(const struct snapshot *snapshot,
                                                  struct bytes user)
{
    const struct directory_account *account = NULL;
    struct arena arena;
    struct bytes address;

    arena_init(&arena, ADDRESS_MAX);
    if (directory_address(&arena, user, false, &address))
        account = snapshot_account(snapshot, address);
    arena_free(&arena);
    return account;
}

bool login_is_apikey(struct bytes user)
{
    return bytes_equal_nocase(user, BYTES("apikey"));
}

const struct directory_credential *login_of_user(const struct snapshot *snapshot, struct bytes user)
{
    uint8_t id[CREDENTIAL_ID_LEN];

    if (user.len == sizeof(id)) {
        for (size_t i = 0; i < sizeof(id); i++)
            id[i] = byte_lower(user.ptr[i]);
        return snapshot_credential(snapshot, bytes_range(id, sizeof(id)));
    }
    const struct directory_account *account = account_of(snapshot, user);
    return account != NULL ? snapshot_credential_of(snapshot, account->credential) : NULL;
}

/* Is this the name to be told with that credential's secret? */
static bool is_user(const struct snapshot *snapshot, struct bytes user,
                    const struct directory_credential *credential)
{
    if (login_is_apikey(user) || bytes_equal_nocase(user, login_credential_name(credential)))
        return true;
    const struct directory_account *account = account_of(snapshot, user);
    return account != NULL && account->id == credential->account;
}

const struct directory_credential *login_of_secret(const struct snapshot *snapshot,
                                                   struct bytes user, struct bytes secret)
{
    const struct directory_credential *credential = NULL;
    struct bytes id;

    if (secret_id(secret, &id))
        credential = snapshot_credential(snapshot, id);
    bool is_right = secret_is_of(secret, credential);

    return is_right && is_user(snapshot, user, credential) ? credential : NULL;
}

const char *login_obstacle(const struct snapshot *snapshot,
                           const struct directory_credential *credential,
                           const struct login_place *place)
{
    const struct directory_tenant *tenant = snapshot_tenant_of(snapshot, credential->tenant);
    const struct directory_account *account = snapshot_account_of(snapshot, credential->account);
    bool is_near = credential->network_count == 0 ||
                   networks_contain(credential->networks, credential->network_count, place->client);

    if ((credential->scopes & place->scope) == 0)
        return "scope";
    if (credential->expires_s != 0 && place->wall_s >= credential->expires_s)
        return "expired";
    if (!is_near)
        return "networks";
    if (tenant == NULL || tenant->is_disabled)
        return "tenant";
    if (credential->account != 0 && (account == NULL || account->is_disabled))
        return "account";
    return NULL;
}

struct bytes login_user_told(struct bytes user)
{
    struct bytes id;

    if (secret_id(user, &id) || bytes_starts_nocase(user, BYTES("rp_")) || !utf8_is_printable(user))
        return BYTES("?");
    return user;
}
