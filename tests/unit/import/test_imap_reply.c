/* test_imap_reply.c - what servers say, in pieces of every size, and what they should not. */
#include "inbound/import/imap_reply.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "support/unit.h"

static int keep(void *context, struct bytes b)
{
    assert_true(b.len > 0);
    return buf_append(context, b) ? 0 : -ENOBUFS;
}

/* Responses with "|" behind each, and "<content>" where there was one. */
static int read_all(const char *text, size_t piece, struct buf *out)
{
    struct imap_reader reader;
    struct buf content;
    struct bytes left = bytes_of(text);
    int result = 0;

    buf_init(&content, 1 << 20);
    imap_reader_begin(&reader, 1000, &content, keep);
    while (left.len > 0 && result >= 0) {
        struct bytes input = bytes_slice(left, 0, piece);

        left = bytes_slice(left, input.len, left.len);
        while (input.len > 0 && (result = imap_reader_feed(&reader, &input)) == 1) {
            assert_true(buf_append(out, buf_bytes(&reader.reply)));
            if (reader.has_content)
                assert_true(buf_printf(out, "<%.*s>", BYTES_ARG(buf_bytes(&content))));
            assert_true(buf_append_byte(out, '|'));
            buf_clear(&content);
        }
    }
    imap_reader_free(&reader);
    buf_free(&content);
    return result < 0 ? result : 0;
}

static const struct {
    const char *text, *told;
    int result;
} streams[] = {
    {"* OK hi\r\n", "* OK hi|", 0},
    {"* OK hi\ni1 OK done\r\n", "* OK hi|i1 OK done|", 0},
    {"* 1 FETCH (UID 5 BODY[] {5}\r\nab\r\nc FLAGS ())\r\n",
     "* 1 FETCH (UID 5 BODY[] NIL FLAGS ())<ab\r\nc>|", 0},
    {"* 1 FETCH (BODY[] {0}\r\n UID 5)\r\n* 2 FETCH (UID 6)\r\n",
     "* 1 FETCH (BODY[] NIL UID 5)<>|* 2 FETCH (UID 6)|", 0},
    {"* 1 FETCH (body[] ~{2}\r\nab UID 5)\r\n", "* 1 FETCH (body[] NIL UID 5)<ab>|", 0},
    {"* LIST () \"/\" {3}\r\na b\r\n", "* LIST () \"/\" {3}\r\na b|", 0},
    {"* LIST () \"/\" {3}\r\n{9}\r\n", "* LIST () \"/\" {3}\r\n{9}|", 0},
    /* A literal that only looks like one. */
    {"* OK a {b}\r\n* OK {}\r\n", "* OK a {b}|* OK {}|", 0},
    /* Too large, of either kind; two in one. */
    {"* 1 FETCH (BODY[] {1001}\r\n", "", -EMSGSIZE},
    {"* 1 FETCH (BODY[] {18446744073709551615}\r\n", "", -EMSGSIZE},
    {"* LIST () \"/\" {300000}\r\n", "", -EMSGSIZE},
    {"* 1 FETCH (BODY[] {1}\r\na BODY[] {1}\r\nb)\r\n", "", -EPROTO},
};

TEST(imap_responses_in_pieces_of_any_size_are_the_same)
{
    struct buf out;

    for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
        for (size_t piece = 1; piece < 100; piece = piece < 8 ? piece + 1 : piece * 3) {
            buf_init(&out, 1 << 20);
            expect_row(i, read_all(streams[i].text, piece, &out) == streams[i].result);
            if (!bytes_equal(buf_bytes(&out), bytes_of(streams[i].told)))
                fail_msg("row %zu, pieces of %zu: %.*s", i, piece, BYTES_ARG(buf_bytes(&out)));
            buf_free(&out);
        }
    }
}

TEST(imap_line_without_end_is_refused_at_its_bound)
{
    static uint8_t piece[64 << 10];
    struct imap_reader reader;
    int result = 0;
    size_t fed = 0;

    memset(piece, 'x', sizeof(piece));
    imap_reader_begin(&reader, 1000, NULL, keep);
    while (result == 0 && fed < 16 * sizeof(piece)) {
        struct bytes input = {piece, sizeof(piece)};

        result = imap_reader_feed(&reader, &input);
        fed += sizeof(piece);
    }
    assert_int_equal(result, -EMSGSIZE);
    assert_true(fed <= IMAP_REPLY_MAX + sizeof(piece));
    imap_reader_free(&reader);
}

TEST(imap_responses_are_taken_apart)
{
    struct imap_reply reply;
    uint32_t number;

    assert_true(imap_reply_read(BYTES("* 12 FETCH (UID 1)"), &reply));
    assert_true(reply.kind == IMAP_REPLY_UNTAGGED && reply.has_number && reply.number == 12);
    assert_true(bytes_equal(reply.word, BYTES("FETCH")));
    assert_true(bytes_equal(reply.rest, BYTES("(UID 1)")));
    assert_true(imap_reply_read(BYTES("i7 NO [OVERQUOTA] no"), &reply));
    assert_true(reply.kind == IMAP_REPLY_TAGGED && bytes_equal(reply.tag, BYTES("i7")));
    assert_true(bytes_equal(reply.word, BYTES("NO")));
    assert_true(imap_reply_read(BYTES("+"), &reply) && reply.kind == IMAP_REPLY_CONTINUE);
    assert_true(imap_reply_read(BYTES("* OK [UIDVALIDITY 99] x"), &reply));
    assert_true(imap_reply_code(reply.rest, "UIDVALIDITY", &number) && number == 99);
    assert_false(imap_reply_code(reply.rest, "UIDNEXT", &number));
    assert_false(imap_reply_read(BYTES("*"), &reply) && reply.word.len > 0);
    assert_false(imap_reply_read(BYTES(""), &reply));
    assert_true(imap_reply_has(BYTES("IMAP4rev1 auth=plain SASL-IR"), "AUTH=PLAIN"));
    assert_false(imap_reply_has(BYTES("AUTH=PLAINER XSTARTTLS"), "STARTTLS"));
}

