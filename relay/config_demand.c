/* config_demand.c - whether what receivers publish of their TLS counts. */
#include "relay/config_wings.h"

const struct config_key config_demand[] = {
    {.name = "dane",
     .kind = CONFIG_BOOL,
     .at = AT(delivery.dane),
     .given_at = AT(is_dane_given),
     .standard = "true",
     .says = "Heed TLSA records of mail hosts; has effect where dns.trusted is true."},
    {.name = "mta_sts",
     .kind = CONFIG_BOOL,
     .at = AT(delivery.mta_sts),
     .standard = "true",
     .says = "Fetch and heed the MTA-STS policies of domains."},
    {.kind = CONFIG_END},
};
