/* webhook.c - ringpost webhook: who is told of events by POST. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "directory/tenant_webhooks.h"
#include "relay/cli/records.h"
#include "relay/cli/webhook_options.h"
#include "relay/webhook_rows.h"
#include "webhook/webhook_key.h"

enum { MEMORY_MAX = 1 << 20 };

/* One webhook by its name: of the configuration, or TENANT.NAME of the directory. */
struct found {
    const char *wanted;
    bool is_found;
    uint64_t owner;
};

/* TENANT.NAME at its last dot; false: a name of the configuration's. */
static bool split(const char *text, struct bytes *tenant_out, struct bytes *name_out)
{
    const char *dot = strrchr(text, '.');

    if (dot == NULL)
        return false;
    *tenant_out = bytes_range(text, (size_t)(dot - text));
    *name_out = bytes_of(dot + 1);
    return true;
}

/* --- add -------------------------------------------------------------------------------------- */

static int print_added(const struct cli *cli, const char *state_dir, const char *name)
{
    struct webhook_key *key = NULL;
    struct buf public;

    int error = webhook_key_open(state_dir, name, &key);
    if (error < 0)
        return cli_fail(EXIT_FAILED, "webhook %s is added, but its key is not: %s", name,
                        strerror(-error));
    buf_init(&public, WEBHOOK_PUBLIC_MAX);
    bool fits = webhook_key_public(key, &public);
    check(fits);
    if (cli->json)
        cli_print_json(json_pack("{s:s,s:s%}", "webhook", name, "public_key",
                                 (const char *)buf_bytes(&public).ptr, buf_len(&public)));
    else
        printf("webhook %s added; its requests are signed with the key\n%.*s\n", name,
               BYTES_ARG(buf_bytes(&public)));
    buf_free(&public);
    webhook_key_free(&key);
    return EXIT_GOOD;
}

/* False after a complaint. */
static bool is_good(const struct cli *cli, const json_t *settings)
{
    struct webhook_settings read = webhook_row_standard();
    char why[WEBHOOK_WHY_MAX] = "a value is not of its form, or out of its bounds";
    struct arena memory;

    arena_init(&memory, MEMORY_MAX);
    bool good = webhook_row_read(settings, &memory, &read) && webhook_settings_are_good(&read, why);
    arena_free(&memory);
    if (!good)
        cli_misuse(cli, "%s", why);
    return good;
}

static int add(struct cli *cli)
{
    struct webhook_options options = {.name = "hook"};
    char name[SINK_NAME_MAX + 1];
    struct records records;

    if (!webhook_options_take(cli, &options))
        return EXIT_USAGE;
    char *text = is_good(cli, options.settings) ? json_dumps(options.settings, JSON_COMPACT) : NULL;
    json_decref(options.settings);
    if (text == NULL)
        return EXIT_USAGE;
    int code = records_open(cli, &records);
    if (code != EXIT_GOOD) {
        free(text);
        return code;
    }
    snprintf(name, sizeof(name), "%s.%s", options.tenant, options.name);
    enum store_result result = tenant_webhook_add(records.store, bytes_of(options.tenant),
                                                  bytes_of(options.name), bytes_of(text));
    free(text);
    code = records_end(&records, result);
    return code == EXIT_GOOD ? print_added(cli, records.state_dir, name) : code;
}

/* --- list, show ------------------------------------------------------------------------------- */

struct listing {
    const struct cli *cli;
    const char *wanted; /* NULL: all */
    char state_dir[CLI_PATH_MAX], events[CLI_PATH_MAX];
    struct arena memory;
    bool is_found;
};

static json_t *texts_json(const char *const *texts, size_t count)
{
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_text_of(texts[i]));
    return list;
}

/* Secrets are not among it. */
static json_t *settings_json(const struct webhook_settings *s)
{
    const char *authentication = s->user != NULL              ? "basic"
                                 : s->oauth.token_url != NULL ? "oauth"
                                                              : "none";

    return json_pack("{s:s?,s:s,s:s,s:o,s:o,s:i,s:I,s:f,s:i,s:i,s:s}", "tenant", s->tenant, "url",
                     s->url, "format", webhook_format_name((enum webhook_format)s->format), "kinds",
                     texts_json(s->kinds, s->kind_count), "tags", texts_json(s->tags, s->tag_count),
                     "batch_events", (int)s->batch_events, "batch_size", (json_int_t)s->batch_bytes,
                     "batch_wait", (double)s->batch_ms / 1000, "timeout", (int)s->timeout_s,
                     "retry_for", (int)s->retry_for_s, "authentication", authentication);
}

