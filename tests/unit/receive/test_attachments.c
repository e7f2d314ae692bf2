/* test_attachments.c - names and types, however they are written and wherever they lie. */
#include "inbound/receive/attachments.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inbound/receive/decision.h"
#include "support/unit.h"

static const struct attachment_rule rows_of_rules[] = {
    {"*.exe", DECISION_REFUSE},
    {"*.zip", DECISION_TAG},
    {"application/x-ms*", DECISION_REFUSE},
    {"invoice*.doc", DECISION_REFUSE},
};
static const struct attachment_rules all = {.count = ARRAY_LEN(rows_of_rules),
                                            .rules = rows_of_rules,
                                            .size_max = 300};

/* In pieces of `step` bytes. */
static struct attachment_found look(const char *message, size_t step)
{
    struct attachments *a = attachments_open();
    struct bytes rest = bytes_of(message);

    while (rest.len > 0) {
        attachments_feed(a, &all, bytes_slice(rest, 0, step));
        rest = bytes_slice(rest, MIN(step, rest.len), rest.len);
    }
    struct attachment_found found = *attachments_end(a, &all);

    attachments_free(&a);
    return found;
}

#define PART(header) \
    "Content-Type: multipart/mixed; boundary=\"b1\"\r\n\r\npreamble\r\n--b1\r\n" header \
    "\r\n\r\nbody\r\n--b1--\r\n"

static const struct {
    const char *message, *pattern; /* NULL: nothing */
} rows[] = {
    {PART("Content-Disposition: attachment; filename=a.exe"), "*.exe"},
    {PART("Content-Disposition: attachment; filename=\"A b.EXE\""), "*.exe"},
    {PART("Content-Disposition: attachment;\r\n filename=\"a.exe\""), "*.exe"},
    {PART("Content-Type: text/plain; name=a.exe"), "*.exe"},
    {PART("Content-Type: application/X-MSDownload"), "application/x-ms*"},
    {PART("Content-Disposition: attachment; filename=\"a.exe. .\""), "*.exe"},
    {PART("Content-Disposition: attachment; filename=\"..\\\\x/a.exe\""), "*.exe"},
    {PART("Content-Disposition: attachment; filename*=utf-8''a%2Ee%78e"), "*.exe"},
    {PART("Content-Disposition: attachment; filename*0=a.e; filename*1=xe"), "*.exe"},
    {PART("Content-Disposition: attachment; filename*1*=%78e; filename*0*=utf-8''%61.e"), "*.exe"},
    {PART("Content-Disposition: attachment; filename=\"=?utf-8?b?YS5leGU=?=\""), "*.exe"},
    {PART("Content-Disposition: attachment; filename=\"=?utf-8?q?a=2Eexe?=\""), "*.exe"},
    {PART("Content-Disposition: attachment; filename=good.txt; filename=a.exe"), "*.exe"},
    {PART("Content-Type: text/plain; name=a.exe\r\nContent-Disposition: inline; filename=b.txt"),
     "*.exe"},
    {PART("Content-Disposition: attachment; filename=\"a.exe:x\""), "*.exe"},
    {PART("Content-Disposition: attachment; filename=a.zip"), "*.zip"},
    {PART("Content-Disposition: attachment; filename=invoice_7.doc"), "invoice*.doc"},
    {PART("Content-Disposition: attachment; filename=a.exe.txt"), NULL},
    {PART("Content-Disposition: attachment; filename=exe"), NULL},
    {PART("X-Comment: attachment; filename=a.exe"), NULL},
    /* The message itself is an attachment. */
    {"Content-Disposition: attachment; filename=a.exe\r\n\r\nbody\r\n", "*.exe"},
    {"Content-Type: application/x-msi\r\n", "application/x-ms*"},
    /* In a message in it, and in a multipart in that. */
    {PART("Content-Type: message/rfc822\r\n\r\nSubject: x\r\n"
          "Content-Disposition: attachment; filename=a.exe"),
     "*.exe"},
    {PART("Content-Type: message/rfc822\r\n\r\nContent-Type: multipart/mixed; boundary=b2\r\n\r\n"
          "--b2\r\nContent-Disposition: attachment; filename=a.exe"),
     "*.exe"},
    /* The text of a body is none. */
    {PART("Content-Type: text/plain\r\n\r\nContent-Disposition: attachment; filename=a.exe"), NULL},
    {"Subject: x\r\n\r\n--b1\r\nContent-Disposition: attachment; filename=a.exe\r\n\r\n", NULL},
    /* A header without an end, a boundary that nobody can keep, and a broken Content-Type. */
    {"Content-Type: multipart/mixed; boundary=b1\r\n\r\n--b1\r\n"
     "Content-Disposition: attachment; filename=a.exe",
     "*.exe"},
    {"Content-Type: multipart/mixed\r\n\r\n--b1\r\n"
     "Content-Disposition: attachment; filename=a.exe\r\n\r\n",
     "*.exe"},
};

