/*
 * channel.h - one c-ares channel whose sockets and timeouts live on the engine.
 *
 * c-ares opens and closes its sockets by itself; each has a watch here with one poll in flight. A
 * watch outlives its socket until that poll has completed, so a descriptor number that comes
 * back belongs to a new watch and a late completion of the old one means nothing.
 *
 * A channel serves for about a minute and is then replaced, for three reasons that c-ares 1.18
 * gives: it keeps its UDP source ports while it is busy (a fixed port makes forged answers easier),
 * it reads resolv.conf only once, and it stops using EDNS for good at the first FORMERR (larger
 * answers then cost a TCP connection each).
 *
 * One that is opened for TCP sends all its queries so.
 *
 * Thread: the engine's.
 */
#pragma once

#include "dns/name.h"
#include "dns/resolver.h"

struct channel;

/* One query's end; `packet` is empty when no answer came and is dead when this returns. May be
 * called from inside channel_ask(); must not open or close channels. */
typedef void channel_answered(void *context, int status, int timeouts, struct bytes packet);

/* NULL with one sentence in *why_out (static string). */
must_use struct channel *channel_open(struct engine *engine, const struct dns_settings *settings,
                                      bool is_tcp, channel_answered *answered,
                                      const char **why_out);
/* Queries in flight are answered with ARES_EDESTRUCTION before this returns. */
void channel_close(struct channel **channel);
void channel_ask(struct channel *channel, const struct dns_name *name, enum dns_type type,
                 void *context);
size_t channel_in_flight(const struct channel *channel);
size_t channel_server_count(const struct channel *channel);
int64_t channel_age_ms(const struct channel *channel);
