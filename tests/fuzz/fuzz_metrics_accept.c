/* modules: program */
/* fuzz_metrics_accept.c - an Accept field, as anybody may send it: one more range of weight 1 is
 * heeded whatever stands before it. */
#include "relay/metrics_accept.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    static const char more[] = ",application/openmetrics-text";
    uint8_t *copy = malloc(len + sizeof(more));

    check(copy != NULL);
    if (len > 0)
        memcpy(copy, input, len);
    (void)metrics_accept((struct bytes){copy, len});
    memcpy(copy + len, more, sizeof(more) - 1);
    /* Nothing before a comma can outweigh a whole range of weight 1. */
    check(metrics_accept((struct bytes){copy, len + sizeof(more) - 1}) == EXPOSITION_OPENMETRICS);
    free(copy);
    return 0;
}
