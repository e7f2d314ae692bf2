/* test_mailbox.c - the addresses of a field, also as published suites see them. */
/* modules: smtp event */
#include "smtp/mailbox.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smtp/address.h"
#include "support/unit.h"

/* As much memory as the value has bytes: AddressSanitizer sees one byte too many. */
static enum mailbox_step read_all(struct bytes value, char *out, size_t size)
{
    uint8_t *exact = malloc(value.len + 1);
    struct mailbox_reader reader;
    struct mailbox mailbox;
    enum mailbox_step step;
    size_t len = 0;

    if (value.len > 0)
        memcpy(exact, value.ptr, value.len);
    mailbox_reader_init(&reader, bytes_range(exact, value.len));
    out[0] = '\0';
    while ((step = mailbox_next(&reader, &mailbox)) == MAILBOX_FOUND) {
        len += (size_t)snprintf(out + len, size - len, "%s%.*s@%.*s", len > 0 ? " " : "",
                                BYTES_ARG(mailbox_local(&mailbox)),
                                BYTES_ARG(mailbox_domain(&mailbox)));
        assert_true(len < size);
    }
    assert_int_equal(mailbox_next(&reader, &mailbox), MAILBOX_END); /* over is over */
    free(exact);
    return step;
}

static const struct {
    const char *value;
    const char *found; /* NULL: no list of addresses */
} rows[] = {
    {"a@b.example", "a@b.example"},
    {" A B <a@b.example>", "a@b.example"},
    {"\"A, B\" <a@b.example>, c@d.example", "a@b.example c@d.example"},
    {"<a@b.example>", "a@b.example"},
    {"a@B.Example", "a@B.Example"},
    {"\"a b\"@c.example", "a b@c.example"},
    {"\"a\\\"b\".c@d.example", "a\"b.c@d.example"},
    {"\"a@b\"@c.example", "a@b@c.example"},
    {"a . b @ c . example (of (all) \\) things)", "a.b@c.example"},
    {"(x)a(y)@(z)b.example(w)", "a@b.example"},
    {"J. Q. Public <a@b.example>", "a@b.example"},
    {"<@r.example,@s.example:a@b.example>", "a@b.example"},
    {"<,@r.example,,:a@b.example>", "a@b.example"},
    {"a@[192.0.2.1]", "a@[192.0.2.1]"},
    {"a@[ IPv6:\r\n 2001:db8::1 ]", "a@[IPv6:2001:db8::1]"},
    {"nobody:;", ""},
    {"some: a@b.example, C <c@d.example>;, e@f.example", "a@b.example c@d.example e@f.example"},
    {"a:;,b:x@y.example;", "x@y.example"},
    {",, a@b.example ,, c@d.example,", "a@b.example c@d.example"},
    {"", ""},
    {" ,", ""},
    {"a\r\n @b.example", "a@b.example"},
    {"\"a\r\n b\"@c.example", "a b@c.example"},
    {"j\xc3\xb6rg@b\xc3\xbc"
     "cher.example",
     "j\xc3\xb6rg@b\xc3\xbc"
     "cher.example"},
    {"M\xfcller <a@b.example>", "a@b.example"},   /* no UTF-8, beside the address */
    {"a@b.example <c@d.example>", "c@d.example"}, /* common, and the brackets count */
    {"\"a@b.example\" <c@d.example>", "c@d.example"},
    {"=?utf-8?q?Doe,_John_<x@y.example>?= <a@b.example>", "a@b.example"},
    {"=?utf-8?q?Doe <a@b.example>", "a@b.example"}, /* an atom then */
    {"=?utf-8?q?a?b?= <a@b.example>", "a@b.example"},

    {"a", NULL},
    {"Doe, John <a@b.example>", NULL},
    {"a@", NULL},
    {"@b.example", NULL},
    {"a@b.example c", NULL},
    {"a@b.example <", NULL},
    {"<a@b.example", NULL},
    {"<a@b.example> c", NULL},
    {"<>", NULL},
    {"a <>", NULL},
    {"a@@b.example", NULL},
    {"a@b@c.example", NULL},
    {".a@b.example", NULL},
    {"a..b@c.example", NULL},
    {"a@b..example", NULL},
    {"a@b.example.", NULL},
    {"a b@c.example", NULL},
    {"\"a@b.example", NULL},
    {"(a@b.example", NULL},
    {"((x)a@b.example", NULL},
    {"x)a@b.example", NULL},
    {"some: a@b.example", NULL},
    {"some: a@b.example; c@d.example", NULL},
    {"some: more: a@b.example;;", NULL},
    {":a@b.example;", NULL},
    {"a@b.example;", NULL},
    {"a@[192.0.2.1", NULL},
    {"a@[[192.0.2.1]", NULL},
    {"a@b.example\r\n", NULL},
    {"a\r@b.example", NULL},
    {"a\n @b.example", NULL},
    {"\xfc@b.example", NULL},
    {"a@\xfc.example", NULL},
    {"a@b.example \\", NULL},
    {"\"\\", NULL},
};