static void put_key(const struct listing *listing, const char *name, json_t *object)
{
    struct webhook_key *key = NULL;
    struct buf public;

    int error = webhook_key_open(listing->state_dir, name, &key);
    if (error < 0) {
        json_object_set_new(object, "public_key", json_null());
        return;
    }
    buf_init(&public, WEBHOOK_PUBLIC_MAX);
    if (webhook_key_public(key, &public))
        json_object_set_new(object, "public_key", json_text(buf_bytes(&public)));
    buf_free(&public);
    webhook_key_free(&key);
}

static void print_one(struct listing *listing, const char *name,
                      const struct webhook_settings *settings, uint64_t owner)
{
    if (listing->wanted != NULL && strcmp(listing->wanted, name) != 0)
        return;
    listing->is_found = true;
    bool is_paused = sinks_is_paused(listing->events, name, owner) == 1;
    json_t *object = settings_json(settings);

    json_object_set_new(object, "webhook", json_text_of(name));
    json_object_set_new(object, "paused", json_boolean(is_paused));
    if (listing->wanted != NULL)
        put_key(listing, name, object);
    if (listing->cli->json) {
        cli_print_json(object);
        return;
    }
    printf("%-24s %-8s %-9s %s\n", name, is_paused ? "paused" : "on",
           webhook_format_name((enum webhook_format)settings->format), settings->url);
    const char *key = json_string_value(json_object_get(object, "public_key"));
    if (listing->wanted != NULL) {
        printf("  authentication %s\n",
               json_string_value(json_object_get(object, "authentication")));
        printf("  public key     %s\n", key == NULL ? "does not read" : key);
    }
    json_decref(object);
}

static void print_row(void *context, const struct tenant_webhook_row *row)
{
    struct webhook_settings settings = webhook_row_standard();
    struct listing *listing = context;
    char name[SINK_NAME_MAX + 1], tenant[SINK_NAME_MAX + 1];

    json_t *object = json_loadb((const char *)row->settings.ptr, row->settings.len, 0, NULL);
    snprintf(tenant, sizeof(tenant), "%.*s", BYTES_ARG(row->tenant));
    snprintf(name, sizeof(name), "%.*s.%.*s", BYTES_ARG(row->tenant), BYTES_ARG(row->name));
    settings.tenant = tenant;
    if (webhook_row_read(object, &listing->memory, &settings))
        print_one(listing, name, &settings, row->id);
    json_decref(object);
}

static int print_config(struct listing *listing)
{
    struct config *config = cli_config(listing->cli);

    if (config == NULL)
        return EXIT_CONFIG;
    for (size_t i = 0; i < config->webhook_count; i++)
        print_one(listing, config->webhooks[i].name, &config->webhooks[i], 0);
    config_release(&config);
    return EXIT_GOOD;
}

static int print_all(struct cli *cli, const char *wanted, const char *tenant)
{
    struct listing listing = {.cli = cli, .wanted = wanted};
    struct records records;

    int code = records_open(cli, &records);
    if (code != EXIT_GOOD)
        return code;
    memcpy(listing.state_dir, records.state_dir, sizeof(listing.state_dir));
    if (!state_dir_file(records.state_dir, "events", listing.events, sizeof(listing.events)))
        listing.events[0] = '\0';
    arena_init(&listing.memory, MEMORY_MAX);
    if (tenant == NULL)
        code = print_config(&listing);
    if (code == EXIT_GOOD)
        code = records_end(&records,
                           tenant_webhook_list(records.store,
                                               tenant == NULL ? BYTES_NONE : bytes_of(tenant),
                                               print_row, &listing));
    else
        store_close(&records.store);
    arena_free(&listing.memory);
    if (code == EXIT_GOOD && wanted != NULL && !listing.is_found)
        return cli_fail(EXIT_FAILED, "there is no webhook %s (`ringpost webhook list` lists them)",
                        wanted);
    return code;
}

static int list(struct cli *cli)
{
    const char *tenant = NULL;
    int count;

    if (!records_words(cli, &tenant, 0, 1, &count))
        return EXIT_USAGE;
    return print_all(cli, NULL, tenant);
}

static int show(struct cli *cli)
{
    const char *name;
    int count;

    if (!records_words(cli, &name, 1, 1, &count))
        return EXIT_USAGE;
    return print_all(cli, name, NULL);
}

/* --- pause, resume, remove -------------------------------------------------------------------- */

static void look_for(void *context, const struct tenant_webhook_row *row)
{
    char name[SINK_NAME_MAX + 1];
    struct found *found = context;

    snprintf(name, sizeof(name), "%.*s.%.*s", BYTES_ARG(row->tenant), BYTES_ARG(row->name));
    if (strcmp(name, found->wanted) != 0)
        return;
    found->is_found = true;
    found->owner = row->id;
}

