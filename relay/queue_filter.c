/* queue_filter.c - match recipients against what an operator named. */
#include "relay/queue_filter.h"

#include <string.h>

#include "queue/flow.h"

/* Copies a text key, in lower case; false with why if it does not fit. */
static bool take_text(const json_t *request, const char *key, char *out, size_t out_size,
                      const char **why_out)
{
    const json_t *value = json_object_get(request, key);

    if (value == NULL)
        return true;
    const char *text = json_string_value(value);
    size_t len = text == NULL ? 0 : strlen(text);
    if (len != json_string_length(value) || len == 0 || len >= out_size) {
        *why_out = "a filter is no text, empty or too long";
        return false;
    }
    for (size_t i = 0; i <= len; i++)
        out[i] = (char)byte_lower((uint8_t)text[i]);
    return true;
}

bool queue_filter_from_json(const json_t *request, int64_t now_ms, struct queue_filter *out,
                            const char **why_out)
{
    const json_t *id_value = json_object_get(request, "id");
    const json_t *age_value = json_object_get(request, "older_than_s");
    const char *id = json_string_value(id_value);
    json_int_t age_s = json_integer_value(age_value);

    *out = (struct queue_filter){.now_ms = now_ms};
    if (age_value != NULL && (!json_is_integer(age_value) || age_s < 0)) {
        *why_out = "older_than_s is no number of seconds";
        return false;
    }
    if (id_value != NULL && (id == NULL || !message_id_parse(bytes_of(id), &out->id))) {
        *why_out = "no message id; expected 20 characters such as a3f100-5f3a9c1b2d4e7";
        return false;
    }
    if (age_s > 0)
        out->older_than_s = MIN(age_s, (json_int_t)INT32_MAX);
    return take_text(request, "domain", out->domain, sizeof(out->domain), why_out) &&
           take_text(request, "sender", out->sender, sizeof(out->sender), why_out) &&
           take_text(request, "recipient", out->recipient, sizeof(out->recipient), why_out);
}

bool queue_filter_is_empty(const struct queue_filter *filter)
{
    return filter->id.value == 0 && filter->domain[0] == '\0' && filter->older_than_s == 0 &&
           !queue_filter_needs_envelope(filter);
}

bool queue_filter_needs_envelope(const struct queue_filter *filter)
{
    return filter->sender[0] != '\0' || filter->recipient[0] != '\0';
}

static bool domain_matches(const char *pattern, struct bytes name)
{
    if (strcmp(pattern, "*") == 0)
        return true;
    if (pattern[0] == '*')
        return bytes_ends_nocase(name, bytes_of(pattern + 1));
    return bytes_equal_nocase(name, bytes_of(pattern));
}

bool queue_filter_matches_pending(const struct queue_filter *filter, const struct pending *pending)
{
    const struct stub *stub = pending_stub(pending);

    if (pending->state == PENDING_FINAL)
        return false;
    if (filter->id.value != 0 && filter->id.value != stub->id.value)
        return false;
    if (filter->older_than_s != 0 &&
        filter->now_ms - stub_accepted_ms(stub, filter->now_ms) < filter->older_than_s * 1000)
        return false;
    return filter->domain[0] == '\0' ||
           domain_matches(filter->domain, domain_name(pending_domain(pending)));
}

static bool address_matches(const char *wanted, struct bytes address)
{
    if (strcmp(wanted, "<>") == 0)
        return address.len == 0;
    if (wanted[0] == '@')
        return bytes_ends_nocase(address, bytes_of(wanted));
    return bytes_equal_nocase(address, bytes_of(wanted));
}

bool queue_filter_matches_envelope(const struct queue_filter *filter, const struct message *message,
                                   size_t recipient)
{
    if (filter->sender[0] != '\0' && !address_matches(filter->sender, message->reverse_path))
        return false;
    return filter->recipient[0] == '\0' ||
           address_matches(filter->recipient, message->recipients[recipient].address);
}
