/* modules: event base */
/*
 * fuzz_event_cursor.c - any bytes as the cursor file. The first byte chooses whether a checksum
 * that holds stands behind them. What is read comes back the same when it was written again.
 */
#include "base/buf.h"
#include "event/event_cursor.h"
#include "support/fuzz_files.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct bytes rest = {input, len};
    struct event_cursor first;
    struct event_cursor second;
    struct buf text;
    char path[128];

    check(snprintf(path, sizeof(path), "%s/cursor", fuzz_make_directory()) < (int)sizeof(path));
    int directory_fd = open(fuzz_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    check(directory_fd >= 0);
    bool is_checked = fuzz_byte(&rest) % 2 == 1;
    buf_init(&text, rest.len + 64);
    check(buf_append(&text, rest));
    if (is_checked)
        check(buf_printf(&text, "check %llu\n", (unsigned long long)bytes_hash(rest)));
    fuzz_write(path, buf_bytes(&text));
    buf_free(&text);
    int error = event_cursor_read(directory_fd, &first);
    check(error == 0 || error == -EBADMSG || error == -ENOTSUP);
    if (error == 0) {
        check(first.number > 0 && first.len <= INT64_MAX && first.opened_ms >= 0);
        check(event_cursor_write(directory_fd, &first) == 0);
        check(event_cursor_read(directory_fd, &second) == 0);
        check(memcmp(&first.cursors, &second.cursors, sizeof(first.cursors)) == 0);
        check(first.number == second.number && first.len == second.len);
        check(first.opened_ms == second.opened_ms && first.events == second.events);
    }
    close(directory_fd);
    return 0;
}
