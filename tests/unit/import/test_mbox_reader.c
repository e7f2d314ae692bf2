/* test_mbox_reader.c - mboxes of many programs, fed in pieces of every size. */
#include "inbound/import/mbox_reader.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "inbound/mailbox/mailbox.h"
#include "support/unit.h"

/* What was told, as text: "[flags date keywords]content|". */
struct told {
    struct buf text, content;
};

static int begin(void *context)
{
    struct told *told = context;

    buf_clear(&told->content);
    return 0;
}

static int data(void *context, struct bytes b)
{
    struct told *told = context;

    assert_true(b.len > 0);
    return buf_append(&told->content, b) ? 0 : -ENOMEM;
}

static int end(void *context, const struct mbox_message *message)
{
    struct told *told = context;
    static const char letters[] = "AFDST";

    assert_true(buf_append(&told->text, BYTES("[")));
    for (unsigned i = 0; i < 5; i++)
        if ((message->flags >> i & 1) != 0)
            assert_true(buf_append_byte(&told->text, (uint8_t)letters[i]));
    if (message->has_date)
        assert_true(buf_printf(&told->text, " %lld", (long long)message->date_s));
    for (size_t i = 0; i < message->keyword_count; i++)
        assert_true(buf_printf(&told->text, " %.*s", BYTES_ARG(message->keywords[i])));
    assert_true(buf_printf(&told->text, "%s]%.*s|", message->is_internal ? " internal" : "",
                           BYTES_ARG(buf_bytes(&told->content))));
    return 0;
}

static int read_in_pieces(const char *text, size_t piece, struct told *told)
{
    struct mbox_events events = {told, begin, data, end};
    struct mbox_reader reader;
    struct bytes rest = bytes_of(text);
    int result = 0;

    buf_init(&told->text, 1 << 20);
    buf_init(&told->content, 1 << 20);
    mbox_begin(&reader, &events);
    while (rest.len > 0 && result == 0) {
        result = mbox_feed(&reader, bytes_slice(rest, 0, piece));
        rest = bytes_slice(rest, piece, rest.len);
    }
    if (result == 0)
        result = mbox_finish(&reader);
    mbox_free(&reader);
    return result;
}

static void free_told(struct told *told)
{
    buf_free(&told->text);
    buf_free(&told->content);
}

#define FROM "From a@a.example Mon Mar  2 10:00:00 2026\n"

static const struct {
    const char *text, *told;
} boxes[] = {
    {"", ""},
    {"\n\n", ""},
    {FROM "A: b\n\nbody\n\n", "[ 1772445600]A: b\n\nbody\n|"},
    {FROM "A: b\n\nbody\n", "[ 1772445600]A: b\n\nbody\n|"},
    {FROM "A: b\n\nbody", "[ 1772445600]A: b\n\nbody|"},
    {FROM "A: b\n\n1\n\n\n\n" FROM "A: c\n\n2\n\n",
     "[ 1772445600]A: b\n\n1\n\n\n|[ 1772445600]A: c\n\n2\n|"},
    {"From a@a.example Mon Mar  2 10:00:00 2026\r\nA: b\r\n\r\nx\r\n\r\n",
     "[ 1772445600]A: b\r\n\r\nx\r\n|"},
    /* A message without a body. */
    {FROM "A: b\n\n" FROM "A: c\n\n", "[ 1772445600]A: b\n\n|[ 1772445600]A: c\n\n|"},
    /* What looks like a From_ line and is none. */
    {FROM "A: b\n\nx\nFrom a@a.example Mon Mar  2 10:00:00 2026\ny\n",
     "[ 1772445600]A: b\n\nx\nFrom a@a.example Mon Mar  2 10:00:00 2026\ny\n|"},
    {FROM "A: b\n\nx\n\nFrom here on\n", "[ 1772445600]A: b\n\nx\n\nFrom here on\n|"},
    {FROM "A: b\n\n>From x\n>>From y\n> From z\n>Fromage\n",
     "[ 1772445600]A: b\n\nFrom x\n>From y\n> From z\n>Fromage\n|"},
    {FROM ">From: x\nA: b\n\n", "[ 1772445600]>From: x\nA: b\n\n|"},
    /* Flags, and what is left out; folded fields too. */
    {FROM "Status: RO\nX-Status: AFTD\nSubject: s\nX-UID: 12\nContent-Length: 5\n\nx\n",
     "[AFDST 1772445600]Subject: s\n\nx\n|"},
    {FROM "X-Keywords: one\n\ttwo\nSubject: s\n two\nX-IMAPbase: 1 2\n more\n\nx\n",
     "[ 1772445600 one]Subject: s\n two\n\nx\n|"},
    {FROM "X-Mozilla-Status: 0007\nX-Mozilla-Status2: 00000000\nX-Mozilla-Keys: $label1  x   \n\n",
     "[AFS 1772445600 $label1 x]\n|"},
    {FROM "X-Mozilla-Status: 000a\n\n", "[AD 1772445600]\n|"},
    {FROM "status:R\n\n", "[S 1772445600]\n|"},
    {FROM "Status: R\n\nStatus: O\n", "[S 1772445600]\nStatus: O\n|"},
    {FROM "X-IMAP: 1 2\nSubject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n\nx\n",
     "[ 1772445600 internal]Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n\nx\n|"},
    /* Thunderbird's newer From_ line: the date is the message's. */
    {"From \nDate: Mon, 2 Mar 2026 10:00:00 +0100\n\nx\n",
     "[ 1772442000]Date: Mon, 2 Mar 2026 10:00:00 +0100\n\nx\n|"},
    {"From \nA: b\n\nx\n\nFrom \nA: c\n\n", "[]A: b\n\nx\n|[]A: c\n\n|"},
};

