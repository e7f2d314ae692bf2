/* webhook_words.c - tables of words. */
#include "webhook/webhook_words.h"

#include <string.h>

#include "base/clock.h"

static const struct webhook_words kinds[] = {
    {"accepted", "processed", "Reception"},
    {"rejected", NULL, "Rejection"},
    {"delivered", "delivered", "Delivery"},
    {"deferred", "deferred", "TransientFailure"},
    {"bounced", "bounce", "Bounce"},
    {"expired", "bounce", "Expiration"},
    {"cancelled", "dropped", "AdminBounce"},
    {"suppressed", "dropped", "AdminBounce"},
    {"complained", "spamreport", "Feedback"},
    {"opened", "open", NULL},
    {"clicked", "click", NULL},
    {"unsubscribed", "unsubscribe", NULL},
    {"gap", "gap", "Gap"},
};

/* In the order in which most mail bounces. */
static const struct webhook_class classes[] = {
    {"invalid-recipient", "Invalid Address", false, "InvalidRecipient"},
    {"inactive-mailbox", "Mailbox Unavailable", false, "InactiveMailbox"},
    {"mailbox-full", "Mailbox Unavailable", false, "QuotaIssues"},
    {"bad-domain", "Invalid Address", false, "BadDomain"},
    {"null-mx", "Invalid Address", false, "BadDomain"},
    {"blocklist", "Reputation", true, "SpamBlock"},
    {"reputation", "Reputation", true, "SpamBlock"},
    {"spam", "Content", true, "SpamContent"},
    {"content", "Content", true, "ContentRelated"},
    {"virus", "Content", true, "VirusDetected"},
    {"message-too-large", "Content", true, "ContentRelated"},
    {"policy", "Reputation", true, "PolicyRelated"},
    {"reverse-dns", "Technical Failure", true, "BadConfiguration"},
    {"authentication", "Technical Failure", true, "AuthenticationFailed"},
    {"throttled", "Frequency or Volume Too High", true, "PolicyRelated"},
    {"greylisting", "Frequency or Volume Too High", true, "PolicyRelated"},
    {"too-many-recipients", "Frequency or Volume Too High", true, "PolicyRelated"},
    {"connection", "Technical Failure", true, "BadConnection"},
    {"dns", "Technical Failure", true, "DNSFailure"},
    {"routing", "Technical Failure", true, "RoutingErrors"},
    {"protocol", "Technical Failure", true, "ProtocolErrors"},
    {"expired", "Technical Failure", true, "MessageExpired"},
};

const struct webhook_words *webhook_words(struct bytes kind)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (bytes_equal(kind, bytes_of(kinds[i].kind)))
            return &kinds[i];
    return NULL;
}

const struct webhook_class *webhook_class(const char *class)
{
    static const struct webhook_class other = {"", "Unclassified", false, "Uncategorized"};

    for (size_t i = 0; class != NULL && i < ARRAY_LEN(classes); i++)
        if (strcmp(class, classes[i].class) == 0)
            return &classes[i];
    return &other;
}

json_t *webhook_at(const json_t *event, const char *object, const char *key)
{
    return json_object_get(json_object_get(event, object), key);
}

json_int_t webhook_seconds(const json_t *time)
{
    const char *text = json_string_value(time);
    int64_t ms;

    return text != NULL && clock_parse_rfc3339(bytes_of(text), &ms) ? ms / 1000 : 0;
}

json_t *webhook_or_null(json_t *value)
{
    return value == NULL ? json_null() : json_incref(value);
}
