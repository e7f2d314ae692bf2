/* parameter.c - the arguments of MAIL and RCPT: a path, then ESMTP parameters, each known and valid
 * or refused with the reply that says why. */
#include "smtp/command.h"

#include <string.h>

#include "base/utf8.h"

enum {
    SIZE_DIGITS_MAX = 20, /* RFC 1870 section 3 */
    ENVID_MAX = 100,      /* RFC 3461 section 4.4 */
    ORCPT_MAX = 500,      /* RFC 3461 section 4.2 */
};

/* A parameter is parsed into the command's struct; false with *why_out when its value is bad. */
struct mail_keyword {
    struct bytes keyword;
    bool (*parse)(struct smtp_mail *mail, struct bytes value, struct smtp_refusal *why_out);
};
struct rcpt_keyword {
    struct bytes keyword;
    bool (*parse)(struct smtp_rcpt *rcpt, struct bytes value, struct smtp_refusal *why_out);
};

static bool parse_size(struct smtp_mail *mail, struct bytes value, struct smtp_refusal *why_out);
static bool parse_body(struct smtp_mail *mail, struct bytes value, struct smtp_refusal *why_out);
static bool parse_ret(struct smtp_mail *mail, struct bytes value, struct smtp_refusal *why_out);
static bool parse_envid(struct smtp_mail *mail, struct bytes value, struct smtp_refusal *why_out);
static bool parse_smtputf8(struct smtp_mail *mail, struct bytes value,
                           struct smtp_refusal *why_out);
static bool parse_auth(struct smtp_mail *mail, struct bytes value, struct smtp_refusal *why_out);
static bool parse_requiretls(struct smtp_mail *mail, struct bytes value,
                             struct smtp_refusal *why_out);
static bool parse_notify(struct smtp_rcpt *rcpt, struct bytes value, struct smtp_refusal *why_out);
static bool parse_orcpt(struct smtp_rcpt *rcpt, struct bytes value, struct smtp_refusal *why_out);
static bool take_parameter(struct bytes *input, struct smtp_parameter *out);
static bool take_label(struct bytes *argument, struct bytes label, bool *is_lax_out);
static bool refuse(struct smtp_refusal *why_out, unsigned code, const char *enhanced,
                   const char *text);

static const struct mail_keyword mail_keywords[] = {
    {BYTES("SIZE"), parse_size},             /* RFC 1870 */
    {BYTES("BODY"), parse_body},             /* RFC 6152 */
    {BYTES("RET"), parse_ret},               /* RFC 3461 section 4.3 */
    {BYTES("ENVID"), parse_envid},           /* RFC 3461 section 4.4 */
    {BYTES("SMTPUTF8"), parse_smtputf8},     /* RFC 6531 section 3.4 */
    {BYTES("AUTH"), parse_auth},             /* RFC 4954 section 5 */
    {BYTES("REQUIRETLS"), parse_requiretls}, /* RFC 8689 section 2 */
};

static const struct rcpt_keyword rcpt_keywords[] = {
    {BYTES("NOTIFY"), parse_notify}, /* RFC 3461 section 4.1 */
    {BYTES("ORCPT"), parse_orcpt},   /* RFC 3461 section 4.2 */
};

/* Finds `parameter` in a table of names. */
#define FIND_KEYWORD(table, parameter) \
    find_keyword(&(table)[0].keyword, sizeof((table)[0]), ARRAY_LEN(table), (parameter).keyword)

static size_t find_keyword(const struct bytes *first, size_t stride, size_t count,
                           struct bytes keyword)
{
    for (size_t i = 0; i < count; i++) {
        const struct bytes *name = (const void *)((const char *)first + i * stride);
        if (bytes_equal_nocase(*name, keyword))
            return i;
    }
    return count;
}