TEST(names_and_types_are_found_however_they_are_written)
{
    static const size_t steps[] = {1, 7, 100000};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (size_t j = 0; j < ARRAY_LEN(steps); j++) {
            struct attachment_found found = look(rows[i].message, steps[j]);

            expect_row(i, (!found.is_found) == (rows[i].pattern == NULL));
            expect_row(i, !found.is_found || strcmp(found.pattern, rows[i].pattern) == 0);
            expect_row(i, !found.is_cut && !found.is_too_large);
        }
}

TEST(what_refuses_counts_before_what_tags)
{
    struct attachment_found found =
        look("Content-Type: multipart/mixed; boundary=b1\r\n\r\n--b1\r\n"
             "Content-Disposition: attachment; filename=first.zip\r\n\r\nx\r\n--b1\r\n"
             "Content-Disposition: attachment; filename=\"my \xc3\xa4.exe\"\r\n\r\nx\r\n--b1--\r\n",
             11);

    assert_string_equal(found.pattern, "*.exe");
    assert_string_equal(found.name, "my???.exe");
}

static struct attachment_found look_at_size(const char *header, size_t lines)
{
    char message[8192];
    int len =
        snprintf(message, sizeof(message),
                 "Content-Type: multipart/mixed; boundary=b1\r\n\r\n--b1\r\n%s\r\n\r\n", header);

    for (size_t i = 0; i < lines; i++)
        len += snprintf(message + len, sizeof(message) - (size_t)len, "%s\r\n",
                        "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5");
    snprintf(message + len, sizeof(message) - (size_t)len, "--b1--\r\n");
    return look(message, 13);
}

TEST(sizes_are_those_of_what_has_a_name)
{
    assert_true(look_at_size("Content-Disposition: attachment; filename=a.txt", 5).is_too_large);
    assert_false(look_at_size("Content-Disposition: attachment; filename=a.txt", 4).is_too_large);
    assert_false(look_at_size("Content-Type: text/plain", 50).is_too_large);
    /* Encoded it is a third more: 5 lines of 68 are 255 bytes. */
    assert_false(look_at_size("Content-Transfer-Encoding: base64\r\n"
                              "Content-Disposition: attachment; filename=a.txt",
                              5)
                     .is_too_large);
    struct attachment_found found = look_at_size("Content-Transfer-Encoding: base64\r\n"
                                                 "Content-Disposition: attachment; filename=a.txt",
                                                 6);

    assert_true(found.is_too_large);
    assert_string_equal(found.name, "a.txt");
}

TEST(bounds_hide_nothing)
{
    struct attachments *a = attachments_open();
    char text[128];

    /* More multiparts than boundaries are kept. */
    for (unsigned i = 0; i < 20; i++) {
        snprintf(text, sizeof(text),
                 "Content-Type: multipart/mixed; boundary=x%02u\r\n\r\n--x%02u\r\n", i, i);
        attachments_feed(a, &all, bytes_of(text));
    }
    attachments_feed(a, &all,
                     BYTES("Content-Disposition: attachment; filename=a.exe\r\n\r\nx\r\n"));
    assert_true(attachments_end(a, &all)->is_found);
    attachments_free(&a);
    /* A header of a part that is longer than is read. */
    a = attachments_open();
    attachments_feed(a, &all, BYTES("Content-Type: multipart/mixed; boundary=b1\r\n\r\n--b1\r\n"));
    for (unsigned i = 0; i < 5000; i++)
        attachments_feed(a, &all,
                         BYTES("X-Long: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n"));
    assert_true(attachments_end(a, &all)->is_cut);
    assert_true(attachments_memory(a) < 1 << 20);
    attachments_free(&a);
}

TEST(patterns_follow_table)
{
    static const struct {
        const char *pattern, *text;
        bool matches;
    } table[] = {
        {"*.exe", ".exe", true},
        {"*.exe", "a.EXE", true},
        {"*.exe", "a.exe.b", false},
        {"a*b*c", "abc", true},
        {"a*b*c", "aXbXbXc", true},
        {"a*b*c", "aXc", false},
        {"*", "", true},
        {"", "", true},
        {"", "a", false},
        {"a", "", false},
        {"*/*", "text/plain", true},
        {"**a", "bca", true},
    };

    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        expect_row(i, attachment_matches(table[i].pattern, bytes_of(table[i].text)) ==
                          table[i].matches);
}
