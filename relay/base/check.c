/* check.c - the end of a process whose state is broken. */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

void check_failed(const char *claim, const char *file, int line, const char *function)
{
    /* Not stdio's stderr: its lock may be held by the very thread that failed. */
    dprintf(2, "ringpost: broken claim: %s (%s:%d, %s)\n", claim, file, line, function);
    abort();
}
