/* test_dsn.c - notifications byte for byte, and as a MIME parser sees them. */
#include "delivery/outcome/dsn.h"

#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "delivery/outcome/clearing.h"
#include "delivery/outcome/dsn_7bit.h"
#include "smtp/reply.h"
#include "support/unit.h"

enum { NOW_S = 1795489800 /* 2026-11-24 03:10:00 */, PARTS_MAX = 8 };

static struct recipient recipients[] = {
    {.address = {(const uint8_t *)"b@rcpt.example", 14}},
    {.address = {(const uint8_t *)"c@rcpt.example", 14},
     .orcpt = {(const uint8_t *)"rfc822;list+2Bc@rcpt.example", 28}},
};

static struct message make_original(const char *content)
{
    return (struct message){
        .id = {0x10000000000abcd},
        .accepted_ms = NOW_S * 1000LL - 60000,
        .reverse_path = BYTES("a@send.example"),
        .envid = BYTES("QQ+2B314"),
        .recipient_count = 2,
        .recipients = recipients,
        .prefix = BYTES("Received: by relay.example\r\n"),
        .content = {.size = bytes_of(content).len, .memory = bytes_of(content)},
    };
}

static struct message *write_dsn(const struct message *original, enum dsn_action action,
                                 const char *text, struct bytes head)
{
    struct dsn_recipient told[] = {
        {
            .recipient = &original->recipients[0],
            .action = action,
            .status = {action == DSN_FAILED    ? 5
                       : action == DSN_DELAYED ? 4
                                               : 2,
                       1, 1},
            .code = action == DSN_FAILED ? 550 : 450,
            .enhanced = {action == DSN_FAILED ? 5 : 4, 1, 1},
            .text = bytes_of(text),
            .mx_host = BYTES("mx.rcpt.example"),
            .attempt_ms = NOW_S * 1000LL - 1000,
            .retry_until_ms = NOW_S * 1000LL + 259200000,
        },
        {
            .recipient = &original->recipients[1],
            .action = action,
            .status = {action == DSN_FAILED ? 5 : 4, 4, 4},
            .is_ours = true,
            .text = BYTES("no host of the domain has an address"),
        },
    };
    struct dsn_request request = {
        .hostname = "relay.example",
        .id = {0x10000000000beef},
        .now_ms = NOW_S * 1000LL,
        .message = original,
        .head = head,
        .returned_max = 4096,
        .count = 2,
        .recipients = told,
    };

    random_seed(1);
    return dsn_create(&request);
}

/* --- a MIME parser of the simple kind -------------------------------------------------------- */

struct part {
    struct bytes header;
    struct bytes body;
};

static struct bytes field(struct bytes header, const char *name)
{
    struct bytes line;

    while (bytes_take_until(&header, '\n', &line)) {
        if (!bytes_take_nocase(&line, bytes_of(name)))
            continue;
        if (line.len > 0 && line.ptr[line.len - 1] == '\r')
            line.len--;
        /* Unfold: the caller only looks for words. */
        while (header.len > 0 && (header.ptr[0] == '\t' || header.ptr[0] == ' ')) {
            struct bytes folded;

            assert_true(bytes_take_until(&header, '\n', &folded));
            line.len = (size_t)(folded.ptr + folded.len - 1 - line.ptr);
        }
        return bytes_trim(line);
    }
    return BYTES_NONE;
}

static void check_lines(struct bytes content)
{
    size_t start = 0;

    for (size_t i = 0; i < content.len; i++) {
        if (content.ptr[i] == '\r')
            assert_true(i + 1 < content.len && content.ptr[i + 1] == '\n');
        if (content.ptr[i] != '\n')
            continue;
        assert_true(i > 0 && content.ptr[i - 1] == '\r');
        assert_in_range(i - start, 0, 999);
        start = i + 1;
    }
    assert_int_equal(start, content.len); /* ends in CRLF */
}

static struct part split(struct bytes content)
{
    size_t end = bytes_find_bytes(content, BYTES("\r\n\r\n"), 0);

    assert_true(end < content.len);
    return (struct part){bytes_slice(content, 0, end + 2), bytes_slice(content, end + 4, SIZE_MAX)};
}

