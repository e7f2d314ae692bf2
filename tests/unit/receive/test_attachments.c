/* test_attachments.c - names and types, however they are written and wherever they lie. */
#include "inbound/receive/attachments.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "inbound/archives/archive_frame.h"
#include "inbound/receive/decision.h"
#include "inbound/receive/zip_names.h"
#include "support/unit.h"

static const struct attachment_rule rows_of_rules[] = {
    {"*.exe", DECISION_REFUSE},
    {"*.zip", DECISION_TAG},
    {"application/x-ms*", DECISION_REFUSE},
    {"invoice*.doc", DECISION_REFUSE},
};
static const struct attachment_rules all = {.count = ARRAY_LEN(rows_of_rules),
                                            .rules = rows_of_rules,
                                            .size_max = 300,
                                            .members_max = 4};

static const struct attachment_rule rows_of_archives[] = {
    {"*.exe", DECISION_REFUSE},
    {"archive/encrypted", DECISION_TAG},
    {"archive/nested", DECISION_TAG},
};
static const struct attachment_rules archives = {.count = ARRAY_LEN(rows_of_archives),
                                                 .rules = rows_of_archives,
                                                 .members_max = 4};

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
    {PART("Content-Disposition : attachment; filename=a.exe"), "*.exe"},
    {PART("nonsense\r\nContent-Disposition: attachment; filename=a.exe"), "*.exe"},
    {PART(" folded\r\nContent-Disposition: attachment; filename=a.exe"), "*.exe"},
    {PART("From x\r\nContent-Disposition: attachment; filename=a.exe"), "*.exe"},
    {PART("Content-Disposition: attachment filename=\"a.exe\""), "*.exe"},
    {PART("Content-Disposition: ; filename=a.exe"), "*.exe"},
    {PART("Content-Disposition: filename=a.exe"), "*.exe"},
    {PART("Content-Disposition: filename*=utf-8''a.exe"), "*.exe"},
    {PART("Content-Type: name=\"a.exe\""), "*.exe"},
    {PART("Content-Type: text/plain name=a.exe"), "*.exe"},
    {PART("Content-Disposition: attachment (filename=a.txt)"), NULL},
    {PART("X Y: z\r\nContent-Disposition: attachment; filename=a.exe"), "*.exe"},
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
    /* For most readers it goes on behind this. */
    found = look_at_size("Content-Disposition: attachment; filename=b.txt\r\n\r\n--b1?", 5);
    assert_true(found.is_too_large);
    assert_string_equal(found.name, "b.txt");
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
        {"*ab", "b", false},
        {"a*a", "a", false},
        {"a*ba", "aba", true},
    };

    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        expect_row(i, attachment_matches(table[i].pattern, bytes_of(table[i].text)) ==
                          table[i].matches);
}

/* --- archives --------------------------------------------------------------------------------- */

struct member {
    const char *name;
    const char *unicode; /* NULL: no other name */
    uint16_t flags, method;
    bool is_in_directory; /* else before its content */
};

static void put_u16(struct buf *out, size_t value)
{
    assert_true(buf_append_byte(out, (uint8_t)value) &&
                buf_append_byte(out, (uint8_t)(value >> 8)));
}

static void put_zeros(struct buf *out, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_true(buf_append_byte(out, 0));
}

static void put_member(struct buf *out, const struct member *member)
{
    struct bytes name = bytes_of(member->name), unicode = BYTES_NONE;

    if (member->unicode != NULL)
        unicode = bytes_of(member->unicode);
    assert_true(buf_append(out, member->is_in_directory ? BYTES("PK\1\2") : BYTES("PK\3\4")));
    put_u16(out, 20);
    if (member->is_in_directory)
        put_u16(out, 20);
    put_u16(out, member->flags);
    put_u16(out, member->method);
    put_zeros(out, 16);
    put_u16(out, name.len);
    put_u16(out, unicode.len > 0 ? 9 + unicode.len : 0);
    if (member->is_in_directory)
        put_zeros(out, 14);
    assert_true(buf_append(out, name));
    if (unicode.len == 0)
        return;
    assert_true(buf_append(out, BYTES("up")));
    put_u16(out, 5 + unicode.len);
    put_zeros(out, 5);
    assert_true(buf_append(out, unicode));
}