TEST(next_finds_what_is_there_and_refuses_the_rest)
{
    char found[512];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        enum mailbox_step step = read_all(bytes_of(rows[i].value), found, sizeof(found));

        if ((step == MAILBOX_END) != (rows[i].found != NULL))
            fail_msg("row %zu: %s", i, rows[i].value);
        if (rows[i].found != NULL)
            assert_string_equal(found, rows[i].found);
    }
}

TEST(next_tells_what_stands_before_the_brackets)
{
    struct mailbox_reader reader;
    struct mailbox mailbox;

    mailbox_reader_init(&reader, BYTES(" \"A\" B <a@b.example>, c@d.example"));
    assert_int_equal(mailbox_next(&reader, &mailbox), MAILBOX_FOUND);
    assert_true(bytes_equal(mailbox.display, BYTES("\"A\" B")));
    assert_int_equal(mailbox_next(&reader, &mailbox), MAILBOX_FOUND);
    assert_int_equal(mailbox.display.len, 0);
}

TEST(next_bounds_addresses)
{
    char value[600], found[600];

    for (size_t len = 250; len < 260; len++) {
        memset(value, 'a', sizeof(value));
        snprintf(value + len, sizeof(value) - len, "@b.example");
        expect_row(len, (read_all(bytes_of(value), found, sizeof(found)) == MAILBOX_END) ==
                            (len <= MAILBOX_LOCAL_MAX));
        memset(value, 'a', sizeof(value));
        memcpy(value, "x@", 2);
        value[2 + len] = '\0';
        expect_row(len, (read_all(bytes_of(value), found, sizeof(found)) == MAILBOX_END) ==
                            (len <= MAILBOX_DOMAIN_MAX));
    }
}

/* Deep comments and long lists take no stack and no time to speak of. */
TEST(next_takes_a_megabyte)
{
    enum { LEN = 1 << 20 };
    uint8_t *value = malloc(LEN);
    struct mailbox_reader reader;
    struct mailbox mailbox;
    size_t count = 0;

    memset(value, '(', LEN / 2);
    memset(value + LEN / 2, ')', LEN / 2);
    mailbox_reader_init(&reader, bytes_range(value, LEN));
    assert_int_equal(mailbox_next(&reader, &mailbox), MAILBOX_END);
    for (size_t i = 0; i + 4 <= LEN; i += 4)
        memcpy(value + i, "a@b,", 4);
    mailbox_reader_init(&reader, bytes_range(value, LEN));
    while (mailbox_next(&reader, &mailbox) == MAILBOX_FOUND)
        count++;
    assert_int_equal(count, LEN / 4);
    memset(value, '=', LEN);
    for (size_t i = 1; i < LEN; i += 2)
        value[i] = '?';
    mailbox_reader_init(&reader, bytes_range(value, LEN));
    assert_int_equal(mailbox_next(&reader, &mailbox), MAILBOX_BROKEN);
    free(value);
}

/* --- suites ----------------------------------------------------------------------------------- */

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    size_t len = 0, size = 1 << 20;
    char *text = malloc(size);

    if (file == NULL)
        fail_msg("%s is missing", path);
    len = fread(text, 1, size - 1, file);
    fclose(file);
    text[len] = '\0';
    return text;
}

/* Folds of the suite end in LF: CRLF on the wire. The last line end is no part of the value. */
static struct bytes on_the_wire(const char *text, char out[static 4096])
{
    size_t len = 0;

    for (const char *c = text; *c != '\0'; c++) {
        assert_true(len + 2 < 4096);
        if (*c == '\n' && (c == text || c[-1] != '\r'))
            out[len++] = '\r';
        out[len++] = *c;
    }
    while (len > 0 && (out[len - 1] == '\n' || out[len - 1] == '\r'))
        len--;
    return bytes_range(out, len);
}

static size_t add_addresses(const json_t *list, char *out, size_t size, size_t len)
{
    const json_t *one;
    size_t i;

    json_array_foreach(list, i, one)
    {
        const json_t *inner = json_object_get(one, "addresses");
        const char *address = json_string_value(json_object_get(one, "address"));

        if (inner != NULL)
            len = add_addresses(inner, out, size, len);
        else if (address != NULL)
            len += (size_t)snprintf(out + len, size - len, "%s%s", len > 0 ? " " : "", address);
    }
    return len;
}

/* The reader behind the suite is lenient: of 60 fields 18 are no address lists by RFC 5322 (words
 * that belong to no address, URLs in brackets, a group without a comma behind it, a quoted CR), and
 * of these two its answer keeps a route and spaces of the domain, which are no part of it. */
