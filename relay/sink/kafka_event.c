/* kafka_event.c - an event as a message of Kafka. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "event/json_text.h"
#include "sink/kafka_private.h"

enum { CUT_TEXT_MAX = 64 }; /* bytes of a text in what is cut; ids and times are shorter */

static void add(rd_kafka_headers_t *headers, struct bytes name, struct bytes value)
{
    (void)rd_kafka_header_add(headers, (const char *)name.ptr, (ssize_t)name.len, value.ptr,
                              (ssize_t)value.len);
}

/* A tenant with escapes in it, which is rare: as its own bytes. */
static void add_escaped_tenant(rd_kafka_headers_t *headers, struct bytes line)
{
    json_t *event = json_loadb((const char *)line.ptr, line.len, 0, NULL);
    const char *tenant = json_string_value(json_object_get(event, "tenant"));

    if (tenant != NULL)
        add(headers, BYTES("tenant"), bytes_of(tenant));
    json_decref(event);
}

rd_kafka_headers_t *kafka_headers(const struct event_line *parts, struct bytes line)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(3);

    check(headers != NULL);
    add(headers, BYTES("schema"), BYTES("1"));
    if (parts->kind.len > 0)
        add(headers, BYTES("kind"), parts->kind);
    if (bytes_find(parts->tenant, '\\', 0) < parts->tenant.len)
        add_escaped_tenant(headers, line);
    else if (parts->tenant.len > 0)
        add(headers, BYTES("tenant"), parts->tenant);
    return headers;
}

/* --- a smaller form --------------------------------------------------------------------------- */

static json_t *cut_value(json_t *value)
{
    struct bytes text = {(const uint8_t *)json_string_value(value), json_string_length(value)};

    if (text.len <= CUT_TEXT_MAX)
        return json_incref(value);
    size_t len = CUT_TEXT_MAX;
    while (len > 0 && (text.ptr[len] & 0xc0) == 0x80)
        len--;
    return json_text(bytes_slice(text, 0, len));
}

static void cut_object(json_t *object)
{
    const char *key;
    json_t *value;
    void *next;

    json_object_foreach_safe(object, next, key, value)
    {
        if (json_is_object(value))
            cut_object(value);
        else if (json_is_string(value))
            json_object_set_new(object, key, cut_value(value));
        else if (json_is_array(value))
            json_object_set_new(object, key, json_null());
    }
}

bool kafka_cut(struct bytes line, struct buf *out)
{
    json_t *event = json_loadb((const char *)line.ptr, line.len, 0, NULL);

    if (!json_is_object(event)) {
        json_decref(event);
        return false;
    }
    cut_object(event);
    json_object_set_new(event, "cut", json_true());
    char *text = json_dumps(event, JSON_COMPACT);
    buf_clear(out);
    bool fits = text != NULL && buf_append(out, bytes_of(text));
    free(text);
    json_decref(event);
    return fits;
}