bool smtp_mail_parse(struct bytes argument, struct smtp_mail *out, struct smtp_refusal *why_out)
{
    struct smtp_mail mail = {0};
    bool seen[ARRAY_LEN(mail_keywords)] = {false};
    struct smtp_parameter parameter;

    if (!take_label(&argument, BYTES("FROM:"), &mail.is_lax))
        return refuse(why_out, 501, "5.5.4", "syntax is MAIL FROM:<address>");
    if (!smtp_take_path(&argument, &mail.reverse_path))
        return refuse(why_out, 501, "5.1.7", "bad sender address");
    while (argument.len > 0) {
        if (!take_parameter(&argument, &parameter))
            return refuse(why_out, 501, "5.5.4", "bad MAIL parameter");
        size_t i = FIND_KEYWORD(mail_keywords, parameter);
        if (i == ARRAY_LEN(mail_keywords))
            return refuse(why_out, 555, "5.5.4", "unknown MAIL parameter");
        if (seen[i])
            return refuse(why_out, 501, "5.5.4", "MAIL parameter given twice");
        seen[i] = true;
        if (!mail_keywords[i].parse(&mail, parameter.value, why_out))
            return false;
    }
    if (mail.reverse_path.is_utf8 && !mail.smtputf8) /* RFC 6531 section 3.5 */
        return refuse(why_out, 553, "5.6.7", "UTF-8 address needs the SMTPUTF8 parameter");
    *out = mail;
    return true;
}

bool smtp_rcpt_parse(struct bytes argument, struct smtp_rcpt *out, struct smtp_refusal *why_out)
{
    struct smtp_rcpt rcpt = {0};
    bool seen[ARRAY_LEN(rcpt_keywords)] = {false};
    struct smtp_parameter parameter;

    if (!take_label(&argument, BYTES("TO:"), &rcpt.is_lax))
        return refuse(why_out, 501, "5.5.4", "syntax is RCPT TO:<address>");
    if (!smtp_take_path(&argument, &rcpt.forward_path))
        return refuse(why_out, 501, "5.1.3", "bad recipient address");
    if (rcpt.forward_path.text.len == 0)
        return refuse(why_out, 501, "5.1.3", "a recipient cannot be the null path");
    while (argument.len > 0) {
        if (!take_parameter(&argument, &parameter))
            return refuse(why_out, 501, "5.5.4", "bad RCPT parameter");
        size_t i = FIND_KEYWORD(rcpt_keywords, parameter);
        if (i == ARRAY_LEN(rcpt_keywords))
            return refuse(why_out, 555, "5.5.4", "unknown RCPT parameter");
        if (seen[i])
            return refuse(why_out, 501, "5.5.4", "RCPT parameter given twice");
        seen[i] = true;
        if (!rcpt_keywords[i].parse(&rcpt, parameter.value, why_out))
            return false;
    }
    *out = rcpt;
    return true;
}

static bool refuse(struct smtp_refusal *why_out, unsigned code, const char *enhanced,
                   const char *text)
{
    *why_out = (struct smtp_refusal){code, enhanced, text};
    return false;
}

/* "FROM:" or "TO:", with the spaces that may stand behind it. */
static bool take_label(struct bytes *argument, struct bytes label, bool *is_lax_out)
{
    size_t spaces = 0;

    if (!bytes_take_nocase(argument, label))
        return false;
    while (spaces < argument->len && argument->ptr[spaces] == ' ')
        spaces++;
    *argument = bytes_slice(*argument, spaces, argument->len);
    *is_lax_out = spaces > 0;
    return true;
}

/* esmtp-keyword of RFC 5321 section 4.1.2: starts with a letter or digit, may hold hyphens. */
static bool keyword_is_valid(struct bytes keyword)
{
    if (keyword.len == 0 || keyword.ptr[0] == '-')
        return false;
    for (size_t i = 0; i < keyword.len; i++)
        if (!byte_is_alnum(keyword.ptr[i]) && keyword.ptr[i] != '-')
            return false;
    return true;
}

