/*
 * reply.h - replies of RFC 5321 section 4.2: read from peers without trust, within bounds.
 */
#pragma once

#include "base/buf.h"

enum {
    SMTP_REPLY_LINE_MAX = 2048, /* RFC says 512; some peers write essays */
    SMTP_REPLY_LINES_MAX = 128, /* of one reply */
    SMTP_REPLY_TEXT_MAX = 1024, /* what is kept of it */
};

struct smtp_enhanced { /* RFC 3463; class 0: none */
    uint8_t class;
    uint16_t subject;
    uint16_t detail;
};

struct smtp_reply {
    unsigned code; /* 200..599 */
    struct smtp_enhanced enhanced;
    struct bytes text; /* lines joined by "\n", codes taken off, enhanced code too, controls other
                          than HTAB replaced by "?", cut at SMTP_REPLY_TEXT_MAX; may be no UTF-8;
                          points into the reader */
};

enum smtp_reply_state {
    SMTP_REPLY_PARTIAL, /* feed more */
    SMTP_REPLY_WHOLE,   /* *reply_out is set; call again for the next */
    SMTP_REPLY_BROKEN,  /* no SMTP reply, or past a bound; the connection is useless */
};

struct smtp_extensions;

/* Reads replies incrementally: bounded memory whatever the peer sends. */
struct smtp_reply_reader {
    unsigned code;
    unsigned lines;
    size_t text_len;
    struct smtp_enhanced enhanced;
    bool is_broken; /* and stays so */
    /* Where not NULL every line but a reply's first is taken as EHLO's: all of them, however little
     * of the text is kept. */
    struct smtp_extensions *extensions;
    char text[SMTP_REPLY_TEXT_MAX];
};

void smtp_reply_reader_init(struct smtp_reply_reader *reader);
/*
 * Takes lines off input until one reply is whole. LF alone ends a reply line too: we are reading,
 * and Postel's law costs nothing here. A line that has not ended stays in the input, which must
 * have room for SMTP_REPLY_LINE_MAX. The enhanced code is taken only if its class is the first
 * digit of the code. Text is valid until the next call.
 */
enum smtp_reply_state smtp_reply_read(struct smtp_reply_reader *reader, struct bytes *input,
                                      struct smtp_reply *reply_out);
/* The lines of a reply have begun to come, its last is not here yet. */
static inline bool smtp_reply_has_begun(const struct smtp_reply_reader *reader)
{
    return reader->lines > 0;
}
/* After SMTP_REPLY_BROKEN: the line that was none of a reply, made safe as a reply's text is. */
struct bytes smtp_reply_broken_line(const struct smtp_reply_reader *reader);

/* Takes "5.1.1" off the front of a reply text, with the space behind it. */
must_use bool smtp_enhanced_take(struct bytes *text, struct smtp_enhanced *out);

/* What an EHLO reply offers. */
struct smtp_extensions {
    bool pipelining, eightbitmime, smtputf8, chunking, dsn, enhanced_status_codes, starttls;
    bool requiretls;
    bool has_size;
    uint64_t size_max;        /* 0 with has_size: no fixed limit */
    uint64_t rcpt_max;        /* LIMITS RCPTMAX, 0: not said */
    uint64_t mail_max;        /* LIMITS MAILMAX (transactions a connection), 0: not said */
    uint64_t rcpt_domain_max; /* LIMITS RCPTDOMAINMAX (of one transaction), 0: not said */
};
/*
 * One line of an EHLO reply behind the first: keyword and arguments; unknown ones are skipped. A
 * peer that says SIZE twice is believed the larger: it refuses by itself what it does not take, and
 * mail that we return because of the smaller one is lost to it. Of LIMITS said twice the
 * smaller counts: it costs a transaction more, nothing else.
 */
void smtp_extensions_take(struct bytes line, struct smtp_extensions *extensions);
