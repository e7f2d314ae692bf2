/* threads: one */
/* test_mime_message.c - trees of parts, and the sections of them that clients ask for. */
#include "inbound/mime/mime_message.h"

#include "inbound/mime/mime_section.h"

#include "support/unit.h"

#include <stdlib.h>
#include <string.h>

/* "type/subtype(children)lines[body]", so that a whole tree is one text. */
static void show(const struct mime_part *part, struct buf *out)
{
    assert_true(
        buf_printf(out, "%.*s/%.*s", BYTES_ARG(part->type.type), BYTES_ARG(part->type.subtype)));
    if (part->kind == MIME_LEAF)
        assert_true(buf_printf(out, "%s:%u[%.*s]", part->is_cut ? "!" : "", (unsigned)part->lines,
                               BYTES_ARG(part->body)));
    else
        assert_true(buf_printf(out, "%s%c", part->is_cut ? "!" : "",
                               part->kind == MIME_MESSAGE ? '<' : '('));
    for (const struct mime_part *child = part->children; child != NULL; child = child->next) {
        assert_ptr_equal(child->parent, part);
        show(child, out);
        if (child->next != NULL)
            assert_true(buf_append(out, BYTES(" ")));
    }
    if (part->kind != MIME_LEAF)
        assert_true(buf_append(out, part->kind == MIME_MESSAGE ? BYTES(">") : BYTES(")")));
}

#define MULTI(boundary) "Content-Type: multipart/mixed; boundary=" boundary "\r\n\r\n"

static const struct {
    const char *text, *tree;
} trees[] = {
    {"", "text/plain:0[]"},
    {"\r\n", "text/plain:0[]"},
    {"Subject: x", "text/plain:0[]"},
    {"Subject: x\r\n", "text/plain:0[]"},
    {"Subject: x\r\n\r\none\r\ntwo", "text/plain:1[one\r\ntwo]"},
    {"Subject: x\n\none\ntwo\n", "text/plain:2[one\ntwo\n]"},
    {"Content-Type: text/html ; charset=x\r\n\r\nh\r\n", "text/html:1[h\r\n]"},
    {"Content-Type: nonsense\r\n\r\nh", "text/plain:0[h]"},
    {"Content-Type: nonsense\r\nContent-Type: a/b\r\n\r\nh", "a/b:0[h]"},
    /* The line end before a delimiter is the delimiter's. */
    {MULTI("b") "pre\r\n--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n\r\n--b--\r\nepilogue\r\n",
     "multipart/mixed(text/plain:0[one] text/plain:1[two\r\n])"},
    {MULTI("b") "--b\r\n\r\n--b--", "multipart/mixed(text/plain:0[])"},
    {MULTI("b") "--b\r\n--b\r\nX: y\r\n--b--", "multipart/mixed(text/plain:0[] text/plain:0[])"},
    /* Not closed; behind the closing delimiter there are no parts. */
    {MULTI("b") "--b\r\n\r\none\r\n", "multipart/mixed(text/plain:1[one\r\n])"},
    {MULTI("b") "--b\r\n\r\none\r\n--b--\r\n--b\r\n\r\ntwo", "multipart/mixed(text/plain:0[one])"},
    {MULTI("b") "nothing\r\n", "multipart/mixed()"},
    {MULTI("\"b \"") "--b \r\n\r\none\r\n--b--", "multipart/mixed(text/plain:0[one])"},
    {MULTI("\"\"") "--\r\n\r\none", "multipart/mixed:2[--\r\n\r\none]"},
    /* Only at the beginning of a line. */
    {MULTI("b") "--b\r\n\r\none --b\r\n --b\r\n--b--",
     "multipart/mixed(text/plain:1[one --b\r\n --b])"},
    /* An outer delimiter ends what is inside, closed or not. */
    {MULTI("a") "--a\r\n" MULTI("b") "--b\r\n\r\none\r\n--a\r\n\r\ntwo\r\n--a--",
     "multipart/mixed(multipart/mixed(text/plain:0[one]) text/plain:0[two])"},
    /* The longest boundary that fits is meant; of equal ones the innermost. */
    {MULTI("a") "--a\r\n" MULTI("ab") "--ab\r\n\r\none\r\n--ab--\r\n--a\r\n\r\ntwo\r\n--a--",
     "multipart/mixed(multipart/mixed(text/plain:0[one]) text/plain:0[two])"},
    {MULTI("ab") "--ab\r\n" MULTI("a") "--a\r\n\r\none\r\n--ab\r\n\r\ntwo\r\n--ab--",
     "multipart/mixed(multipart/mixed(text/plain:0[one]) text/plain:0[two])"},
    {MULTI("a") "--a\r\n" MULTI("a") "--a\r\n\r\none\r\n--a--\r\n--a\r\n\r\ntwo\r\n--a--",
     "multipart/mixed(multipart/mixed(text/plain:0[one]) text/plain:0[two])"},
    /* Messages. */
    {"Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\ntext\r\n",
     "message/rfc822<text/plain:1[text\r\n]>"},
    {MULTI("b") "--b\r\nContent-type: Message/RFC822\r\n\r\nSubject: in\r\n\r\ntext\r\n--b--",
     "multipart/mixed(Message/RFC822<text/plain:0[text]>)"},
    {MULTI("b") "--b\r\nContent-Type: message/rfc822\r\n--b\r\n\r\ntwo\r\n--b--",
     "multipart/mixed(message/rfc822<text/plain:0[]> text/plain:0[two])"},
    {MULTI("b") "--b\r\nContent-Type: message/rfc822\r\n\r\n" MULTI(
         "c") "--c\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--",
     "multipart/mixed(message/rfc822<multipart/mixed(text/plain:0[one])> text/plain:0[two])"},
    {"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: x\r\n\r\none\r\n--b--",
     "multipart/digest(message/rfc822<text/plain:0[one]>)"},
};