static size_t parse(const struct message *dsn, struct part *whole, struct part *parts)
{
    struct bytes boundary;
    char marker[80];
    size_t count = 0;

    check_lines(dsn->content.memory);
    assert_int_equal(dsn->content.size, dsn->content.memory.len);
    *whole = split(dsn->content.memory);
    struct bytes type = field(whole->header, "Content-Type:");

    assert_true(bytes_starts_nocase(type, BYTES("multipart/report; report-type=delivery-status;")));
    size_t at = bytes_find_bytes(type, BYTES("boundary=\""), 0);

    assert_true(at < type.len);
    boundary = bytes_slice(type, at + 10, SIZE_MAX);
    boundary = bytes_slice(boundary, 0, bytes_find(boundary, '"', 0));
    assert_in_range(boundary.len, 1, 70);
    snprintf(marker, sizeof(marker), "\r\n--%.*s", BYTES_ARG(boundary));
    struct bytes rest = whole->body;

    for (;;) {
        size_t next = bytes_find_bytes(rest, bytes_of(marker), 0);

        assert_true(next < rest.len);
        if (count > 0)
            parts[count - 1].body = bytes_slice(rest, 0, next);
        rest = bytes_slice(rest, next + strlen(marker), SIZE_MAX);
        if (bytes_starts_nocase(rest, BYTES("--\r\n"))) {
            assert_int_equal(rest.len, 4);
            break;
        }
        assert_true(bytes_take_nocase(&rest, BYTES("\r\n")));
        assert_in_range(count, 0, PARTS_MAX - 1);
        struct part part = split(rest);

        parts[count++].header = part.header;
        rest = part.body;
    }
    return count;
}

static bool has_line(struct bytes text, const char *line)
{
    struct bytes each;

    while (bytes_take_until(&text, '\n', &each)) {
        if (each.len > 0 && each.ptr[each.len - 1] == '\r')
            each.len--;
        if (bytes_equal(each, bytes_of(line)))
            return true;
    }
    return bytes_equal(text, bytes_of(line));
}

/* --- cases ----------------------------------------------------------------------------------- */

static const char golden[] = "From: Mail Delivery System <MAILER-DAEMON@relay.example>\r\n"
                             "To: <a@send.example>\r\n"
                             "Subject: Undelivered mail returned to sender\r\n"
                             "Date: Tue, 24 Nov 2026 03:10:00 +0000\r\n"
                             "Message-ID: <000001-000000000beef@relay.example>\r\n"
                             "Auto-Submitted: auto-replied\r\n"
                             "MIME-Version: 1.0\r\n"
                             "Content-Type: multipart/report; report-type=delivery-status;\r\n"
                             "\tboundary=\"BOUNDARY\"\r\n"
                             "\r\n"
                             "This is a MIME-encapsulated message.\r\n"
                             "\r\n"
                             "--BOUNDARY\r\n"
                             "Content-Description: Notification\r\n"
                             "Content-Type: text/plain; charset=us-ascii\r\n"
                             "\r\n"
                             "This is the mail system at relay.example.\r\n"
                             "\r\n"
                             "Your message could not be delivered to:\r\n"
                             "\r\n"
                             "<b@rcpt.example>:\r\n"
                             "    mx.rcpt.example said:\r\n"
                             "    550 5.1.1 no such user\r\n"
                             "    see our page\r\n"
                             "\r\n"
                             "<c@rcpt.example>:\r\n"
                             "    no host of the domain has an address\r\n"
                             "\r\n"
                             "--BOUNDARY\r\n"
                             "Content-Description: Delivery report\r\n"
                             "Content-Type: message/delivery-status\r\n"
                             "\r\n"
                             "Reporting-MTA: dns; relay.example\r\n"
                             "Original-Envelope-Id: QQ+314\r\n"
                             "X-Ringpost-Message-Id: 000001-000000000abcd\r\n"
                             "Arrival-Date: Tue, 24 Nov 2026 03:09:00 +0000\r\n"
                             "\r\n"
                             "Final-Recipient: rfc822;b@rcpt.example\r\n"
                             "Action: failed\r\n"
                             "Status: 5.1.1\r\n"
                             "Remote-MTA: dns; mx.rcpt.example\r\n"
                             "Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n"
                             "    see our page\r\n"
                             "Last-Attempt-Date: Tue, 24 Nov 2026 03:09:59 +0000\r\n"
                             "\r\n"
                             "Original-Recipient: rfc822;list+c@rcpt.example\r\n"
                             "Final-Recipient: rfc822;c@rcpt.example\r\n"
                             "Action: failed\r\n"
                             "Status: 5.4.4\r\n"
                             "Diagnostic-Code: X-Ringpost; no host of the domain has an address\r\n"
                             "\r\n"
                             "--BOUNDARY\r\n"
                             "Content-Description: Undelivered message\r\n"
                             "Content-Type: message/rfc822\r\n"
                             "\r\n"
                             "Received: by relay.example\r\n"
                             "Subject: hello\r\n"
                             "\r\n"
                             "Hello.\r\n"
                             "\r\n"
                             "--BOUNDARY--\r\n";

