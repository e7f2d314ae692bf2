/* webhook_rows.c - rows of the directory become settings of sinks. */
#include "relay/webhook_rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "directory/store.h"
#include "directory/tenant_webhooks.h"

enum {
    MEMORY_MAX = 256 << 20,
    PATIENCE_MS = 1000,
    ROWS_MIN = 16,
};

struct webhook_rows {
    struct arena memory;
    const char *state_dir;
    json_t *texts; /* an array: what settings point into */
    size_t sink_count, sink_capacity;
    struct sink_settings *sinks;
    struct sinks_settings all;
};

/* --- a row ------------------------------------------------------------------------------------ */

struct webhook_settings webhook_row_standard(void)
{
    return (struct webhook_settings){
        .format = WEBHOOK_RINGPOST,
        .batch_events = 500,
        .batch_bytes = 512 * 1024,
        .batch_ms = 1000,
        .timeout_s = 30,
        .retry_for_s = 24 * 3600,
    };
}

/* False where it is there and no text. */
static bool take_text(const json_t *object, const char *key, const char **out)
{
    const json_t *value = json_object_get(object, key);

    if (value == NULL)
        return true;
    *out = json_string_value(value);
    return *out != NULL;
}

static bool take_number(const json_t *object, const char *key, uint64_t min, uint64_t max,
                        uint64_t *out)
{
    const json_t *value = json_object_get(object, key);

    if (value == NULL)
        return true;
    if (!json_is_integer(value) || json_integer_value(value) < (json_int_t)min ||
        json_integer_value(value) > (json_int_t)max)
        return false;
    *out = (uint64_t)json_integer_value(value);
    return true;
}

static bool take_unsigned(const json_t *object, const char *key, uint64_t min, uint64_t max,
                          unsigned *out)
{
    uint64_t value = *out;

    bool is_good = take_number(object, key, min, max, &value);
    *out = (unsigned)value;
    return is_good;
}

static bool take_texts(const json_t *object, const char *key, struct arena *memory,
                       const char *const **out, size_t *count_out)
{
    const json_t *list = json_object_get(object, key);
    size_t count = json_array_size(list);

    if (list == NULL)
        return true;
    const char **texts = arena_alloc(memory, (count + 1) * sizeof(*texts));
    if (!json_is_array(list) || texts == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        texts[i] = json_string_value(json_array_get(list, i));
        if (texts[i] == NULL)
            return false;
    }
    *out = texts;
    *count_out = count;
    return true;
}

static bool take_networks(const json_t *object, struct arena *memory, struct webhook_settings *out)
{
    const char *const *texts = NULL;
    size_t count = 0;

    if (!take_texts(object, "allow", memory, &texts, &count))
        return false;
    struct network *networks = arena_alloc(memory, (count + 1) * sizeof(*networks));
    if (networks == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!network_parse(bytes_of(texts[i]), &networks[i]))
            return false;
    out->allow = networks;
    out->allow_count = count;
    return true;
}

static bool take_format(const json_t *object, struct webhook_settings *out)
{
    enum webhook_format format = WEBHOOK_RINGPOST;
    const char *name = webhook_format_name(WEBHOOK_RINGPOST);

    if (!take_text(object, "format", &name) || !webhook_format_parse(bytes_of(name), &format))
        return false;
    out->format = format;
    return true;
}

bool webhook_row_read(const json_t *object, struct arena *memory, struct webhook_settings *out)
{
    const json_t *oauth = json_object_get(object, "oauth");

    return json_is_object(object) && take_text(object, "url", &out->url) && out->url != NULL &&
           take_format(object, out) &&
           take_texts(object, "kinds", memory, &out->kinds, &out->kind_count) &&
           take_texts(object, "tags", memory, &out->tags, &out->tag_count) &&
           take_unsigned(object, "batch_events", 1, WEBHOOK_EVENTS_MAX, &out->batch_events) &&
           take_number(object, "batch_size", WEBHOOK_BYTES_MIN, WEBHOOK_BYTES_MAX,
                       &out->batch_bytes) &&
           take_unsigned(object, "batch_wait", 0, 60000, &out->batch_ms) &&
           take_unsigned(object, "timeout", 1, 300, &out->timeout_s) &&
           take_unsigned(object, "retry_for", 60, 7 * 86400, &out->retry_for_s) &&
           take_text(object, "ca", &out->ca_file) && take_text(object, "user", &out->user) &&
           take_text(object, "password", &out->password) &&
           take_text(oauth, "token_url", &out->oauth.token_url) &&
           take_text(oauth, "client_id", &out->oauth.client_id) &&
           take_text(oauth, "client_secret", &out->oauth.client_secret) &&
           take_text(oauth, "scope", &out->oauth.scope) &&
           (out->oauth.token_url == NULL ||
            (out->oauth.client_id != NULL && out->oauth.client_secret != NULL)) &&
           take_networks(object, memory, out);
}