TEST(parts_of_messages)
{
    for (size_t i = 0; i < ARRAY_LEN(trees); i++) {
        size_t len = strlen(trees[i].text);
        char *text = malloc(len + (len == 0)); /* of its exact size: reads past it are seen */
        struct mime_message message;
        struct buf out;

        memcpy(text, trees[i].text, len);
        buf_init(&out, 4096);
        mime_message_read(bytes_range(text, len), &message);
        show(message.root, &out);
        if (!bytes_equal(buf_bytes(&out), bytes_of(trees[i].tree)))
            fail_msg("%s\n%.*s\n%s", trees[i].text, BYTES_ARG(buf_bytes(&out)), trees[i].tree);
        mime_message_free(&message);
        buf_free(&out);
        free(text);
    }
}

static void assert_bytes(struct bytes found, const char *expected)
{
    if (!bytes_equal(found, bytes_of(expected)))
        fail_msg("%.*s\n%s", BYTES_ARG(found), expected);
}

static void append(struct buf *out, const char *text)
{
    assert_true(buf_append(out, bytes_of(text)));
}

TEST(more_parts_than_the_bound_are_not_taken_apart)
{
    struct mime_message message;
    struct buf text;

    buf_init(&text, 1 << 20);
    append(&text, MULTI("b"));
    for (int i = 0; i < MIME_PARTS_MAX + 10; i++)
        append(&text, "--b\r\n\r\nx\r\n");
    mime_message_read(buf_bytes(&text), &message);
    assert_int_equal(message.count, MIME_PARTS_MAX);
    assert_int_equal(message.root->count, MIME_PARTS_MAX - 1);
    assert_true(message.root->is_cut);
    for (const struct mime_part *part = message.root->children; part != NULL; part = part->next)
        assert_int_equal(part->body.len, 1);
    mime_message_free(&message);
    buf_free(&text);
}

TEST(deeper_parts_than_the_bound_are_leaves)
{
    static const char *const levels[] = {"Content-Type: message/rfc822\r\n\r\n", NULL};

    for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
        struct mime_message message;
        struct buf text;
        size_t depth = 0;

        buf_init(&text, 4 << 20);
        for (int level = 0; level < 20000; level++)
            if (levels[i] != NULL)
                append(&text, levels[i]);
            else
                assert_true(buf_printf(&text,
                                       "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n"
                                       "--b%d\r\n",
                                       level, level));
        mime_message_read(buf_bytes(&text), &message);
        const struct mime_part *part = message.root;

        for (; part->children != NULL; part = part->children)
            depth++;
        assert_int_equal(depth, MIME_DEPTH_MAX);
        assert_int_equal(part->kind, MIME_LEAF);
        assert_true(part->is_cut);
        mime_message_free(&message);
        buf_free(&text);
    }
}

