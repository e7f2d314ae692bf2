/* modules: outcome dns */
/*
 * fuzz_dsn.c - hostile envelopes, replies and content in a notification: always three MIME parts
 * with exactly the fields we mean to write, in lines that any server takes.
 *
 * The input: two bytes that choose, then by NULs: what stands behind MAIL, behind RCPT, the host's
 * name, its reply's text, the content.
 */
#include "delivery/outcome/dsn.h"

#include "base/buf.h"
#include "base/random.h"
#include "delivery/outcome/dsn_7bit.h"
#include "dns/name.h"
#include "support/fuzz_files.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

enum { IS_OURS = 1, HAS_CODE = 2, NO_MEMORY = 4, IS_TWO = 8, IS_SMALL = 16, PARTS = 3 };

struct part {
    struct bytes header; /* with the line end of its last field */
    struct bytes body;
};

static struct part split(struct bytes content)
{
    size_t end = bytes_find_bytes(content, BYTES("\r\n\r\n"), 0);

    check(end < content.len);
    return (struct part){bytes_slice(content, 0, end + 2), bytes_slice(content, end + 4, SIZE_MAX)};
}

/* Text that we write: CRLF lines without controls; with is_folded a line of white space would
 * end or confuse a header section (RFC 5322 section 3.2.2). */
static void check_ours(struct bytes text, bool is_8bit, bool is_folded)
{
    struct bytes line;

    while (text.len > 0) {
        check(bytes_take_until(&text, '\n', &line));
        check(line.len > 0 && line.ptr[line.len - 1] == '\r');
        line.len--;
        check(line.len <= 998);
        for (size_t i = 0; i < line.len; i++) {
            check(line.ptr[i] >= ' ' || line.ptr[i] == '\t');
            check(line.ptr[i] != 0x7f);
            check(is_8bit || line.ptr[i] < 0x80);
        }
        check(!is_folded || line.len == 0 || bytes_trim(line).len > 0);
    }
}

/* Every line is one of these fields or goes on with one. Counts those called names[0]. */
static size_t check_fields(struct bytes text, const char *const *names, size_t count)
{
    struct bytes line;
    size_t first = 0;
    bool has_field = false;

    while (bytes_take_until(&text, '\n', &line)) {
        if (bytes_equal(line, BYTES("\r"))) {
            has_field = false;
            continue;
        }
        if (line.ptr[0] == ' ' || line.ptr[0] == '\t') {
            check(has_field);
            continue;
        }
        size_t i = 0;
        while (i < count && !bytes_starts_nocase(line, bytes_of(names[i])))
            i++;
        check(i < count);
        has_field = true;
        first += i == 0;
    }
    return first;
}

static void check_status(struct bytes body, size_t recipients)
{
    static const char *const fields[] = {
        "Final-Recipient: ",
        "Reporting-MTA: ",
        "Original-Envelope-Id: ",
        "Arrival-Date: ",
        "X-Ringpost-Message-Id: ",
        "Original-Recipient: ",
        "Action: ",
        "Status: ",
        "Remote-MTA: ",
        "Diagnostic-Code: ",
        "Last-Attempt-Date: ",
        "Will-Retry-Until: ",
    };
    size_t groups = 0;

    check(check_fields(body, fields, ARRAY_LEN(fields)) == recipients);
    /* Groups are parted by empty lines: the message's, then one a recipient. */
    for (size_t at = 0; (at = bytes_find_bytes(body, BYTES("\r\n\r\n"), at)) < body.len; at++)
        groups++;
    check(groups == recipients);
}

static struct bytes boundary_of(struct bytes header)
{
    size_t at = bytes_find_bytes(header, BYTES("boundary=\""), 0);

    check(at < header.len);
    struct bytes boundary = bytes_slice(header, at + 10, SIZE_MAX);
    return bytes_slice(boundary, 0, bytes_find(boundary, '"', 0));
}

static void parse(struct bytes content, struct part *whole, struct part parts[static PARTS])
{
    char marker[80];
    size_t count = 0;

    *whole = split(content);
    struct bytes boundary = boundary_of(whole->header);
    check(boundary.len >= 1 && boundary.len <= 70);
    snprintf(marker, sizeof(marker), "\r\n--%.*s", BYTES_ARG(boundary));
    for (struct bytes rest = whole->body;;) {
        size_t next = bytes_find_bytes(rest, bytes_of(marker), 0);

        check(next < rest.len);
        if (count > 0)
            parts[count - 1].body = bytes_slice(rest, 0, next);
        rest = bytes_slice(rest, next + strlen(marker), SIZE_MAX);
        if (bytes_equal(rest, BYTES("--\r\n")))
            break;
        check(bytes_take_nocase(&rest, BYTES("\r\n")));
        check(count < PARTS);
        parts[count] = split(rest);
        rest = parts[count++].body;
    }
    check(count == PARTS);
}

