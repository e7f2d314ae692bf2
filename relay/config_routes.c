/* config_routes.c - destinations that the operator names, in place of a domain's MX. */
#include <string.h>
#include <strings.h>

#include "relay/config_wings.h"
#include "smtp/address.h"

#define ROUTE(member) CONFIG_PLACE(struct route, member)

/* "host", "host:port", "10.0.0.9:2500", "[::1]:2500". */
static bool host_is_valid(struct bytes text)
{
    struct address address;
    struct bytes host = text;
    bool is_utf8;
    uint64_t port = 25;
    size_t colon = bytes_find(text, ':', 0);

    if (address_parse(text, 25, &address))
        return true;
    if (colon < text.len) {
        host = bytes_slice(text, 0, colon);
        if (!bytes_to_u64(bytes_slice(text, colon + 1, text.len), &port))
            return false;
    }
    return port > 0 && port <= 65535 && smtp_domain_is_valid(host, &is_utf8) && host.ptr[0] != '[';
}

static bool target_is_valid(struct bytes text)
{
    bool is_utf8;

    return bytes_take_nocase(&text, BYTES("mx:")) ? smtp_domain_is_valid(text, &is_utf8)
                                                  : host_is_valid(text);
}

static const struct config_key target = {
    .kind = CONFIG_TEXT,
    .at = {0, sizeof(const char *)},
    .is_valid = target_is_valid,
    .expected = "a host or address with an optional port, such as relay.example.net:587"
                " or 10.0.0.9:2500, or mx:example.net",
};

static const struct config_key route_keys[] = {
    {.name = "match",
     .kind = CONFIG_PATTERN,
     .at = ROUTE(match),
     .is_required = true,
     .example = "\"*.lab.example\"",
     .says = "The recipients' domains that go there."},
    {.name = "to",
     .kind = CONFIG_LIST,
     .at = ROUTE(targets),
     .count_at = ROUTE(target_count),
     .item = &target,
     .min = 1,
     .is_required = true,
     .example = "[\"10.0.0.9:2500\"]",
     .says = "Hosts or addresses with an optional port, tried in order, or one mx:NAME."},
    {.kind = CONFIG_END},
};

/* A target of mx:NAME becomes NAME. */
static void verify_route(struct config_reader *reader, const yaml_node_t *node, void *object)
{
    struct route *route = object;

    for (size_t i = 0; i < route->target_count; i++) {
        const char *name = route->targets[i];

        if (strncasecmp(name, "mx:", 3) != 0)
            continue;
        if (route->target_count > 1)
            config_error(reader, node, "%s stands beside other targets; expected it alone", name);
        route->use_mx = true;
        route->targets[i] = name + 3;
    }
}

static const struct config_key route = {.kind = CONFIG_SECTION,
                                        .at = {0, sizeof(struct route)},
                                        .keys = route_keys,
                                        .verify = verify_route};

static const struct config_key routes_keys[] = {
    {.name = "routes",
     .kind = CONFIG_LIST,
     .at = AT(delivery.routes),
     .count_at = AT(delivery.route_count),
     .item = &route,
     .default_said = "none, and the MX of the recipient's domain",
     .example = "{match: \"*.lab.example\", to: [\"10.0.0.9:2500\"]}",
     .in_starter = true,
     .says = "Where to deliver in place of a domain's MX; the first match counts."},
    {.kind = CONFIG_END},
};

const struct config_key config_routes[] = {
    {.kind = CONFIG_PART, .keys = routes_keys},
    {.kind = CONFIG_END},
};
