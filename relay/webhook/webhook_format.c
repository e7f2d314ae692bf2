/* webhook_format.c - which form has which kinds, and its way there. */
#include "webhook/webhook_format.h"

#include <jansson.h>
#include <stdlib.h>

#include "webhook/webhook_words.h"

const char *webhook_format_name(enum webhook_format format)
{
    static const char *const names[WEBHOOK_FORMAT_COUNT] = {
        [WEBHOOK_RINGPOST] = "ringpost",
        [WEBHOOK_SENDGRID] = "sendgrid",
        [WEBHOOK_KUMOMTA] = "kumomta",
    };

    return names[format];
}

bool webhook_format_parse(struct bytes name, enum webhook_format *out)
{
    for (unsigned i = 0; i < WEBHOOK_FORMAT_COUNT; i++) {
        if (!bytes_equal(name, bytes_of(webhook_format_name((enum webhook_format)i))))
            continue;
        *out = (enum webhook_format)i;
        return true;
    }
    return false;
}

bool webhook_format_tells(enum webhook_format format, struct bytes kind)
{
    const struct webhook_words *words = webhook_words(kind);

    switch (format) {
    case WEBHOOK_RINGPOST:
        return true;
    case WEBHOOK_SENDGRID:
        return words != NULL && words->sendgrid != NULL;
    case WEBHOOK_KUMOMTA:
        return words != NULL && words->kumomta != NULL;
    case WEBHOOK_FORMAT_COUNT:
        break;
    }
    return false;
}

static json_t *made(enum webhook_format format, const json_t *event)
{
    const char *kind = json_string_value(json_object_get(event, "kind"));
    const struct webhook_words *words = kind == NULL ? NULL : webhook_words(bytes_of(kind));

    if (words == NULL)
        return NULL;
    if (format == WEBHOOK_SENDGRID && words->sendgrid != NULL)
        return webhook_sendgrid(words, event);
    if (format == WEBHOOK_KUMOMTA && words->kumomta != NULL)
        return webhook_kumomta(words, event);
    return NULL;
}

bool webhook_format_put(enum webhook_format format, struct bytes line, struct buf *out)
{
    if (format == WEBHOOK_RINGPOST)
        return line.len > 0 && line.ptr[0] == '{' && buf_append(out, line);
    json_t *event = json_loadb((const char *)line.ptr, line.len, 0, NULL);
    json_t *object = made(format, event);
    char *text = object == NULL ? NULL : json_dumps(object, JSON_COMPACT);
    bool is_put = text != NULL && buf_append(out, bytes_of(text));

    free(text);
    json_decref(object);
    json_decref(event);
    return is_put;
}