TEST(dsn_of_failure_is_golden)
{
    struct message original = make_original("Subject: hello\r\n\r\nHello.\r\n");
    struct message *dsn =
        write_dsn(&original, DSN_FAILED, "no such user\nsee our page", BYTES_NONE);
    struct part whole;
    struct part parts[PARTS_MAX];

    assert_non_null(dsn);
    assert_int_equal(parse(dsn, &whole, parts), 3);
    struct bytes type = field(whole.header, "Content-Type:");
    struct bytes boundary = bytes_slice(type, bytes_find(type, '"', 0) + 1, SIZE_MAX);
    const char *expected = golden;
    const char *mark;
    struct buf text;

    boundary = bytes_slice(boundary, 0, bytes_find(boundary, '"', 0));
    buf_init(&text, 65536);
    while ((mark = strstr(expected, "BOUNDARY")) != NULL) {
        assert_true(buf_append(&text, bytes_range(expected, (size_t)(mark - expected))));
        assert_true(buf_append(&text, boundary));
        expected = mark + strlen("BOUNDARY");
    }
    assert_true(buf_append(&text, bytes_of(expected)));
    if (!bytes_equal(buf_bytes(&text), dsn->content.memory))
        fail_msg("not golden:\n%.*s", BYTES_ARG(dsn->content.memory));
    buf_free(&text);
    assert_true(dsn->is_dsn);
    assert_int_equal(dsn->reverse_path.len, 0);
    assert_int_equal(dsn->recipient_count, 1);
    assert_true(bytes_equal(dsn->recipients[0].address, BYTES("a@send.example")));
    assert_true(bytes_equal(dsn->recipients[0].domain, BYTES("send.example")));
    assert_int_equal(dsn->recipients[0].notify, SMTP_NOTIFY_NEVER);
    assert_int_equal(dsn->body, SMTP_BODY_7BIT);
    message_release(&dsn);
}

TEST(dsn_of_delay_returns_headers_and_says_until_when)
{
    struct message original = make_original("Subject: hello\r\n\r\nHello.\r\n");
    struct message *dsn = write_dsn(&original, DSN_DELAYED, "busy", BYTES_NONE);
    struct part whole;
    struct part parts[PARTS_MAX];

    assert_non_null(dsn);
    assert_int_equal(parse(dsn, &whole, parts), 3);
    assert_true(has_line(parts[1].body, "Action: delayed"));
    assert_true(has_line(parts[1].body, "Will-Retry-Until: Fri, 27 Nov 2026 03:10:00 +0000"));
    assert_true(bytes_equal(field(parts[2].header, "Content-Type:"), BYTES("text/rfc822-headers")));
    assert_true(has_line(parts[2].body, "Subject: hello"));
    assert_false(has_line(parts[2].body, "Hello."));
    message_release(&dsn);
}

TEST(dsn_returns_no_more_than_its_maximum)
{
    char content[8192];
    size_t len = (size_t)snprintf(content, sizeof(content), "Subject: large\r\n\r\n");

    while (len < 8000)
        len += (size_t)snprintf(content + len, sizeof(content) - len, "another line\r\n");
    struct message original = make_original(content);
    struct message *dsn = write_dsn(&original, DSN_FAILED, "no", BYTES_NONE);
    struct part whole;
    struct part parts[PARTS_MAX];

    assert_int_equal(parse(dsn, &whole, parts), 3);
    assert_true(bytes_equal(field(parts[2].header, "Content-Type:"), BYTES("text/rfc822-headers")));
    assert_true(has_line(parts[2].body, "Subject: large"));
    message_release(&dsn);
    /* A header section that is too large is cut at a line. */
    for (size_t i = 0; i + 3 < len; i++)
        if (memcmp(content + i, "\r\n\r\n", 4) == 0)
            memcpy(content + i, "\r\nX:", 4);
    original = make_original(content);
    dsn = write_dsn(&original, DSN_FAILED, "no", BYTES_NONE);
    assert_int_equal(parse(dsn, &whole, parts), 3);
    assert_in_range(parts[2].body.len, 3000, 4096 + 64);
    message_release(&dsn);
}

