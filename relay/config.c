/* config.c - the configuration as a whole: its wings, its life, what a reload may change. */
#include "relay/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/metric.h"
#include "relay/certificates.h"
#include "relay/config_document.h"
#include "relay/config_reader.h"
#include "relay/config_wings.h"

enum { CONFIG_ARENA_MAX = 64 << 20 };

/* In the order of the starter file, of `check --keys` and of the wings' finishing. One a line, also
 * where they are an even number. */
/* clang-format off */
static const struct config_key root[] = {
    {.kind = CONFIG_PART, .keys = config_core},
    {.kind = CONFIG_PART, .keys = config_listeners},
    {.kind = CONFIG_PART, .keys = config_tls},
    {.kind = CONFIG_PART, .keys = config_auth},
    {.kind = CONFIG_PART, .keys = config_dkim},
    {.kind = CONFIG_PART, .keys = config_limits},
    {.kind = CONFIG_PART, .keys = config_labels},
    {.kind = CONFIG_PART, .keys = config_inbound},
    {.kind = CONFIG_PART, .keys = config_imap},
    {.kind = CONFIG_PART, .keys = config_pop3},
    {.kind = CONFIG_PART, .keys = config_dns},
    {.kind = CONFIG_PART, .keys = config_retry},
    {.kind = CONFIG_PART, .keys = config_routes},
    {.kind = CONFIG_PART, .keys = config_sources},
    {.kind = CONFIG_PART, .keys = config_delivery},
    {.kind = CONFIG_PART, .keys = config_spool},
    {.kind = CONFIG_PART, .keys = config_store},
    {.kind = CONFIG_PART, .keys = config_events},
    {.kind = CONFIG_PART, .keys = config_kafka},
    {.kind = CONFIG_PART, .keys = config_webhooks},
    {.kind = CONFIG_PART, .keys = config_reports},
    {.kind = CONFIG_PART, .keys = config_metrics},
    {.kind = CONFIG_PART, .keys = config_log},
    {.kind = CONFIG_END},
};
/* clang-format on */

const struct config_key *config_keys(void)
{
    return root;
}

static void set_defaults(struct config_reader *reader, struct config *config)
{
    config_set_standards(reader, root, config);
    for (const struct config_key *wing = root; wing->kind != CONFIG_END; wing++)
        if (wing->keys->prepare != NULL)
            wing->keys->prepare(config);
}

static void finish(struct config_reader *reader, struct config *config)
{
    for (const struct config_key *wing = root; wing->kind != CONFIG_END; wing++)
        if (wing->keys->finish != NULL)
            wing->keys->finish(reader, config);
}

/* Reads the file along all rows; false after errors were told. */
static bool read_file(struct config_reader *reader, struct config *config)
{
    yaml_document_t document;

    if (!config_document_load(reader, &document))
        return false;
    yaml_node_t *node = yaml_document_get_root_node(&document);

    reader->document = &document;
    if (node != NULL)
        config_read_mapping(reader, node, root, config);
    if (reader->only == NULL && reader->error_count == 0)
        finish(reader, config);
    reader->document = NULL;
    yaml_document_delete(&document);
    return reader->error_count == 0;
}

struct config *config_load(const char *path, void (*error)(void *context, const char *text),
                           void *context)
{
    struct config *config = calloc(1, sizeof(*config));

    check(config != NULL);
    config->references = 1;
    metric_inc(METRIC_CONFIGS);
    arena_init(&config->arena, CONFIG_ARENA_MAX);
    struct config_reader reader = {
        .path = path, .root = root, .arena = &config->arena, .error = error, .context = context};
    config->path = config_string(&reader, bytes_of(path));
    set_defaults(&reader, config);
    if (!read_file(&reader, config))
        config_release(&config);
    return config;
}

bool config_load_state_dir(const char *path, char *out, size_t out_size,
                           void (*error)(void *context, const char *text), void *context)
{
    struct config config = {0};

    arena_init(&config.arena, CONFIG_ARENA_MAX);
    struct config_reader reader = {.path = path,
                                   .only = "state_dir",
                                   .arena = &config.arena,
                                   .error = error,
                                   .context = context};
    set_defaults(&reader, &config);
    bool is_good = read_file(&reader, &config);
    if (is_good && snprintf(out, out_size, "%s", config.state_dir) >= (int)out_size)
        is_good = false;
    arena_free(&config.arena);
    return is_good;
}

void config_keep(struct config *config)
{
    unsigned before = atomic_fetch_add(&config->references, 1);

    check(before > 0);
}

void config_release(struct config **config)
{
    struct config *released = *config;

    *config = NULL;
    if (released == NULL)
        return;
    unsigned before = atomic_fetch_sub(&released->references, 1);

    check(before > 0);
    if (before > 1)
        return;
    metric_dec(METRIC_CONFIGS);
    certificates_release(released);
    arena_free(&released->arena);
    free(released);
}

bool config_can_follow(const struct config *old, const struct config *next,
                       char key_out[static CONFIG_PATH_MAX])
{
    return !config_key_differs(root, old, next, key_out);
}
