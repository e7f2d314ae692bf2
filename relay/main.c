/* main.c - the program's entry: the command line decides (cli/cli.c). */
#include "relay/cli/cli.h"

/* jemalloc reads this, any other malloc does not. What a backlog needed while it was delivered goes
 * back to the system although the engines are idle and allocate nothing. */
extern const char *malloc_conf;
const char *malloc_conf = "background_thread:true,dirty_decay_ms:3000,muzzy_decay_ms:0";

int main(int argc, char **argv)
{
    return cli_main(argc, argv);
}