TEST(lines_that_are_nearly_delimiters_have_a_bound)
{
    struct mime_message message;
    struct buf text;

    buf_init(&text, 8 << 20);
    for (int level = 0; level < MIME_DEPTH_MAX; level++)
        assert_true(buf_printf(&text,
                               "Content-Type: multipart/mixed; boundary=bbbb%d\r\n\r\n--bbbb%d\r\n",
                               level, level));
    for (int i = 0; i < 700 * 1000; i++)
        append(&text, "--bbbbx\r\n");
    append(&text, "--bbbb0\r\n\r\nx");
    mime_message_read(buf_bytes(&text), &message);
    assert_true(message.root->is_cut);
    assert_int_equal(message.root->count, 1);
    mime_message_free(&message);
    buf_free(&text);
}

TEST(types_that_do_not_fit_in_memory_are_left_out)
{
    struct mime_message message;
    struct buf text;
    size_t plain = 0;

    buf_init(&text, 64 << 20);
    append(&text, MULTI("b"));
    for (int i = 0; i < 40; i++) {
        append(&text, "--b\r\nContent-Type: a/b; c=");
        for (int j = 0; j < 1 << 16; j++)
            append(&text, "0123456789abcdef");
        append(&text, "\r\n\r\nx\r\n");
    }
    mime_message_read(buf_bytes(&text), &message);
    assert_int_equal(message.root->count, 40);
    for (const struct mime_part *part = message.root->children; part != NULL; part = part->next) {
        assert_int_equal(part->is_cut, bytes_equal(part->type.type, BYTES("text")));
        plain += part->is_cut;
    }
    assert_in_range(plain, 10, 25);
    mime_message_free(&message);
    buf_free(&text);
}

static const char nested[] = "Subject: outer\r\nX-A: 1\r\nx-a : 2\r\n" MULTI(
    "b") "pre\r\n"
         "--b\r\nContent-ID: <1>\r\n\r\none\r\n"
         "--b\r\nContent-Type: message/rfc822\r\n\r\n"
         "Subject: inner\r\n" MULTI(
             "c") "--c\r\nX: y\r\n\r\ndeep\r\n--c--\r\n"
                  "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: plain\r\n\r\nflat\r\n"
                  "--b--\r\n";

static const struct {
    uint32_t path[3];
    size_t depth;
    enum mime_section_kind kind;
    const char *text; /* NULL: there is none */
} sections[] = {
    {{0}, 0, MIME_SECTION_WHOLE, nested},
    {{0}, 0, MIME_SECTION_MIME, NULL},
    {{1}, 1, MIME_SECTION_WHOLE, "one"},
    {{1}, 1, MIME_SECTION_MIME, "Content-ID: <1>\r\n\r\n"},
    {{1}, 1, MIME_SECTION_HEADER, NULL},
    {{1}, 1, MIME_SECTION_TEXT, NULL},
    {{1, 1}, 2, MIME_SECTION_WHOLE, NULL},
    {{0}, 1, MIME_SECTION_WHOLE, NULL},
    {{4}, 1, MIME_SECTION_WHOLE, NULL},
    {{UINT32_MAX}, 1, MIME_SECTION_WHOLE, NULL},
    {{2}, 1, MIME_SECTION_MIME, "Content-Type: message/rfc822\r\n\r\n"},
    {{2}, 1, MIME_SECTION_HEADER, "Subject: inner\r\n" MULTI("c")},
    {{2}, 1, MIME_SECTION_TEXT, "--c\r\nX: y\r\n\r\ndeep\r\n--c--"},
    {{2, 1}, 2, MIME_SECTION_WHOLE, "deep"},
    {{2, 1}, 2, MIME_SECTION_MIME, "X: y\r\n\r\n"},
    {{2, 2}, 2, MIME_SECTION_WHOLE, NULL},
    {{2, 1, 1}, 3, MIME_SECTION_WHOLE, NULL},
    {{3}, 1, MIME_SECTION_WHOLE, "Subject: plain\r\n\r\nflat"},
    {{3, 1}, 2, MIME_SECTION_WHOLE, "flat"},
    {{3, 1}, 2, MIME_SECTION_MIME, "Subject: plain\r\n\r\n"},
    {{3, 1}, 2, MIME_SECTION_TEXT, NULL},
    {{3, 1, 1}, 3, MIME_SECTION_WHOLE, NULL},
};

