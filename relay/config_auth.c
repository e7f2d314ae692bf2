/* config_auth.c - logins: where they need no TLS, and what becomes of those that fail. */
#include "relay/config_wings.h"

static const struct config_key network = {.kind = CONFIG_NETWORK,
                                          .at = {0, sizeof(struct network)}};

static const struct config_key section_keys[] = {
    {.name = "plaintext",
     .kind = CONFIG_LIST,
     .at = AT(auth_plaintext),
     .count_at = AT(auth_plaintext_count),
     .item = &network,
     .says = "Networks whose clients may log in without TLS; others must begin TLS first."},
    {.name = "shared",
     .kind = CONFIG_LIST,
     .at = AT(auth_shared),
     .count_at = AT(auth_shared_count),
     .item = &network,
     .says = "Networks whose clients are many users each, as a webmail is: failed logins are "
             "counted by user there, and block that user from there."},
    {.name = "failures_per_session",
     .kind = CONFIG_COUNT,
     .at = AT(submission.login.failures_max),
     .standard = "5",
     .min = 1,
     .says = "Failed logins of a session; the last one is told 421."},
    {.name = "failures_per_network",
     .kind = CONFIG_COUNT,
     .at = AT(submission.login.guard.failures_max),
     .standard = "30",
     .min = 1,
     .word = "any",
     .says = "Failed logins that block an IPv4 address, or a /64 of IPv6, for `block`."},
    {.name = "block",
     .kind = CONFIG_MILLISECONDS,
     .at = AT(submission.login.guard.block_ms),
     .standard = "10m",
     .min = 1000,
     .says = "How long AUTH of a network with too many failed logins is told 421."},
    {.kind = CONFIG_END},
};

static const struct config_key auth_keys[] = {
    {.name = "auth", .kind = CONFIG_SECTION, .keys = section_keys, .says = "Logins of clients."},
    {.kind = CONFIG_END},
};

const struct config_key config_auth[] = {
    {.kind = CONFIG_PART, .keys = auth_keys},
    {.kind = CONFIG_END},
};
