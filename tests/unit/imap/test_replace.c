/* test_replace.c - what REPLACE names (RFC 8508 section 5). */
#include "inbound/imap/append.h"
#include "support/unit.h"

static const struct {
    const char *text;
    bool is_good, is_uid;
    uint32_t number;
    const char *rest;
} replaces[] = {
    {"REPLACE 4 Drafts {10}\r\n", true, false, 4, "Drafts {10}\r\n"},
    {"replace 1 x", true, false, 1, "x"},
    {"UID REPLACE 2000 Drafts", true, true, 2000, "Drafts"},
    {"uid Replace * Drafts", true, true, SEQUENCE_LAST, "Drafts"},
    {"REPLACE 4294967295 Drafts", true, false, UINT32_MAX, "Drafts"},
    {"REPLACE 0 Drafts", false, false, 0, NULL},
    {"REPLACE 4294967296 Drafts", false, false, 0, NULL},
    {"REPLACE 1:2 Drafts", false, false, 0, NULL}, /* one message */
    {"REPLACE $ Drafts", false, false, 0, NULL},
    {"REPLACE 4", false, false, 0, NULL},
    {"REPLACE  4 Drafts", false, false, 0, NULL},
    {"REPLACED 4 Drafts", false, false, 0, NULL},
    {"UID UID REPLACE 4 Drafts", false, false, 0, NULL},
    {"UIDREPLACE 4 Drafts", false, false, 0, NULL},
    {"APPEND 4 Drafts", false, false, 0, NULL},
    {"", false, false, 0, NULL},
};

TEST(replace_names_one_message)
{
    for (size_t i = 0; i < ARRAY_LEN(replaces); i++) {
        struct bytes text = bytes_of(replaces[i].text), rest = text;
        struct replaced replaced = {0};

        assert_true(imap_take_replace(&rest, &replaced) == replaces[i].is_good);
        if (!replaces[i].is_good) {
            assert_int_equal(rest.len, text.len);
            continue;
        }
        assert_true(replaced.is_one);
        assert_true(replaced.is_uid == replaces[i].is_uid);
        assert_int_equal(replaced.number, replaces[i].number);
        assert_true(bytes_equal(rest, bytes_of(replaces[i].rest)));
    }
}
