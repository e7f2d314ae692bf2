/*
 * classify.c - the one table of classes.
 *
 * Rows are looked at in order: texts that are more telling than the code they come with, then
 * enhanced codes, then texts for replies without a useful code, then the reply code.
 */
#include "delivery/outcome/classify.h"

enum { ANY = 0xffff };

/* Receivers that block by reputation often say 5.7.1 or 5.1.x with these words. */
static const struct text_rule {
    const char *words;
    const char *class;
    const char *rule;
} strong_texts[] = {
    {"spamhaus", "blocklist", "text-blocklist"},
    {"blocklist", "blocklist", "text-blocklist"},
    {"blacklist", "blocklist", "text-blocklist"},
    {"dnsbl", "blocklist", "text-blocklist"},
    {"poor reputation", "reputation", "text-reputation"},
    {"low reputation", "reputation", "text-reputation"},
    {"bad reputation", "reputation", "text-reputation"},
    {"sender reputation", "reputation", "text-reputation"},
    {"greylist", "greylisting", "text-greylist"},
    {"graylist", "greylisting", "text-greylist"},
    {"virus", "virus", "text-virus"},
    {"malware", "virus", "text-virus"},
    /* The codes that come with these say anything: 451 4.3.0, 450 4.5.0, 452 4.1.0. */
    {"multiple destination domains", CLASS_TOO_MANY_DOMAINS, "text-too-many-domains"},
    {"multiple recipient domains", CLASS_TOO_MANY_DOMAINS, "text-too-many-domains"},
    {"multiple domains", CLASS_TOO_MANY_DOMAINS, "text-too-many-domains"},
    {"too many domains", CLASS_TOO_MANY_DOMAINS, "text-too-many-domains"},
    {"too many recipient domains", CLASS_TOO_MANY_DOMAINS, "text-too-many-domains"},
    {"one domain per", CLASS_TOO_MANY_DOMAINS, "text-too-many-domains"},
    {"one recipient domain per", CLASS_TOO_MANY_DOMAINS, "text-too-many-domains"},
};

static const struct enhanced_rule {
    uint16_t subject, detail;
    const char *class;
    const char *rule;
} enhanced_rules[] = {
    {1, 1, "invalid-recipient", "enhanced-x.1.1"},
    {1, 2, "bad-domain", "enhanced-x.1.2"},
    {1, 3, "invalid-recipient", "enhanced-x.1.3"},
    {1, 4, "invalid-recipient", "enhanced-x.1.4"},
    {1, 6, "inactive-mailbox", "enhanced-x.1.6"},
    {1, 7, "invalid-sender", "enhanced-x.1.7"},
    {1, 8, "invalid-sender", "enhanced-x.1.8"},
    {1, 9, "relaying", "enhanced-x.1.9"},
    {1, 10, "null-mx", "enhanced-x.1.10"},
    {2, 1, "inactive-mailbox", "enhanced-x.2.1"},
    {2, 2, "mailbox-full", "enhanced-x.2.2"},
    {2, 3, "message-too-large", "enhanced-x.2.3"},
    {2, 4, "routing", "enhanced-x.2.4"},
    {2, ANY, "inactive-mailbox", "enhanced-x.2.x"},
    {3, 1, "mailbox-full", "enhanced-x.3.1"},
    {3, 3, "protocol", "enhanced-x.3.3"},
    {3, 4, "message-too-large", "enhanced-x.3.4"},
    {3, ANY, "system", "enhanced-x.3.x"},
    {4, 1, "connection", "enhanced-x.4.1"},
    {4, 2, "connection", "enhanced-x.4.2"},
    {4, 3, "dns", "enhanced-x.4.3"},
    {4, 4, "routing", "enhanced-x.4.4"},
    {4, 5, "throttled", "enhanced-x.4.5"},
    {4, 6, "routing", "enhanced-x.4.6"},
    {4, 7, "expired", "enhanced-x.4.7"},
    {4, ANY, "routing", "enhanced-x.4.x"},
    {5, 3, "too-many-recipients", "enhanced-x.5.3"},
    {5, ANY, "protocol", "enhanced-x.5.x"},
    {6, ANY, "content", "enhanced-x.6.x"},
    {7, 0, "policy", "enhanced-x.7.0"},
    {7, 8, "authentication", "enhanced-x.7.8"},
    {7, 9, "authentication", "enhanced-x.7.9"},
    {7, 20, "authentication", "enhanced-x.7.20"},
    {7, 21, "authentication", "enhanced-x.7.21"},
    {7, 22, "authentication", "enhanced-x.7.22"},
    {7, 23, "authentication", "enhanced-x.7.23"},
    {7, 24, "authentication", "enhanced-x.7.24"},
    {7, 25, "reverse-dns", "enhanced-x.7.25"},
    {7, 26, "authentication", "enhanced-x.7.26"},
    {7, 27, "invalid-sender", "enhanced-x.7.27"},
    {7, 28, "throttled", "enhanced-x.7.28"},
    {7, ANY, "policy", "enhanced-x.7.x"},
};

