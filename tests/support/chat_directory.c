/* chat_directory.c - see chat_directory.h. */
#include "support/chat_directory.h"

#include <string.h>

#include <openssl/evp.h>

#include "auth/sasl/keys.h"
#include "directory/snapshot_build.h"

static const struct directory_domain domains[] = {
    {.id = 1, .tenant = 1, .is_active = true, .name = BYTES("shop.example")},
    {.id = 2,
     .tenant = 1,
     .is_active = true,
     .allows_sub_domains = true,
     .name = BYTES("sub.example")},
    {.id = 3, .tenant = 1, .name = BYTES("idle.example")},
    {.id = 4, .tenant = 2, .is_active = true, .name = BYTES("other.example")},
    {.id = 5, .tenant = 2, .is_active = true, .name = BYTES("theirs.sub.example")},
    {.id = 6, .tenant = 1, .is_active = true, .name = BYTES("xn--bcher-kva.example")},
};

/* For whom mail is received. */
static const struct directory_domain hosted[] = {
    {.id = 10, .tenant = 1, .is_hosted = true, .name = BYTES("hosted.example")},
    {.id = 11, .tenant = 3, .is_hosted = true, .name = BYTES("second.example")},
    {.id = 12, .tenant = 1, .is_active = true, .is_hosted = true, .name = BYTES("users.example")},
};
static const struct directory_account accounts[] = {
    {.id = 1, .tenant = 1, .domain = 10, .address = BYTES("bob@hosted.example")},
    {.id = 2, .tenant = 1, .domain = 10, .address = BYTES("full@hosted.example")},
    {.id = 3, .tenant = 1, .domain = 10, .address = BYTES("small@hosted.example")},
    {.id = 4,
     .tenant = 1,
     .domain = 10,
     .is_disabled = true,
     .address = BYTES("off@hosted.example")},
    {.id = 5, .tenant = 3, .domain = 11, .address = BYTES("eve@second.example")},
    {.id = 6, .tenant = 1, .domain = 10, .quota = 1000, .address = BYTES("little@hosted.example")},
    {.id = 7, .tenant = 1, .domain = 10, .quota = 2000, .address = BYTES("less@hosted.example")},
    {.id = 8, .tenant = 1, .domain = 12, .address = BYTES("ann@users.example")},
    {.id = 9,
     .tenant = 1,
     .domain = 12,
     .address = BYTES("ben@users.example"),
     .sends_as = BYTES("boss@users.example,@shop.example,x@other.example")},
    {.id = 10,
     .tenant = 1,
     .domain = 12,
     .sends_as = BYTES("*"),
     .address = BYTES("ed@users.example")},
};

static void put_hosted(struct snapshot_builder *builder)
{
    static const struct bytes nobody[] = {BYTES("gone@hosted.example")};
    static const struct bytes some[] = {BYTES("full@hosted.example"), BYTES("bob@hosted.example")};
    static const struct bytes littles[] = {BYTES("little@hosted.example"),
                                           BYTES("less@hosted.example")};
    static const struct bytes both[] = {BYTES("ann@users.example"), BYTES("ben@users.example")};
    static const struct bytes sales[] = {BYTES("team@users.example")};

    snapshot_put_tenant(builder, &(struct directory_tenant){.id = 3, .name = BYTES("second")});
    for (size_t i = 0; i < ARRAY_LEN(hosted); i++)
        snapshot_put_domain(builder, &hosted[i]);
    for (size_t i = 0; i < ARRAY_LEN(accounts); i++)
        snapshot_put_account(builder, &accounts[i]);
    snapshot_put_alias(builder, &(struct directory_alias){.id = 1,
                                                          .tenant = 1,
                                                          .domain = 10,
                                                          .target_count = 1,
                                                          .targets = nobody,
                                                          .address = BYTES("dead@hosted.example")});
    snapshot_put_alias(builder, &(struct directory_alias){.id = 2,
                                                          .tenant = 1,
                                                          .domain = 10,
                                                          .target_count = 2,
                                                          .targets = some,
                                                          .address = BYTES("some@hosted.example")});
    snapshot_put_alias(builder,
                       &(struct directory_alias){.id = 3,
                                                 .tenant = 1,
                                                 .domain = 10,
                                                 .target_count = 2,
                                                 .targets = littles,
                                                 .address = BYTES("littles@hosted.example")});
    snapshot_put_alias(builder, &(struct directory_alias){.id = 4,
                                                          .tenant = 1,
                                                          .domain = 12,
                                                          .target_count = 2,
                                                          .targets = both,
                                                          .address = BYTES("team@users.example")});
    snapshot_put_alias(builder, &(struct directory_alias){.id = 5,
                                                          .tenant = 1,
                                                          .domain = 12,
                                                          .target_count = 1,
                                                          .targets = sales,
                                                          .address = BYTES("sales@users.example")});
}

