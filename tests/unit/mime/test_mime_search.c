/* test_mime_search.c - charsets, encoded words, case and what is found in messages. */
#include "inbound/mime/mime_search.h"

#include "inbound/mime/mime_binary.h"
#include "inbound/mime/mime_charset.h"
#include "inbound/mime/mime_preview.h"

#include "support/unit.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

static void check_text(size_t row, struct buf *found, struct bytes expected)
{
    if (!bytes_equal(buf_bytes(found), expected))
        fail_msg("row %zu: %.*s", row, BYTES_ARG(buf_bytes(found)));
    buf_clear(found);
}

#define FFFD "\xef\xbf\xbd"

static const struct {
    const char *charset;
    struct bytes text, utf8;
} charsets[] = {
    {"", BYTES("a\xc3\xa9"), BYTES("a\xc3\xa9")},
    {"us-ascii",
     BYTES("a\xe9"
           "b"),
     BYTES("a\xc3\xa9"
           "b")},
    {"UTF-8", BYTES("a\0b\x80"), BYTES("a b" FFFD)},
    {"utf-8", BYTES("\xe2\x82"), BYTES("\xc3\xa2" FFFD)},
    {"iso-8859-1", BYTES("\xe9"), BYTES("\xc3\xa9")},
    {"Windows-1252", BYTES("\x80"), BYTES("\xe2\x82\xac")},
    {"koi8-r", BYTES("\xc1"), BYTES("\xd0\xb0")},
    {"iso-2022-jp", BYTES("\x1b$B$\"\x1b(B"), BYTES("\xe3\x81\x82")},
    {"shift_jis", BYTES("\x82\xa0"), BYTES("\xe3\x81\x82")},
    {"gb2312", BYTES("\xc4\xe3"), BYTES("\xe4\xbd\xa0")},
    {"utf-16", BYTES("\xff\xfe\x41\x00\x00\x00"), BYTES("A ")},
    {"utf-16be", BYTES("\xd8\x00\x00\x41"), BYTES(FFFD "A")}, /* half a pair */
    {"utf-7", BYTES("a+AOk-"), BYTES("a\xc3\xa9")},
    {"big5", BYTES("\xff\xff"), BYTES(FFFD FFFD)},
    {"euc-jp", BYTES("\xa4"), BYTES(FFFD)},
};

TEST(charsets_become_utf8_in_pieces_of_any_length)
{
    struct buf out;

    buf_init(&out, 100);
    for (size_t i = 0; i < ARRAY_LEN(charsets); i++)
        for (size_t size = 1; size <= charsets[i].text.len; size++) {
            struct mime_charset *charset = mime_charset_open(bytes_of(charsets[i].charset));

            assert_non_null(charset);
            for (size_t at = 0; at < charsets[i].text.len; at += size)
                assert_true(mime_charset_feed(charset, bytes_slice(charsets[i].text, at, size),
                                              at + size >= charsets[i].text.len, &out));
            check_text(i, &out, charsets[i].utf8);
            mime_charset_close(&charset);
        }
    buf_free(&out);
}

