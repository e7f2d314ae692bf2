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
    {.name = "authorities",
     .kind = CONFIG_TEXT,
     .at = AT(authorities),
     .example = "/etc/ssl/certs/ca-certificates.crt",
     .default_said = "the system's",
     .needs_restart = true, /* the store of policies has it */
     .says = "File of the certification authorities (PEM) that other servers' certificates are "
             "believed from: hosts of MTA-STS policies."},
    {.kind = CONFIG_END},
};