/* As many as end together, with addresses and replies as long as they are ever kept. */
TEST(dsn_has_room_for_all_recipients_of_a_settlement)
{
    static struct recipient many[CLEARING_RECIPIENTS_MAX];
    static struct dsn_recipient told[CLEARING_RECIPIENTS_MAX];
    static char addresses[CLEARING_RECIPIENTS_MAX][320];
    static char reply[SMTP_REPLY_TEXT_MAX];
    struct message original = make_original("Subject: x\r\n\r\nbody\r\n");

    for (size_t i = 0; i < sizeof(reply); i++)
        reply[i] = i % 8 == 7 ? '\n' : 'r';
    for (unsigned i = 0; i < CLEARING_RECIPIENTS_MAX; i++) {
        int len = snprintf(addresses[i], sizeof(addresses[i]), "%064u@%0240u.example", i, i);

        many[i].address = bytes_range(addresses[i], (size_t)len);
        many[i].orcpt = BYTES("rfc822;list+2Bc@rcpt.example");
        told[i] = (struct dsn_recipient){
            .recipient = &many[i],
            .action = DSN_FAILED,
            .status = {5, 1, 1},
            .code = 550,
            .enhanced = {5, 1, 1},
            .text = bytes_range(reply, sizeof(reply)),
            .mx_host = BYTES("mx.rcpt.example"),
            .attempt_ms = NOW_S * 1000LL - 1000,
        };
    }
    original.recipients = many;
    original.recipient_count = CLEARING_RECIPIENTS_MAX;
    struct dsn_request request = {
        .hostname = "relay.example",
        .id = {0x10000000000beef},
        .now_ms = NOW_S * 1000LL,
        .message = &original,
        .returned_max = 4096,
        .count = CLEARING_RECIPIENTS_MAX,
        .recipients = told,
    };
    struct message *dsn = dsn_create(&request);
    struct part whole;
    struct part parts[PARTS_MAX];

    assert_non_null(dsn);
    assert_int_equal(parse(dsn, &whole, parts), 3);
    assert_true(has_line(parts[2].body, "Subject: x"));
    message_release(&dsn);
}

TEST(dsn_uses_the_head_where_content_is_not_in_memory)
{
    struct message original = make_original("Subject: hello\r\n\r\nHello.\r\n");
    struct part whole;
    struct part parts[PARTS_MAX];

    original.content.memory = BYTES_NONE;
    original.content.size = 1 << 20;
    struct message *dsn =
        write_dsn(&original, DSN_FAILED, "no", BYTES("Subject: head\r\n\r\nthe beg"));

    assert_int_equal(parse(dsn, &whole, parts), 3);
    assert_true(has_line(parts[2].body, "Subject: head"));
    assert_false(has_line(parts[2].body, "the beg"));
    message_release(&dsn);
    dsn = write_dsn(&original, DSN_FAILED, "no", BYTES_NONE); /* not readable */
    assert_int_equal(parse(dsn, &whole, parts), 3);
    message_release(&dsn);
}

TEST(dsn_of_utf8_mail_uses_rfc_6533)
{
    struct message original = make_original("Subject: h\xc3\xa9llo\r\n\r\nHello.\r\n");
    struct recipient international[] = {
        {.address = BYTES("b\xc3\xb6rk@rcpt.example"), .orcpt = BYTES("rfc822;b+C3+B6rk@x")},
        {.address = BYTES("c@rcpt.example"), .orcpt = BYTES("rfc822;c@x")},
    };
    struct part whole;
    struct part parts[PARTS_MAX];

    original.recipients = international;
    original.needs_smtputf8 = true;
    struct message *dsn = write_dsn(&original, DSN_FAILED, "no", BYTES_NONE);

    assert_int_equal(parse(dsn, &whole, parts), 3);
    assert_false(dsn->needs_smtputf8); /* its own header and address are ASCII */
    assert_int_equal(dsn->body, SMTP_BODY_8BITMIME);
    assert_true(bytes_equal(field(parts[1].header, "Content-Type:"),
                            BYTES("message/global-delivery-status")));
    assert_true(has_line(parts[1].body, "Final-Recipient: utf-8;b\xc3\xb6rk@rcpt.example"));
    assert_true(has_line(parts[1].body, "Original-Recipient: utf-8;b\xc3\xb6rk@x"));
    assert_true(has_line(parts[1].body, "Final-Recipient: rfc822;c@rcpt.example"));
    assert_true(has_line(parts[1].body, "Original-Recipient: rfc822;c@x"));
    assert_true(bytes_equal(field(parts[2].header, "Content-Type:"), BYTES("message/global")));
    message_release(&dsn);
}

