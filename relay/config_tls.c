/* config_tls.c - the certificates that listeners show. */
#include "relay/config_wings.h"

#define CERTIFICATE(member) CONFIG_PLACE(struct config_certificate, member)

enum { MORE_MAX = 100 };

static const struct config_key more_keys[] = {
    {.name = "certificate",
     .kind = CONFIG_TEXT,
     .at = CERTIFICATE(certificate),
     .is_required = true,
     .is_unique = true,
     .example = "/etc/ringpost/other.crt",
     .says = "PEM file of another certificate and its chain."},
    {.name = "key",
     .kind = CONFIG_TEXT,
     .at = CERTIFICATE(key),
     .is_required = true,
     .example = "/etc/ringpost/other.key",
     .says = "PEM file of its private key, without a passphrase."},
    {.kind = CONFIG_END},
};

static const struct config_key more = {.kind = CONFIG_SECTION,
                                       .at = {0, sizeof(struct config_certificate)},
                                       .keys = more_keys};

static const struct config_key section_keys[] = {
    {.name = "certificate",
     .kind = CONFIG_TEXT,
     .at = AT(tls.first.certificate),
     .example = "/etc/ringpost/tls.crt",
     .in_starter = true,
     .says = "PEM file of the certificate and its chain; shown to whoever asks for no other."},
    {.name = "key",
     .kind = CONFIG_TEXT,
     .at = AT(tls.first.key),
     .example = "/etc/ringpost/tls.key",
     .in_starter = true,
     .says = "PEM file of its private key, without a passphrase."},
    {.name = "more",
     .kind = CONFIG_LIST,
     .at = AT(tls.more),
     .count_at = AT(tls.more_count),
     .item = &more,
     .max = MORE_MAX,
     .says = "Others, chosen by the name that a client asks for (SNI)."},
    {.kind = CONFIG_END},
};

static const struct config_key tls_keys[] = {
    {.name = "tls",
     .kind = CONFIG_SECTION,
     .keys = section_keys,
     .says = "Certificates of listeners under TLS."},
    {.kind = CONFIG_END},
};

static void keep_lines(const struct config_reader *reader, const yaml_node_t *mapping,
                       struct config_certificate *certificate)
{
    certificate->certificate_line = config_key_line(reader, mapping, "certificate");
    certificate->key_line = config_key_line(reader, mapping, "key");
}

/* The list of "more", which no error of kinds was found in. */
static const yaml_node_t *more_node(const struct config_reader *reader, const yaml_node_t *mapping)
{
    for (yaml_node_pair_t *pair = mapping->data.mapping.pairs.start;
         pair < mapping->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = yaml_document_get_node(reader->document, pair->key);
        struct bytes text = {key->data.scalar.value, key->data.scalar.length};

        if (bytes_equal(text, BYTES("more")))
            return yaml_document_get_node(reader->document, pair->value);
    }
    return NULL;
}

static void finish_section(struct config_reader *reader, const yaml_node_t *node,
                           struct config *config)
{
    struct config_tls *tls = &config->tls;
    const yaml_node_t *list = more_node(reader, node);

    if (tls->first.certificate == NULL || tls->first.key == NULL)
        config_error(reader, node, "tls: no %s; expected both certificate and key",
                     tls->first.certificate == NULL ? "certificate" : "key");
    keep_lines(reader, node, &tls->first);
    for (size_t i = 0; i < tls->more_count; i++)
        keep_lines(reader, config_item(reader, list, i), &tls->more[i]);
}

static void finish(struct config_reader *reader, struct config *config)
{
    const yaml_node_t *node = config_node(reader, "tls");
    const yaml_node_t *listeners = config_node(reader, "listeners");

    if (node != NULL && node->type == YAML_MAPPING_NODE)
        finish_section(reader, node, config);
    for (size_t i = 0; i < config->listener_count; i++)
        if (config->listeners[i].tls != SMTP_TLS_NONE && config->tls.first.certificate == NULL)
            config_error(reader, config_item(reader, listeners, i),
                         "listeners[%zu].tls: there is no certificate; expected "
                         "tls: {certificate: FILE, key: FILE}",
                         i);
}

const struct config_key config_tls[] = {
    {.kind = CONFIG_PART, .keys = tls_keys, .finish = finish},
    {.kind = CONFIG_END},
};
