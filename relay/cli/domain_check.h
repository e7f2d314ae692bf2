/*
 * domain_check.h - what others look at beside a domain's own records, before they trust its mail.
 *
 * Not for engines: questions are waited for.
 */
#pragma once

#include "auth/client_address.h"
#include "relay/cli/dns_look.h"
#include "relay/cli/domain_show.h"

/* Whether a client's address has a name that has the address: right. Names that do not are wrong,
 * and the first is shown. */
void domain_check_reverse(struct dns_look *look, const struct address *client, struct arena *arena,
                          struct domain_found *out);
/* The certificates that the configuration names, for its hostname, which MX records lead to. */
void domain_check_tls(struct config *config, struct domain_tls *out);

/* 4 or 16, of the address as checks take it. */
struct bytes domain_check_octets(const struct address *address);