/* esmtp-value of RFC 5321 section 4.1.2 and RFC 6531 section 3.3: no "=", no space, no controls. */
static bool value_is_valid(struct bytes value)
{
    return value.len > 0 && utf8_is_printable(value) && bytes_find(value, '=', 0) == value.len;
}

/* Takes spaces and one parameter. More than one space is harmless and some clients send it. */
static bool take_parameter(struct bytes *input, struct smtp_parameter *out)
{
    struct bytes rest = *input;

    while (rest.len > 0 && rest.ptr[0] == ' ')
        rest = bytes_slice(rest, 1, rest.len - 1);
    if (rest.len == input->len || rest.len == 0)
        return false;
    size_t len = bytes_find(rest, ' ', 0);
    struct bytes word = bytes_slice(rest, 0, len);
    struct smtp_parameter parameter = {.value = BYTES_NONE};
    size_t equals = bytes_find(word, '=', 0);
    parameter.keyword = bytes_slice(word, 0, equals);
    if (!keyword_is_valid(parameter.keyword))
        return false;
    if (equals != word.len) {
        parameter.value = bytes_slice(word, equals + 1, word.len - equals - 1);
        if (!value_is_valid(parameter.value))
            return false;
    }
    *out = parameter;
    *input = bytes_slice(rest, len, rest.len - len);
    return true;
}

static bool parse_size(struct smtp_mail *mail, struct bytes value, struct smtp_refusal *why_out)
{
    if (value.len == 0 || value.len > SIZE_DIGITS_MAX)
        return refuse(why_out, 501, "5.5.4", "bad SIZE value");
    for (size_t i = 0; i < value.len; i++)
        if (!byte_is_digit(value.ptr[i]))
            return refuse(why_out, 501, "5.5.4", "bad SIZE value");
    if (!bytes_to_u64(value, &mail->size)) /* twenty digits can say more than 64 bits */
        return refuse(why_out, 552, "5.3.4", "message is too big");
    return true;
}

static bool parse_body(struct smtp_mail *mail, struct bytes value, struct smtp_refusal *why_out)
{
    if (bytes_equal_nocase(value, BYTES("BINARYMIME"))) /* RFC 3030 section 3 */
        return refuse(why_out, 555, "5.5.4", "BODY=BINARYMIME is not offered here");
    mail->body = SMTP_BODY_8BITMIME;
    if (bytes_equal_nocase(value, BYTES("8BITMIME")))
        return true;
    mail->body = SMTP_BODY_7BIT;
    if (bytes_equal_nocase(value, BYTES("7BIT")))
        return true;
    return refuse(why_out, 501, "5.5.4", "BODY is 7BIT or 8BITMIME");
}

static bool parse_ret(struct smtp_mail *mail, struct bytes value, struct smtp_refusal *why_out)
{
    mail->ret = SMTP_RET_FULL;
    if (bytes_equal_nocase(value, BYTES("FULL")))
        return true;
    mail->ret = SMTP_RET_HDRS;
    if (bytes_equal_nocase(value, BYTES("HDRS")))
        return true;
    return refuse(why_out, 501, "5.5.4", "RET is FULL or HDRS");
}

/*
 * Whether valid xtext stands for printable ASCII. It will be written into delivery status
 * notifications, where an encoded CR or LF would start a field of the sender's making.
 */
static bool xtext_is_printable(struct bytes xtext)
{
    if (!smtp_xtext_is_valid(xtext))
        return false;
    for (size_t at = bytes_find(xtext, '+', 0); at < xtext.len;
         at = bytes_find(xtext, '+', at + 3)) {
        uint8_t high = xtext.ptr[at + 1];
        if (high < '2' || high > '7')
            return false;
        if (high == '7' && xtext.ptr[at + 2] == 'F')
            return false;
    }
    return true;
}

static bool parse_envid(struct smtp_mail *mail, struct bytes value, struct smtp_refusal *why_out)
{
    if (value.len == 0 || value.len > ENVID_MAX || !xtext_is_printable(value))
        return refuse(why_out, 501, "5.5.4", "ENVID is at most 100 characters of xtext");
    mail->envid = value;
    return true;
}

