/* modules: dkim */
/* runs: 10000 */
/* fuzz_dkim_body.c - bodies in any pieces, against a second implementation that has all at once. */
#include <stddef.h>
#include <stdint.h>

#include "auth/dkim/canonical.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(void *context, struct bytes run)
{
    check(run.len > 0);
    check(buf_append(context, run));
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

/* A line without its end, as the form has it. */
static void put_line(enum canonical_form form, struct bytes line, struct buf *out)
{
    size_t end = line.len;

    while (form == CANONICAL_RELAXED && end > 0 && is_blank(line.ptr[end - 1]))
        end--;
    for (size_t i = 0; i < end; i++) {
        bool is_more = i > 0 && is_blank(line.ptr[i]) && is_blank(line.ptr[i - 1]);
        uint8_t byte = is_blank(line.ptr[i]) ? ' ' : line.ptr[i];

        if (form == CANONICAL_SIMPLE)
            check(buf_append_byte(out, line.ptr[i]));
        else if (!is_more)
            check(buf_append_byte(out, byte));
    }
}

/* RFC 6376 section 3.4.3 and section 3.4.4, line by line. */
static void naive(enum canonical_form form, struct bytes body, struct buf *out)
{
    size_t kept = 0;

    for (size_t at = 0; at < body.len;) {
        size_t end = bytes_find_bytes(body, BYTES("\r\n"), at);
        size_t before = buf_len(out);

        put_line(form, bytes_slice(body, at, end - at), out);
        bool is_empty = buf_len(out) == before;
        check(buf_append(out, BYTES("\r\n")));
        if (!is_empty)
            kept = buf_len(out);
        at = end + 2;
    }
    buf_truncate(out, kept);
    if (kept == 0 && form == CANONICAL_SIMPLE)
        check(buf_append(out, BYTES("\r\n")));
}

/* The first bytes say how the rest is cut. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes body = bytes_range(data, size);

    if (size < 3)
        return 0;
    body = bytes_slice(body, 2, body.len);
    for (int number = CANONICAL_SIMPLE; number <= CANONICAL_RELAXED; number++) {
        enum canonical_form form = (enum canonical_form)number;
        struct buf ours, theirs;
        struct canonical_body canonical;
        size_t at = 0;

        buf_init(&ours, body.len + 2);
        buf_init(&theirs, body.len + 2);
        canonical_body_init(&canonical, form, (struct canonical_sink){put, &ours});
        for (unsigned i = 0; at < body.len; i++) {
            struct bytes piece = bytes_slice(body, at, 1 + data[i % 2]);

            canonical_body_feed(&canonical, piece);
            at += piece.len;
        }
        canonical_body_finish(&canonical);
        naive(form, body, &theirs);
        check(canonical.size == buf_len(&ours));
        check(bytes_equal(buf_bytes(&ours), buf_bytes(&theirs)));
        buf_free(&ours);
        buf_free(&theirs);
    }
    return 0;
}
