/* modules: srs smtp base */
/*
 * fuzz_srs.c - a sender, or an address that claims to be one of ours: what is made leads back, and
 * nothing that was not made does.
 */
#include <stdint.h>
#include <string.h>

#include "auth/srs/srs.h"
#include "smtp/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

static const int64_t NOW_MS = 1785000000000;

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    const struct srs_keys keys = {.count = 1, .secret = {BYTES("0123456789abcdef")}};
    struct bytes text = bytes_range(input, len);
    struct smtp_address parsed;
    struct buf made, back;

    buf_init(&made, 2 * SRS_ADDRESS_MAX);
    buf_init(&back, 2 * SRS_ADDRESS_MAX);
    check(srs_reverse(&keys, text, NOW_MS, &back) != SRS_OK || buf_len(&back) > 0);
    buf_clear(&back);
    if (srs_forward(&keys, text, BYTES("our.example"), NOW_MS, &made) == SRS_OK) {
        check(buf_len(&made) <= SRS_ADDRESS_MAX);
        check(smtp_parse_address(buf_bytes(&made), &parsed));
        check(srs_is_claimed(parsed.local));
        enum srs_result result = srs_reverse(&keys, buf_bytes(&made), NOW_MS, &back);

        /* What an SRS1 of another's leads to was never ours to look at. */
        bool is_second = parsed.local.ptr[parsed.local.ptr[0] == '"' ? 4 : 3] == '1';
        check(result == SRS_OK || (is_second && result == SRS_REFUSED));
        check(result != SRS_OK || smtp_parse_address(buf_bytes(&back), &parsed));
    }
    buf_free(&made);
    buf_free(&back);
    return 0;
}
