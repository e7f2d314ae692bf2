/* modules: webhook io event base */
/*
 * fuzz_webhook_format.c - any line in the words of other services: one JSON object, or nothing.
 * The first byte chooses the format.
 */
#include <jansson.h>

#include "event/event.h"
#include "webhook/webhook_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct buf out;

    if (len == 0)
        return 0;
    enum webhook_format format = (enum webhook_format)(input[0] % WEBHOOK_FORMAT_COUNT);
    buf_init(&out, EVENT_JSON_MAX);
    bool is_put = webhook_format_put(format, (struct bytes){input + 1, len - 1}, &out);
    check(is_put == (buf_len(&out) > 0));
    if (is_put && format != WEBHOOK_RINGPOST) {
        json_t *object = json_loadb((const char *)buf_bytes(&out).ptr, buf_len(&out), 0, NULL);

        check(json_is_object(object));
        json_decref(object);
    }
    buf_free(&out);
    return 0;
}
