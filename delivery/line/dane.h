/*
 * dane.h - what the TLSA records of mail hosts demand of a connection (RFC 7672).
 *
 *   a host --secure addresses--> TLSA of where CNAMEs lead it --none--> TLSA of its own name
 *        '--addresses that are not, behind a secure CNAME---------------------^
 *
 * Each answer counts only as far as DNSSEC makes sure of it, from the MX records on. A secure set
 * of records has TLS insisted on: with one of its certificates where a record is of use, with any
 * where none is. A look-up that fails keeps mail from the host: whoever can suppress answers must
 * not be able to take TLS away (section 2.1.2).
 *
 * Private to this folder. Thread: the engine's.
 */
#pragma once

#include "delivery/line/tls_policy.h"
#include "dns/mx.h"

struct dane_lookup;

/* One policy for each host of the set, in its order; NULL: DANE has nothing to say of it. The
 * policies are the receiver's. Called later, once; the lookup is gone afterwards. */
typedef void dane_done(void *context, struct tls_policy **policies, int64_t expires_ms);

/* `set` and `domain` must outlive the lookup. `is_named`: the hosts were named by the operator, not
 * found by MX, and need no secure set. */
struct dane_lookup *dane_lookup_start(struct resolver *resolver, const struct mx_set *set,
                                      struct bytes domain, bool is_named, dane_done *done,
                                      void *context);
/* done() will not be called. NULL: nothing. */
void dane_lookup_cancel(struct dane_lookup **lookup);