/* --- all rows --------------------------------------------------------------------------------- */

static const char *copy(struct arena *memory, struct bytes text)
{
    struct bytes made = BYTES_NONE;

    return arena_copy(memory, text, &made) ? (const char *)made.ptr : NULL;
}

static void put_sink(struct webhook_rows *rows, const struct sink_settings *sink)
{
    if (rows->sink_count == rows->sink_capacity) {
        rows->sink_capacity = MAX(2 * rows->sink_capacity, (size_t)ROWS_MIN);
        rows->sinks = reallocarray(rows->sinks, rows->sink_capacity, sizeof(*rows->sinks));
        check(rows->sinks != NULL);
    }
    rows->sinks[rows->sink_count++] = *sink;
}

static bool add(struct webhook_rows *rows, const struct tenant_webhook_row *row)
{
    struct webhook_settings *settings = arena_alloc(&rows->memory, sizeof(*settings));
    struct bytes name = BYTES_NONE;

    if (settings == NULL)
        return false;
    json_t *object = json_loadb((const char *)row->settings.ptr, row->settings.len, 0, NULL);
    if (object == NULL || json_array_append_new(rows->texts, object) < 0)
        return false;
    *settings = webhook_row_standard();
    settings->tenant = copy(&rows->memory, row->tenant);
    settings->state_dir = rows->state_dir;
    if (!webhook_row_read(object, &rows->memory, settings) || settings->tenant == NULL ||
        !arena_printf(&rows->memory, &name, "%.*s.%.*s", BYTES_ARG(row->tenant),
                      BYTES_ARG(row->name)))
        return false;
    settings->name = copy(&rows->memory, name);
    if (settings->name == NULL)
        return false;
    const struct sink_settings sink = {.name = settings->name,
                                       .kind = &webhook_kind,
                                       .settings = settings,
                                       .owner = row->id};
    put_sink(rows, &sink);
    return true;
}

static void visit(void *context, const struct tenant_webhook_row *row)
{
    if (!add(context, row))
        log_error("tenant=%s webhook=%s what=\"its settings in the directory do not read: it is "
                  "not told\"",
                  LOG_TEXT(row->tenant), LOG_TEXT(row->name));
}

struct webhook_rows *webhook_rows_load(const char *state_dir, const struct sinks_settings *base,
                                       char *why, size_t why_len)
{
    struct webhook_rows *rows = calloc(1, sizeof(*rows));
    char store_why_text[STORE_WHY_MAX] = "";
    enum store_result result;

    check(rows != NULL);
    arena_init(&rows->memory, MEMORY_MAX);
    rows->texts = json_array();
    rows->state_dir = copy(&rows->memory, bytes_of(state_dir));
    for (size_t i = 0; i < base->count; i++)
        put_sink(rows, &base->sinks[i]);
    struct store *store = store_open(state_dir, STORE_REFUSE, PATIENCE_MS, &result, store_why_text);
    if (store != NULL) {
        result = tenant_webhook_list(store, BYTES_NONE, visit, rows);
        if (result != STORE_OK)
            snprintf(store_why_text, sizeof(store_why_text), "%s", store_why(store));
        store_close(&store);
    }
    if (result != STORE_OK) {
        snprintf(why, why_len, "%s", store_why_text);
        webhook_rows_free(&rows);
        return NULL;
    }
    rows->all = *base;
    rows->all.sinks = rows->sinks;
    rows->all.count = rows->sink_count;
    return rows;
}

const struct sinks_settings *webhook_rows_sinks(const struct webhook_rows *rows)
{
    return &rows->all;
}

void webhook_rows_free(struct webhook_rows **rows)
{
    arena_free(&(*rows)->memory);
    json_decref((*rows)->texts);
    free((*rows)->sinks);
    free(*rows);
    *rows = NULL;
}