enum code { CODE_BASE64, CODE_BASE64_PADDED, CODE_QUOTED, CODE_NONE };

/* "tail" is behind it, so that nothing is at the end. */
static void put_encoded(struct buf *out, struct bytes archive, enum code code)
{
    static const char *const fields[] = {
        [CODE_BASE64] = "base64",
        [CODE_BASE64_PADDED] = "(8bit) Base64",
        [CODE_QUOTED] = "quoted-printable",
        [CODE_NONE] = "8bit (base64)",
    };

    assert_true(buf_printf(out,
                           "Content-Type: application/x; name=files.dat\r\n"
                           "Content-Transfer-Encoding: %s\r\n\r\n%s",
                           fields[code], code == CODE_BASE64_PADDED ? "QQ==\r\n" : ""));
    if (code == CODE_BASE64 || code == CODE_BASE64_PADDED) {
        for (; archive.len > 0; archive = bytes_slice(archive, 57, archive.len))
            assert_true(base64_write(bytes_slice(archive, 0, 57), out) &&
                        buf_append(out, BYTES("\r\n")));
    } else if (code == CODE_NONE) {
        assert_true(buf_append(out, archive));
    } else {
        for (size_t i = 0; i < archive.len; i++)
            assert_true(
                archive.ptr[i] == ' '
                    ? buf_append(out, i % 20 == 19 ? BYTES(" =  \r\n") : BYTES(" "))
                    : buf_printf(out, "=%02X%s", archive.ptr[i], i % 20 == 19 ? "=\r\n" : ""));
    }
}

static struct attachment_found look_into(struct bytes archive, enum code code, size_t step)
{
    struct buf message;
    struct attachments *a = attachments_open();

    buf_init(&message, 1 << 24);
    assert_true(
        buf_append(&message, BYTES("Content-Type: multipart/mixed; boundary=b1\r\n\r\n--b1\r\n")));
    put_encoded(&message, archive, code);
    assert_true(buf_append(&message, BYTES("\r\n--b1--\r\n")));
    for (size_t at = 0; at < buf_len(&message); at += step)
        attachments_feed(a, &archives, bytes_slice(buf_bytes(&message), at, step));
    assert_true(attachments_memory(a) < 1 << 20);
    struct attachment_found found = *attachments_end(a, &archives);

    attachments_free(&a);
    buf_free(&message);
    return found;
}

static const struct {
    struct member members[2];
    const char *pattern, *name; /* NULL: nothing */
} archive_rows[] = {
    {{{.name = "a.exe"}}, "*.exe", "files.dat/a.exe"},
    {{{.name = "x/y\\A.EXE. "}}, "*.exe", "files.dat/A.EXE"},
    {{{.name = "a.exe", .is_in_directory = true}}, "*.exe", "files.dat/a.exe"},
    {{{.name = "a.txt"}, {.name = "a.exe", .method = 8}}, "*.exe", "files.dat/a.exe"},
    {{{.name = "a.txt", .unicode = "b.exe"}}, "*.exe", "files.dat/b.exe"},
    {{{.name = "a.txt", .unicode = "b.exe", .is_in_directory = true}}, "*.exe", "files.dat/b.exe"},
    {{{.name = "a.txt"}, {.name = "exe"}}, NULL, NULL},
    {{{.name = "a.txt", .flags = 1, .method = 99}}, "archive/encrypted", "files.dat/a.txt"},
    {{{.name = "a.txt", .flags = 1 << 13}}, "archive/encrypted", "files.dat/a.txt"},
    {{{.name = "a.txt", .flags = 1 << 3 | 1 << 11}}, NULL, NULL},
    {{{.name = "d/a.7z"}}, "archive/nested", "files.dat/a.7z"},
    /* What tags comes first, and what refuses counts. */
    {{{.name = "a.txt", .flags = 1}, {.name = "a.exe"}}, "*.exe", "files.dat/a.exe"},
    /* Bytes that only look like it. */
    {{{.name = "a.exe", .method = 50}}, NULL, NULL},
};