/* For replies that give no enhanced code, or one that says only "other". */
static const struct text_rule weak_texts[] = {
    {"user unknown", "invalid-recipient", "text-user-unknown"},
    {"unknown user", "invalid-recipient", "text-user-unknown"},
    {"no such user", "invalid-recipient", "text-user-unknown"},
    {"does not exist", "invalid-recipient", "text-user-unknown"},
    {"doesn't exist", "invalid-recipient", "text-user-unknown"},
    {"no mailbox", "invalid-recipient", "text-user-unknown"},
    {"invalid recipient", "invalid-recipient", "text-user-unknown"},
    {"recipient rejected", "invalid-recipient", "text-user-unknown"},
    {"recipient address rejected", "invalid-recipient", "text-user-unknown"},
    {"account disabled", "inactive-mailbox", "text-inactive"},
    {"account is disabled", "inactive-mailbox", "text-inactive"},
    {"mailbox disabled", "inactive-mailbox", "text-inactive"},
    {"mailbox unavailable", "inactive-mailbox", "text-inactive"},
    {"over quota", "mailbox-full", "text-quota"},
    {"quota exceeded", "mailbox-full", "text-quota"},
    {"mailbox full", "mailbox-full", "text-quota"},
    {"mailbox is full", "mailbox-full", "text-quota"},
    {"relay", "relaying", "text-relay"},
    {"too many recipients", "too-many-recipients", "text-too-many-recipients"},
    {"too many connections", "throttled", "text-throttled"},
    {"too many messages", "throttled", "text-throttled"},
    {"rate limit", "throttled", "text-throttled"},
    {"throttl", "throttled", "text-throttled"},
    {"try again later", "system", "text-try-later"},
    {"spam", "spam", "text-spam"},
    {"unsolicited", "spam", "text-spam"},
    {"dmarc", "authentication", "text-authentication"},
    {"dkim", "authentication", "text-authentication"},
    {"spf", "authentication", "text-authentication"},
    {"authentication required", "authentication", "text-authentication"},
    {"message too large", "message-too-large", "text-size"},
    {"message size", "message-too-large", "text-size"},
    {"content", "content", "text-content"},
    {"policy", "policy", "text-policy"},
    {"blocked", "policy", "text-policy"},
};

static bool contains_nocase(struct bytes text, struct bytes words)
{
    uint8_t first = byte_lower(words.ptr[0]);

    for (size_t i = 0; i + words.len <= text.len; i++)
        if (byte_lower(text.ptr[i]) == first &&
            bytes_starts_nocase(bytes_slice(text, i, text.len), words))
            return true;
    return false;
}

static bool match_text(const struct text_rule *rules, size_t count, struct bytes text,
                       struct classification *out)
{
    for (size_t i = 0; i < count; i++) {
        if (!contains_nocase(text, bytes_of(rules[i].words)))
            continue;
        *out = (struct classification){rules[i].class, rules[i].rule};
        return true;
    }
    return false;
}

static bool match_enhanced(struct smtp_enhanced enhanced, struct classification *out)
{
    for (size_t i = 0; i < ARRAY_LEN(enhanced_rules); i++) {
        const struct enhanced_rule *rule = &enhanced_rules[i];

        if (rule->subject != enhanced.subject ||
            (rule->detail != ANY && rule->detail != enhanced.detail))
            continue;
        *out = (struct classification){rule->class, rule->rule};
        return true;
    }
    return false;
}

static struct classification of_code(unsigned code)
{
    switch (code) {
    case 421:
        return (struct classification){"system", "reply-421"};
    case 450:
        return (struct classification){"mailbox-busy", "reply-450"};
    case 452:
    case 552:
        return (struct classification){"mailbox-full", "reply-x52"};
    case 500:
    case 501:
    case 502:
    case 503:
    case 504:
    case 555:
        return (struct classification){"protocol", "reply-50x"};
    case 521:
    case 556:
        return (struct classification){"null-mx", "reply-521"};
    case 530:
    case 535:
        return (struct classification){"authentication", "reply-53x"};
    case 550:
    case 551:
    case 553:
        return (struct classification){"invalid-recipient", "reply-55x"};
    default:
        return code >= 500 ? (struct classification){"rejected", "reply-5xx"}
                           : (struct classification){"system", "reply-4xx"};
    }
}

struct classification classify_reply(unsigned code, struct smtp_enhanced enhanced,
                                     struct bytes text)
{
    struct classification result;

    if (code / 100 == 2)
        return (struct classification){"delivered", "reply-2xx"};
    if (match_text(strong_texts, ARRAY_LEN(strong_texts), text, &result))
        return result;
    bool says_little = enhanced.class == 0 || (enhanced.subject == 0 && enhanced.detail == 0) ||
                       (enhanced.subject == 7 && enhanced.detail <= 1);

    if (!says_little && match_enhanced(enhanced, &result))
        return result;
    if (match_text(weak_texts, ARRAY_LEN(weak_texts), text, &result))
        return result;
    if (enhanced.class != 0 && match_enhanced(enhanced, &result))
        return result;
    return of_code(code);
}
