/* link: real engine */
/* test_engine_real.c - test_engine.c on io_uring. */
#define REAL_ENGINE
#include "tests/unit/io/test_engine.c"