static int find(struct cli *cli, struct found *found, char state_dir[static CLI_PATH_MAX])
{
    struct config *config = cli_config(cli);
    struct records records;

    if (config == NULL)
        return EXIT_CONFIG;
    for (size_t i = 0; i < config->webhook_count; i++)
        found->is_found |= strcmp(config->webhooks[i].name, found->wanted) == 0;
    config_release(&config);
    int code = records_open(cli, &records);
    if (code != EXIT_GOOD)
        return code;
    memcpy(state_dir, records.state_dir, CLI_PATH_MAX);
    code = records_end(&records, tenant_webhook_list(records.store, BYTES_NONE, look_for, found));
    if (code == EXIT_GOOD && !found->is_found)
        return cli_fail(EXIT_FAILED, "there is no webhook %s (`ringpost webhook list` lists them)",
                        found->wanted);
    return code;
}

static int pause_stopped(struct cli *cli, const struct found *found, const char *state_dir,
                         bool is_paused)
{
    char events[CLI_PATH_MAX];

    int error = state_dir_file(state_dir, "events", events, sizeof(events))
                    ? sinks_pause_stopped(events, found->wanted, found->owner, is_paused)
                    : -ENAMETOOLONG;
    if (error < 0)
        return cli_fail(EXIT_FAILED, "webhook %s: %s", found->wanted,
                        error == -ENOENT ? "ringpost was never started here" : strerror(-error));
    if (cli->json)
        cli_print_json(json_pack("{s:b}", "done", 1));
    return EXIT_GOOD;
}

static int set_paused(struct cli *cli, bool is_paused)
{
    char state_dir[CLI_PATH_MAX];
    struct found found = {0};
    int count;

    if (!records_words(cli, &found.wanted, 1, 1, &count))
        return EXIT_USAGE;
    int code = find(cli, &found, state_dir);
    if (code != EXIT_GOOD)
        return code;
    if (!cli_is_served(state_dir))
        return pause_stopped(cli, &found, state_dir, is_paused);
    return cli_control(cli,
                       json_pack("{s:s,s:s}", "command",
                                 is_paused ? "events.pause" : "events.resume", "sink",
                                 found.wanted),
                       NULL, NULL, NULL);
}

static int pause_one(struct cli *cli)
{
    return set_paused(cli, true);
}

static int resume_one(struct cli *cli)
{
    return set_paused(cli, false);
}

static int remove_one(struct cli *cli)
{
    char events[CLI_PATH_MAX];
    struct bytes tenant, name;
    struct records records;
    const char *word;
    uint64_t id = 0;
    int count;

    if (!records_words(cli, &word, 1, 1, &count))
        return EXIT_USAGE;
    if (!split(word, &tenant, &name))
        return cli_misuse(cli,
                          "remove %s: expected TENANT.NAME; others are in ringpost.yaml, webhooks",
                          word);
    int code = records_open(cli, &records);
    if (code != EXIT_GOOD)
        return code;
    enum store_result result = tenant_webhook_remove(records.store, tenant, name, &id);
    if (result == STORE_OK) {
        webhook_key_remove(records.state_dir, word);
        /* A daemon forgets its place once it has seen this. */
        if (!cli_is_served(records.state_dir) &&
            state_dir_file(records.state_dir, "events", events, sizeof(events)))
            sinks_forget(events, word, id);
    }
    return records_close(cli, &records, result, "webhook %s removed", word);
}

static int run(struct cli *cli)
{
    static const struct records_verb verbs[] = {
        {"add", add},           {"list", list},         {"show", show}, {"pause", pause_one},
        {"resume", resume_one}, {"remove", remove_one}, {NULL, NULL},
    };

    return records_run(cli, &cli_webhook, verbs);
}

const struct cli_command cli_webhook = {
    "webhook",
    "who is told of events by POST: add, list, show, pause, resume, remove",
    "usage: ringpost [-c FILE] webhook SUBCOMMAND [--json]\n\n"
    "  add     TENANT URL [--name NAME] [--format ringpost|sendgrid|kumomta]\n"
    "          [--kinds KIND,...] [--tags TAG,...] [--batch-events N] [--batch-size SIZE]\n"
    "          [--batch-wait TIME] [--timeout TIME] [--retry-for TIME] [--ca FILE]\n"
    "          [--allow NETWORK,...] [--user USER --password-file FILE]\n"
    "          [--token-url URL --client-id ID --client-secret-file FILE [--scope SCOPE]]\n"
    "                               prints the public key that its requests are signed with;\n"
    "                               FILE may be - for standard input\n"
    "  list    [TENANT]             also those of ringpost.yaml, which have no tenant\n"
    "  show    NAME                 with its public key; a tenant's is named TENANT.NAME\n"
    "  pause   NAME                 it keeps its place, also over restarts\n"
    "  resume  NAME\n"
    "  remove  TENANT.NAME          with its key\n\n"
    "A daemon need not run; one that does takes changes over within two seconds. `ringpost events\n"
    "sinks` tells how each is doing; ringpost.yaml(5), webhooks, tells what the options mean.\n",
    run,
};
