/* test_mx_real.c - the choice of mail hosts on io_uring. */
/* link: real engine */
#include "unit/dns/mx_scenarios.h"
