/*
 * content.h - message content on the wire: dot-stuffing and strict line endings.
 *
 * Reading (RFC 5321 section 4.5.2): only CRLF.CRLF ends the data. A bare CR or bare LF anywhere
 * makes the content bad (SMTP smuggling): reading goes on to the end, so that the session stays in
 * step, and the transaction is refused afterwards. Writing adds the dots back.
 */
#pragma once

#include "base/buf.h"

struct dot_reader {
    uint8_t state;   /* position within CRLF.CRLF */
    bool has_bare;   /* a bare CR or LF was seen */
    bool ends_in_cr; /* chunks ended behind a CR: what is missing cannot be known */
    bool has_nul;
    bool has_8bit;       /* a byte above 127 was seen */
    uint64_t size;       /* bytes handed out */
    size_t line_len;     /* of the current line, without CRLF */
    size_t line_len_max; /* longest so far, without CRLF */
    bool done;           /* CRLF.CRLF was seen */
};

void dot_reader_init(struct dot_reader *reader); /* at the start of a line */
/*
 * Takes bytes off *input until the end of data or the end of input. Hands out the un-stuffed
 * content as runs that point into the input (or into static bytes): calls `out` for each run.
 * The final CRLF belongs to the content.
 */
void dot_read(struct dot_reader *reader, struct bytes *input,
              void (*out)(void *context, struct bytes run), void *context);

/*
 * The same counting and checks for BDAT, whose chunks end by count (RFC 3030): no dots, but bare
 * CR and LF are bad there too. After LAST: what chunk_missing() gives is read as if it had been in
 * the last chunk, a CRLF where the last line has none, as other servers add it; then finish.
 */
void chunk_read(struct dot_reader *reader, struct bytes chunk);
struct bytes chunk_missing(const struct dot_reader *reader);
void chunk_finish(struct dot_reader *reader);

struct dot_writer {
    bool at_line_start;
    uint8_t last; /* last byte written, to end with CRLF exactly once */
};
void dot_writer_init(struct dot_writer *writer);
/*
 * Appends `b` with dots stuffed after CRLF. False (nothing appended) when `out` lacks room for the
 * worst case, b.len * 4 / 3 + 1: give it less at a time. Content must be clean, as all accepted
 * content is: a bare CR or LF goes out as it is, and receivers that take it for a line end would
 * see a line whose dot was never stuffed.
 */
must_use bool dot_write(struct dot_writer *writer, struct bytes b, struct buf *out);
/* Appends what is missing of CRLF and ".CRLF". */
must_use bool dot_write_end(struct dot_writer *writer, struct buf *out);
