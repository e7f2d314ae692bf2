/* test_resolver.c - the resolver on the fake engine: late polls, random order, a clock to move. */
#define DNS_FIXTURE_FAKE
#include "unit/dns/resolver_scenarios.h"
