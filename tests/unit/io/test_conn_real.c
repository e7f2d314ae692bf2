/* link: real engine */
/* test_conn_real.c - test_conn.c on io_uring. */
#define REAL_ENGINE
#include "tests/unit/io/test_conn.c"