TEST(charsets_that_are_none_are_unknown)
{
    static const struct bytes names[] = {
        BYTES("x-nothing"),
        BYTES(""),
        BYTES("../../etc/passwd"),
        BYTES("UTF-8//TRANSLIT"),
        BYTES("a b"),
        BYTES("utf-8\0x"),
        BYTES("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
    };

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        expect_row(i, !mime_charset_is_known(names[i]));
    assert_true(mime_charset_is_known(BYTES("ISO-8859-15")));
    assert_true(mime_charset_is_known(BYTES("us-ascii")));
}

static const struct {
    struct bytes value, text;
} words[] = {
    {BYTES(" plain\r\n text "), BYTES("plain text")},
    {BYTES("=?utf-8?q?caf=C3=A9_x?="), BYTES("caf\xc3\xa9 x")},
    {BYTES("=?ISO-8859-1?B?5Pb8?= y"), BYTES("\xc3\xa4\xc3\xb6\xc3\xbc y")},
    {BYTES("=?utf-8?q?a?=\r\n =?utf-8?q?b?= =?utf-8?q?c?="), BYTES("abc")},
    {BYTES("x =?utf-8?q?a?= y =?utf-8?q?b?="), BYTES("x a y b")},
    {BYTES("=?utf-8?q?=C3?= =?utf-8?q?=A9?="), BYTES("\xc3\xa9")}, /* a character in two words */
    {BYTES("=?utf-8?q?=C3?= x"), BYTES("\xc3\x83 x")},
    {BYTES("=?utf-8*en?q?a?="), BYTES("a")}, /* RFC 2231 section 5 */
    {BYTES("=?x-unknown?q?a?= =?utf-8?q?b?="), BYTES("=?x-unknown?q?a?= b")},
    {BYTES("=?utf-8?x?a?="), BYTES("=?utf-8?x?a?=")},
    {BYTES("=?utf-8?q?a b?="), BYTES("=?utf-8?q?a b?=")},
    {BYTES("=?utf-8?q?a"), BYTES("=?utf-8?q?a")},
    {BYTES("=?=?=?=?"), BYTES("=?=?=?=?")},
    {BYTES("raw \xc3\xa9 \xe9"), BYTES("raw \xc3\xa9 \xc3\xa9")},
    {BYTES("=?utf-16?b?/v8AYQBi?="), BYTES("ab")},
    {BYTES("=?utf-8?b?!?="), BYTES("")},
};

TEST(encoded_words_are_decoded)
{
    struct buf out;

    buf_init(&out, 100);
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        assert_true(mime_charset_decode(words[i].value, &out));
        check_text(i, &out, words[i].text);
    }
    buf_free(&out);
    buf_init(&out, 1);
    assert_false(mime_charset_decode(BYTES("=?utf-8?q?ab?="), &out));
    buf_free(&out);
}

/* No more than a second for what a header may have. */
TEST(encoded_words_by_the_thousand_cost_little)
{
    struct buf value, out;

    buf_init(&value, MIME_SEARCH_FIELD_MAX);
    buf_init(&out, MIME_SEARCH_FIELD_MAX * 3);
    while (buf_append(&value, BYTES("=?koi8-r?q?a?= =?iso-2022-jp?q?b?= =?==?= ")))
        continue;
    assert_true(mime_charset_decode(buf_bytes(&value), &out));
    assert_true(buf_len(&out) > MIME_SEARCH_FIELD_MAX / 30);
    buf_free(&value);
    buf_free(&out);
}

static const struct {
    struct bytes text, folded;
} folds[] = {
    {BYTES("AbC 1"), BYTES("abc 1")},
    {BYTES("\xc3\x89"), BYTES("e\xcc\x81")}, /* E with acute: decomposed */
    {BYTES("STRASSE stra\xc3\x9f"
           "e"),
     BYTES("strasse strasse")},
    {BYTES("\xef\xac\x81"), BYTES("fi")}, /* a ligature */
    {BYTES("\xd0\x94\xd0\x90"), BYTES("\xd0\xb4\xd0\xb0")},
    {BYTES("\xff"), BYTES("\xff")},
};

TEST(texts_are_folded)
{
    struct buf out;

    buf_init(&out, 100);
    for (size_t i = 0; i < ARRAY_LEN(folds); i++) {
        assert_true(mime_charset_fold(folds[i].text, &out));
        check_text(i, &out, folds[i].folded);
    }
    buf_free(&out);
}

/* Characters one by one, and behind another: as GLib folds them. */
TEST(every_character_is_folded_as_glib_does)
{
    struct buf out;

    buf_init(&out, 1000);
    for (gunichar c = 0x80; c < 0x20000; c++) {
        char utf8[16] = "\xc3\x89"; /* E with acute */

        if (!g_unichar_validate(c))
            continue;
        size_t len = 2 + (size_t)g_unichar_to_utf8(c, utf8 + 2);
        char *plain = g_utf8_normalize(utf8, (gssize)len, G_NORMALIZE_ALL);
        char *folded = g_utf8_casefold(plain, -1);

        assert_true(mime_charset_fold(bytes_range(utf8, len), &out));
        if (!bytes_equal(buf_bytes(&out), bytes_of(folded)))
            fail_msg("U+%04X", (unsigned)c);
        buf_clear(&out);
        g_free(folded);
        g_free(plain);
    }
    buf_free(&out);
}