TEST(suite_of_address_fields)
{
    static const char *const ours[] = {
        "mary@example.net jdoe@test.example",
        "jdoe@machine.example",
    };
    char *text = read_file("../shared/suites/mime/address.json");
    json_t *cases = json_loads(text, 0, NULL);
    char wire[4096], expected[4096], found[4096];
    size_t same = 0, refused = 0, other = 0, i;
    const json_t *one;

    assert_non_null(cases);
    json_array_foreach(cases, i, one)
    {
        const json_t *wanted = json_object_get(one, "expected");
        const json_t *list = json_object_get(wanted, "List");
        const char *header = json_string_value(json_object_get(one, "header"));

        if (list == NULL)
            list = json_object_get(wanted, "Group");
        expected[0] = '\0';
        add_addresses(list, expected, sizeof(expected), 0);
        if (read_all(on_the_wire(header, wire), found, sizeof(found)) == MAILBOX_BROKEN)
            refused++;
        else if (strcmp(found, expected) == 0)
            same++;
        else if (other == ARRAY_LEN(ours) || strcmp(found, ours[other++]) != 0)
            fail_msg("%s\n%s\n%s", header, found, expected);
    }
    assert_int_equal(same, 40);
    assert_int_equal(refused, 18);
    assert_int_equal(other, ARRAY_LEN(ours));
    json_decref(cases);
    free(text);
}

/* The text of an element, with XML's entities and the pictures of control characters decoded. */
static struct bytes decode(const char *from, const char *to, uint8_t out[static 4096])
{
    static const struct {
        const char *entity;
        char byte;
    } entities[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&#39;", '\''}};
    size_t len = 0;

    while (from < to) {
        size_t taken = 1;
        uint8_t byte = (uint8_t)*from;

        for (size_t i = 0; i < ARRAY_LEN(entities); i++)
            if (strncmp(from, entities[i].entity, strlen(entities[i].entity)) == 0) {
                taken = strlen(entities[i].entity);
                byte = (uint8_t)entities[i].byte;
            }
        if (strncmp(from, "&#x", 3) == 0) {
            unsigned code = (unsigned)strtoul(from + 3, NULL, 16);

            taken = (size_t)(strchr(from, ';') + 1 - from);
            byte = (uint8_t)(code >= 0x2400 ? code - 0x2400 : code);
        } else if (byte == 0xe2 && (uint8_t)from[1] == 0x90 && (uint8_t)from[2] < 0xa0) {
            taken = 3; /* U+2400..U+241F */
            byte = (uint8_t)from[2] - 0x80;
        }
        assert_true(len < 4096);
        out[len++] = byte;
        from += taken;
    }
    return bytes_range(out, len);
}

static bool is_among(struct bytes address, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bytes_equal(address, bytes_of(list[i])))
            return true;
    return false;
}

/* Whether a header field may hold it. */
static void expect_verdict(struct bytes address, const char *category)
{
    /* Atoms to RFC 5322; who looks the domain up finds that no host has that name. */
    static const char *const not_hosts[] = {"test@-iana.org", "test@iana-.com", "test@iana.org-"};
    bool is_error = strncmp(category, "ISEMAIL_ERR", 11) == 0;
    char found[4096];
    enum mailbox_step step = read_all(address, found, sizeof(found));
    bool is_taken = step == MAILBOX_END && found[0] != '\0';

    if (is_among(address, not_hosts, ARRAY_LEN(not_hosts)))
        is_error = false;
    /* Longer than any domain: not kept. */
    if (address.len > MAILBOX_DOMAIN_MAX + 2 && strncmp(category, "ISEMAIL_RFC5322", 15) == 0)
        return;
    if (is_taken == is_error)
        fail_msg("%.20s: %.*s", category, BYTES_ARG(address));
}

/* Whether an envelope may. */
static void expect_envelope_verdict(struct bytes address, const char *category)
{
    static const char *const taken[] = {"ISEMAIL_VALID", "ISEMAIL_DNSWARN", "ISEMAIL_RFC5321"};
    /* Addresses without brackets: RFC 1123 section 2.1. */
    static const char *const refused[] = {"test@iana.123", "test@255.255.255.255"};
    struct smtp_address parsed;
    bool is_valid = false;

    for (size_t i = 0; i < ARRAY_LEN(taken); i++)
        is_valid |= strncmp(category, taken[i], strlen(taken[i])) == 0;
    if (is_among(address, refused, ARRAY_LEN(refused)))
        is_valid = false;
    if (smtp_parse_address(address, &parsed) != is_valid)
        fail_msg("%.20s in an envelope: %.*s", category, BYTES_ARG(address));
}

TEST(suite_of_addresses_with_a_verdict)
{
    char *text = read_file("../shared/suites/isemail/tests.xml");
    const char *at = text;
    size_t count = 0;

    while ((at = strstr(at, "<test id")) != NULL) {
        const char *close = strstr(at, "</test>");
        const char *start = strstr(at, "<address>");
        const char *category = strstr(at, "<category>");
        struct bytes address = BYTES_NONE;
        uint8_t decoded[4096];

        assert_non_null(close);
        assert_non_null(category);
        if (start != NULL && start < close)
            address = decode(start + strlen("<address>"), strstr(start, "</address>"), decoded);
        expect_verdict(address, category + strlen("<category>"));
        expect_envelope_verdict(address, category + strlen("<category>"));
        count++;
        at = close;
    }
    assert_int_equal(count, 164);
    free(text);
}
