/*
 * scan.h - takers of IMAP's grammar (RFC 9051 section 9, RFC 3501 section 9), off a whole command.
 *
 * A command is one run of bytes: its lines with their CRLF and the literals between them, as they
 * came, without the CRLF that ends it. Takers take bytes off the front of *input, and leave it as
 * it was when they return false. Slices that they give point into the command or the arena and
 * live as long as both.
 *
 * Pure, any thread.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"

must_use bool imap_take_byte(struct bytes *input, uint8_t byte);
static inline bool imap_take_space(struct bytes *input)
{
    return imap_take_byte(input, ' ');
}
/* `word` in any case, and no other atom that begins so. */
must_use bool imap_take_word(struct bytes *input, const char *word);

enum { IMAP_TAG_MAX = 128 };
must_use bool imap_take_tag(struct bytes *input, struct bytes *tag_out);
must_use bool imap_take_atom(struct bytes *input, struct bytes *atom_out);
must_use bool imap_take_quoted(struct arena *arena, struct bytes *input, struct bytes *text_out);
/* {n}, {n+} and what follows; "~{" too where `takes_binary`. A literal without "~" has no NUL. */
must_use bool imap_take_literal(struct bytes *input, bool takes_binary, struct bytes *text_out);
must_use bool imap_take_string(struct arena *arena, struct bytes *input, struct bytes *text_out);
must_use bool imap_take_astring(struct arena *arena, struct bytes *input, struct bytes *text_out);
/* NIL: ptr NULL. */
must_use bool imap_take_nstring(struct arena *arena, struct bytes *input, struct bytes *text_out);
/* As LIST has it: wildcards too. */
must_use bool imap_take_list_mailbox(struct arena *arena, struct bytes *input,
                                     struct bytes *text_out);
/* Of 32 bits, 63 bits. */
must_use bool imap_take_number(struct bytes *input, uint32_t *number_out);
must_use bool imap_take_nz_number(struct bytes *input, uint32_t *number_out);
must_use bool imap_take_number64(struct bytes *input, uint64_t *number_out);
/* "1-Feb-2020", with or without quotes; seconds since 1970 of its midnight, of no zone. */
must_use bool imap_take_date(struct bytes *input, int64_t *seconds_out);
/* "\" 1-Feb-2020 02:03:04 +0100\"" with its quotes; seconds since 1970, UTC. */
must_use bool imap_take_date_time(struct bytes *input, int64_t *seconds_out);
/* "\\Seen" or a keyword; "\\*" and "\\Recent" are none that a client may set. */
must_use bool imap_take_flag(struct bytes *input, struct bytes *flag_out);

enum { IMAP_FLAGS_MAX = 64 /* in one list */ };
struct imap_flag_list {
    size_t count;
    struct bytes flags[IMAP_FLAGS_MAX];
};
/* In parentheses. */
must_use bool imap_take_flag_list(struct bytes *input, struct imap_flag_list *list_out);

bool imap_is_atom_char(uint8_t c);

/* How a client is to be told a text: quoted where it can be, else as a literal. False: no room. */
must_use bool imap_put_string(struct buf *out, struct bytes text);
must_use bool imap_put_nstring(struct buf *out, struct bytes text); /* ptr NULL: NIL */
must_use bool imap_put_astring(struct buf *out, struct bytes text);
