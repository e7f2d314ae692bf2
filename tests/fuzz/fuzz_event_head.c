/* modules: event base */
/* runs: 100000 */
/*
 * fuzz_event_head.c - any bytes as the front of an event: never read beyond them, and what is taken
 * from a line that is JSON is what a JSON parser finds there.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "event/event_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

static void check_text(json_t *event, const char *key, struct bytes raw)
{
    json_t *value = json_object_get(event, key);

    if (raw.ptr == NULL) {
        check(json_is_null(value));
        return;
    }
    check(json_is_string(value));
    /* Without an escape it stands there as it is. */
    if (bytes_find(raw, '\\', 0) == raw.len)
        check(bytes_equal(raw, bytes_of(json_string_value(value))));
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    uint8_t *exact = malloc(len > 0 ? len : 1);
    struct event_head head;

    check(exact != NULL);
    if (len > 0)
        memcpy(exact, input, len);
    bool is_event = event_head_parse((struct bytes){exact, len}, &head);
    json_t *event = json_loadb((const char *)exact, len, JSON_REJECT_DUPLICATES, NULL);
    if (is_event) {
        check(head.kind <= EVENT_KIND_COUNT);
        check(head.id.value == 0 || message_id_is_valid(head.id));
    }
    if (is_event && event != NULL) {
        check_text(event, "id", head.id_text);
        check_text(event, "recipient", head.recipient);
        check_text(event, "tenant", head.tenant);
        check(head.has_seq == json_is_integer(json_object_get(event, "seq")));
    }
    json_decref(event);
    free(exact);
    return 0;
}
