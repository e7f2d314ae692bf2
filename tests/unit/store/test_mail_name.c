/* test_mail_name.c - no name from outside leaves its directory, and each has one of its own. */
#include "inbound/store/mail_name.h"

#include <stdio.h>
#include <string.h>

#include "support/unit.h"

static const struct {
    struct bytes text;
    const char *name; /* NULL: there is none */
} names[] = {
    {BYTES("anna"), "anna"},
    {BYTES("a.b+c_d-e=f,g"), "a.b+c_d-e=f,g"},
    {BYTES("."), "%2E"},
    {BYTES(".."), "%2E."},
    {BYTES("../../etc/passwd"), "%2E.%2F..%2Fetc%2Fpasswd"},
    {BYTES("a\0b"), "a%00b"},
    {BYTES("\"a b\""), "%22a%20b%22"},
    {BYTES("100%"), "100%25"},
    {BYTES("%2e"), "%252e"},
    {BYTES("Anna"), "%41nna"},
    {BYTES("gr\xc3\xb6\xc3\x9f\x65"), "gr%C3%B6%C3%9Fe"},
    {BYTES("a:b\\c\nd"), "a%3Ab%5Cc%0Ad"},
    {BYTES("con"), "con"},
    {BYTES(""), NULL},
};

TEST(account_names_are_safe_and_one_to_one)
{
    char out[MAIL_NAME_MAX + 1];
    uint8_t back[MAIL_NAME_MAX];
    size_t len;

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        expect_row(i, mail_name_encode(names[i].text, out) == (names[i].name != NULL));
        if (names[i].name == NULL)
            continue;
        expect_row(i, strcmp(out, names[i].name) == 0);
        expect_row(i, mail_name_decode(bytes_of(out), back, &len));
        expect_row(i, bytes_equal(bytes_range(back, len), names[i].text));
    }
}

TEST(account_name_of_every_byte_is_a_file_name)
{
    char out[MAIL_NAME_MAX + 1];

    for (unsigned c = 0; c < 256; c++) {
        uint8_t byte = (uint8_t)c;

        expect_row(c, mail_name_encode(bytes_range(&byte, 1), out));
        expect_row(c, strchr(out, '/') == NULL && out[0] != '.' && strlen(out) <= 3);
    }
}

TEST(account_name_that_would_be_too_long_is_refused)
{
    char out[MAIL_NAME_MAX + 1];
    uint8_t text[300];

    memset(text, 'a', sizeof(text));
    assert_true(mail_name_encode(bytes_range(text, 255), out));
    assert_int_equal(strlen(out), 255);
    assert_false(mail_name_encode(bytes_range(text, 256), out));
    memset(text, '/', sizeof(text));
    assert_true(mail_name_encode(bytes_range(text, 85), out));
    assert_false(mail_name_encode(bytes_range(text, 86), out));
}

TEST(account_name_of_another_form_is_not_decoded)
{
    static const char *const others[] = {"",    ".",   "..",    "A",   "%",     "%2",
                                         "%2f", "%61", "a%2Eb", "a/b", "%2E%2", "a\x80"};
    uint8_t back[MAIL_NAME_MAX];
    size_t len;

    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        expect_row(i, !mail_name_decode(bytes_of(others[i]), back, &len));
}

static const struct {
    struct bytes mailbox;
    const char *folder; /* NULL: refused */
} folders[] = {
    {BYTES("INBOX"), ""},
    {BYTES("inbox"), ""},
    {BYTES(""), ""},
    {BYTES("Junk"), ".Junk"},
    {BYTES("Lists/Gr\xc3\xb6\xc3\x9f\x65"), ".Lists.Gr&APYA3w-e"},
    {BYTES("\xe4\xbd\xa0\xe5\xa5\xbd"), ".&T2BZfQ-"},
    {BYTES("\xf0\x9f\x93\xac/x"), ".&2D3c7A-.x"},
    {BYTES("A & B"), ".A &- B"},
    {BYTES("a\xc3\xa4/b"), ".a&AOQ-.b"},
    {BYTES(".."), NULL},
    {BYTES("a/../b"), NULL},
    {BYTES("a.b"), NULL},
    {BYTES("/a"), NULL},
    {BYTES("a/"), NULL},
    {BYTES("a//b"), NULL},
    {BYTES("a\0b"), NULL},
    {BYTES("a\nb"), NULL},
    {BYTES("a\x7f"), NULL},
    {BYTES("\xff"), NULL},
    {BYTES("\xc3"), NULL},
    {BYTES("\xc0\xaf"), NULL},
    {BYTES("\xed\xa0\x80"), NULL},
    {BYTES("\xf4\x90\x80\x80"), NULL},
};

TEST(folder_names_are_those_of_maildir_plus_plus)
{
    char out[MAIL_FOLDER_MAX + 1];

    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        expect_row(i, mail_folder_encode(folders[i].mailbox, out) == (folders[i].folder != NULL));
        expect_row(i, folders[i].folder == NULL || strcmp(out, folders[i].folder) == 0);
    }
}

TEST(folder_name_that_would_be_too_long_is_refused)
{
    char out[MAIL_FOLDER_MAX + 1];
    uint8_t text[300];

    memset(text, 'a', sizeof(text));
    assert_true(mail_folder_encode(bytes_range(text, MAIL_FOLDER_MAX - 1), out));
    assert_false(mail_folder_encode(bytes_range(text, MAIL_FOLDER_MAX), out));
}

TEST(file_name_says_size_and_is_the_same_each_time)
{
    struct mail_file_name name = {1780000000, 0xa, 0x100000000000001, 3, "mta1.ex/ample:x", 77};
    char first[MAIL_NAME_MAX + 1], second[MAIL_NAME_MAX + 1];
    uint64_t size;

    mail_file_name_format(&name, first);
    mail_file_name_format(&name, second);
    assert_string_equal(first, second);
    assert_string_equal(first, "1780000000.R000a0100000000000001N3.mta1.ex_ample_x,S=77,W=77");
    assert_true(mail_file_name_size(bytes_of(first), &size));
    assert_int_equal(size, 77);
    assert_true(mail_file_name_size(BYTES("1.2.h,S=5:2,S"), &size));
    assert_int_equal(size, 5);
    assert_false(mail_file_name_size(BYTES("1.2.h"), &size));
    assert_false(mail_file_name_size(BYTES("1.2.h,S=x"), &size));
    assert_false(mail_file_name_size(BYTES("1.2.h,S=5x"), &size));
    assert_false(mail_file_name_size(BYTES("1.2.h,S=99999999999999999999"), &size));
}