TEST(names_in_archives_are_found_however_they_are_encoded)
{
    static const size_t steps[] = {1, 10, 100000};

    for (size_t i = 0; i < ARRAY_LEN(archive_rows) * 4 * ARRAY_LEN(steps); i++) {
        size_t row = i % ARRAY_LEN(archive_rows), rest = i / ARRAY_LEN(archive_rows);
        struct buf archive;

        buf_init(&archive, 4096);
        assert_true(buf_append(&archive, BYTES("MZ PK PK\3")));
        for (size_t j = 0; j < 2 && archive_rows[row].members[j].name != NULL; j++)
            put_member(&archive, &archive_rows[row].members[j]);
        struct attachment_found found =
            look_into(buf_bytes(&archive), (enum code)(rest % 4), steps[rest / 4]);
        const char *pattern = archive_rows[row].pattern;

        expect_row(row, found.is_found == (pattern != NULL) && !found.is_crowded);
        if (pattern != NULL) {
            expect_row(row, strcmp(found.pattern, pattern) == 0);
            expect_row(row, strcmp(found.name, archive_rows[row].name) == 0);
        }
        buf_free(&archive);
    }
}

TEST(archives_with_more_names_than_are_read_are_refused)
{
    struct buf archive;
    char name[ZIP_HEADER_MAX];

    buf_init(&archive, 1 << 20);
    for (unsigned i = 0; i < 4; i++)
        put_member(&archive, &(struct member){.name = "a.txt"});
    assert_false(look_into(buf_bytes(&archive), CODE_BASE64, 1000).refuses);
    put_member(&archive, &(struct member){.name = "a.txt"});
    struct attachment_found found = look_into(buf_bytes(&archive), CODE_BASE64, 1000);

    assert_true(found.refuses && found.is_crowded);
    assert_string_equal(found.name, "files.dat");
    /* A name in which the next header hides, and one that is longer than anybody's. */
    buf_clear(&archive);
    memset(name, 'x', sizeof(name));
    name[1000] = '\0';
    put_member(&archive, &(struct member){.name = name});
    buf_truncate(&archive, 40);
    put_member(&archive, &(struct member){.name = "a.exe"});
    assert_true(buf_append(&archive, bytes_of(name)));
    assert_string_equal(look_into(buf_bytes(&archive), CODE_BASE64, 1000).name, "files.dat/a.exe");
    buf_clear(&archive);
    name[1000] = 'x';
    name[sizeof(name) - 1] = '\0';
    put_member(&archive, &(struct member){.name = name});
    assert_true(look_into(buf_bytes(&archive), CODE_BASE64, 1000).is_crowded);
    /* Bytes of names are what comparing takes. */
    buf_clear(&archive);
    name[1024] = '\0';
    put_member(&archive, &(struct member){.name = name});
    assert_true(look_into(buf_bytes(&archive), CODE_BASE64, 1000).is_crowded);
    buf_free(&archive);
}

/* --- archives that are read when the message is whole ----------------------------------------- */

static const struct attachment_rule rows_of_read[] = {
    {"*.exe", DECISION_REFUSE},
    {"archive/encrypted", DECISION_TAG},
};
static const struct attachment_rules read_rules = {.count = ARRAY_LEN(rows_of_read),
                                                   .rules = rows_of_read,
                                                   .members_max = 4};
static const struct attachment_rules no_members = {.count = ARRAY_LEN(rows_of_read),
                                                   .rules = rows_of_read};

/* After the end of a message with parts of these names and contents. */
static struct attachments *carry(const struct attachment_rules *rules, size_t count,
                                 const char *const *names, const struct bytes *contents)
{
    struct attachments *a = attachments_open();
    struct buf message;

    buf_init(&message, 256 << 20);
    assert_true(buf_append(&message, BYTES("Content-Type: multipart/mixed; boundary=b1\r\n\r\n")));
    for (size_t i = 0; i < count; i++) {
        assert_true(buf_printf(&message,
                               "\r\n--b1\r\nContent-Disposition: attachment; filename=\"%s\"\r\n"
                               "Content-Transfer-Encoding: base64\r\n\r\n",
                               names[i]));
        for (struct bytes rest = contents[i]; rest.len > 0; rest = bytes_slice(rest, 57, rest.len))
            assert_true(base64_write(bytes_slice(rest, 0, 57), &message) &&
                        buf_append(&message, BYTES("\r\n")));
    }
    assert_true(buf_append(&message, BYTES("\r\n--b1--\r\n")));
    attachments_feed(a, rules, buf_bytes(&message));
    (void)attachments_end(a, rules);
    buf_free(&message);
    return a;
}

