/* modules: event base */
/*
 * fuzz_event_line.c - any bytes as a line of the event files: what is found lies inside it, each
 * part behind the one before.
 */
#include "event/event_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

/* Whether `part` lies in what is left of the line, which begins behind it from then on. */
static void check_next(struct bytes *left, struct bytes part)
{
    if (part.ptr == NULL)
        return;
    check(part.ptr >= left->ptr && part.ptr + part.len < left->ptr + left->len);
    *left = bytes_slice(*left, (size_t)(part.ptr - left->ptr) + part.len, left->len);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct bytes left = {input, len};
    struct event_line split, parts;
    bool is_split = event_line_split(left, &split);
    bool is_line = event_line_parse(left, &parts);

    check(is_split || !is_line);
    check(!is_line || (parts.event_id.len > 0 && parts.kind.len > 0 && parts.time.len > 0));
    if (!is_split)
        return 0;
    check_next(&left, split.event_id);
    check_next(&left, split.kind);
    check_next(&left, split.id);
    check_next(&left, split.recipient);
    check_next(&left, split.tenant);
    check_next(&left, split.time);
    return 0;
}
