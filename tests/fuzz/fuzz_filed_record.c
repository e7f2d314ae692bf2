/* modules: store */
/* fuzz_filed_record.c - a file of what was filed, of any bytes: each record once, and to an end. */
#include <stddef.h>
#include <stdint.h>

#include "inbound/store/filed_log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_range(data, size);
    struct filed_record record;

    for (;;) {
        struct bytes before = text;

        if (!filed_record_take(&text, &record)) {
            check(text.ptr == before.ptr && text.len == before.len);
            return 0;
        }
        check(text.len < before.len && (before.len - text.len) % 8 == 0);
        check(text.ptr + text.len == data + size);
        check(record.account.len == 0 || (record.account.ptr > before.ptr &&
                                          record.account.ptr + record.account.len <= text.ptr));
    }
}