static void put_answer(struct buf *out, const char *path, unsigned depth, bool is_encrypted)
{
    const struct archive_frame frame = {.depth = (uint8_t)depth,
                                        .is_encrypted = is_encrypted,
                                        .path_len = (uint16_t)strlen(path)};

    assert_true(buf_append(out, bytes_range(&frame, sizeof(frame))) &&
                buf_append(out, bytes_of(path)));
}

#define GZIP BYTES("\x1f\x8b\x08 and more")

TEST(archives_that_others_read_are_kept_as_they_are)
{
    struct buf zip, deep;

    buf_init(&zip, 4096);
    buf_init(&deep, 4096);
    put_member(&zip, &(struct member){.name = "a.txt"});
    put_member(&deep, &(struct member){.name = "in.zip"});
    const char *const names[] = {"a.tgz", "b.bin", "c.iso", "d.zip", "e.docx", "f.txt"};
    const struct bytes contents[] = {
        GZIP, GZIP, BYTES("?"), buf_bytes(&zip), buf_bytes(&deep), BYTES("text")};
    struct attachments *a = carry(&read_rules, ARRAY_LEN(names), names, contents);

    /* By what they begin with, by name; of zip archives those that have others in them. */
    assert_int_equal(attachments_archive_count(a), 4);
    assert_true(bytes_equal(attachments_archive(a, 0), GZIP));
    assert_true(bytes_equal(attachments_archive(a, 1), GZIP));
    assert_true(bytes_equal(attachments_archive(a, 2), BYTES("?")));
    assert_true(bytes_equal(attachments_archive(a, 3), buf_bytes(&deep)));
    attachments_free(&a);
    a = carry(&no_members, ARRAY_LEN(names), names, contents);
    assert_int_equal(attachments_archive_count(a), 0);
    attachments_free(&a);
    buf_free(&zip);
    buf_free(&deep);
}

static const struct {
    const char *path;
    unsigned depth;
    bool is_encrypted;
    enum archive_result result;
    const char *pattern, *name; /* NULL: nothing */
    bool is_unread, is_crowded;
} answer_rows[] = {
    {"x/setup.EXE. ", 1, false, ARCHIVE_WHOLE, "*.exe", "a.tgz/setup.EXE", false, false},
    {"in.zip/setup.exe", 2, false, ARCHIVE_WHOLE, "*.exe", "a.tgz/setup.exe", false, false},
    {"setup.exe.xz", 1, false, ARCHIVE_WHOLE, "*.exe", "a.tgz/setup.exe.xz", false, false},
    {"read.me", 1, false, ARCHIVE_WHOLE, NULL, NULL, false, false},
    {"read.me", 1, true, ARCHIVE_WHOLE, "archive/encrypted", "a.tgz/read.me", false, false},
    {"", 1, true, ARCHIVE_UNREAD, "archive/encrypted", "a.tgz", true, false},
    {"read.me", 1, false, ARCHIVE_UNREAD, NULL, NULL, true, false},
    {"read.me", 1, false, ARCHIVE_CROWDED, NULL, "a.tgz", false, true},
};