static void publish(struct chat_directory *directory)
{
    struct snapshot_builder *builder = snapshot_build(NULL);

    snapshot_put_tenant(builder, &directory->tenant);
    for (size_t i = 0; i < ARRAY_LEN(domains); i++)
        snapshot_put_domain(builder, &domains[i]);
    put_hosted(builder);
    if (!directory->is_revoked)
        snapshot_put_credential(builder, &directory->credential);
    snapshot_publish(directory->feed, snapshot_finish(&builder, ++directory->version));
    snapshot_reclaim(directory->feed);
}

static void make_keys(struct directory_credential *credential)
{
    uint8_t salted[CREDENTIAL_SALT_LEN + sizeof(CHAT_SECRET) - 1];
    struct sasl_keys keys;
    unsigned len;

    memset(credential->salt, 's', sizeof(credential->salt));
    memcpy(salted, credential->salt, sizeof(credential->salt));
    memcpy(salted + sizeof(credential->salt), CHAT_SECRET, sizeof(CHAT_SECRET) - 1);
    check(EVP_Digest(salted, sizeof(salted), credential->hash, &len, EVP_sha256(), NULL) == 1);
    check(sasl_keys_derive(BYTES(CHAT_SECRET), bytes_range(credential->salt, CREDENTIAL_SALT_LEN),
                           CREDENTIAL_ITERATIONS, &keys));
    memcpy(credential->stored_key, keys.stored_key, sizeof(keys.stored_key));
    memcpy(credential->server_key, keys.server_key, sizeof(keys.server_key));
}

void chat_directory_init(struct chat_directory *directory)
{
    *directory = (struct chat_directory){
        .feed = snapshot_feed_create(),
        .tenant = {.id = 1, .name = BYTES("shop")},
        .credential = {.id = 7, .tenant = 1, .scopes = SCOPE_SUBMIT},
    };
    memcpy(directory->credential.name, CHAT_CREDENTIAL, CREDENTIAL_ID_LEN);
    make_keys(&directory->credential);
    directory->reader = snapshot_reader_create(directory->feed);
    publish(directory);
}

void chat_directory_free(struct chat_directory *directory)
{
    if (directory->feed == NULL)
        return;
    snapshot_reader_free(&directory->reader);
    snapshot_feed_free(&directory->feed);
}

bool chat_directory_rule(struct chat_directory *directory, struct bytes key, struct bytes value)
{
    struct directory_credential *credential = &directory->credential;
    uint64_t number = 0;

    if (directory->feed == NULL)
        return false;
    if (bytes_equal(key, BYTES("networks"))) {
        if (!network_parse(value, &directory->network))
            return false;
        credential->networks = &directory->network;
        credential->network_count = 1;
    } else if (!bytes_to_u64(value, &number)) {
        return false;
    } else if (bytes_equal(key, BYTES("tenant_disabled"))) {
        directory->tenant.is_disabled = number != 0;
    } else if (bytes_equal(key, BYTES("revoked"))) {
        directory->is_revoked = number != 0;
    } else if (bytes_equal(key, BYTES("expires_s"))) {
        credential->expires_s = (int64_t)number;
    } else if (bytes_equal(key, BYTES("null_sender"))) {
        directory->tenant.allows_null_sender = number != 0;
    } else if (bytes_equal(key, BYTES("limit_size"))) {
        directory->tenant.limits[LIMIT_MESSAGE_SIZE] = number;
    } else if (bytes_equal(key, BYTES("limit_recipients"))) {
        directory->tenant.limits[LIMIT_RECIPIENTS] = number;
    } else if (bytes_equal(key, BYTES("account"))) {
        credential->account = (uint32_t)number;
    } else if (bytes_equal(key, BYTES("scopes"))) {
        credential->scopes = (uint8_t)number;
    } else if (bytes_equal(key, BYTES("class"))) {
        credential->class = (uint8_t)number;
    } else {
        return false;
    }
    publish(directory);
    return true;
}
