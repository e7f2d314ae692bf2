/* modules: smtp base */
/* fuzz_smtp_command.c - command lines, from raw input to parsed arguments; and addresses. */
#include "smtp/command.h"

#include <string.h>

enum { LINE_MAX_FUZZED = 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

static bool is_within(struct bytes part, struct bytes whole)
{
    if (part.len == 0)
        return true;
    return part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len;
}

static void check_no_controls(struct bytes b)
{
    for (size_t i = 0; i < b.len; i++)
        check(b.ptr[i] >= 32 && b.ptr[i] != 127);
}

/* An accepted address is one whichever way it is read. */
static void check_address(const struct smtp_address *address, struct bytes whole)
{
    uint8_t path[SMTP_PATH_MAX];
    struct smtp_address again;
    bool is_utf8;

    check(is_within(address->text, whole));
    check_no_controls(address->text);
    check(address->local.len <= SMTP_LOCAL_PART_MAX ||
          bytes_find_bytes(address->local, BYTES("="), 0) <= 5); /* of a forwarder's making */
    check(address->domain.len <= SMTP_DOMAIN_MAX);
    check(address->text.len + 2 <= SMTP_PATH_MAX);
    if (address->text.len > 0) {
        check(smtp_parse_address(address->text, &again));
        check(bytes_equal(again.local, address->local));
        check(bytes_equal(again.domain, address->domain));
        memcpy(path + 1, address->text.ptr, address->text.len);
    }
    path[0] = '<';
    path[address->text.len + 1] = '>';
    struct bytes rest = {path, address->text.len + 2};
    check(smtp_take_path(&rest, &again));
    check(rest.len == 0);
    check(bytes_equal(again.text, address->text));
    check(again.is_utf8 == address->is_utf8);
    if (address->domain.len > 0)
        check(smtp_domain_is_valid(address->domain, &is_utf8));
}

/* What normalising yields is ASCII, valid and normal already. */
static void check_domain(struct bytes domain)
{
    struct arena arena;
    struct bytes normal;
    struct bytes again;
    bool is_utf8;

    arena_init(&arena, 4096);
    if (smtp_domain_normalise(&arena, domain, &normal)) {
        check(smtp_domain_is_valid(normal, &is_utf8));
        check(!is_utf8);
        check(smtp_domain_normalise(&arena, normal, &again));
        check(bytes_equal(normal, again));
    }
    arena_free(&arena);
}

static void check_xtext(struct bytes text)
{
    struct arena arena;
    struct buf encoded;
    struct bytes decoded;

    arena_init(&arena, 1 << 20);
    buf_init(&encoded, 1 << 20);
    if (smtp_xtext_encode(text, &encoded)) {
        check(smtp_xtext_decode(&arena, buf_bytes(&encoded), &decoded));
        check(bytes_equal(decoded, text));
    }
    check(smtp_xtext_decode(&arena, text, &decoded) == smtp_xtext_is_valid(text));
    buf_free(&encoded);
    arena_free(&arena);
}

/* `argument` without the spaces behind its label, in `copy`. */
static struct bytes without_spaces(struct bytes argument, size_t label_len, uint8_t *copy)
{
    size_t rest = label_len;