TEST(answers_about_archives_follow_table)
{
    static const char *const names[] = {"a.tgz"};
    static const struct bytes contents[] = {GZIP};

    for (size_t i = 0; i < ARRAY_LEN(answer_rows); i++) {
        struct attachments *a = carry(&read_rules, 1, names, contents);
        const struct attachment_found *found = attachments_found(a);
        struct buf answer;

        buf_init(&answer, 4096);
        put_answer(&answer, answer_rows[i].path, answer_rows[i].depth, answer_rows[i].is_encrypted);
        assert_false(found->is_found || found->refuses);
        attachments_take_answer(a, &read_rules, 0, buf_bytes(&answer), answer_rows[i].result);
        expect_row(i, found->is_found == (answer_rows[i].pattern != NULL));
        expect_row(i, answer_rows[i].pattern == NULL ||
                          strcmp(found->pattern, answer_rows[i].pattern) == 0);
        expect_row(i, answer_rows[i].name == NULL || strcmp(found->name, answer_rows[i].name) == 0);
        expect_row(i, found->is_unread == answer_rows[i].is_unread);
        expect_row(i, !found->is_unread || strcmp(found->unread, "a.tgz") == 0);
        expect_row(i, found->is_crowded == answer_rows[i].is_crowded);
        buf_free(&answer);
        attachments_free(&a);
    }
}

/* They went by: what counts is what lies deeper. */
TEST(members_of_zip_archives_are_counted_once)
{
    struct attachments *a;
    struct buf deep, answer;

    buf_init(&deep, 4096);
    buf_init(&answer, 4096);
    for (unsigned i = 0; i < 4; i++) {
        put_member(&deep, &(struct member){.name = "in.zip"});
        put_answer(&answer, "in.zip", 1, false);
    }
    a = carry(&read_rules, 1, (const char *const[]){"a.zip"}, (struct bytes[]){buf_bytes(&deep)});
    attachments_take_answer(a, &read_rules, 0, buf_bytes(&answer), ARCHIVE_WHOLE);
    assert_false(attachments_found(a)->refuses);
    put_answer(&answer, "in.zip/a.txt", 2, false);
    attachments_take_answer(a, &read_rules, 0, buf_bytes(&answer), ARCHIVE_WHOLE);
    assert_true(attachments_found(a)->is_crowded);
    attachments_free(&a);
    buf_free(&deep);
    buf_free(&answer);
}

TEST(archives_that_are_too_many_or_too_large_are_told)
{
    static uint8_t large[33 << 20];
    const char *names[10];
    struct bytes contents[10];

    memcpy(large, "\x1f\x8b", 2);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        names[i] = i == 8 ? "ninth.tgz" : "a.tgz";
        contents[i] = GZIP;
    }
    struct attachments *a = carry(&read_rules, ARRAY_LEN(names), names, contents);

    assert_int_equal(attachments_archive_count(a), 8);
    assert_true(attachments_found(a)->is_unread);
    assert_string_equal(attachments_found(a)->unread, "ninth.tgz");
    attachments_free(&a);
    /* What was kept of it makes room again. */
    names[0] = "large.tgz";
    contents[0] = bytes_range(large, sizeof(large));
    a = carry(&read_rules, 2, names, contents);
    assert_int_equal(attachments_archive_count(a), 1);
    assert_string_equal(attachments_found(a)->unread, "large.tgz");
    assert_true(attachments_memory(a) < 1 << 20);
    attachments_put_off(a);
    assert_true(attachments_found(a)->is_put_off && attachments_found(a)->refuses);
    assert_string_equal(attachments_found(a)->name, "a.tgz");
    attachments_free(&a);
}

/* More multiparts in one another than boundaries are kept. */
TEST(archives_behind_many_boundaries_are_kept_whole)
{
    struct attachments *a = attachments_open();
    struct buf archive;
    char text[128];

    buf_init(&archive, 1 << 20);
    assert_true(buf_append(&archive, GZIP));
    put_zeros(&archive, 20000);
    for (unsigned i = 0; i < 20; i++) {
        snprintf(text, sizeof(text),
                 "Content-Type: multipart/mixed; boundary=x%02u\r\n\r\n--x%02u\r\n", i, i);
        attachments_feed(a, &read_rules, bytes_of(text));
    }
    attachments_feed(a, &read_rules,
                     BYTES("Content-Disposition: attachment; filename=a.tgz\r\n"
                           "Content-Transfer-Encoding: base64\r\n\r\n"));
    for (struct bytes rest = buf_bytes(&archive); rest.len > 0;
         rest = bytes_slice(rest, 57, rest.len)) {
        struct buf line;

        buf_init(&line, 128);
        assert_true(base64_write(bytes_slice(rest, 0, 57), &line) &&
                    buf_append(&line, BYTES("\r\n")));
        attachments_feed(a, &read_rules, buf_bytes(&line));
        buf_free(&line);
    }
    attachments_feed(a, &read_rules, BYTES("--x19--\r\n--x18--\r\n"));
    (void)attachments_end(a, &read_rules);
    assert_int_equal(attachments_archive_count(a), 1);
    struct bytes kept = attachments_archive(a, 0);

    /* Lines that may be delimiters end it for some readers, so that something may be behind it. */
    assert_true(kept.len >= buf_len(&archive));
    assert_memory_equal(kept.ptr, archive.ptr, buf_len(&archive));
    attachments_free(&a);
    buf_free(&archive);
}

