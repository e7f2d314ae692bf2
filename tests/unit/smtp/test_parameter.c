/* test_parameter.c - MAIL and RCPT: what their parameters mean and how they are refused. */
#include "smtp/command.h"

#include <string.h>

#include "support/unit.h"

#define TEN "aaaaaaaaaa"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

/* code 0: accepted. */
static const struct {
    struct bytes argument;
    unsigned code;
    const char *enhanced;
} mails[] = {
    {BYTES("FROM:<a@b.example>"), 0, ""},
    {BYTES("from:<>"), 0, ""},
    {BYTES("FROM:<postmaster>"), 0, ""},
    {BYTES("FROM:<a@b> SIZE=1000 BODY=8BITMIME RET=HDRS ENVID=x SMTPUTF8 AUTH=<>"), 0, ""},
    {BYTES("FROM:<a@b> auth=e+3Dmc2@example.com"), 0, ""}, /* RFC 4954 section 5 */
    {BYTES("FROM:<a@b>  SIZE=1"), 0, ""},
    {BYTES("FROM:<a@b> ENVID=" HUNDRED), 0, ""},
    {BYTES("FROM:<a@b> SIZE=18446744073709551615"), 0, ""},
    {BYTES("FROM:<\xc3\xb6@b> SMTPUTF8"), 0, ""},
    {BYTES("FROM:<a@b> BODY=7bit"), 0, ""},

    {BYTES(""), 501, "5.5.4"},
    {BYTES("TO:<a@b>"), 501, "5.5.4"},
    {BYTES("FROM <a@b>"), 501, "5.5.4"},
    {BYTES("FROM:\t<a@b>"), 501, "5.1.7"},
    {BYTES("FROM: "), 501, "5.1.7"},
    {BYTES("FROM:a@b"), 501, "5.1.7"},
    {BYTES("FROM:<a@b"), 501, "5.1.7"},
    {BYTES("FROM:<a b>"), 501, "5.1.7"},
    {BYTES("FROM:<a@b>SIZE=1"), 501, "5.5.4"},
    {BYTES("FROM:<a@b>>"), 501, "5.5.4"},
    {BYTES("FROM:<a@b> "), 501, "5.5.4"}, /* smtp_command_parse takes the space off */
    {BYTES("FROM:<a@b> SIZE=1 SIZE=1"), 501, "5.5.4"},
    {BYTES("FROM:<a@b> size=1 SIZE=1"), 501, "5.5.4"},
    {BYTES("FROM:<a@b> SIZE"), 501, "5.5.4"},
    {BYTES("FROM:<a@b> SIZE="), 501, "5.5.4"},
    {BYTES("FROM:<a@b> SIZE=x"), 501, "5.5.4"},
    {BYTES("FROM:<a@b> SIZE=1x"), 501, "5.5.4"},
    {BYTES("FROM:<a@b> SIZE=-1"), 501, "5.5.4"},
    {BYTES("FROM:<a@b> SIZE=18446744073709551616"), 552, "5.3.4"},
    {BYTES("FROM:<a@b> SIZE=000000000000000000001"), 501, "5.5.4"}, /* RFC 1870 section 3 */
    {BYTES("FROM:<a@b> BODY=BINARYMIME"), 555, "5.5.4"},
    {BYTES("FROM:<a@b> BODY=9BIT"), 501, "5.5.4"},
    {BYTES("FROM:<a@b> BODY"), 501, "5.5.4"},
    {BYTES("FROM:<a@b> RET=ALL"), 501, "5.5.4"},
    {BYTES("FROM:<a@b> ENVID=" HUNDRED "a"), 501, "5.5.4"},
    {BYTES("FROM:<a@b> ENVID=a+0D+0Ab"), 501, "5.5.4"}, /* RFC 3461 section 4.4: printable */
    {BYTES("FROM:<a@b> ENVID=+7F"), 501, "5.5.4"},
    {BYTES("FROM:<a@b> ENVID=+2"), 501, "5.5.4"},
    {BYTES("FROM:<a@b> ENVID="), 501, "5.5.4"},
    {BYTES("FROM:<a@b> ENVID"), 501, "5.5.4"},
    {BYTES("FROM:<a@b> SMTPUTF8=1"), 501, "5.5.4"},
    {BYTES("FROM:<a@b> REQUIRETLS"), 0, ""},
    {BYTES("FROM:<a@b> RequireTLS SIZE=7"), 0, ""},
    {BYTES("FROM:<a@b> REQUIRETLS=1"), 501, "5.5.4"},
    {BYTES("FROM:<a@b> REQUIRETLS REQUIRETLS"), 501, "5.5.4"},
    {BYTES("FROM:<a@b> AUTH"), 501, "5.5.4"},
    {BYTES("FROM:<a@b> AUTH=a+0"), 501, "5.5.4"},
    {BYTES("FROM:<a@b> A=B=C"), 501, "5.5.4"},
    {BYTES("FROM:<a@b> -X"), 501, "5.5.4"},
    {BYTES("FROM:<a@b> X_Y"), 501, "5.5.4"},
    {BYTES("FROM:<a@b> X=\xff"), 501, "5.5.4"},
    {BYTES("FROM:<a@b> X=\x01"), 501, "5.5.4"},
    {BYTES("FROM:<a@b> NOTIFY=NEVER"), 555, "5.5.4"}, /* of RCPT */
    {BYTES("FROM:<a@b> HOLDFOR=1"), 555, "5.5.4"},
    {BYTES("FROM:<\xc3\xb6@b>"), 553, "5.6.7"},
};

