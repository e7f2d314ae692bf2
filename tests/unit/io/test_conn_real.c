/* link: real engine */
/* test_conn_real.c - test_conn.c on io_uring. */
#define REAL_ENGINE
#include "test_conn.c"