TEST(packed_files_count_as_what_they_unpack_to)
{
    struct attachment_found found =
        look(PART("Content-Disposition: attachment; filename=a.exe.gz"), 1000);

    assert_true(found.is_found);
    assert_string_equal(found.name, "a.exe.gz");
    assert_false(look(PART("Content-Disposition: attachment; filename=a.txt.gz"), 1000).is_found);
}

/* What claims to be longer than the part must not hide what stands in it, or is cut itself. */
TEST(headers_without_their_end_hide_nothing)
{
    static const struct member hidden = {.name = "a.exe", .is_in_directory = true};
    struct buf archive;

    buf_init(&archive, 1 << 16);
    for (enum code code = CODE_BASE64; code <= CODE_NONE; code++) {
        buf_clear(&archive);
        put_member(&archive, &(struct member){.name = "a.txt"});
        archive.ptr[29] = 16; /* 4 KiB of extra fields that are not there */
        put_member(&archive, &hidden);
        assert_string_equal(look_into(buf_bytes(&archive), code, 1000).name, "files.dat/a.exe");
        buf_clear(&archive);
        put_member(&archive, &hidden);
        archive.ptr[31] = 16;
        assert_string_equal(look_into(buf_bytes(&archive), code, 1000).name, "files.dat/a.exe");
    }
    buf_free(&archive);
}

/* For whom it is no delimiter the encoded body goes on behind it, as if it were not there. */
TEST(delimiters_for_some_readers_hide_nothing)
{
    static const char *const lines[] = {"--._.?\r\n\r\n", "--._.?\r\n--._.??\r\n\r\n--._.-\r\n",
                                        "--._.?\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"};

    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct buf archive, message;
        struct attachments *a = attachments_open();

        buf_init(&archive, 4096);
        buf_init(&message, 4096);
        put_zeros(&archive, 30);
        put_member(&archive, &(struct member){.name = "a.exe"});
        assert_true(buf_append(&message, BYTES("Content-Type: multipart/mixed; boundary=\"._.\"\r\n"
                                               "\r\n--._.\r\n"
                                               "Content-Transfer-Encoding: base64\r\n\r\nAAA")) &&
                    buf_append(&message, bytes_of(lines[i])) &&
                    buf_append(&message, i < 2 ? BYTES("A") : BYTES("AA")) &&
                    base64_write(buf_bytes(&archive), &message) &&
                    buf_append(&message, BYTES("\r\n--._.-- \r\n")));
        attachments_feed(a, &archives, buf_bytes(&message));
        assert_string_equal(attachments_end(a, &archives)->name, "a.exe");
        attachments_free(&a);
        buf_free(&message);
        buf_free(&archive);
    }
}

/* Escapes of quoted-printable are three bytes, blanks at the end of a line are none, and a body is
 * decoded some KiB at a time. */
TEST(quoted_printable_is_read_wherever_it_is_cut)
{
    for (size_t padding = 1220; padding < 1330; padding++) {
        struct buf archive;

        buf_init(&archive, 4096);
        put_zeros(&archive, padding);
        put_member(&archive, &(struct member){.name = "a    b    c .exe"});
        assert_string_equal(look_into(buf_bytes(&archive), CODE_QUOTED, 100000).name,
                            "files.dat/a????b????c?.exe");
        buf_free(&archive);
    }
}
