/* event_filter.c - which lines of event files somebody wants to see. */
#include "event/event_filter.h"

#include <jansson.h>
#include <string.h>

#include "base/clock.h"
#include "event/event_privacy.h"

static bool has_nocase(struct bytes line, struct bytes needle)
{
    uint8_t first = byte_lower(needle.ptr[0]);

    for (size_t at = 0; at + needle.len <= line.len; at++)
        if (byte_lower(line.ptr[at]) == first &&
            bytes_equal_nocase(bytes_slice(line, at, needle.len), needle))
            return true;
    return false;
}

/* The event's own time, which stands first of all keys that end so. In a text the quotes would have
 * backslashes before them. */
static bool is_since(struct bytes line, int64_t since_ms)
{
    struct bytes key = BYTES(",\"time\":\"");
    size_t at = bytes_find_bytes(line, key, 0);
    int64_t wall_ms;

    if (at == line.len)
        return false;
    struct bytes time = bytes_slice(line, at + key.len, line.len);
    time.len = bytes_find(time, '"', 0);
    return clock_parse_rfc3339(time, &wall_ms) && wall_ms >= since_ms;
}

static bool has_value(json_t *event, const char *key, const char *wanted)
{
    const char *value = json_string_value(json_object_get(event, key));

    return value != NULL && bytes_equal_nocase(bytes_of(value), bytes_of(wanted));
}

/* "a@b.example", or "@b.example" for everyone there. */
static bool has_recipient(json_t *event, const struct event_filter *filter)
{
    const char *wanted = filter->recipient;
    const char *value = json_string_value(json_object_get(event, "recipient"));
    const char *tenant = json_string_value(json_object_get(event, "tenant"));
    char hashed[PRIVACY_ADDRESS_MAX];

    if (value == NULL)
        return false;
    if (wanted[0] == '@')
        return bytes_ends_nocase(bytes_of(value), bytes_of(wanted));
    if (bytes_equal_nocase(bytes_of(value), bytes_of(wanted)))
        return true;
    return filter->key != NULL && tenant != NULL &&
           bytes_equal_nocase(bytes_of(value), privacy_hash(filter->key, bytes_of(tenant),
                                                            bytes_of(wanted), hashed));
}

/* Stands in JSON as it is, so that lines can be searched for it. */
static bool is_plain(const char *text)
{
    for (const char *c = text; *c != '\0'; c++)
        if (*c < ' ' || *c > '~' || *c == '"' || *c == '\\')
            return false;
    return text[0] != '\0';
}

static bool has_kind(json_t *event, const char *wanted)
{
    const char *kind = json_string_value(json_object_get(event, "kind"));
    struct bytes list = bytes_of(wanted), one;

    if (kind == NULL)
        return false;
    while (bytes_take_until(&list, ',', &one))
        if (bytes_equal(one, bytes_of(kind)))
            return true;
    return bytes_equal(list, bytes_of(kind));
}

static bool has_tag(json_t *event, const char *wanted)
{
    size_t i;
    json_t *tag;

    json_array_foreach(json_object_get(event, "tags"), i, tag)
    {
        if (json_is_string(tag) && strcmp(json_string_value(tag), wanted) == 0)
            return true;
    }
    return false;
}

/* As given, upper and lower case are two; empty: mail of no tenant. */
static bool has_tenant(json_t *event, const char *wanted)
{
    const char *tenant = json_string_value(json_object_get(event, "tenant"));

    return strcmp(tenant == NULL ? "" : tenant, wanted) == 0;
}

static bool has_domain(json_t *event, const char *wanted)
{
    const char *recipient = json_string_value(json_object_get(event, "recipient"));
    const char *at = recipient == NULL ? NULL : strrchr(recipient, '@');

    return at != NULL && bytes_equal_nocase(bytes_of(at + 1), bytes_of(wanted));
}

/* What of the recipient stands in the text in any case. */
static const char *text_of_recipient(const struct event_filter *filter)
{
    const char *at = filter->recipient == NULL ? NULL : strrchr(filter->recipient, '@');

    return filter->key == NULL || filter->recipient == NULL ? filter->recipient : at;
}

/* What a search of the text can tell, which is cheaper than to parse it. */
static bool may_match(const struct event_filter *filter, struct bytes line)
{
    const char *const nocase[] = {text_of_recipient(filter), filter->domain};

    if (filter->id != NULL && bytes_find_bytes(line, bytes_of(filter->id), 0) == line.len)
        return false;
    if (filter->tenant != NULL && is_plain(filter->tenant) &&
        bytes_find_bytes(line, bytes_of(filter->tenant), 0) == line.len)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(nocase); i++)
        if (nocase[i] != NULL && is_plain(nocase[i]) && !has_nocase(line, bytes_of(nocase[i])))
            return false;
    return true;
}

static bool is_wanted(const struct event_filter *filter, json_t *event)
{
    return (filter->id == NULL || has_value(event, "id", filter->id)) &&
           (filter->recipient == NULL || has_recipient(event, filter)) &&
           (filter->domain == NULL || has_domain(event, filter->domain)) &&
           (filter->tenant == NULL || has_tenant(event, filter->tenant)) &&
           (filter->kind == NULL || has_kind(event, filter->kind)) &&
           (filter->tag == NULL || has_tag(event, filter->tag));
}

bool event_filter_matches(const struct event_filter *filter, struct bytes line)
{
    if (line.len < 2 || line.ptr[0] != '{' || line.ptr[line.len - 1] != '}')
        return false;
    if (filter->since_ms != 0 && !is_since(line, filter->since_ms))
        return false;
    if (filter->id == NULL && filter->recipient == NULL && filter->domain == NULL &&
        filter->tenant == NULL && filter->kind == NULL && filter->tag == NULL)
        return true;
    if (!may_match(filter, line))
        return false;
    json_t *event = json_loadb((const char *)line.ptr, line.len, 0, NULL);
    bool wanted = event != NULL && is_wanted(filter, event);
    json_decref(event);
    return wanted;
}
