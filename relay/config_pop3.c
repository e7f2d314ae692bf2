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

/* The limits of clients are those of all services. */
static void finish(struct config_reader *reader, struct config *config)
{
    const struct submission_settings *limits = &config->submission;
    struct pop3_settings *pop3 = &config->pop3;
    const yaml_node_t *node = config_node(reader, "listeners");

    pop3->hostname = config->hostname;
    pop3->sessions_max = limits->sessions_max;
    pop3->sessions_per_client_max = limits->sessions_per_client_max;
    pop3->memory_max = limits->memory_max;
    pop3->errors_max = limits->errors_max;
    pop3->failures_max = limits->login.failures_max;
    pop3->guard = limits->login.guard;
    for (size_t i = 0; i < config->listener_count; i++)
        if (config->listeners[i].service == SERVICE_POP3 && config->listeners[i].trust_count > 0)
            config_error(reader, config_item(reader, node, i),
                         "listeners[%zu].trust: who reads mail logs in; expected a listener of the "
                         "service submission for clients that need not",
                         i);
}

const struct config_key config_pop3[] = {
    {.kind = CONFIG_PART, .keys = pop3_keys, .finish = finish},
    {.kind = CONFIG_END},
};
