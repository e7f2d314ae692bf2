/* link: real engine */
/* test_listener_real.c - test_listener.c on io_uring. */
#define REAL_ENGINE
#include "tests/unit/io/test_listener.c"
