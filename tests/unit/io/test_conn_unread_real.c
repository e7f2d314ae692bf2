/* link: real engine */
/* test_conn_unread_real.c - test_conn_unread.c on io_uring. */
#define REAL_ENGINE
#include "tests/unit/io/test_conn_unread.c"