TEST(mbox_read_in_pieces_of_any_size_tells_the_same_messages)
{
    struct told told;

    for (size_t i = 0; i < ARRAY_LEN(boxes); i++) {
        for (size_t piece = 1; piece < 200; piece = piece < 8 ? piece + 1 : piece * 3) {
            assert_int_equal(read_in_pieces(boxes[i].text, piece, &told), 0);
            if (!bytes_equal(buf_bytes(&told.text), bytes_of(boxes[i].told)))
                fail_msg("row %zu, pieces of %zu: %.*s", i, piece,
                         BYTES_ARG(buf_bytes(&told.text)));
            free_told(&told);
        }
    }
}

TEST(mbox_that_does_not_begin_with_a_from_line_is_none)
{
    static const char *const texts[] = {"Subject: x\n\n", "x", "\nFrom here\n", "> x\n",
                                        "From: x\n"};
    struct told told;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        expect_row(i, read_in_pieces(texts[i], 100, &told) == -EILSEQ);
        free_told(&told);
    }
}

TEST(mbox_line_longer_than_any_buffer_passes_whole)
{
    enum { LEN = 300000 };
    static char text[LEN + 200];
    struct told told;
    int head = snprintf(text, sizeof(text), FROM "A: b\n\n");

    memset(text + head, 'x', LEN);
    /* Its middle is no line's beginning. */
    memcpy(text + head + 8192, FROM, sizeof(FROM) - 2);
    memcpy(text + head + 16384, ">From ", 6);
    memcpy(text + head + LEN, "\n", 2);
    assert_int_equal(read_in_pieces(text, 1000, &told), 0);
    assert_int_equal(buf_len(&told.content), strlen("A: b\n\n") + LEN + 1);
    assert_memory_equal(buf_bytes(&told.content).ptr, text + sizeof(FROM) - 1,
                        buf_len(&told.content));
    free_told(&told);
}

TEST(mbox_header_field_longer_than_any_buffer_is_left_out_whole)
{
    enum { LEN = 100000 };
    static char text[LEN + 200];
    struct told told;
    int at = snprintf(text, sizeof(text), FROM "X-UID: ");

    memset(text + at, 'x', LEN);
    snprintf(text + at + LEN, 100, "\nA: b\n\n");
    assert_int_equal(read_in_pieces(text, 777, &told), 0);
    assert_true(bytes_equal(buf_bytes(&told.content), BYTES("A: b\n\n")));
    free_told(&told);
}

static const struct {
    const char *line;
    bool is_one, has_date;
    int64_t date_s;
} lines[] = {
    {"From a@a.example Mon Mar  2 10:00:00 2026", true, true, 1772445600},
    {"From a@a.example Mon Mar 2 10:00 2026", true, true, 1772445600},
    {"From a@a.example Mon Mar  2 10:00:00 +0100 2026", true, true, 1772442000},
    {"From a@a.example Mon Mar  2 10:00:00 2026 -0530", true, true, 1772465400},
    {"From a@a.example Mon Mar  2 10:00:00 EST 2026", true, true, 1772445600},
    {"From - Mon Mar 02 10:00:00 2026", true, true, 1772445600},
    {"From \"a b\"@a.example  Mon Mar  2 10:00:00 2026 remote from x", true, true, 1772445600},
    {"From mar 1 Mon Mar  2 10:00:00 2026", true, true, 1772445600},
    {"From ", true, false, 0},
    {"From", false, false, 0},
    {"from a Mon Mar  2 10:00:00 2026", false, false, 0},
    {"From a Mon Mar  2 24:00:00 2026", false, false, 0},
    {"From a Mon Mar  2 10:60:00 2026", false, false, 0},
    {"From a Mon Mar 32 10:00:00 2026", false, false, 0},
    {"From a Mon Mar 0 10:00:00 2026", false, false, 0},
    {"From a Mon Mar  2 10:00:00", false, false, 0},
    {"From a Mon Mar  2 10:00:00 1026", false, false, 0},
    {"From the beginning of March", false, false, 0},
};

TEST(from_line_is_one_with_a_date_or_without_anything)
{
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        bool has_date = false;
        int64_t date_s = 0;
        bool is_one = mbox_read_from(bytes_of(lines[i].line), &has_date, &date_s);

        expect_row(i, is_one == lines[i].is_one);
        expect_row(i, !is_one || has_date == lines[i].has_date);
        expect_row(i, !is_one || !has_date || date_s == lines[i].date_s);
    }
}