static const struct {
    struct bytes value;
    const char *type, *params; /* NULL: it is none */
} types[] = {
    {BYTES("text/plain"), "text/plain", ""},
    {BYTES(" Text / Plain ; a=b;c = \"d e\" "), "Text/Plain", "a=b c=d e "},
    {BYTES("text/plain (a;b=c) ; (x) d(y) = (z) e (f)"), "text/plain", "d=e "},
    {BYTES("a/b; c; =d; e=; f=\"g"), "a/b", "e= f=g "},
    {BYTES("a/b; c=\"\\\"d\\\\\r\n e\""), "a/b", "c=\"d\\ e "},
    {BYTES("a/b junk \0 more; c=d\0;\0e=f"), "a/b", "c=d e=f "},
    {BYTES("a/b;\r\n\tname*0*=utf-8''%C3;\r\n\tname*1=x"), "a/b", "name*0*=utf-8''%C3 name*1=x "},
    {BYTES("a/b; c=d((e"), "a/b", "c=d "},
    {BYTES("text"), NULL, NULL},
    {BYTES("/plain"), NULL, NULL},
    {BYTES("text/"), NULL, NULL},
    {BYTES("(text/plain"), NULL, NULL},
    {BYTES("\0"), NULL, NULL},
    {BYTES(""), NULL, NULL},
};

TEST(types_and_their_parameters)
{
    struct arena arena;
    struct buf out;

    arena_init(&arena, 10000);
    buf_init(&out, 1000);
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct mime_type type;
        bool is_type = mime_type_read(types[i].value, &arena, &type);

        expect_row(i, is_type == (types[i].type != NULL));
        if (!is_type)
            continue;
        assert_true(buf_printf(&out, "%.*s/%.*s", BYTES_ARG(type.type), BYTES_ARG(type.subtype)));
        assert_bytes(buf_bytes(&out), types[i].type);
        buf_clear(&out);
        for (const struct mime_param *param = type.params; param != NULL; param = param->next)
            assert_true(
                buf_printf(&out, "%.*s=%.*s ", BYTES_ARG(param->name), BYTES_ARG(param->value)));
        assert_bytes(buf_bytes(&out), types[i].params);
        buf_clear(&out);
    }
    buf_free(&out);
    arena_free(&arena);
}

TEST(sections_of_a_message)
{
    struct mime_message message;

    mime_message_read(bytes_of(nested), &message);
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        struct mime_section section = {.kind = sections[i].kind,
                                       .path = sections[i].path,
                                       .depth = sections[i].depth};
        struct bytes found;
        bool is_found = mime_section_find(&message, &section, &found);

        if (is_found != (sections[i].text != NULL) ||
            (is_found && !bytes_equal(found, bytes_of(sections[i].text))))
            fail_msg("%zu: %.*s", i, is_found ? (int)found.len : 0, (const char *)found.ptr);
    }
    mime_message_free(&message);
}

TEST(fields_by_name)
{
    static const struct bytes names[] = {{(const uint8_t *)"X-A", 3}, {(const uint8_t *)"none", 4}};
    struct mime_section section = {MIME_SECTION_FIELDS, NULL, 0, names, ARRAY_LEN(names)};
    struct bytes header = BYTES("From x\r\nX-A: 1\r\n\tfolded\r\nSubject: s\r\nx-a : 2\r\n\r\n");
    struct buf out;

    buf_init(&out, 100);
    assert_true(mime_section_fields(header, &section, &out));
    assert_bytes(buf_bytes(&out), "X-A: 1\r\n\tfolded\r\nx-a : 2\r\n\r\n");
    buf_clear(&out);
    section.kind = MIME_SECTION_FIELDS_NOT;
    assert_true(mime_section_fields(header, &section, &out));
    assert_bytes(buf_bytes(&out), "Subject: s\r\n\r\n");
    buf_clear(&out);
    assert_true(mime_section_fields(BYTES("Subject: no end"), &section, &out));
    assert_bytes(buf_bytes(&out), "Subject: no end");
    buf_clear(&out);
    assert_true(mime_section_fields(BYTES("\r\n"), &section, &out));
    assert_bytes(buf_bytes(&out), "\r\n");
    buf_free(&out);
    buf_init(&out, 13);
    assert_false(mime_section_fields(header, &section, &out));
    buf_free(&out);
}
