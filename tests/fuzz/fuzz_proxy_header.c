/* modules: receive */
/*
 * fuzz_proxy_header.c - what comes before a client's first byte. What is taken is taken whole and
 * only then, also in pieces, and says an address of IP or none.
 */
#include "inbound/receive/proxy_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct bytes whole = {input, len}, rest = whole;
    struct proxy_header header = {0};
    enum proxy_step step = proxy_header_take(&rest, &header);

    check((step == PROXY_DONE) == (rest.len < whole.len));
    check(step != PROXY_MORE || len < PROXY_BLOCK_MAX);
    if (step != PROXY_DONE)
        return 0;
    check(header.is_local || address_len(&header.client) > 0);
    struct bytes part = bytes_slice(whole, 0, whole.len - rest.len - 1);
    check(proxy_header_take(&part, &header) == PROXY_MORE);
    return 0;
}