TEST(mail_parse_follows_table)
{
    for (size_t i = 0; i < ARRAY_LEN(mails); i++) {
        struct smtp_mail mail;
        struct smtp_refusal why = {0, "", ""};
        bool valid = smtp_mail_parse(mails[i].argument, &mail, &why);

        expect_row(i, valid == (mails[i].code == 0));
        expect_row(i, why.code == mails[i].code);
        expect_row(i, strcmp(why.enhanced, mails[i].enhanced) == 0);
        expect_row(i, valid == (strlen(why.text) == 0));
    }
}

TEST(mail_parse_keeps_what_was_said)
{
    struct smtp_mail mail;
    struct smtp_refusal why;

    assert_true(smtp_mail_parse(BYTES("FROM:<a@b.example> size=1234 Body=8bitMime RET=full "
                                      "ENVID=QQ314+2B smtputf8 AUTH=<>"),
                                &mail, &why));
    assert_true(bytes_equal(mail.reverse_path.text, BYTES("a@b.example")));
    assert_int_equal(mail.size, 1234);
    assert_int_equal(mail.body, SMTP_BODY_8BITMIME);
    assert_int_equal(mail.ret, SMTP_RET_FULL);
    assert_true(bytes_equal(mail.envid, BYTES("QQ314+2B")));
    assert_true(mail.smtputf8);
    assert_true(mail.has_auth);
    assert_true(smtp_mail_parse(BYTES("FROM:<>"), &mail, &why));
    assert_int_equal(mail.reverse_path.text.len, 0);
    assert_int_equal(mail.size, 0);
    assert_int_equal(mail.body, SMTP_BODY_7BIT);
    assert_int_equal(mail.ret, SMTP_RET_NONE);
    assert_int_equal(mail.envid.len, 0);
    assert_false(mail.smtputf8);
    assert_false(mail.has_auth);
}

