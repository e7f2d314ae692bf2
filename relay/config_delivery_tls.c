/* config_delivery_tls.c - TLS with other servers: what is demanded of whom, whom we believe. */
#include <string.h>

#include "io/address.h"
#include "relay/config_wings.h"
#include "smtp/address.h"

#define DESTINATION(member) CONFIG_PLACE(struct tls_rule, member)

static const char *const levels[] = {
    [TLS_LEVEL_NONE] = "none",       [TLS_LEVEL_OPPORTUNISTIC] = "opportunistic",
    [TLS_LEVEL_REQUIRE] = "require", [TLS_LEVEL_VERIFY] = "verify",
    [TLS_LEVEL_REFUSE] = NULL,
};

static bool is_name(struct bytes text)
{
    struct address address;
    bool is_utf8;

    return address_parse(text, 1, &address) ||
           (text.len <= 253 && smtp_domain_is_valid(text, &is_utf8) && !is_utf8);
}

static const struct config_key name = {.kind = CONFIG_TEXT,
                                       .at = {0, sizeof(const char *)},
                                       .is_valid = is_name,
                                       .expected = "a host's name, such as mx.example.net"};

static const struct config_key destination_keys[] = {
    {.name = "match",
     .kind = CONFIG_PATTERN,
     .at = DESTINATION(match),
     .is_required = true,
     .example = "\"*.bank.example\"",
     .says = "The recipients' domains that this is for; the first match counts."},
    {.name = "tls",
     .kind = CONFIG_NAME,
     .at = DESTINATION(level),
     .names = levels,
     .is_required = true,
     .example = "verify",
     .says = "As delivery.tls, for these."},
    {.name = "names",
     .kind = CONFIG_LIST,
     .at = DESTINATION(names),
     .count_at = DESTINATION(name_count),
     .item = &name,
     .max = TLS_POLICY_NAMES_MAX,
     .default_said = "the MX host's name",
     .says = "With tls verify: a certificate is good that is for one of these, whatever DNS says "
             "the hosts are called."},
    {.kind = CONFIG_END},
};

static void verify_destination(struct config_reader *reader, const yaml_node_t *node, void *object)
{
    const struct tls_rule *rule = object;

    if (strcmp(rule->match, "*") == 0)
        config_error(reader, node,
                     "match: \"*\" found; expected some domains: delivery.tls is for "
                     "all");
    if (rule->name_count > 0 && rule->level != TLS_LEVEL_VERIFY)
        config_error(reader, node,
                     "names: no certificate is held against them with tls %s; "
                     "expected tls verify",
                     levels[rule->level]);
}

static const struct config_key destination = {.kind = CONFIG_SECTION,
                                              .at = {0, sizeof(struct tls_rule)},
                                              .keys = destination_keys,
                                              .verify = verify_destination};

const struct config_key config_delivery_tls[] = {
    {.name = "tls",
     .kind = CONFIG_NAME,
     .at = AT(delivery_tls.level),
     .names = levels,
     .standard = "opportunistic",
     .in_starter = true,
     .says = "TLS with other servers: none; opportunistic, where it works; require, encrypted or "
             "not sent; verify, and the host's certificate is good."},
    {.name = "destinations",
     .kind = CONFIG_LIST,
     .at = AT(delivery_tls.destinations),
     .count_at = AT(delivery_tls.destination_count),
     .item = &destination,
     .max = 100000,
     .says = "Domains of which another TLS is demanded."},
    {.name = "tls_ca",
     .kind = CONFIG_TEXT,
     .at = AT(delivery_tls.ca),
     .default_said = "the system's",
     .example = "/etc/ringpost/ca.pem",
     .says = "PEM file of the certification authorities that other servers' certificates are held "
             "against, and of lists (CRLs) of what these revoked."},
    {.name = "tls_certificate",
     .kind = CONFIG_TEXT,
     .at = AT(delivery_tls.shown.certificate),
     .example = "/etc/ringpost/client.crt",
     .says = "PEM file of a certificate and its chain, for servers that ask for ours."},
    {.name = "tls_key",
     .kind = CONFIG_TEXT,
     .at = AT(delivery_tls.shown.key),
     .example = "/etc/ringpost/client.key",
     .says = "PEM file of its private key, without a passphrase."},
    {.kind = CONFIG_END},
};

static size_t line_of(const struct config_reader *reader, const char *key)
{
    const yaml_node_t *node = config_node(reader, "delivery");

    return node != NULL && node->type == YAML_MAPPING_NODE ? config_key_line(reader, node, key) : 0;
}

void config_finish_delivery_tls(struct config_reader *reader, struct config *config)
{
    struct config_delivery_tls *tls = &config->delivery_tls;
    size_t count = tls->destination_count;
    struct tls_rule *rules = config_alloc(reader, (count + 1) * sizeof(*rules));

    if ((tls->shown.certificate == NULL) != (tls->shown.key == NULL))
        config_error(reader, config_node(reader, "delivery"),
                     "delivery: no %s; expected both tls_certificate and tls_key",
                     tls->shown.certificate == NULL ? "tls_certificate" : "tls_key");
    tls->ca_line = line_of(reader, "tls_ca");
    tls->shown.certificate_line = line_of(reader, "tls_certificate");
    tls->shown.key_line = line_of(reader, "tls_key");
    if (rules == NULL)
        return;
    if (count > 0)
        memcpy(rules, tls->destinations, count * sizeof(*rules));
    rules[count] = (struct tls_rule){.match = "*", .level = tls->level};
    config->delivery.tls_rules = rules;
    config->delivery.tls_rule_count = count + 1;
}