/* Runs of combining marks, which a sort in squares would take minutes for. */
TEST(combining_marks_by_the_thousand_cost_little)
{
    struct buf text, out;

    buf_init(&text, 1 << 20);
    buf_init(&out, 4 << 20);
    while (buf_append(&text, BYTES("\xcc\x81\xcc\xa3")))
        continue;
    assert_true(mime_charset_fold(buf_bytes(&text), &out));
    assert_int_equal(buf_len(&out), buf_len(&text));
    buf_free(&text);
    buf_free(&out);
}

/* --- needles and messages --------------------------------------------------------------------- */

TEST(needles_that_are_none)
{
    static const struct {
        const char *charset;
        struct bytes text;
        enum mime_needle_result result;
    } rows[] = {
        {"", BYTES("\xc3\xa9"), MIME_NEEDLE_OK},        {"", BYTES("\xe9"), MIME_NEEDLE_BROKEN},
        {"utf-8", BYTES("\xe9"), MIME_NEEDLE_BROKEN},   {"us-ascii", BYTES("a"), MIME_NEEDLE_OK},
        {"iso-8859-1", BYTES("\xe9"), MIME_NEEDLE_OK},  {"big5", BYTES("\xff"), MIME_NEEDLE_BROKEN},
        {"x-nothing", BYTES("a"), MIME_NEEDLE_CHARSET},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct mime_needle needle;
        enum mime_needle_result result =
            mime_needle_init(&needle, bytes_of(rows[i].charset), rows[i].text);

        expect_row(i, result == rows[i].result);
        if (result == MIME_NEEDLE_OK)
            mime_needle_free(&needle);
    }
    struct mime_needle needle;
    char *text = calloc(1, MIME_NEEDLE_MAX + 1);

    memset(text, 'a', MIME_NEEDLE_MAX + 1);
    assert_int_equal(mime_needle_init(&needle, BYTES(""), bytes_range(text, MIME_NEEDLE_MAX + 1)),
                     MIME_NEEDLE_BROKEN);
    assert_int_equal(mime_needle_init(&needle, BYTES(""), bytes_range(text, MIME_NEEDLE_MAX)),
                     MIME_NEEDLE_OK);
    mime_needle_free(&needle);
    free(text);
}

static const char searched[] =
    "Subject: =?iso-8859-1?q?Gr=FC=DFe?= from\r\n afar\r\nX-Empty:\r\n"
    "Content-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n"
    "--b\r\nContent-Description: a part\r\n\r\nPlain words\r\n"
    "--b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    "PGI+w5xiZXI8L2I+IGRl\r\nY29kZWQ=\r\n"
    "--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
    "Content-Transfer-Encoding: quoted-printable\r\n\r\n\xe9 so=\r\nft =E4rger\r\n"
    "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ntext of it\r\n"
    "--b\r\nContent-Type: application/pdf\r\n\r\nnot looked at\r\n"
    "--b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\n"
    "unknown way\r\n"
    "--b--\r\nepilogue\r\n";

static const struct {
    const char *text;
    bool in_body, in_text;
} finds[] = {
    {"", true, true},
    {"plain WORDS", true, true},
    {"\xc3\xbc"
     "ber",
     true, true},            /* in base64, folded */
    {"decoded", true, true}, /* over a line of base64 */
    {"soft \xc3\x84rger", true, true},
    {"\xc3\xa9 so", true, true},
    {"inner", false, true}, /* the header of a message in it */
    {"text of it", true, true},
    {"a part", false, true}, /* of MIME's own fields */
    {"gr\xc3\xbcsse from afar", false, true},
    {"subject: gr", false, true},
    {"not looked at", false, false},
    {"unknown way", false, false},
    {"epilogue", false, false},
    {"plain wordsx", false, false},
    {"PGI+w5xi", false, false},
};

static bool search(const struct mime_message *message, bool with_header, struct mime_needle *needle,
                   size_t step)
{
    struct mime_search *search = mime_search_begin(message, with_header, needle);
    enum mime_search_result result = mime_search_step(search, step);

    for (size_t turns = 0; result == MIME_SEARCH_MORE; turns++) {
        assert_in_range(turns, 0, 10000);
        result = mime_search_step(search, step);
    }
    mime_search_end(&search);
    return result == MIME_SEARCH_FOUND;
}

