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

/* The limits of clients are those of all services. */
static void finish(struct config_reader *reader, struct config *config)
{
    const struct submission_settings *limits = &config->submission;
    struct imap_settings *imap = &config->imap;
    const yaml_node_t *node = config_node(reader, "listeners");

    imap->hostname = config->hostname;
    imap->message_size_max = limits->message_size_max;
    imap->sessions_max = limits->sessions_max;
    imap->sessions_per_client_max = limits->sessions_per_client_max;
    imap->memory_max = limits->memory_max;
    imap->errors_max = limits->errors_max;
    imap->failures_max = limits->login.failures_max;
    imap->guard = limits->login.guard;
    for (size_t i = 0; i < config->listener_count; i++)
        if (config->listeners[i].service == SERVICE_IMAP && config->listeners[i].trust_count > 0)
            config_error(reader, config_item(reader, node, i),
                         "listeners[%zu].trust: who reads mail logs in; expected a listener of the "
                         "service submission for clients that need not",
                         i);
}

const struct config_key config_imap[] = {
    {.kind = CONFIG_PART, .keys = imap_keys, .finish = finish},
    {.kind = CONFIG_END},
};
