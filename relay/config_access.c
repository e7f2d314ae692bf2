/* config_access.c - what the services of mailboxes take from other sections. */
#include "relay/config_wings.h"

void config_finish_access(struct config_reader *reader, struct config *config,
                          enum config_service service, struct access_settings *settings)
{
    const struct submission_settings *limits = &config->submission;
    const yaml_node_t *node = config_node(reader, "listeners");

    settings->hostname = config->hostname;
    settings->message_size_max = limits->smtp.message_size_max;
    settings->sessions = limits->sessions;
    settings->errors_max = limits->smtp.errors_max;
    settings->failures_max = limits->login.failures_max;
    settings->guard = limits->login.guard;
    for (size_t i = 0; i < config->listener_count; i++)
        if (config->listeners[i].service == service && config->listeners[i].trust_count > 0)
            config_error(reader, config_item(reader, node, i),
                         "listeners[%zu].trust: who reads mail logs in; expected a listener of the "
                         "service submission for clients that need not",
                         i);
}