TEST(bodies_and_texts_are_searched_decoded)
{
    struct mime_message message;

    mime_message_read(bytes_of(searched), &message);
    for (size_t i = 0; i < ARRAY_LEN(finds); i++) {
        struct mime_needle needle;

        assert_int_equal(mime_needle_init(&needle, BYTES("utf-8"), bytes_of(finds[i].text)),
                         MIME_NEEDLE_OK);
        for (size_t step = 1; step < 2000; step += 333) {
            expect_row(i, search(&message, false, &needle, step) == finds[i].in_body);
            expect_row(i, search(&message, true, &needle, step) == finds[i].in_text);
        }
        mime_needle_free(&needle);
    }
    mime_message_free(&message);
}

/* Wherever the pieces of a long body end, a find lies across them. */
TEST(a_find_may_lie_across_pieces)
{
    struct buf text;

    buf_init(&text, 1 << 17);
    for (size_t before = 8180; before < 8200; before++) {
        struct mime_message message;
        struct mime_needle needle;

        buf_clear(&text);
        assert_true(buf_append(&text, BYTES("\r\n")));
        for (size_t i = 0; i < before; i++)
            assert_true(buf_append_byte(&text, 'n'));
        assert_true(buf_append(&text, BYTES("NEEDL\xc3\x89 and more")));
        mime_message_read(buf_bytes(&text), &message);
        assert_int_equal(mime_needle_init(&needle, BYTES(""), BYTES("nneedl\xc3\xa9 a")),
                         MIME_NEEDLE_OK);
        assert_true(search(&message, false, &needle, 1));
        mime_needle_free(&needle);
        mime_message_free(&message);
    }
    buf_free(&text);
}

TEST(a_search_stops_after_its_slice)
{
    struct mime_message message;
    struct mime_needle needle;
    struct buf text;

    buf_init(&text, 1 << 20);
    assert_true(buf_append(&text, BYTES("\r\n")));
    while (buf_append(&text, BYTES("words of a long body\r\n")))
        continue;
    mime_message_read(buf_bytes(&text), &message);
    assert_int_equal(mime_needle_init(&needle, BYTES(""), BYTES("none")), MIME_NEEDLE_OK);
    struct mime_search *search = mime_search_begin(&message, false, &needle);
    size_t steps = 0;

    while (mime_search_step(search, 64 * 1024) == MIME_SEARCH_MORE)
        steps++;
    assert_in_range(steps, 14, 17);
    mime_search_end(&search);
    mime_needle_free(&needle);
    mime_message_free(&message);
    buf_free(&text);
}

TEST(fields_are_searched_by_name)
{
    static const struct {
        const char *name, *text;
        bool is_found;
    } rows[] = {
        {"subject", "GR\xc3\x9cSSE", true},
        {"subject", "from afar", true},
        {"Subject", "inner", false},
        {"x-empty", "", true},
        {"x-empty", "a", false},
        {"x-none", "", false},
        {"content-description", "", false},
    };
    struct bytes header = mime_field_section(bytes_of(searched));

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct mime_needle needle;

        assert_int_equal(mime_needle_init(&needle, BYTES(""), bytes_of(rows[i].text)),
                         MIME_NEEDLE_OK);
        expect_row(i,
                   mime_search_field(header, bytes_of(rows[i].name), &needle) == rows[i].is_found);
        mime_needle_free(&needle);
    }
}

/* --- decoding --------------------------------------------------------------------------------- */

