/* modules: event base */
/* fuzz_event_line.c - any bytes as a line of the event files; what is found lies inside it. */
#include "event/event_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

static void check_inside(struct bytes line, struct bytes part)
{
    check(part.len == 0 || (part.ptr >= line.ptr && part.ptr + part.len <= line.ptr + line.len));
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct bytes line = {input, len};
    struct event_line parts;

    if (event_line_parse(line, &parts)) {
        check(parts.event_id.len > 0 && parts.kind.len > 0);
        check_inside(line, parts.event_id);
        check_inside(line, parts.kind);
        check_inside(line, parts.id);
        check_inside(line, parts.tenant);
    }
    return 0;
}
