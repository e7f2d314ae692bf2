/* config_metrics.c - the port for monitoring. */
#include "relay/config_wings.h"

static const struct config_key section_keys[] = {
    {.name = "listen",
     .kind = CONFIG_ADDRESS,
     .at = AT(metrics_address),
     .given_at = AT(has_metrics),
     .needs_restart = true,
     .in_starter = true,
     .example = "\"127.0.0.1:9925\"",
     .says = "Address and port of GET /metrics and /health."},
    {.kind = CONFIG_END},
};

static const struct config_key metrics_keys[] = {
    {.name = "metrics",
     .kind = CONFIG_SECTION,
     .keys = section_keys,
     .says = "GET /metrics, /health."},
    {.kind = CONFIG_END},
};

const struct config_key config_metrics[] = {
    {.kind = CONFIG_PART, .keys = metrics_keys},
    {.kind = CONFIG_END},
};