TEST(dsn_of_8bit_mail_is_8bit_and_shows_no_8bit_reply)
{
    struct message original = make_original("Subject: x\r\n\r\ncaf\xe9\r\n");
    struct message *dsn = write_dsn(&original, DSN_FAILED, "caf\xe9\r\x01!", BYTES_NONE);
    struct part whole;
    struct part parts[PARTS_MAX];

    assert_int_equal(parse(dsn, &whole, parts), 3);
    assert_int_equal(dsn->body, SMTP_BODY_8BITMIME);
    assert_true(bytes_equal(field(whole.header, "Content-Transfer-Encoding:"), BYTES("8bit")));
    assert_true(has_line(parts[1].body, "Diagnostic-Code: smtp; 550 5.1.1 caf??\?!"));
    message_release(&dsn);
}

/* RFC 5322 section 2.1.1; it could not be returned as it is. */
TEST(dsn_of_mail_with_a_long_line_in_what_we_put_before_it_keeps_its_lines_short)
{
    static char prefix[1200];
    struct message original = make_original("Subject: x\r\n\r\nHello.\r\n");
    struct part whole;
    struct part parts[PARTS_MAX];

    memset(prefix, 'p', sizeof(prefix));
    memcpy(prefix, "X-P: ", 5);
    memcpy(prefix + sizeof(prefix) - 2, "\r\n", 2);
    original.prefix = bytes_range(prefix, sizeof(prefix));
    struct message *dsn = write_dsn(&original, DSN_FAILED, "no", BYTES_NONE);

    check_lines(dsn->content.memory);
    assert_int_equal(parse(dsn, &whole, parts), 3);
    assert_true(
        bytes_equal(field(parts[2].header, "Content-Transfer-Encoding:"), BYTES("base64")) ||
        bytes_equal(field(parts[2].header, "Content-Transfer-Encoding:"),
                    BYTES("quoted-printable")));
    message_release(&dsn);
}

/* A bounce that arrives unsigned is better than one that does not arrive. */
TEST(dsn_that_is_encoded_on_its_way_leaves_its_signatures_behind)
{
    struct message original = make_original("Subject: h\xc3\xa9llo\r\n\r\nHello.\r\n");
    struct message *dsn = write_dsn(&original, DSN_FAILED, "no", BYTES_NONE);

    dsn->prefix = BYTES("DKIM-Signature: v=1\r\n");
    struct message *plain = dsn_as_7bit(dsn);

    assert_non_null(plain);
    assert_int_equal(plain->prefix.len, 0);
    message_release(&plain);
    message_release(&dsn);
}

