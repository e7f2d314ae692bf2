/* config_store.c - how accounts' mail is filed. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "relay/config_wings.h"

static const struct config_key section_keys[] = {
    {.name = "filings",
     .kind = CONFIG_COUNT,
     .at = AT(delivery.filing.connections),
     .standard = "512",
     .min = 1,
     .max = 100000,
     .says = "Messages that are filed at once; more wait in line like mail for any other site."},
    {.name = "threads",
     .kind = CONFIG_COUNT,
     .at = AT(store_threads),
     .standard = "4",
     .min = 1,
     .max = 64,
     .needs_restart = true,
     .says = "Batches of messages that are written and synced at a time, and so slow accounts that "
             "the others do not wait for."},
    {.kind = CONFIG_END},
};

static const struct config_key store_keys[] = {
    {.name = "store",
     .kind = CONFIG_SECTION,
     .keys = section_keys,
     .says = "Accounts' mail, in state_dir/mail."},
    {.kind = CONFIG_END},
};

static void prepare(struct config *config)
{
    config->delivery.filing.messages_per_connection = UINT_MAX;
    config->delivery.filing.recipients = 64;
}

/* state_dir/name */
static const char *beside(struct config_reader *reader, const struct config *config,
                          const char *name)
{
    size_t size = strlen(config->state_dir) + strlen(name) + 2;
    char *directory = config_alloc(reader, size);

    if (directory != NULL)
        (void)snprintf(directory, size, "%s/%s", config->state_dir, name);
    return directory;
}

static void finish(struct config_reader *reader, struct config *config)
{
    config->mail_directory = beside(reader, config, "mail");
    config->sieve_directory = beside(reader, config, "sieve");
}

const struct config_key config_store[] = {
    {.kind = CONFIG_PART, .keys = store_keys, .prepare = prepare, .finish = finish},
    {.kind = CONFIG_END},
};
