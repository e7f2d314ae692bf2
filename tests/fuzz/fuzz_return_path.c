/* modules: directory */
/* fuzz_return_path.c - return paths of any bytes; one that holds is what it was signed as. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "directory/return_path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first line is a domain, the second a local part, all the rest a report. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t key[RETURN_PATH_KEY_LEN] = "fuzz";
    struct bytes text = bytes_range(data, size), domain = BYTES_NONE, local = BYTES_NONE;
    char again[RETURN_PATH_LOCAL_LEN];
    struct return_path path, found;

    if (!bytes_take_until(&text, '\n', &domain))
        domain = text;
    if (!bytes_take_until(&text, '\n', &local))
        local = text;
    if (return_path_read(key, local, domain, &path)) {
        return_path_sign(key, &path, domain, again);
        check(bytes_equal_nocase(bytes_range(again, sizeof(again)), local));
    }
    if (domain.len > 255)
        return 0;
    (void)!return_path_find(key, text, domain, &found);
    /* Of whatever message: it reads back. */
    path = (struct return_path){size, RETURN_PATH_ANY};
    memcpy(&path.message, data, MIN(size, sizeof(path.message)));
    return_path_sign(key, &path, domain, again);
    check(return_path_read(key, bytes_range(again, sizeof(again)), domain, &found));
    check(found.message == path.message && found.recipient == path.recipient);
    return 0;
}
