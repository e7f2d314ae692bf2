/* config_imap.c - mailboxes for their users. */
#include "relay/config_wings.h"

static const struct config_key section_keys[] = {
    {.name = "idle_timeout",
     .kind = CONFIG_SECONDS,
     .at = AT(imap.idle_timeout_s),
     .standard = "35m",
     .min = 1,
     .says = "How long a client that has logged in may say nothing, also in IDLE; the protocol "
             "wants 30m at least."},
    {.name = "progress",
     .kind = CONFIG_SECONDS,
     .at = AT(imap.progress_s),
     .standard = "10s",
     .max = 3600,
     .says = "How often a command that takes long says how far it is; 0s: as often as it can."},
    {.name = "threads",
     .kind = CONFIG_COUNT,
     .at = AT(imap_threads),
     .standard = "8",
     .min = 1,
     .max = 256,
     .needs_restart = true,
     .says = "Commands that read or change mailboxes at a time."},
    {.kind = CONFIG_END},
};

static const struct config_key imap_keys[] = {
    {.name = "imap",
     .kind = CONFIG_SECTION,
     .keys = section_keys,
     .says = "Mailboxes for their users, on listeners of the service imap."},
    {.kind = CONFIG_END},
};

static void finish(struct config_reader *reader, struct config *config)
{
    config_finish_access(reader, config, SERVICE_IMAP, &config->imap);
}

const struct config_key config_imap[] = {
    {.kind = CONFIG_PART, .keys = imap_keys, .finish = finish},
    {.kind = CONFIG_END},
};
