/* delivery_tls.c - the client's side of TLS, as configured. */
#include "relay/delivery_tls.h"

#include <stdio.h>
#include <stdlib.h>

#include "io/tls_authorities.h"
#include "io/tls_client.h"

enum { SAYS_MAX = 5120 };

typedef void say_fn(void *context, const char *text);

static bool load_authorities(struct config *config, say_fn *error, void *context)
{
    struct config_delivery_tls *tls = &config->delivery_tls;
    char why[TLS_WHY_MAX] = "", text[SAYS_MAX];

    tls->authorities = tls_authorities_load(tls->ca, why);
    if (tls->authorities != NULL)
        return true;
    snprintf(text, sizeof(text), "%s:%zu: delivery.tls_ca: %s", config->path, tls->ca_line, why);
    error(context, text);
    return false;
}

static bool load_shown(struct config *config, say_fn *error, void *context)
{
    struct config_certificate *shown = &config->delivery_tls.shown;
    char why[TLS_WHY_MAX] = "", text[SAYS_MAX];
    enum tls_part part;

    if (shown->certificate == NULL)
        return true;
    shown->loaded = tls_certificate_load(shown->certificate, shown->key, &part, why);
    if (shown->loaded != NULL)
        return true;
    bool is_key = part == TLS_PART_KEY;
    snprintf(text, sizeof(text), "%s:%zu: delivery.%s: %s", config->path,
             is_key ? shown->key_line : shown->certificate_line,
             is_key ? "tls_key" : "tls_certificate", why);
    error(context, text);
    return false;
}

bool delivery_tls_load(struct config *config, say_fn *error, void *context)
{
    bool is_good = load_authorities(config, error, context);

    return load_shown(config, error, context) && is_good;
}

void delivery_tls_make_contexts(struct config *config)
{
    struct config_delivery_tls *tls = &config->delivery_tls;

    if (tls->contexts != NULL)
        return;
    tls->contexts = calloc(config->engines, sizeof(tls->contexts[0]));
    check(tls->contexts != NULL);
    for (unsigned i = 0; i < config->engines; i++) {
        tls->contexts[i] = tls_client_context(tls->authorities, tls->shown.loaded);
        check(tls->contexts[i] != NULL); /* the certificate was tried when it was loaded */
    }
}

void delivery_tls_release(struct config *config)
{
    struct config_delivery_tls *tls = &config->delivery_tls;

    for (unsigned i = 0; tls->contexts != NULL && i < config->engines; i++)
        tls_context_release(&tls->contexts[i]);
    free(tls->contexts);
    tls->contexts = NULL;
    tls_authorities_release(&tls->authorities);
    tls_certificate_release(&tls->shown.loaded);
}

static bool is_any_verified(const struct config *config)
{
    for (size_t i = 0; i < config->delivery.tls_rule_count; i++)
        if (config->delivery.tls_rules[i].level == TLS_LEVEL_VERIFY)
            return true;
    return false;
}

void delivery_tls_warn(const struct config *config, say_fn *warning, void *context)
{
    if (config->delivery_tls.authorities != NULL && is_any_verified(config) &&
        tls_authorities_count(config->delivery_tls.authorities) == 0)
        warning(context, "delivery.tls_ca: this system has no certification authorities (package "
                         "ca-certificates): nobody can be verified");
}

void delivery_tls_describe(const struct config *config, say_fn *say, void *context)
{
    const struct config_delivery_tls *tls = &config->delivery_tls;
    char text[SAYS_MAX];

    snprintf(text, sizeof(text),
             "delivery.tls: %s with other servers, something else for %zu destinations; %zu "
             "certification authorities of %s",
             tls_level_name((enum tls_level)tls->level), tls->destination_count,
             tls_authorities_count(tls->authorities), tls->ca != NULL ? tls->ca : "the system");
    say(context, text);
}
