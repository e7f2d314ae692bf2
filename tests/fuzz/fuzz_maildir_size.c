/* modules: store */
/* fuzz_maildir_size.c - maildirsize of any bytes, which any program of the account may write. */
#include <stddef.h>
#include <stdint.h>

#include "inbound/store/maildir_size.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_range(data, size), digits = text;
    struct maildir_usage usage = {7, 7};
    uint64_t quota = 0;

    if (!bytes_take_u64(&digits, &quota))
        quota = 1000;
    if (maildir_size_parse(text, quota, &usage)) {
        check(usage.bytes <= INT64_MAX && usage.messages <= INT64_MAX);
        check(size > 0 && data[size - 1] == '\n');
        check(!maildir_size_parse(text, quota + 1, &usage));
        return 0;
    }
    check(usage.bytes == 7 && usage.messages == 7);
    return 0;
}
