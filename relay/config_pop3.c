/* config_pop3.c - INBOX for users of POP3. */
#include "relay/config_wings.h"

static const struct config_key section_keys[] = {
    {.name = "idle_timeout",
     .kind = CONFIG_SECONDS,
     .at = AT(pop3.idle_timeout_s),
     .standard = "10m",
     .min = 1,
     .says = "How long a client that has logged in may say nothing; the protocol wants 10m at "
             "least."},
    {.kind = CONFIG_END},
};

static const struct config_key pop3_keys[] = {
    {.name = "pop3",
     .kind = CONFIG_SECTION,
     .keys = section_keys,
     .says = "INBOX for users of POP3, on listeners of the service pop3."},
    {.kind = CONFIG_END},
};

static void finish(struct config_reader *reader, struct config *config)
{
    config_finish_access(reader, config, SERVICE_POP3, &config->pop3);
}

const struct config_key config_pop3[] = {
    {.kind = CONFIG_PART, .keys = pop3_keys, .finish = finish},
    {.kind = CONFIG_END},
};
