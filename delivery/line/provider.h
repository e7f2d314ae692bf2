/*
 * provider.h - which sets of mail hosts judge us as one.
 *
 * A set belongs to a provider when every one of its hosts matches one of the provider's patterns.
 * Every one, because whoever publishes the set could else speak for a provider through a host of
 * his own: refuse our connections, and so have the provider's mail wait. Names within a provider's
 * domains lead where the provider says. The first rule that matches counts.
 *
 * Pure functions of the settings.
 */
#pragma once

#include "delivery/line/hosts.h"
#include "delivery/line/limits.h"

/* NULL: none, the set is judged by itself. */
const struct provider_rule *provider_of(const struct delivery_settings *settings,
                                        const struct hosts *hosts);
bool provider_is_equal(const struct provider_rule *a, const struct provider_rule *b);
/* The strictest of the rules that name it and of those whose pattern covers one of its patterns:
 * not what the hosts seen so far happen to match. */
void limits_of_provider(struct limits *limits, const struct delivery_settings *settings,
                        const struct provider_rule *provider);