static bool parse_smtputf8(struct smtp_mail *mail, struct bytes value, struct smtp_refusal *why_out)
{
    if (value.ptr != NULL)
        return refuse(why_out, 501, "5.5.4", "SMTPUTF8 takes no value");
    mail->smtputf8 = true;
    return true;
}

static bool parse_auth(struct smtp_mail *mail, struct bytes value, struct smtp_refusal *why_out)
{
    if (value.len == 0 || !smtp_xtext_is_valid(value)) /* "<>" is xtext too */
        return refuse(why_out, 501, "5.5.4", "AUTH is an address in xtext or <>");
    mail->has_auth = true;
    return true;
}

static bool parse_requiretls(struct smtp_mail *mail, struct bytes value,
                             struct smtp_refusal *why_out)
{
    if (value.ptr != NULL)
        return refuse(why_out, 501, "5.5.4", "REQUIRETLS takes no value");
    mail->requiretls = true;
    return true;
}

static bool parse_notify(struct smtp_rcpt *rcpt, struct bytes value, struct smtp_refusal *why_out)
{
    static const struct {
        struct bytes name;
        unsigned bit;
    } conditions[] = {
        {BYTES("NEVER"), SMTP_NOTIFY_NEVER},
        {BYTES("SUCCESS"), SMTP_NOTIFY_SUCCESS},
        {BYTES("FAILURE"), SMTP_NOTIFY_FAILURE},
        {BYTES("DELAY"), SMTP_NOTIFY_DELAY},
    };
    unsigned notify = 0;

    for (bool is_last = false; !is_last;) {
        struct bytes word = value;
        unsigned bit = 0;
        is_last = !bytes_take_until(&value, ',', &word);
        for (size_t i = 0; i < ARRAY_LEN(conditions); i++)
            if (bytes_equal_nocase(word, conditions[i].name))
                bit = conditions[i].bit;
        if (bit == 0)
            return refuse(why_out, 501, "5.5.4", "NOTIFY is NEVER or of SUCCESS,FAILURE,DELAY");
        notify |= bit;
    }
    if ((notify & SMTP_NOTIFY_NEVER) != 0 && notify != SMTP_NOTIFY_NEVER)
        return refuse(why_out, 501, "5.5.4", "NOTIFY=NEVER stands alone");
    rcpt->notify = notify;
    return true;
}

/* Postfix writes an address in UTF-8 as "rfc822;" and xtext of its bytes, where RFC 6533 section 3
 * wants "utf-8;": it is text all the same. */
static bool orcpt_is_printable(struct bytes address)
{
    struct arena arena;
    struct bytes text;

    if (xtext_is_printable(address))
        return true;
    arena_init(&arena, ORCPT_MAX);
    bool is_printable = smtp_xtext_decode(&arena, address, &text) && utf8_is_printable(text);
    arena_free(&arena);
    return is_printable;
}

/* addr-type is an RFC 822 atom; those that are registered are letters, digits and hyphens. */
static bool parse_orcpt(struct smtp_rcpt *rcpt, struct bytes value, struct smtp_refusal *why_out)
{
    struct bytes address = value;
    struct bytes type;

    if (value.len > ORCPT_MAX)
        return refuse(why_out, 501, "5.5.4", "ORCPT is too long");
    if (!bytes_take_until(&address, ';', &type) || !keyword_is_valid(type) || address.len == 0)
        return refuse(why_out, 501, "5.5.4", "ORCPT is type;address");
    /* RFC 6533 section 3: utf-8 addresses come as UTF-8 or with \x{...}, not as xtext. What
     * value_is_valid let through is printable. */
    bool is_utf8 = bytes_equal_nocase(type, BYTES("utf-8"));
    if (!is_utf8 && !orcpt_is_printable(address))
        return refuse(why_out, 501, "5.5.4", "the address of ORCPT is not xtext");
    rcpt->orcpt = value;
    return true;
}
