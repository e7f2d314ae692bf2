/* config_store.c - how accounts' mail is filed. */
#include <limits.h>
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

static void finish(struct config_reader *reader, struct config *config)
{
    size_t len = strlen(config->state_dir);
    char *directory = config_alloc(reader, len + sizeof("/mail"));

    if (directory == NULL)
        return;
    memcpy(directory, config->state_dir, len);
    memcpy(directory + len, "/mail", sizeof("/mail"));
    config->mail_directory = directory;
}

const struct config_key config_store[] = {
    {.kind = CONFIG_PART, .keys = store_keys, .prepare = prepare, .finish = finish},
    {.kind = CONFIG_END},
};
