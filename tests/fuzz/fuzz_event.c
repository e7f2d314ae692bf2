/* modules: event base */
/*
 * Whatever decodes must come back the same from its own encoding, and its JSON must be what jansson
 * takes. The input's bytes as texts, undecoded, must be too.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "event/event.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

static void render(const struct event *event, struct buf *out)
{
    json_error_t error;

    buf_init(out, EVENT_JSON_MAX);
    check(event_json(event, out));
    struct bytes line = buf_bytes(out);
    check(bytes_find(line, '\n', 0) == line.len - 1);
    json_t *object = json_loadb((const char *)line.ptr, line.len, JSON_REJECT_DUPLICATES, &error);
    /* Integers beyond 63 bits are JSON, but not jansson's. */
    check(object != NULL || event->size > INT64_MAX);
    json_decref(object);
}

static void read_back(struct bytes encoded)
{
    struct event first;
    struct event second;
    struct buf again;
    struct buf first_json;
    struct buf second_json;

    if (!event_decode(encoded, &first))
        return;
    buf_init(&again, EVENT_ENCODED_MAX);
    check(event_encode(&first, &again));
    check(event_decode(buf_bytes(&again), &second));
    render(&first, &first_json);
    render(&second, &second_json);
    check(bytes_equal(buf_bytes(&first_json), buf_bytes(&second_json)));
    buf_free(&again);
    buf_free(&first_json);
    buf_free(&second_json);
}

static void show(struct bytes text)
{
    struct event event = {.kind = EVENT_BOUNCED,
                          .tags = text,
                          .metadata = text,
                          .reply_text = text};
    struct buf json;

    render(&event, &json);
    buf_free(&json);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct bytes bytes = {input, len};

    read_back(bytes);
    show(bytes);
    return 0;
}
