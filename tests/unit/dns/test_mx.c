/* test_mx.c - the choice of mail hosts on the fake engine. */
#define DNS_FIXTURE_FAKE
#include "unit/dns/mx_scenarios.h"
