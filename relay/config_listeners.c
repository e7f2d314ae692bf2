/* config_listeners.c - the ports that clients come in by. */
#include "directory/tenants.h"
#include "relay/config_wings.h"
#include "relay/listeners.h"

#define LISTENER(member) CONFIG_PLACE(struct config_listener, member)

static const struct config_key network = {.kind = CONFIG_NETWORK,
                                          .at = {0, sizeof(struct network)}};

static const char *const services[] = {[SERVICE_SUBMISSION] = "submission",
                                       [SERVICE_INBOUND] = "inbound",
                                       [SERVICE_IMAP] = "imap",
                                       [SERVICE_POP3] = "pop3",
                                       NULL};

const char *config_service_name(enum config_service service)
{
    return services[service];
}

static const char *const tls_names[] = {[SMTP_TLS_NONE] = "none",
                                        [SMTP_TLS_STARTTLS] = "starttls",
                                        [SMTP_TLS_IMPLICIT] = "implicit",
                                        NULL};

static const struct config_key listener_keys[] = {
    {.name = "address",
     .kind = CONFIG_ADDRESS,
     .at = LISTENER(address),
     .text_at = LISTENER(address_text),
     .is_required = true,
     .example = "\"127.0.0.1:2525\"",
     .says = "Address and port, such as \"0.0.0.0:587\" or \"[::1]:2525\"; IPv6 takes IPv6 only."},
    {.name = "service",
     .kind = CONFIG_NAME,
     .at = LISTENER(service),
     .names = services,
     .standard = "submission",
     .says = "Who comes in there: applications, for submission; the world's mail for hosted "
             "domains, for inbound; users of mailboxes, for imap and pop3."},
    {.name = "tls",
     .kind = CONFIG_NAME,
     .at = LISTENER(tls),
     .names = tls_names,
     .standard = "none",
     .says = "starttls: clients may ask for TLS, and must where nobody vouches for them; implicit: "
             "TLS from the first byte on."},
    {.name = "trust",
     .kind = CONFIG_LIST,
     .at = LISTENER(trust),
     .count_at = LISTENER(trust_count),
     .item = &network,
     .says = "Networks whose clients may submit without a login; others are told 530."},
    {.name = "tenant",
     .kind = CONFIG_TEXT,
     .at = LISTENER(tenant),
     .is_valid = tenant_name_is_valid,
     .expected = "a tenant's name, such as internal",
     .says = "The tenant whose mail it is that clients of `trust` hand in."},
    {.kind = CONFIG_END},
};

static const struct config_key listener = {.kind = CONFIG_SECTION,
                                           .at = {0, sizeof(struct config_listener)},
                                           .keys = listener_keys};

static const struct config_key listeners_keys[] = {
    {.name = "listeners",
     .kind = CONFIG_LIST,
     .at = AT(listeners),
     .count_at = AT(listener_count),
     .item = &listener,
     .max = LISTENERS_MAX,
     .default_said = "none, but there must be one",
     .says = "The ports that clients come in by."},
    {.kind = CONFIG_END},
};

static bool is_same_port(const struct address *a, const struct address *b)
{
    return address_equal(a, b) && address_port(a) == address_port(b);
}

static void finish(struct config_reader *reader, struct config *config)
{
    const yaml_node_t *node = config_node(reader, "listeners");

    if (config->listener_count == 0)
        config_error(reader, node,
                     "listeners: none; expected at least one, such as "
                     "{address: \"127.0.0.1:2525\", service: submission, trust: "
                     "[\"127.0.0.0/8\"]}");
    for (size_t i = 0; i < config->listener_count; i++)
        if (config->listeners[i].tenant != NULL && config->listeners[i].trust_count == 0)
            config_error(reader, config_item(reader, node, i),
                         "listeners[%zu].tenant: nobody is trusted there; expected `trust` beside "
                         "it, since who logs in says whose mail it is",
                         i);
    for (size_t i = 0; i < config->listener_count; i++)
        for (size_t k = 0; k < i; k++)
            if (is_same_port(&config->listeners[i].address, &config->listeners[k].address))
                config_error(reader, config_item(reader, node, i),
                             "listeners[%zu].address: %s stands in listeners[%zu] "
                             "too; expected each address once",
                             i, config->listeners[i].address_text, k);
}

const struct config_key config_listeners[] = {
    {.kind = CONFIG_PART, .keys = listeners_keys, .finish = finish},
    {.kind = CONFIG_END},
};