static void check_dsn(const struct message *dsn, const struct message *original, size_t recipients)
{
    static const char *const header_fields[] = {
        "From: ",           "To: ",           "Subject: ",      "Date: ",
        "Message-ID: ",     "MIME-Version: ", "Content-Type: ", "Content-Transfer-Encoding: ",
        "Auto-Submitted: ",
    };
    static const char *const part_fields[] = {"Content-Type: ", "Content-Description: ",
                                              "Content-Transfer-Encoding: "};
    struct bytes content = dsn->content.memory;
    bool is_utf8 = original->needs_smtputf8;
    struct part whole;
    struct part parts[PARTS];

    check(dsn->content.size == content.len);
    check(dsn->reverse_path.len == 0 && dsn->is_dsn && dsn->recipient_count == 1);
    check(bytes_equal(dsn->recipients[0].address, original->reverse_path));
    check(dsn->recipients[0].notify == SMTP_NOTIFY_NEVER);
    check(dsn->needs_smtputf8 == bytes_has_8bit(original->reverse_path));
    for (size_t i = 0; i < content.len; i++)
        check(content.ptr[i] < 0x80 || dsn->body == SMTP_BODY_8BITMIME);
    parse(content, &whole, parts);
    check_ours(whole.header, is_utf8, true);
    check(check_fields(whole.header, header_fields, ARRAY_LEN(header_fields)) == 1);
    for (size_t i = 0; i < PARTS; i++) {
        check_ours(parts[i].header, false, true);
        check(check_fields(parts[i].header, part_fields, ARRAY_LEN(part_fields)) == 1);
    }
    check_ours(parts[0].body, is_utf8, false);
    check_ours(parts[1].body, is_utf8, true);
    check_status(parts[1].body, recipients);
}

/* The same in the form for a server that takes no 8-bit text. */
static void check_7bit(const struct message *dsn)
{
    struct message *plain = dsn_as_7bit(dsn);
    struct part whole;
    struct part parts[PARTS];

    check((plain == NULL) == bytes_has_8bit(dsn->recipients[0].address));
    if (plain == NULL)
        return;
    check(bytes_equal(plain->recipients[0].address, dsn->recipients[0].address));
    check(plain->content.size == plain->content.memory.len);
    parse(plain->content.memory, &whole, parts);
    check_ours(whole.header, false, true);
    for (size_t i = 0; i < PARTS; i++)
        check_ours(parts[i].header, false, true);
    check(!bytes_has_8bit(plain->content.memory));
    message_release(&plain);
}

/* As the session lets content through: only CRLF ends a line. */
static void put_content(struct bytes content, struct buf *out)
{
    for (size_t i = 0; i < content.len; i++) {
        if (content.ptr[i] == '\n')
            check(buf_append(out, BYTES("\r\n")));
        else if (content.ptr[i] != '\r')
            check(buf_append_byte(out, content.ptr[i]));
    }
    if (content.len > 0 && content.ptr[content.len - 1] != '\n')
        check(buf_append(out, BYTES("\r\n")));
}

static void notify(const struct message *message, unsigned how, unsigned more, struct bytes host,
                   struct bytes text)
{
    struct dsn_recipient told = {
        .recipient = &message->recipients[0],
        .action = (enum dsn_action)(more % 3),
        .status = {more % 3 == DSN_FAILED    ? 5
                   : more % 3 == DSN_DELAYED ? 4
                                             : 2,
                   1, 1},
        .is_ours = (how & IS_OURS) != 0,
        .code = how & HAS_CODE ? 550 : 0,
        .enhanced = {how & HAS_CODE ? 5 : 0, 7, 1},
        .text = text,
        .mx_host = host,
        .attempt_ms = how & HAS_CODE ? 1795489799000 : 0,
        .retry_until_ms = 1795499800000,
    };
    struct dsn_recipient both[] = {told, told};
    struct dsn_request request = {
        .hostname = "relay.example",
        .id = {0xbeef},
        .now_ms = 1795489800000,
        .message = message,
        .returned_max = how & IS_SMALL ? 64 : 65536,
        .count = how & IS_TWO ? 2 : 1,
        .recipients = both,
    };
    struct message without = *message;

    both[1].action = (enum dsn_action)(more / 3 % 3);
    if (how & NO_MEMORY) {
        request.message = &without;
        request.head = bytes_slice(message->content.memory, 0, 1 + more);
        without.content.memory = BYTES_NONE;
    }
    /* As out of the fuzzer's reach as the boundary is out of a peer's. */
    random_seed(bytes_hash(message->content.memory) ^ bytes_hash(text) ^ how);
    struct message *dsn = dsn_create(&request);
    if (dsn == NULL)
        return;
    check_dsn(dsn, message, request.count);
    check_7bit(dsn);
    message_release(&dsn);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct bytes rest = {input, len};
    unsigned how = fuzz_byte(&rest);
    unsigned more = fuzz_byte(&rest);
    struct smtp_mail mail;
    struct smtp_rcpt rcpt;
    struct smtp_refusal why;
    struct dns_name host;
    struct buf content;

    if (!smtp_mail_parse(fuzz_field(&rest), &mail, &why) || mail.reverse_path.text.len == 0 ||
        !smtp_rcpt_parse(fuzz_field(&rest), &rcpt, &why))
        return 0;
    struct bytes host_text = fuzz_field(&rest);
    if (!dns_name_is_host(host_text) || !dns_name_parse(host_text, &host))
        host.len = 0;
    struct bytes text = fuzz_field(&rest);
    struct recipient recipient = {
        .address = rcpt.forward_path.text,
        .domain = rcpt.forward_path.domain,
        .orcpt = rcpt.orcpt,
        .notify = (uint8_t)rcpt.notify,
    };
    buf_init(&content, 2 * rest.len + 8);
    put_content(rest, &content);
    struct message message = {
        .id = {0xabcd},
        .accepted_ms = 1795489740000,
        .reverse_path = mail.reverse_path.text,
        .envid = mail.envid,
        .ret = mail.ret,
        .smtputf8 = mail.smtputf8,
        .needs_smtputf8 = mail.reverse_path.is_utf8 || rcpt.forward_path.is_utf8,
        .recipient_count = 1,
        .recipients = &recipient,
        .prefix = BYTES("Received: by relay.example\r\n"),
        .content = {.size = buf_len(&content), .memory = buf_bytes(&content)},
    };

    notify(&message, how, more, dns_name_bytes(&host), text);
    buf_free(&content);
    return 0;
}
