/* modules: store */
/* fuzz_special_folder.c - a file of special uses of any bytes: a folder is of the account. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "inbound/store/special_folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char folder[MAIL_FOLDER_MAX + 1] = "as it was";

    if (!special_folder_find(bytes_range(data, size), "Sent", folder)) {
        check(strcmp(folder, "as it was") == 0);
        return 0;
    }
    check(folder[0] == '.' && folder[1] != '.' && folder[1] != '\0');
    check(strchr(folder, '/') == NULL && strlen(folder) <= MAIL_FOLDER_MAX);
    return 0;
}