/* RFC 6533 section 4.5 */
TEST(dsn_of_utf8_mail_is_encoded_for_a_server_without_smtputf8)
{
    struct message original = make_original("Subject: h\xc3\xa9llo\r\n\r\nHello.\r\n");
    struct recipient international[] = {
        {.address = BYTES("b\xc3\xb6rk@rcpt.example")},
        {.address = BYTES("c@rcpt.example")},
    };
    struct part whole;
    struct part parts[PARTS_MAX];

    original.recipients = international;
    original.needs_smtputf8 = true;
    struct message *dsn = write_dsn(&original, DSN_FAILED, "no", BYTES_NONE);
    struct message *plain = dsn_as_7bit(dsn);

    assert_non_null(plain);
    assert_int_equal(parse(plain, &whole, parts), 3);
    assert_false(bytes_has_8bit(plain->content.memory));
    assert_int_equal(plain->body, SMTP_BODY_7BIT);
    assert_false(plain->needs_smtputf8);
    assert_true(plain->id.value == dsn->id.value);
    assert_true(bytes_equal(plain->recipients[0].address, BYTES("a@send.example")));
    assert_int_equal(plain->recipients[0].notify, SMTP_NOTIFY_NEVER);
    assert_int_equal(field(whole.header, "Content-Transfer-Encoding:").len, 0);
    for (size_t i = 0; i < 3; i++)
        assert_true(bytes_equal(field(parts[i].header, "Content-Transfer-Encoding:"),
                                BYTES("quoted-printable")));
    assert_true(has_line(parts[1].body, "Final-Recipient: utf-8;b=C3=B6rk@rcpt.example"));
    assert_true(bytes_equal(field(parts[2].header, "Content-Type:"), BYTES("message/global")));
    assert_true(has_line(parts[2].body, "Subject: h=C3=A9llo"));
    assert_true(has_line(parts[2].body, "Hello."));
    message_release(&plain);
    message_release(&dsn);
}

/* RFC 6152 section 3; RFC 2046 section 5.2.1: message/rfc822 is not encoded. */
TEST(dsn_of_8bit_mail_returns_the_header_to_a_server_without_8bitmime)
{
    struct message original = make_original("Subject: caf\xe9\r\n\r\ncaf\xe9\r\n");
    struct message *dsn = write_dsn(&original, DSN_FAILED, "no", BYTES_NONE);
    struct message *plain = dsn_as_7bit(dsn);
    struct part whole;
    struct part parts[PARTS_MAX];

    assert_non_null(plain);
    assert_int_equal(parse(plain, &whole, parts), 3);
    assert_false(bytes_has_8bit(plain->content.memory));
    assert_true(has_line(parts[1].body, "Diagnostic-Code: smtp; 550 5.1.1 no"));
    assert_true(bytes_equal(field(parts[2].header, "Content-Type:"), BYTES("text/rfc822-headers")));
    assert_true(has_line(parts[2].body, "Subject: caf=E9"));
    assert_false(has_line(parts[2].body, "caf=E9"));
    message_release(&plain);
    message_release(&dsn);
}

TEST(dsn_to_a_utf8_address_has_no_7bit_form)
{
    struct message original = make_original("Subject: x\r\n\r\n");

    original.needs_smtputf8 = true;
    original.reverse_path = BYTES("\xc3\xa4@send.example");
    struct message *dsn = write_dsn(&original, DSN_FAILED, "no", BYTES_NONE);

    assert_true(dsn->needs_smtputf8);
    assert_null(dsn_as_7bit(dsn));
    message_release(&dsn);
}

/* Too large to be in memory when it is sent: it is 7-bit from the start. */
TEST(dsn_beyond_a_chunk_is_7bit_at_once)
{
    static char content[256 * 1024];
    size_t len = (size_t)snprintf(content, sizeof(content), "Subject: large\r\n\r\n");

    while (len < sizeof(content) - 16)
        len += (size_t)snprintf(content + len, sizeof(content) - len, "caf\xe9\r\n");
    struct message original = make_original(content);
    struct dsn_recipient told = {.recipient = &original.recipients[0], .action = DSN_FAILED};
    struct dsn_request request = {.hostname = "relay.example",
                                  .id = {0x10000000000beef},
                                  .message = &original,
                                  .returned_max = sizeof(content) + 4096,
                                  .count = 1,
                                  .recipients = &told};
    struct message *dsn = dsn_create(&request);

    assert_int_equal(dsn->body, SMTP_BODY_7BIT);
    assert_false(bytes_has_8bit(dsn->content.memory));
    message_release(&dsn);
}