    while (rest < argument.len && argument.ptr[rest] == ' ')
        rest++;
    check(argument.len <= LINE_MAX_FUZZED);
    memcpy(copy, argument.ptr, label_len);
    memcpy(copy + label_len, argument.ptr + rest, argument.len - rest);
    return bytes_range(copy, label_len + argument.len - rest);
}

static void check_refusal(const struct smtp_refusal *why)
{
    check(why->code >= 500 && why->code <= 599);
    check(why->enhanced != NULL && why->enhanced[0] == '5');
    check(why->text != NULL && why->text[0] != '\0');
}

/* Lax is what has spaces behind its colon, and without them it says the same. */
static void check_lax_mail(const struct smtp_mail *mail, struct bytes argument, uint8_t *copy)
{
    struct bytes strict = without_spaces(argument, strlen("FROM:"), copy);
    struct smtp_refusal why;
    struct smtp_mail again;

    check(mail->is_lax == (strict.len < argument.len));
    check(smtp_mail_parse(strict, &again, &why));
    check(!again.is_lax);
    check(bytes_equal(again.reverse_path.text, mail->reverse_path.text));
    check(again.size == mail->size && again.body == mail->body && again.ret == mail->ret);
    check(bytes_equal(again.envid, mail->envid) && again.smtputf8 == mail->smtputf8);
}

static void check_lax_rcpt(const struct smtp_rcpt *rcpt, struct bytes argument, uint8_t *copy)
{
    struct bytes strict = without_spaces(argument, strlen("TO:"), copy);
    struct smtp_refusal why;
    struct smtp_rcpt again;

    check(rcpt->is_lax == (strict.len < argument.len));
    check(smtp_rcpt_parse(strict, &again, &why));
    check(!again.is_lax);
    check(bytes_equal(again.forward_path.text, rcpt->forward_path.text));
    check(again.notify == rcpt->notify && bytes_equal(again.orcpt, rcpt->orcpt));
}

static void check_argument(enum smtp_verb verb, struct bytes argument)
{
    struct smtp_mail mail;
    struct smtp_rcpt rcpt;
    struct smtp_refusal why = {0};
    struct bytes name;
    uint8_t copy[LINE_MAX_FUZZED];
    uint64_t size;
    bool flag;

    if (verb == SMTP_MAIL) {
        if (smtp_mail_parse(argument, &mail, &why)) {
            check_address(&mail.reverse_path, argument);
            check_lax_mail(&mail, argument, copy);
            check(mail.envid.len <= 100 && smtp_xtext_is_valid(mail.envid));
            check(!mail.reverse_path.is_utf8 || mail.smtputf8);
        } else {
            check_refusal(&why);
        }
    } else if (verb == SMTP_RCPT) {
        if (smtp_rcpt_parse(argument, &rcpt, &why)) {
            check_address(&rcpt.forward_path, argument);
            check_lax_rcpt(&rcpt, argument, copy);
            check(rcpt.forward_path.text.len > 0);
            check(rcpt.orcpt.len <= 500);
            check_no_controls(rcpt.orcpt);
            check(rcpt.notify == SMTP_NOTIFY_NEVER || (rcpt.notify & SMTP_NOTIFY_NEVER) == 0);
        } else {
            check_refusal(&why);
        }
    } else if (verb == SMTP_BDAT) {
        (void)!smtp_bdat_parse(argument, &size, &flag);
    } else if (smtp_ehlo_parse(argument, &name, &flag)) {
        check(bytes_equal(name, argument));
        check_domain(name);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct bytes all = {input, len};
    struct bytes rest = all;
    struct smtp_address address;

    for (;;) {
        struct bytes before = rest;
        struct bytes line;
        enum smtp_line state = smtp_line_take(&rest, LINE_MAX_FUZZED, &line);
        if (state == SMTP_LINE_PARTIAL || state == SMTP_LINE_TOO_LONG) {
            check(bytes_equal(rest, before));
            break;
        }
        check(is_within(line, before));
        check(rest.len < before.len);
        check(bytes_find(line, '\n', 0) == line.len);
        if (state == SMTP_LINE_BARE || state == SMTP_LINE_BARE_LF)
            continue;
        check(bytes_find(line, '\r', 0) == line.len);
        check(bytes_find(line, '\0', 0) == line.len);
        struct smtp_command command;
        smtp_command_parse(line, &command);
        check(is_within(command.argument, line));
        check(is_within(command.verb_text, line));
        check_argument(command.verb, command.argument);
    }
    if (smtp_parse_address(rest, &address)) {
        check_address(&address, rest);
        check(bytes_equal(address.text, rest));
    }
    struct bytes path = rest;
    if (smtp_take_path(&path, &address))
        check_address(&address, rest);
    else
        check(path.ptr == rest.ptr && path.len == rest.len);
    check_domain(rest);
    check_xtext(rest);
    return 0;
}
