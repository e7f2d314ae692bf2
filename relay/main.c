/* main.c - the program's entry: the command line decides (cli/cli.c). */
#include "relay/cli/cli.h"

int main(int argc, char **argv)
{
    return cli_main(argc, argv);
}
