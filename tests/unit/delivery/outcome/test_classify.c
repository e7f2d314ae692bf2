/* test_classify.c - what kind of answer real servers' replies are. */
#include "delivery/outcome/classify.h"

#include <string.h>

#include "support/unit.h"

TEST(classify_reply_knows_real_replies)
{
    static const struct {
        unsigned code;
        const char *text; /* with its enhanced code */
        const char *class;
    } rows[] = {
        {250, "2.0.0 OK 1700000000 abc - gsmtp", "delivered"},
        {550, "5.1.1 The email account that you tried to reach does not exist.",
         "invalid-recipient"},
        {550, "5.1.1 <x@y>: Recipient address rejected: User unknown", "invalid-recipient"},
        {550, "No such user here", "invalid-recipient"},
        {550, "5.2.1 The email account that you tried to reach is disabled.", "inactive-mailbox"},
        {552, "5.2.2 The email account that you tried to reach is over quota.", "mailbox-full"},
        {452, "4.2.2 mailbox full", "mailbox-full"},
        {450, "4.2.0 <x@y>: Recipient address rejected: Greylisted", "greylisting"},
        {451, "4.7.1 Greylisting in action, please come back later", "greylisting"},
        {554, "5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org",
         "blocklist"},
        {550,
         "5.7.1 [192.0.2.1] Our system has detected that this message is likely unsolicited "
         "mail.",
         "spam"},
        {550, "5.7.26 This mail has been blocked because the sender is unauthenticated.",
         "authentication"},
        {550, "5.7.25 The IP address sending this message does not have a PTR record",
         "reverse-dns"},
        {421, "4.7.28 Our system has detected an unusual rate of mail", "throttled"},
        {421, "4.7.0 Too many messages from this address", "throttled"},
        {452, "4.5.3 Too many recipients", "too-many-recipients"},
        {451,
         "4.3.0 Multiple destination domains per transaction is unsupported. Please try again.",
         "too-many-domains"},
        {450, "4.5.0 Only one recipient domain per message, please", "too-many-domains"},
        {550, "5.1.2 The domain does not exist", "bad-domain"},
        {554, "5.7.1 <x@y>: Relay access denied", "relaying"},
        {552, "5.3.4 Message size exceeds fixed limit", "message-too-large"},
        {554, "5.6.0 Message contains bad header", "content"},
        {553, "5.1.8 Domain of sender address does not exist", "invalid-sender"},
        {501, "Syntax error", "protocol"},
        {530, "Authentication required", "authentication"},
        {421, "Service closing", "system"},
        {450, "busy", "mailbox-busy"},
        {521, "Host does not accept mail", "null-mx"},
        {554, "nothing said", "rejected"},
        {451, "nothing said", "system"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct bytes text = bytes_of(rows[i].text);
        struct smtp_enhanced enhanced = {0};

        if (!smtp_enhanced_take(&text, &enhanced))
            enhanced.class = 0;
        struct classification c = classify_reply(rows[i].code, enhanced, text);

        if (strcmp(c.class, rows[i].class) != 0)
            fail_msg("row %zu: %s, not %s (rule %s)", i, c.class, rows[i].class, c.rule);
        assert_non_null(c.rule);
    }
}

TEST(classify_reply_takes_any_code_and_text)
{
    for (unsigned code = 200; code < 600; code++) {
        struct smtp_enhanced enhanced = {(uint8_t)(code / 100), (uint16_t)(code % 10), 99};
        struct classification c = classify_reply(code, enhanced, BYTES_NONE);

        assert_non_null(c.class);
        assert_non_null(c.rule);
    }
}
