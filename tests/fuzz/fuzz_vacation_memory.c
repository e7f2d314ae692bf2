/* modules: sorting */
/* fuzz_vacation_memory.c - any bytes as the file of those who were answered. */
#include <stdint.h>
#include <stdlib.h>

#include "inbound/sorting/vacation_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

/* The checksum is made good half of the time, so that what is behind it is reached. */
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    static struct vacation_list list, again;
    static uint8_t file[VACATION_FILE_MAX];
    const struct vacation_claim claim = {
        .key = len, .message = 1, .recipient = 2, .lasts_s = 86400, .now_s = 1800000000};
    bool is_changed, is_good = vacation_list_read(bytes_range(input, len), &list);

    if (!is_good && len >= 16 && len <= VACATION_FILE_MAX) {
        uint64_t sum;

        for (size_t i = 0; i < len - 8; i++)
            file[i] = input[i];
        sum = bytes_hash(bytes_range(file, len - 8));
        for (size_t i = 0; i < 8; i++)
            file[len - 8 + i] = (uint8_t)(sum >> 8 * i);
        is_good = vacation_list_read(bytes_range(file, len), &list);
    }
    check(list.count <= VACATION_MEMORY_MAX);
    check(is_good || list.count == 0);
    if (vacation_list_claim(&list, &claim, &is_changed) == 1)
        check(vacation_list_claim(&list, &claim, &is_changed) == 1 && !is_changed);
    check(list.count <= VACATION_MEMORY_MAX);
    check(vacation_list_read(bytes_range(file, vacation_list_write(&list, file)), &again));
    check(again.count == list.count);
    return 0;
}