/* RFC 5321 section 4.5.3.1.6: parse() looks at the length of every line. */
TEST(dsn_has_no_line_that_smtp_does_not_take)
{
    static char text[SMTP_REPLY_TEXT_MAX];
    char content[4096];
    struct part whole;
    struct part parts[PARTS_MAX];

    memset(text, 'x', sizeof(text) - 1);
    struct message original = make_original("Subject: x\r\n\r\nbody\r\n");
    struct message *dsn = write_dsn(&original, DSN_FAILED, text, BYTES_NONE);

    assert_int_equal(parse(dsn, &whole, parts), 3);
    message_release(&dsn);
    for (size_t i = 4; i < sizeof(text) - 1; i += 5)
        text[i] = ' ';
    dsn = write_dsn(&original, DSN_FAILED, text, BYTES_NONE);
    assert_int_equal(parse(dsn, &whole, parts), 3);
    struct bytes diagnostic = field(parts[1].body, "Diagnostic-Code:");
    assert_in_range(bytes_find(diagnostic, '\r', 0), 180, 210); /* folded at a word */
    message_release(&dsn);
    memset(text + 300, ' ', 500); /* never a line of spaces only */
    dsn = write_dsn(&original, DSN_FAILED, text, BYTES_NONE);
    assert_int_equal(parse(dsn, &whole, parts), 3);
    assert_true(bytes_find_bytes(parts[1].body, BYTES("\r\n     "), 0) == parts[1].body.len);
    message_release(&dsn);
    snprintf(content, sizeof(content), "Subject: x\r\n\r\n%01500d\r\n", 0);
    original = make_original(content);
    dsn = write_dsn(&original, DSN_FAILED, "no", BYTES_NONE);
    assert_int_equal(parse(dsn, &whole, parts), 3);
    assert_true(bytes_equal(field(parts[2].header, "Content-Type:"), BYTES("text/rfc822-headers")));
    assert_true(has_line(parts[2].body, "Subject: x"));
    message_release(&dsn);
    snprintf(content, sizeof(content), "Subject: x=%01500d\r\n\r\nbody\r\n", 0);
    original = make_original(content);
    dsn = write_dsn(&original, DSN_FAILED, "no", BYTES_NONE);
    assert_int_equal(parse(dsn, &whole, parts), 3);
    assert_true(bytes_equal(field(parts[2].header, "Content-Transfer-Encoding:"),
                            BYTES("quoted-printable")));
    message_release(&dsn);
}

/* Inside a field, a line of white space ends the header section for some readers. */
TEST(dsn_leaves_blank_lines_of_a_reply_out)
{
    struct message original = make_original("Subject: hello\r\n\r\nHello.\r\n");
    struct message *dsn =
        write_dsn(&original, DSN_FAILED, "\nno\n\n  \n such\nuser\n \n", BYTES_NONE);
    struct part whole;
    struct part parts[PARTS_MAX];

    assert_non_null(dsn);
    assert_int_equal(parse(dsn, &whole, parts), 3);
    struct bytes expected = BYTES("Diagnostic-Code: smtp; 550 5.1.1 \r\n"
                                  "    no\r\n"
                                  "    such\r\n"
                                  "    user\r\n"
                                  "Last-Attempt-Date:");
    assert_true(bytes_find_bytes(parts[1].body, expected, 0) < parts[1].body.len);
    message_release(&dsn);
}

TEST(dsn_is_not_made_for_what_is_no_address)
{
    struct message original = make_original("Subject: x\r\n\r\n");

    original.reverse_path = BYTES("not an address");
    assert_null(write_dsn(&original, DSN_FAILED, "no", BYTES_NONE));
}

TEST(dsn_is_wanted_follows_notify)
{
    static const struct {
        const char *from;
        unsigned notify;
        bool failed, delayed, relayed;
    } rows[] = {
        {"a@b.example", 0, true, false, false},
        {"a@b.example", SMTP_NOTIFY_NEVER, false, false, false},
        {"a@b.example", SMTP_NOTIFY_FAILURE, true, false, false},
        {"a@b.example", SMTP_NOTIFY_DELAY, false, true, false},
        {"a@b.example", SMTP_NOTIFY_SUCCESS, false, false, true},
        {"a@b.example", SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_FAILURE | SMTP_NOTIFY_DELAY, true, true,
         true},
        {"", SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_FAILURE, false, false, false},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct message message = {.reverse_path = bytes_of(rows[i].from)};
        struct recipient recipient = {.notify = (uint8_t)rows[i].notify};

        expect_row(i, dsn_is_wanted(&message, &recipient, DSN_FAILED) == rows[i].failed);
        expect_row(i, dsn_is_wanted(&message, &recipient, DSN_DELAYED) == rows[i].delayed);
        expect_row(i, dsn_is_wanted(&message, &recipient, DSN_RELAYED) == rows[i].relayed);
        expect_row(i, dsn_is_wanted(&message, &recipient, DSN_EXPANDED) == rows[i].relayed);
    }
}
