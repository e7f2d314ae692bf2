/* config_webhooks.c - the URLs that are told of events, and the sinks as a whole. */
#include <string.h>

#include "relay/config_wings.h"
#include "webhook/http_client.h"
#include "webhook/webhook.h"

#define HOOK(member) CONFIG_PLACE(struct webhook_settings, member)

enum { HOOKS_MAX = 1000, WORDS_MAX = 64, NAME_LEN_MAX = 32 };

/* Without dots, which names of tenants' webhooks have. */
static bool name_is_valid(struct bytes text)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    bool is_good =
        text.len > 0 && text.len <= NAME_LEN_MAX && !bytes_equal_nocase(text, BYTES("kafka"));

    for (size_t i = 0; is_good && i < text.len; i++)
        is_good = strchr(allowed, text.ptr[i]) != NULL;
    return is_good;
}

static const struct config_key word = {.kind = CONFIG_TEXT, .at = {0, sizeof(const char *)}};
static const struct config_key network = {.kind = CONFIG_NETWORK,
                                          .at = {0, sizeof(struct network)}};

/* In the order of enum webhook_format. */
static const char *const format_names[] = {"ringpost", "sendgrid", "kumomta", NULL};

static const struct config_key oauth_keys[] = {
    {.name = "token_url",
     .kind = CONFIG_TEXT,
     .at = HOOK(oauth.token_url),
     .is_required = true,
     .example = "\"https://login.example.net/token\"",
     .says = "In place of user: where tokens are asked for, by client credentials."},
    {.name = "client_id",
     .kind = CONFIG_TEXT,
     .at = HOOK(oauth.client_id),
     .is_required = true,
     .example = "\"relay\"",
     .says = "Who asks."},
    {.name = "client_secret",
     .kind = CONFIG_TEXT,
     .at = HOOK(oauth.client_secret),
     .is_required = true,
     .example = "\"secret\"",
     .says = "Its secret."},
    {.name = "scope",
     .kind = CONFIG_TEXT,
     .at = HOOK(oauth.scope),
     .says = "What the token is asked for."},
    {.kind = CONFIG_END},
};

static const struct config_key hook_keys[] = {
    {.name = "name",
     .kind = CONFIG_TEXT,
     .at = HOOK(name),
     .is_valid = name_is_valid,
     .expected = "a word of up to 32 letters, digits, _ and -, other than kafka",
     .is_required = true,
     .is_unique = true,
     .example = "main",
     .says = "The sink's name: a word of up to 32 letters, digits, _ and -, each once."},
    {.name = "url",
     .kind = CONFIG_TEXT,
     .at = HOOK(url),
     .is_required = true,
     .example = "\"https://example.net/hook\"",
     .says = "Where batches are posted: https, or http to a host in the networks of allow."},
    {.name = "format",
     .kind = CONFIG_NAME,
     .at = HOOK(format),
     .names = format_names,
     .standard = "ringpost",
     .says = "In whose words: our records, SendGrid's events or KumoMTA's log."},
    {.name = "kinds",
     .kind = CONFIG_LIST,
     .at = HOOK(kinds),
     .count_at = HOOK(kind_count),
     .item = &word,
     .max = WORDS_MAX,
     .default_said = "all that the format has",
     .says = "Kinds of events that are told, such as delivered and bounced."},
    {.name = "tags",
     .kind = CONFIG_LIST,
     .at = HOOK(tags),
     .count_at = HOOK(tag_count),
     .item = &word,
     .max = WORDS_MAX,
     .default_said = "with and without",
     .says = "Only events of messages with one of these tags."},
    {.name = "batch_events",
     .kind = CONFIG_COUNT,
     .at = HOOK(batch_events),
     .standard = "500",
     .min = 1,
     .max = WEBHOOK_EVENTS_MAX,
     .says = "A batch is told when it has so many events."},
    {.name = "batch_size",
     .kind = CONFIG_SIZE,
     .at = HOOK(batch_bytes),
     .standard = "512KiB",
     .min = WEBHOOK_BYTES_MIN,
     .max = WEBHOOK_BYTES_MAX,
     .says = "A batch is told when it has no room for one more."},
    {.name = "batch_wait",
     .kind = CONFIG_MILLISECONDS,
     .at = HOOK(batch_ms),
     .standard = "1s",
     .max = 60000,
     .says = "A batch is told when its first event has waited so long."},
    {.name = "timeout",
     .kind = CONFIG_SECONDS,
     .at = HOOK(timeout_s),
     .standard = "30s",
     .min = 1,
     .max = 300,
     .says = "Longest time for a request and its answer."},
    {.name = "retry_for",
     .kind = CONFIG_SECONDS,
     .at = HOOK(retry_for_s),
     .standard = "24h",
     .min = 60,
     .max = 7 * 86400,
     .says = "Once it has failed for so long, events older than this are given up and told as a "
             "gap."},
    {.name = "ca",
     .kind = CONFIG_TEXT,
     .at = HOOK(ca_file),
     .default_said = "the system's",
     .says = "File of the certificates that its certificate is verified by."},
    {.name = "user",
     .kind = CONFIG_TEXT,
     .at = HOOK(user),
     .says = "Basic authentication: who it is."},
    {.name = "password",
     .kind = CONFIG_TEXT,
     .at = HOOK(password),
     .says = "Basic authentication: its secret."},
    {.name = "oauth",
     .kind = CONFIG_SECTION,
     .keys = oauth_keys,
     .says = "A bearer token instead, by OAuth 2.0 client credentials."},
    {.name = "allow",
     .kind = CONFIG_LIST,
     .at = HOOK(allow),
     .count_at = HOOK(allow_count),
     .item = &network,
     .max = WORDS_MAX,
     .example = "[\"10.0.0.0/8\"]",
     .says = "Networks that are not public and may be connected to all the same."},
    {.kind = CONFIG_END},
};

