/* test_archive_names.c - what libarchive writes, and what is not so, told as members. */
#include "inbound/archives/archive_names.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <string.h>

#include "inbound/archives/archive_kind.h"
#include "support/unit.h"

enum { ROOM = 4 << 20, TOLD_MAX = 4096 };

struct made {
    uint8_t *ptr;
    size_t len;
};

struct member {
    const char *name;
    struct bytes content;
};

/* An archive of `format` under `filter`, both as libarchive calls them. */
static struct made make(const char *format, const char *filter, const struct member *members,
                        size_t count)
{
    struct archive *a = archive_write_new();
    struct made made = {malloc(ROOM), 0};

    assert_true(made.ptr != NULL);
    assert_true(archive_write_set_format_by_name(a, format) == ARCHIVE_OK);
    assert_true(strcmp(filter, "none") == 0 ||
                archive_write_add_filter_by_name(a, filter) == ARCHIVE_OK);
    assert_true(archive_write_set_bytes_in_last_block(a, 1) == ARCHIVE_OK);
    assert_true(archive_write_open_memory(a, made.ptr, ROOM, &made.len) == ARCHIVE_OK);
    for (size_t i = 0; i < count; i++) {
        struct archive_entry *entry = archive_entry_new();

        archive_entry_set_pathname(entry, members[i].name);
        archive_entry_set_filetype(entry, AE_IFREG);
        archive_entry_set_size(entry, (la_int64_t)members[i].content.len);
        assert_true(archive_write_header(a, entry) == ARCHIVE_OK);
        assert_true(archive_write_data(a, members[i].content.ptr, members[i].content.len) ==
                    (la_ssize_t)members[i].content.len);
        archive_entry_free(entry);
    }
    assert_true(archive_write_close(a) == ARCHIVE_OK);
    archive_write_free(a);
    return made;
}

struct told {
    char text[TOLD_MAX]; /* "1 a.txt,2 b.zip/c.txt" */
    size_t len;
    unsigned count, encrypted, nested;
};

static void tell(void *context, const struct archive_member *member)
{
    struct told *told = context;

    told->len += (size_t)snprintf(told->text + told->len, TOLD_MAX - told->len, "%s%u %.*s",
                                  told->count > 0 ? "," : "", member->depth,
                                  BYTES_ARG(bytes_slice(member->path, 0, 64)));
    assert_true(told->len < TOLD_MAX);
    assert_true(member->path.len <= ARCHIVE_PATH_MAX);
    told->count++;
    told->encrypted += member->is_encrypted;
    told->nested += member->is_nested;
}

static enum archive_result names_of(struct bytes archive, unsigned max, struct told *told)
{
    *told = (struct told){.text = ""};
    return archive_names(archive, max, tell, told);
}

static struct bytes made_bytes(struct made made)
{
    return bytes_range(made.ptr, made.len);
}

static const struct member two[] = {{"bin/a.exe", BYTES("MZ and more")}, {"b.txt", BYTES("b")}};

static const struct {
    const char *format, *filter;
} forms[] = {
    {"ustar", "none"}, {"pax", "gzip"},  {"gnutar", "bzip2"}, {"pax", "xz"},    {"pax", "lzma"},
    {"pax", "zstd"},   {"pax", "lz4"},   {"pax", "compress"}, {"7zip", "none"}, {"zip", "none"},
    {"cpio", "none"},  {"newc", "gzip"}, {"iso9660", "none"},
};

TEST(members_are_told_of_every_form)
{
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        struct made made = make(forms[i].format, forms[i].filter, two, ARRAY_LEN(two));
        struct told told;
        bool is_iso = strcmp(forms[i].format, "iso9660") == 0; /* in an order of its own */

        expect_row(i, names_of(made_bytes(made), 10, &told) == ARCHIVE_WHOLE);
        expect_row(i, told.count == 2 && told.encrypted == 0 && told.nested == 0);
        expect_row(i, is_iso || strcmp(told.text, "1 bin/a.exe,1 b.txt") == 0);
        expect_row(i, strstr(told.text, "bin/a.exe") != NULL);
        expect_row(i, is_iso ||
                          archive_kind(bytes_slice(made_bytes(made), 0, ARCHIVE_START)) ==
                              (strcmp(forms[i].format, "zip") == 0 ? ARCHIVE_ZIP : ARCHIVE_OTHER));
        free(made.ptr);
    }
}

TEST(archives_in_archives_are_read_to_a_depth)
{
    static const struct member innermost[] = {{"deep.exe", BYTES("MZ")}};
    struct made made[ARCHIVE_DEPTH + 1];
    struct told told;

    made[0] = make("zip", "none", innermost, 1);
    for (size_t i = 1; i <= ARCHIVE_DEPTH; i++) {
        const struct member around[] = {{i % 2 == 0 ? "in.zip" : "in.tgz", made_bytes(made[i - 1])},
                                        {"other.txt", BYTES("x")}};

        made[i] = make(i % 2 == 0 ? "pax" : "zip", i % 2 == 0 ? "gzip" : "none", around, 2);
    }
    /* Three in one another are all read, of four the innermost is not. */
    assert_true(names_of(made_bytes(made[2]), 10, &told) == ARCHIVE_WHOLE);
    assert_true(strcmp(told.text, "1 in.zip,2 in.zip/in.tgz,3 in.zip/in.tgz/deep.exe,"
                                  "2 in.zip/other.txt,1 other.txt") == 0);
    assert_true(told.nested == 2);
    assert_true(names_of(made_bytes(made[3]), 10, &told) == ARCHIVE_UNREAD);
    assert_true(strstr(told.text, "deep.exe") == NULL && told.count == 6);
    for (size_t i = 0; i <= ARCHIVE_DEPTH; i++)
        free(made[i].ptr);
}

