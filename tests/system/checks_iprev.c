/* checks_iprev.c - one check of a client's name. */
#include <stdio.h>

#include "auth/iprev.h"
#include "system/checks.h"

void checks_iprev(struct bytes arguments)
{
    struct bytes address = checks_hex(checks_word(&arguments));
    struct iprev_check check;
    struct lookup lookup;

    iprev_start(&check, address);
    checks_free(&address);
    while (iprev_run(&check, &lookup) == CHECK_ASKS)
        iprev_answer(&check, checks_ask(&lookup));
    printf("done %s", iprev_verdict_name(check.verdict));
    checks_print(check.name);
}
