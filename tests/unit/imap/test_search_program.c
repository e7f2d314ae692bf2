/* test_search_program.c - keys of SEARCH. */
#include "inbound/imap/search_program.h"

#include <string.h>

#include "base/buf.h"
#include "support/unit.h"

static void tell(const struct search_key *key, struct buf *out)
{
    static const char *const names[] = {"AND",
                                        "OR",
                                        "NOT",
                                        "NUMBERS",
                                        "UIDS",
                                        "FLAG",
                                        "RECENT",
                                        "LARGER",
                                        "SMALLER",
                                        "BEFORE",
                                        "ON",
                                        "SINCE",
                                        "SENTBEFORE",
                                        "SENTON",
                                        "SENTSINCE",
                                        "SAVEDBEFORE",
                                        "SAVEDON",
                                        "SAVEDSINCE",
                                        "SAVEDATESUPPORTED",
                                        "OLDER",
                                        "YOUNGER",
                                        "HEADER",
                                        "BODY",
                                        "TEXT",
                                        "MODSEQ",
                                        "EMAILID",
                                        "THREADID"};

    assert_true(buf_printf(out, "%s", names[key->kind]));
    if (key->name.len > 0)
        assert_true(buf_printf(out, ":%.*s", BYTES_ARG(key->name)));
    if (key->text.len > 0)
        assert_true(buf_printf(out, "=%.*s", BYTES_ARG(key->text)));
    if (key->number != 0)
        assert_true(buf_printf(out, "#%lld", (long long)key->number));
    if (key->set.is_saved)
        assert_true(buf_printf(out, "$"));
    if (key->first == NULL)
        return;
    assert_true(buf_printf(out, "("));
    for (const struct search_key *child = key->first; child != NULL; child = child->next) {
        tell(child, out);
        if (child->next != NULL)
            assert_true(buf_printf(out, " "));
    }
    assert_true(buf_printf(out, ")"));
}

static const struct {
    const char *input, *tree; /* NULL: BAD */
} programs[] = {
    {" ALL", "AND(AND)"},
    {" 1:3", "AND(NUMBERS)"},
    {" $", "AND(NUMBERS$)"},
    {" UID $ SEEN", "AND(UIDS$ FLAG=\\Seen)"},
    {" UNSEEN", "AND(NOT(FLAG=\\Seen))"},
    {" UNKEYWORD $Junk", "AND(NOT(FLAG=$Junk))"},
    {" NEW", "AND(AND(RECENT NOT(FLAG=\\Seen)))"},
    {" OLD", "AND(NOT(RECENT))"},
    {" FROM \"a b\" NOT TO x", "AND(HEADER:From=a b NOT(HEADER:To=x))"},
    {" OR (ALL BODY {3}\r\nfoo) TEXT bar", "AND(OR(AND(AND BODY=foo) TEXT=bar))"},
    {" HEADER X-A \"\"", "AND(HEADER:X-A)"},
    {" SINCE 1-Feb-2020", "AND(SINCE#1580515200)"},
    {" LARGER 5 SMALLER 0", "AND(LARGER#5 SMALLER)"},
    {" MODSEQ \"/flags/\\\\draft\" all 620162338", "AND(MODSEQ#620162338)"},
    {" MODSEQ 7", "AND(MODSEQ#7)"},
    {" OLDER 0", NULL},
    {" YOUNGER 60", "AND(YOUNGER#60)"},
    {" CHARSET UTF-8 ALL", "AND(AND)"},
    {" RETURN () ALL", "AND(AND)"},
    {" RETURN (MIN MAX ALL COUNT SAVE) ALL", "AND(AND)"},
    {" RETURN (FOO) ALL", NULL},
    {" RETURN (MIN", NULL},
    {"", NULL},
    {" ", NULL},
    {" FOO", NULL},
    {" NOT", NULL},
    {" OR ALL", NULL},
    {" (ALL", NULL},
    {" ()", NULL},
    {" ALL ", NULL},
    {" ALL)", NULL},
    {" FROM", NULL},
    {" SINCE yesterday", NULL},
};

TEST(take_makes_the_tree)
{
    for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
        struct bytes input = bytes_of(programs[i].input);
        struct search_program program;
        struct arena arena;
        struct buf out;

        arena_init(&arena, 1 << 20);
        buf_init(&out, 4096);
        bool took = search_program_take(&arena, &input, &program);
        expect_row(i, took == (programs[i].tree != NULL));
        if (took) {
            tell(program.root, &out);
            expect_row(i, bytes_equal(buf_bytes(&out), bytes_of(programs[i].tree)));
        }
        buf_free(&out);
        arena_free(&arena);
    }
}

TEST(take_reads_what_is_to_be_returned)
{
    struct bytes input = BYTES(" RETURN (MIN COUNT) CHARSET \"us-ascii\" MODSEQ 1");
    struct search_program program;
    struct arena arena;

    arena_init(&arena, 1 << 20);
    assert_true(search_program_take(&arena, &input, &program));
    assert_true(program.has_return && program.has_modseq);
    assert_int_equal(program.returns, SEARCH_RETURN_MIN | SEARCH_RETURN_COUNT);
    assert_true(bytes_equal(program.charset, BYTES("us-ascii")));
    input = BYTES(" RETURN () ALL");
    assert_true(search_program_take(&arena, &input, &program));
    assert_int_equal(program.returns, SEARCH_RETURN_ALL);
    arena_free(&arena);
}

/* Nested as deep as a line can make it: refused, and not by the stack. */
static bool takes(const char *begin, size_t count, const char *end)
{
    struct search_program program;
    struct arena arena;
    struct buf text;

    arena_init(&arena, 8 << 20);
    buf_init(&text, 8 << 20);
    assert_true(buf_append_byte(&text, ' '));
    for (size_t i = 0; i < count; i++)
        assert_true(buf_append(&text, bytes_of(begin)));
    assert_true(buf_append(&text, BYTES("ALL")));
    for (size_t i = 0; i < count; i++)
        assert_true(buf_append(&text, bytes_of(end)));
    struct bytes input = buf_bytes(&text);
    bool took = search_program_take(&arena, &input, &program);
    buf_free(&text);
    arena_free(&arena);
    return took;
}

TEST(take_bounds_depth_and_number)
{
    assert_true(takes("(", SEARCH_DEPTH_MAX, ")"));
    assert_false(takes("(", 100000, ")"));
    assert_true(takes("NOT ", SEARCH_DEPTH_MAX, ""));
    assert_false(takes("NOT ", 100000, ""));
    assert_false(takes("OR ALL ", 100000, ""));
    assert_true(takes("ALL ", SEARCH_KEYS_MAX - 2, ""));
    assert_false(takes("ALL ", SEARCH_KEYS_MAX, ""));
}