TEST(what_is_unpacked_of_archives_in_it_is_bounded)
{
    static uint8_t zeros[1 << 20];
    struct member content = {"zero", {zeros, sizeof(zeros)}};
    struct member inner[ARCHIVE_UNPACKED / sizeof(zeros) + 1];
    struct told told;

    for (size_t i = 0; i < ARRAY_LEN(inner); i++)
        inner[i] = content;
    /* As one gzip file they are some kilobytes, as the tar file that is in it too many. */
    struct archive *a = archive_write_new();
    struct made tar = {malloc(32 << 20), 0};

    assert_true(archive_write_set_format_ustar(a) == ARCHIVE_OK);
    assert_true(archive_write_open_memory(a, tar.ptr, 32 << 20, &tar.len) == ARCHIVE_OK);
    for (size_t i = 0; i < ARRAY_LEN(inner); i++) {
        struct archive_entry *entry = archive_entry_new();

        archive_entry_set_pathname(entry, "zero");
        archive_entry_set_filetype(entry, AE_IFREG);
        archive_entry_set_size(entry, sizeof(zeros));
        assert_true(archive_write_header(a, entry) == ARCHIVE_OK);
        assert_true(archive_write_data(a, zeros, sizeof(zeros)) == sizeof(zeros));
        archive_entry_free(entry);
    }
    archive_write_free(a);
    const struct member around[] = {{"in.tar", made_bytes(tar)}, {"last.txt", BYTES("x")}};
    struct made made = make("pax", "gzip", around, 2);

    assert_true(names_of(made_bytes(tar), 100, &told) == ARCHIVE_WHOLE);
    assert_true(names_of(made_bytes(made), 100, &told) == ARCHIVE_UNREAD);
    /* What is there is told, and so is what comes behind it. */
    assert_true(strstr(told.text, "2 in.tar/zero") != NULL);
    assert_true(strstr(told.text, "1 last.txt") != NULL);
    free(tar.ptr);
    free(made.ptr);
}

TEST(more_members_than_may_be_told_are_crowded)
{
    struct made made = make("pax", "gzip", two, ARRAY_LEN(two));
    struct told told;

    assert_true(names_of(made_bytes(made), 2, &told) == ARCHIVE_WHOLE && told.count == 2);
    assert_true(names_of(made_bytes(made), 1, &told) == ARCHIVE_CROWDED && told.count == 1);
    free(made.ptr);
}

TEST(of_long_paths_the_end_is_told)
{
    char name[2000];
    struct told told;

    memset(name, 'a', sizeof(name));
    memcpy(name + sizeof(name) - 5, ".exe", 5);
    const struct member long_one[] = {{name, BYTES("x")}};
    struct made made = make("pax", "none", long_one, 1);

    assert_true(names_of(made_bytes(made), 2, &told) == ARCHIVE_WHOLE && told.count == 1);
    free(made.ptr);
}

TEST(one_packed_file_has_the_name_that_gzip_keeps)
{
    /* gzip of "hello", called a.exe; with an extra field before; without a name. */
#define DEFLATED "\xcb\x48\xcd\xc9\xc9\x07\x00\x86\xa6\x10\x36\x05\0\0\0"
    static const struct {
        struct bytes bytes;
        const char *told;
    } rows[] = {
        {BYTES("\x1f\x8b\x08\x08\0\0\0\0\0\x03"
               "a.exe\0" DEFLATED),
         "1 a.exe"},
        {BYTES("\x1f\x8b\x08\x0c\0\0\0\0\0\x03"
               "\x04\0"
               "Ab\0\0"
               "a.exe\0" DEFLATED),
         "1 a.exe"},
        {BYTES("\x1f\x8b\x08\0\0\0\0\0\0\x03" DEFLATED), ""},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct told told;

        expect_row(i, names_of(rows[i].bytes, 2, &told) == ARCHIVE_WHOLE);
        expect_row(i, strcmp(told.text, rows[i].told) == 0);
    }
}

TEST(what_cannot_be_read_is_told_so)
{
    struct made tar = make("pax", "none", two, ARRAY_LEN(two));
    struct made gz = make("pax", "gzip", two, ARRAY_LEN(two));
    const struct {
        struct bytes bytes;
    } rows[] = {
        {BYTES("hello, this is no archive at all")},
        {BYTES("")},
        {BYTES("Rar!\x1a\x07\0 and nothing of it")},
        {BYTES("Rar!\x1a\x07\x01\0 and nothing of it")},
        {BYTES("7z\xbc\xaf\x27\x1c")},
        {bytes_slice(made_bytes(tar), 0, tar.len - 1300)},
        {bytes_slice(made_bytes(gz), 0, gz.len / 2)},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct told told;

        expect_row(i, names_of(rows[i].bytes, 5, &told) == ARCHIVE_UNREAD);
    }
    free(tar.ptr);
    free(gz.ptr);
}

TEST(names_say_what_is_an_archive_and_what_unpacking_makes_of_it)
{
    assert_true(archive_kind_has_name(BYTES("A.ZIP")) && archive_kind_has_name(BYTES("a.tar.gz")));
    assert_true(archive_kind_has_name(BYTES("a.gz")) && archive_kind_has_name(BYTES("a.iso")));
    assert_true(!archive_kind_has_name(BYTES("a.txt")) && !archive_kind_has_name(BYTES("zip")));
    assert_true(bytes_equal(archive_kind_unpacked(BYTES("a.exe.GZ")), BYTES("a.exe")));
    assert_true(bytes_equal(archive_kind_unpacked(BYTES("a.exe")), BYTES("a.exe")));
    assert_true(archive_kind(BYTES("text")) == ARCHIVE_NONE &&
                archive_kind(BYTES("")) == ARCHIVE_NONE);
}