static const struct {
    const char *rest;
    bool is_one;
    uint32_t uid;
    uint64_t size;
    size_t flags;
    int64_t date_s;
    const char *body;
} fetches[] = {
    {"(UID 5 FLAGS (\\Seen $Forwarded) INTERNALDATE \" 1-Feb-2020 02:03:04 +0100\" BODY[] NIL)",
     true, 5, 0, 2, 1580518984, NULL},
    {"(RFC822.SIZE 4294967296 UID 7)", true, 7, 4294967296, 0, 0, NULL},
    {"(BODY[] \"a \\\"b\" UID 1)", true, 1, 0, 0, 0, "a \"b"},
    {"(FLAGS () UID 1)", true, 1, 0, 0, 0, NULL},
    /* What nobody asked for. */
    {"(MODSEQ (12) UID 1 BODY[HEADER.FIELDS (A B)] \"x\" ENVELOPE (NIL (\"a\" ((b))) 7))", true, 1,
     0, 0, 0, NULL},
    {"(INTERNALDATE \"yesterday\" UID 1)", true, 1, 0, 0, 0, NULL},
    {"()", true, 0, 0, 0, 0, NULL},
    {"UID 5", false, 0, 0, 0, 0, NULL},
    {"(UID 5", false, 0, 0, 0, 0, NULL},
    {"(UID 0)", false, 0, 0, 0, 0, NULL},
    {"(UID 99999999999)", false, 0, 0, 0, 0, NULL},
    {"(UID x)", false, 0, 0, 0, 0, NULL},
    {"(FLAGS (\\Seen UID 5", false, 0, 0, 0, 0, NULL},
    {"(X ((((", false, 0, 0, 0, 0, NULL},
    {"(X)", false, 0, 0, 0, 0, NULL},
};

TEST(imap_fetch_is_read_whatever_its_order_or_refused)
{
    struct imap_fetched fetched;
    struct arena arena;

    for (size_t i = 0; i < ARRAY_LEN(fetches); i++) {
        arena_init(&arena, 1 << 16);
        bool is_one = imap_reply_fetch(&arena, bytes_of(fetches[i].rest), &fetched);

        expect_row(i, is_one == fetches[i].is_one);
        if (is_one) {
            expect_row(i, fetched.uid == fetches[i].uid && fetched.size == fetches[i].size);
            expect_row(i, fetched.flag_count == fetches[i].flags);
            expect_row(i, (fetched.has_date ? fetched.date_s : 0) == fetches[i].date_s);
            expect_row(i, fetches[i].body == NULL
                              ? fetched.body.ptr == NULL
                              : bytes_equal(fetched.body, bytes_of(fetches[i].body)));
        }
        arena_free(&arena);
    }
}

TEST(imap_parentheses_without_end_are_refused)
{
    static char text[200000];
    struct imap_fetched fetched;
    struct arena arena;

    memset(text, '(', sizeof(text) - 1);
    memcpy(text, "(X ", 3);
    arena_init(&arena, 1 << 16);
    assert_false(imap_reply_fetch(&arena, bytes_of(text), &fetched));
    arena_free(&arena);
}

static const struct {
    const char *rest;
    bool is_one, is_selectable;
    char separator;
    const char *name;
} lists[] = {
    {"(\\HasNoChildren) \".\" INBOX.Sent", true, true, '.', "INBOX.Sent"},
    {"(\\Noselect \\HasChildren) \"/\" \"a b\"", true, false, '/', "a b"},
    {"(\\NonExistent) NIL x", true, false, 0, "x"},
    {"() \"\\\\\" {5}\r\na\"b c", true, true, '\\', "a\"b c"},
    {"() \"/\" a%b", true, true, '/', "a%b"},
    {"() \"/\" \"x\" (\"CHILDINFO\" (\"SUBSCRIBED\"))", true, true, '/', "x"},
    {"() \"//\" x", false, false, 0, NULL},
    {"() \"/\" \"x", false, false, 0, NULL},
    {"() \"/\" \"\"", false, false, 0, NULL},
    {"() \"/\"", false, false, 0, NULL},
    {"x \"/\" x", false, false, 0, NULL},
};

TEST(imap_list_is_read_or_refused)
{
    struct imap_listed listed;
    struct arena arena;

    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        arena_init(&arena, 1 << 16);
        bool is_one = imap_reply_list(&arena, bytes_of(lists[i].rest), &listed);

        expect_row(i, is_one == lists[i].is_one);
        if (is_one) {
            expect_row(i, listed.is_selectable == lists[i].is_selectable);
            expect_row(i, listed.separator == (uint8_t)lists[i].separator);
            expect_row(i, bytes_equal(listed.name, bytes_of(lists[i].name)));
        }
        arena_free(&arena);
    }
}

TEST(imap_namespace_tells_the_prefix_of_ones_own)
{
    struct bytes prefix;
    struct arena arena;

    arena_init(&arena, 1 << 16);
    assert_true(imap_reply_namespace(&arena, BYTES("((\"INBOX.\" \".\")) NIL NIL"), &prefix));
    assert_true(bytes_equal(prefix, BYTES("INBOX.")));
    assert_true(imap_reply_namespace(&arena, BYTES("NIL NIL NIL"), &prefix) && prefix.len == 0);
    assert_false(imap_reply_namespace(&arena, BYTES("()"), &prefix));
    arena_free(&arena);
}
