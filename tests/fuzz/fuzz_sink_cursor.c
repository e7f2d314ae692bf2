/* modules: sink event base */
/*
 * fuzz_sink_cursor.c - any bytes as a sink's cursor file. The first byte chooses whether a checksum
 * that holds stands behind them. What is read comes back the same when it was written again.
 */
#include "sink/sink_cursor.h"

#include "base/buf.h"
#include "support/fuzz_files.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct bytes rest = {input, len};
    struct sink_cursor first, second;
    struct buf text;
    char path[128];

    check(snprintf(path, sizeof(path), "%s/kafka", fuzz_make_directory()) < (int)sizeof(path));
    int directory_fd = open(fuzz_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    check(directory_fd >= 0);
    bool is_checked = fuzz_byte(&rest) % 2 == 1;
    buf_init(&text, rest.len + 64);
    check(buf_append(&text, rest));
    if (is_checked)
        check(buf_printf(&text, "check %llu\n", (unsigned long long)bytes_hash(rest)));
    fuzz_write(path, buf_bytes(&text));
    buf_free(&text);
    int error = sink_cursor_read(directory_fd, "kafka", &first);
    check(error == 0 || error == -EBADMSG || error == -ENOTSUP);
    if (error == 0) {
        check(first.at.number > 0 && first.at.offset <= INT64_MAX && first.time_ms >= 0);
        check(sink_cursor_write(directory_fd, "kafka", &first) == 0);
        check(sink_cursor_read(directory_fd, "kafka", &second) == 0);
        check(event_place_compare(first.at, second.at) == 0);
        check(event_place_compare(first.go, second.go) == 0);
        check(first.at.events == second.at.events && first.time_ms == second.time_ms);
        check(first.go.events == second.go.events && first.is_paused == second.is_paused);
    }
    close(directory_fd);
    return 0;
}
