/*
 * command.h - one command line of RFC 5321 section 4.1, taken apart.
 *
 * The line comes without its CRLF; bare CR, LF and NUL were refused before (smtp_line_take).
 */
#pragma once

#include "smtp/address.h"

enum smtp_verb {
    SMTP_EHLO,
    SMTP_HELO,
    SMTP_MAIL,
    SMTP_RCPT,
    SMTP_DATA,
    SMTP_BDAT,
    SMTP_RSET,
    SMTP_NOOP,
    SMTP_VRFY,
    SMTP_EXPN,
    SMTP_HELP,
    SMTP_QUIT,
    SMTP_STARTTLS,
    SMTP_AUTH,
    SMTP_VERB_UNKNOWN,
};

/* How a command line ends. */
enum smtp_line {
    SMTP_LINE_WHOLE,    /* one line, CRLF taken off */
    SMTP_LINE_PARTIAL,  /* no CRLF yet and shorter than max */
    SMTP_LINE_TOO_LONG, /* no CRLF within max: drop input until one comes, answer 500 */
    SMTP_LINE_BARE,     /* CRLF taken off, bare CR or NUL inside */
    SMTP_LINE_BARE_LF,  /* it ends in LF alone: what follows cannot be trusted to be a command */
};

/* Takes one line off the front; max counts the CRLF (RFC 5321 section 4.5.3.1.4: 512 and what
 * extensions add). Input is unchanged on SMTP_LINE_PARTIAL and SMTP_LINE_TOO_LONG. */
enum smtp_line smtp_line_take(struct bytes *input, size_t max, struct bytes *line_out);

struct smtp_command {
    enum smtp_verb verb;
    struct bytes verb_text; /* as given */
    struct bytes argument;  /* after the verb and one space, trailing spaces trimmed */
};

void smtp_command_parse(struct bytes line, struct smtp_command *out);

/* One "KEYWORD" or "KEYWORD=value" of MAIL, RCPT (RFC 5321 section 4.1.2 esmtp-param). */
struct smtp_parameter {
    struct bytes keyword;
    struct bytes value; /* ptr NULL when there was no "=" */
};

enum smtp_body { SMTP_BODY_7BIT, SMTP_BODY_8BITMIME };

/* RFC 3461 section 4.1 NOTIFY; 0 = not given (as FAILURE | DELAY at our discretion). */
enum {
    SMTP_NOTIFY_NEVER = 1,
    SMTP_NOTIFY_SUCCESS = 2,
    SMTP_NOTIFY_FAILURE = 4,
    SMTP_NOTIFY_DELAY = 8
};
/* RFC 3461 section 4.3 RET. */
enum smtp_ret { SMTP_RET_NONE, SMTP_RET_FULL, SMTP_RET_HDRS };

struct smtp_mail {
    struct smtp_address reverse_path;
    uint64_t size; /* declared, 0 when not */
    enum smtp_body body;
    enum smtp_ret ret;
    struct bytes envid; /* xtext as given; empty when not */
    bool smtputf8;
    bool requiretls; /* RFC 8689 */
    bool has_auth;   /* AUTH= was given (RFC 4954 section 5); its value is not kept */
    bool is_lax;     /* spaces stood behind the colon */
};

struct smtp_rcpt {
    struct smtp_address forward_path;
    unsigned notify;    /* SMTP_NOTIFY_* bits */
    struct bytes orcpt; /* "rfc822;xtext" as given; empty when not */
    bool is_lax;        /* spaces stood behind the colon */
};

/* Why an argument was refused: the reply that says so. */
struct smtp_refusal {
    unsigned code;        /* 501, 504, 552, 553, 555 */
    const char *enhanced; /* "5.5.4" */
    const char *text;
};

/*
 * "FROM:<path> params" and "TO:<path> params". Spaces behind the colon, which RFC 5321 section 3.3
 * forbids and old clients send, are left to the caller: is_lax. Unknown parameters and
 * BODY=BINARYMIME are 555 5.5.4, duplicates and bad values 501 5.5.4, a SIZE past 64 bits is
 * 552 5.3.4. A UTF-8 reverse-path without SMTPUTF8 is 553 5.6.7; for forward-paths the caller knows
 * whether MAIL said it. What ENVID and ORCPT decode to is printable. RCPT TO:<> is 501.
 */
must_use bool smtp_mail_parse(struct bytes argument, struct smtp_mail *out,
                              struct smtp_refusal *why_out);
must_use bool smtp_rcpt_parse(struct bytes argument, struct smtp_rcpt *out,
                              struct smtp_refusal *why_out);
/* "size" or "size LAST" (RFC 3030 section 2). */
must_use bool smtp_bdat_parse(struct bytes argument, uint64_t *size_out, bool *last_out);
/* A domain or literal as EHLO and HELO want it; anything printable without spaces is accepted
 * with *is_strict_out = false, since real clients send their host names. */
must_use bool smtp_ehlo_parse(struct bytes argument, struct bytes *name_out, bool *is_strict_out);