static const struct {
    struct bytes argument;
    unsigned code;
    const char *enhanced;
    unsigned notify;
} rcpts[] = {
    {BYTES("TO:<a@b.example>"), 0, "", 0},
    {BYTES("to:<Postmaster>"), 0, "", 0},
    {BYTES("TO:<\xc3\xb6@b>"), 0, "", 0},
    {BYTES("TO:<a@b> NOTIFY=NEVER"), 0, "", SMTP_NOTIFY_NEVER},
    {BYTES("TO:<a@b> notify=success,Failure"), 0, "", SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_FAILURE},
    {BYTES("TO:<a@b> NOTIFY=DELAY ORCPT=rfc822;a+2Bb@c.example"), 0, "", SMTP_NOTIFY_DELAY},
    {BYTES("TO:<a@b> ORCPT=utf-8;\xc3\xb6@b"), 0, "", 0}, /* RFC 6533 section 3 */
    {BYTES("TO:<a@b> ORCPT=utf-8;\\x{F6}@b"), 0, "", 0},
    {BYTES("TO:<\xc3\xb6@b> ORCPT=rfc822;+C3+B6@b"), 0, "", 0}, /* as Postfix says it */
    {BYTES("TO:<a@b> ORCPT=rfc822;" HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED), 501, "5.5.4", 0},

    {BYTES("TO:<>"), 501, "5.1.3", 0},
    {BYTES("TO:<a>"), 501, "5.1.3", 0},
    {BYTES("TO:\t<a@b>"), 501, "5.1.3", 0},
    {BYTES("FROM:<a@b>"), 501, "5.5.4", 0},
    {BYTES("TO:<a@b> NOTIFY"), 501, "5.5.4", 0},
    {BYTES("TO:<a@b> NOTIFY="), 501, "5.5.4", 0},
    {BYTES("TO:<a@b> NOTIFY=NEVER,DELAY"), 501, "5.5.4", 0}, /* RFC 3461 section 4.1 */
    {BYTES("TO:<a@b> NOTIFY=DELAY,NEVER"), 501, "5.5.4", 0},
    {BYTES("TO:<a@b> NOTIFY=DELAY,"), 501, "5.5.4", 0},
    {BYTES("TO:<a@b> NOTIFY=,DELAY"), 501, "5.5.4", 0},
    {BYTES("TO:<a@b> NOTIFY=ALWAYS"), 501, "5.5.4", 0},
    {BYTES("TO:<a@b> NOTIFY=DELAY NOTIFY=DELAY"), 501, "5.5.4", 0},
    {BYTES("TO:<a@b> ORCPT"), 501, "5.5.4", 0},
    {BYTES("TO:<a@b> ORCPT=a@b"), 501, "5.5.4", 0},
    {BYTES("TO:<a@b> ORCPT=;a@b"), 501, "5.5.4", 0},
    {BYTES("TO:<a@b> ORCPT=rfc822;"), 501, "5.5.4", 0},
    {BYTES("TO:<a@b> ORCPT=rfc822;a+0"), 501, "5.5.4", 0},
    {BYTES("TO:<a@b> ORCPT=rfc822;a+0D+0ABcc:+20x"), 501, "5.5.4", 0},
    {BYTES("TO:<a@b> ORCPT=rfc822;a+80b"), 501, "5.5.4", 0},
    {BYTES("TO:<a@b> ORCPT=rfc822;+C3+B6+0D+0ABcc:+20x"), 501, "5.5.4", 0},
    {BYTES("TO:<a@b> ORCPT=rfc822;+C2+85@b"), 501, "5.5.4", 0}, /* a control of C1 */
    {BYTES("TO:<a@b> ORCPT=rfc822;\xc3\xb6@b"), 501, "5.5.4", 0},
    {BYTES("TO:<a@b> SIZE=1"), 555, "5.5.4", 0},
};

TEST(rcpt_parse_follows_table)
{
    for (size_t i = 0; i < ARRAY_LEN(rcpts); i++) {
        struct smtp_rcpt rcpt = {0};
        struct smtp_refusal why = {0, "", ""};
        bool valid = smtp_rcpt_parse(rcpts[i].argument, &rcpt, &why);

        expect_row(i, valid == (rcpts[i].code == 0));
        expect_row(i, why.code == rcpts[i].code);
        expect_row(i, strcmp(why.enhanced, rcpts[i].enhanced) == 0);
        expect_row(i, rcpt.notify == rcpts[i].notify);
    }
}

TEST(rcpt_parse_keeps_orcpt_as_given)
{
    struct smtp_rcpt rcpt;
    struct smtp_refusal why;

    assert_true(smtp_rcpt_parse(BYTES("TO:<a@b.example> ORCPT=rfc822;x+2By@z"), &rcpt, &why));
    assert_true(bytes_equal(rcpt.forward_path.text, BYTES("a@b.example")));
    assert_true(bytes_equal(rcpt.orcpt, BYTES("rfc822;x+2By@z")));
}

/* RFC 5321 section 3.3 allows none: the caller decides. */
TEST(spaces_behind_the_colon_are_told)
{
    struct smtp_mail mail;
    struct smtp_rcpt rcpt;
    struct smtp_refusal why;

    assert_true(smtp_mail_parse(BYTES("FROM: <a@b.example> SIZE=1"), &mail, &why));
    assert_true(mail.is_lax);
    assert_true(bytes_equal(mail.reverse_path.text, BYTES("a@b.example")));
    assert_int_equal(mail.size, 1);
    assert_true(smtp_mail_parse(BYTES("FROM:<a@b.example>"), &mail, &why));
    assert_false(mail.is_lax);
    assert_true(smtp_rcpt_parse(BYTES("TO:   <a@b.example>"), &rcpt, &why));
    assert_true(rcpt.is_lax);
    assert_true(smtp_rcpt_parse(BYTES("TO:<a@b.example>"), &rcpt, &why));
    assert_false(rcpt.is_lax);
}
