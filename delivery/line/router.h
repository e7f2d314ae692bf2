/*
 * router.h - the rules that a domain picks, and the targets of routes.
 *
 * The first rule whose pattern (smtp/domain_pattern.h) matches wins. Pure functions.
 */
#pragma once

#include "delivery/line/delivery.h"

/* NULL: the domain's MX. */
const struct route *router_route(const struct delivery_settings *settings, struct bytes domain);
/* The last rule is "*", so there always is one. */
const struct retry_rule *router_retry(const struct delivery_settings *settings,
                                      struct bytes domain);
/* Of a domain, a host or a site's name; "*" is left out. NULL: none. */
const struct egress_rule *router_egress_rule(const struct delivery_settings *settings,
                                             struct bytes name);

/* What the configuration demands of TLS with the hosts of a domain; the caller releases it. NULL:
 * the default. */
struct tls_policy *router_tls_policy(const struct delivery_settings *settings, struct bytes domain);
/* Whether a rule of its own says so: then nothing that the receiver publishes is asked for. */
bool router_tls_is_own(const struct delivery_settings *settings, struct bytes domain);
/* Whether it demands the same by two settings. */
bool router_tls_is_equal(const struct delivery_settings *a, const struct delivery_settings *b,
                         struct bytes domain);

struct route_target {
    bool is_numeric;
    struct address address; /* numeric */
    struct bytes host;      /* else, as written */
    uint16_t port;
};

/* "host", "host:port", "192.0.2.1", "192.0.2.1:2500", "[2001:db8::1]:2500"; slices of `text`. */
must_use bool router_parse_target(struct bytes text, uint16_t port_default,
                                  struct route_target *out);