static const struct config_key hook = {.kind = CONFIG_SECTION,
                                       .at = {0, sizeof(struct webhook_settings)},
                                       .keys = hook_keys};

static const struct config_key webhooks_keys[] = {
    {.name = "webhooks",
     .kind = CONFIG_LIST,
     .at = AT(webhooks),
     .count_at = AT(webhook_count),
     .item = &hook,
     .max = HOOKS_MAX,
     .example = "{name: main, url: \"https://example.net/hook\"}",
     .in_starter = true,
     .says = "URLs that are told of events; those of tenants are in the directory."},
    {.kind = CONFIG_END},
};

static void finish_hooks(struct config_reader *reader, struct config *config)
{
    const yaml_node_t *list = config_node(reader, "webhooks");
    char why[WEBHOOK_WHY_MAX];

    for (size_t i = 0; i < config->webhook_count; i++) {
        struct webhook_settings *settings = &config->webhooks[i];

        settings->state_dir = config->state_dir;
        if (!webhook_settings_are_good(settings, why))
            config_error(reader, config_item(reader, list, i), "webhooks: %s: %s", settings->name,
                         why);
    }
}

/* Kafka first, then webhooks. */
static void finish(struct config_reader *reader, struct config *config)
{
    struct sink_settings *sinks =
        config_alloc(reader, (1 + config->webhook_count) * sizeof(*sinks));

    if (sinks == NULL)
        return;
    finish_hooks(reader, config);
    config->sinks = (struct sinks_settings){
        .budget = config->events.sink_budget,
        .full = (enum sinks_full)config->events.sink_full,
        .sinks = sinks,
    };
    if (config->kafka.is_given)
        sinks[config->sinks.count++] = (struct sink_settings){.name = "kafka",
                                                              .kind = &kafka_kind,
                                                              .settings = &config->kafka.settings};
    for (size_t i = 0; i < config->webhook_count; i++)
        sinks[config->sinks.count++] = (struct sink_settings){.name = config->webhooks[i].name,
                                                              .kind = &webhook_kind,
                                                              .settings = &config->webhooks[i]};
}

const struct config_key config_webhooks[] = {
    {.kind = CONFIG_PART, .keys = webhooks_keys, .finish = finish},
    {.kind = CONFIG_END},
};
