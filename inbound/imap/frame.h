/*
 * frame.h - where a command ends: lines and the literals that they announce (RFC 9051 section 4.3,
 * RFC 7888), put together from input as it arrives.
 *
 *   feed --MORE-- feed ... --LITERAL--> frame_accept() (it becomes part of the command)
 *                                   \-> whoever wants its bytes elsewhere takes frame.literal.size
 *                                       off the input, then frame_begin() or feed again
 *        --WHOLE--> frame_text(); frame_begin() for the next
 *
 * A command that is too long or broken ends in FRAME_TOO_LONG or FRAME_BROKEN, where its end is not
 * known: the session can but close.
 *
 * Pure. An idle frame holds no memory.
 */
#pragma once

#include "base/buf.h"

enum frame_step {
    FRAME_MORE,     /* all input was taken */
    FRAME_LITERAL,  /* a line ended that announces one: frame.literal */
    FRAME_WHOLE,    /* the line that ended was the last */
    FRAME_TOO_LONG, /* more than len_max bytes */
    FRAME_BROKEN,   /* a CR or LF without the other, or NUL, in a line */
};

struct frame_literal {
    uint64_t size;
    bool is_waiting; /* the client waits for "+": not "{n+}" */
    bool is_binary;  /* "~{n}" */
};

struct frame {
    struct buf text;     /* lines with their CRLF, accepted literals */
    size_t line_start;   /* in text: of the line that arrives */
    size_t literal_left; /* of the accepted one */
    bool in_cr;
    struct frame_literal literal;
};

void frame_init(struct frame *frame, size_t len_max);
void frame_free(struct frame *frame);
/* A new command; what it may be in all. */
void frame_begin(struct frame *frame, size_t len_max);
bool frame_is_empty(const struct frame *frame); /* nothing of a command arrived */
enum frame_step frame_feed(struct frame *frame, struct bytes *input);
/* FRAME_LITERAL: it will be part of the text. False: there is no room for it. */
must_use bool frame_accept(struct frame *frame);
/* Without the last CRLF. */
struct bytes frame_text(const struct frame *frame);

/* Does a line (without its end) announce a literal? A size of 64 bits or more is UINT64_MAX. */
must_use bool frame_literal_read(struct bytes line, struct frame_literal *literal_out);