static const struct {
    enum mime_encoding encoding;
    struct bytes body, decoded;
} bodies[] = {
    {MIME_IDENTITY, BYTES("a=41\0"), BYTES("a=41\0")},
    {MIME_BASE64, BYTES("YWJj\r\nZA=="), BYTES("abcd")},
    {MIME_BASE64, BYTES("YW!Jj Z*A"), BYTES("abcd")}, /* what is not of the alphabet is none */
    {MIME_BASE64, BYTES("YQ==YWJj"), BYTES("a")},     /* the end */
    {MIME_BASE64, BYTES("Y"), BYTES("")},
    {MIME_BASE64, BYTES(""), BYTES("")},
    {MIME_QUOTED_PRINTABLE, BYTES("a=41=3db=\r\nc=\nd"), BYTES("aA=bcd")},
    {MIME_QUOTED_PRINTABLE, BYTES("a \t\r\nb \nc d \t"), BYTES("a\r\nb\nc d")},
    {MIME_QUOTED_PRINTABLE, BYTES("=  \r\na= =4 =x =4"), BYTES("a= =4 =x =4")},
    {MIME_QUOTED_PRINTABLE, BYTES(" =41 \r\n =00="), BYTES(" A\r\n \0")},
    {MIME_QUOTED_PRINTABLE, BYTES("="), BYTES("")},
    {MIME_QUOTED_PRINTABLE, BYTES("a\rb"), BYTES("a\rb")},
};

TEST(bodies_are_decoded_in_pieces_of_any_length)
{
    struct buf out;

    buf_init(&out, 100);
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        struct mime_part part = {.encoding = bodies[i].encoding, .body = bodies[i].body};
        bool has_nul;

        for (size_t size = 4; size < 20; size++) {
            struct mime_binary binary;
            uint8_t piece[20];
            size_t len;

            mime_binary_begin(&binary, &part);
            while ((len = mime_binary_read(&binary, piece, size)) > 0)
                assert_true(buf_append(&out, bytes_range(piece, len)));
            check_text(i, &out, bodies[i].decoded);
        }
        expect_row(i, mime_binary_size(&part, &has_nul) == bodies[i].decoded.len);
        expect_row(i, has_nul == (bytes_find(bodies[i].decoded, 0, 0) < bodies[i].decoded.len));
    }
    buf_free(&out);
}

/* --- previews --------------------------------------------------------------------------------- */

#define HTML "Content-Type: text/html\r\n\r\n"

static const struct {
    const char *message, *preview;
} previews[] = {
    {"\r\n Hello,\r\n\r\n  what\tis this \xc2\xa0?\r\n", "Hello, what is this ?"},
    {"\r\n> quoted\r\nanswer\r\n> more\r\n", "answer"},
    {"\r\n> quoted only\r\n", "> quoted only"},
    {"\r\n", ""},
    {HTML "<style>x{}</style><TITLE>t</TITLE><p class=\"a\">One &amp; t&#119;o&nbsp;&lt;</p>"
          "<!-- <b>no</b> -->three&zwnj;&#x41; &unknown; & <script>4</script>5<br>6",
     "One & two < threeA &unknown; & 5 6"},
    {HTML "<style>never closed", ""},
    {HTML "a<b", "a"},
    {"Content-Type: image/png\r\n\r\nx", ""},
    {"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n" HTML "<b>h</b>\r\n--b\r\n"
     "Content-Type: text/plain; charset=iso-8859-1\r\n\r\n\xe9t\xe9\r\n--b--",
     "\xc3\xa9t\xc3\xa9"},
    {"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
     "Content-Disposition: attachment\r\n\r\nfile\r\n--b\r\n\r\nthe text\r\n--b--",
     "the text"},
};

TEST(previews_of_messages)
{
    struct buf out;

    buf_init(&out, 1000);
    for (size_t i = 0; i < ARRAY_LEN(previews); i++) {
        struct mime_message message;

        mime_message_read(bytes_of(previews[i].message), &message);
        assert_true(mime_preview_write(&message, &out));
        check_text(i, &out, bytes_of(previews[i].preview));
        mime_message_free(&message);
    }
    buf_free(&out);
}

TEST(previews_have_a_bound)
{
    struct mime_message message;
    struct buf text, out;

    buf_init(&text, 100000);
    buf_init(&out, 1000);
    assert_true(buf_append(&text, BYTES("\r\n")));
    while (buf_append(&text, BYTES("\xc3\xa9\xc3\xa9 ")))
        continue;
    mime_message_read(buf_bytes(&text), &message);
    assert_true(mime_preview_write(&message, &out));
    /* Of three characters two have two bytes. */
    assert_in_range(buf_len(&out), MIME_PREVIEW_CHARACTERS * 5 / 3 - 2,
                    MIME_PREVIEW_CHARACTERS * 5 / 3 + 2);
    mime_message_free(&message);
    buf_free(&out);
    buf_free(&text);
}
