/* privacy_rows.c - a key that is made once, and a table. */
#include "relay/privacy_rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/log.h"
#include "directory/store.h"
#include "directory/tenant_privacy.h"
#include "event/event_privacy.h"
#include "io/key_file.h"

enum { PATIENCE_MS = 1000 };

static const char key_name[] = "privacy.key";

static int read_key(const char *state_dir, struct siphash_key *out)
{
    struct buf text;

    buf_init(&text, sizeof(*out));
    int error = key_file_read(state_dir, key_name, &text);
    if (error == 0 && buf_len(&text) != sizeof(*out))
        error = -EBADMSG;
    if (error == 0)
        memcpy(out, buf_bytes(&text).ptr, sizeof(*out));
    buf_free(&text);
    return error;
}

bool privacy_key_read(const char *state_dir, struct siphash_key *key_out)
{
    return read_key(state_dir, key_out) == 0;
}

static int open_key(const char *state_dir, struct siphash_key *out)
{
    int error = read_key(state_dir, out);

    if (error != -ENOENT)
        return error;
    if (getrandom(out, sizeof(*out), 0) != (ssize_t)sizeof(*out))
        return -EIO;
    error = key_file_make(state_dir, key_name, bytes_range(out, sizeof(*out)));
    return error == 0 || error == -EEXIST ? read_key(state_dir, out) : error;
}

struct rules {
    struct privacy_rule *rules;
    size_t count;
};

static void add(void *context, struct bytes tenant, unsigned mode)
{
    struct rules *rules = context;

    if (tenant.len >= sizeof(rules->rules->tenant) || mode >= PRIVACY_MODE_COUNT)
        return;
    rules->rules = realloc(rules->rules, (rules->count + 1) * sizeof(*rules->rules));
    check(rules->rules != NULL);
    struct privacy_rule *rule = &rules->rules[rules->count++];
    *rule = (struct privacy_rule){.mode = (enum privacy_mode)mode};
    memcpy(rule->tenant, tenant.ptr, tenant.len);
}

static bool load_rules(const char *state_dir, enum store_absent absent)
{
    char why[STORE_WHY_MAX] = "";
    struct rules rules = {0};
    enum store_result result;

    struct store *store = store_open(state_dir, absent, PATIENCE_MS, &result, why);

    if (store != NULL) {
        result = tenant_privacy_list(store, add, &rules);
        store_close(&store);
    }
    if (result == STORE_OK)
        privacy_set_rules(rules.rules, rules.count, PRIVACY_NONE);
    free(rules.rules);
    return result == STORE_OK;
}

bool privacy_rows_load(const char *state_dir, bool is_first)
{
    struct siphash_key key = {0};
    int error = open_key(state_dir, &key);

    if (error == 0)
        privacy_set_key(&key);
    if (error == 0 && load_rules(state_dir, is_first ? STORE_MAKE : STORE_REFUSE))
        return true;
    if (is_first)
        privacy_set_rules(NULL, 0, error == 0 ? PRIVACY_HASH : PRIVACY_CUT);
    log_limited(LOG_LEVEL_ERROR, "what=\"whose addresses may be shown is not known%s\" key=%s",
                is_first ? "; no tenant's are" : "; it stays as it was",
                LOG_STRING(error == 0 ? "good" : strerror(-error)));
    return false;
}
