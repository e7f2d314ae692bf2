/* test_import_url.c - where mail may be imported from, as it is written. */
#include "inbound/import/import_url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/unit.h"

static const struct {
    const char *text, *user, *host;
    uint16_t port;
    bool is_tls;
} urls[] = {
    {"imaps://anna@mail.example/", "anna", "mail.example", 993, true},
    {"imap://anna@mail.example", "anna", "mail.example", 143, false},
    {"IMAPS://anna%40b.example@mail.example:1993", "anna@b.example", "mail.example", 1993, true},
    {"imap://anna@b.example@mail.example", "anna@b.example", "mail.example", 143, false},
    {"imap://a%3Ab@[::1]:144/", "a:b", "::1", 144, false},
    {"imap://a@[2001:db8::1]", "a", "2001:db8::1", 143, false},
    {"imap://a:secret@mail.example", NULL, NULL, 0, false},
    {"imap://mail.example", NULL, NULL, 0, false},
    {"imap://@mail.example", NULL, NULL, 0, false},
    {"imap://a@", NULL, NULL, 0, false},
    {"imap://a@h:0", NULL, NULL, 0, false},
    {"imap://a@h:65536", NULL, NULL, 0, false},
    {"imap://a@h:", NULL, NULL, 0, false},
    {"imap://a@h:x", NULL, NULL, 0, false},
    {"imap://a@[::1", NULL, NULL, 0, false},
    {"imap://a@h x", NULL, NULL, 0, false},
    {"imap://a%4@h", NULL, NULL, 0, false},
    {"imap://a%00@h", NULL, NULL, 0, false},
    {"imap://a%0a@h", NULL, NULL, 0, false},
    {"imap://a@h/INBOX", NULL, NULL, 0, false},
    {"pop3://a@h", NULL, NULL, 0, false},
};

TEST(import_url_of_a_server_is_read_or_refused)
{
    struct import_url url;
    char why[IMPORT_WHY_MAX];

    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        why[0] = '\0';
        bool is_one = import_url_read(urls[i].text, &url, why);

        expect_row(i, is_one == (urls[i].user != NULL));
        expect_row(i, is_one || why[0] != '\0');
        if (is_one) {
            expect_row(i, url.kind == IMPORT_IMAP && url.port == urls[i].port);
            expect_row(i, strcmp(url.user, urls[i].user) == 0);
            expect_row(i, strcmp(url.host, urls[i].host) == 0);
            expect_row(i, url.is_implicit_tls == urls[i].is_tls);
        }
    }
}

TEST(import_url_tells_a_maildir_from_a_directory_of_mboxes)
{
    char path[] = "/tmp/ringpost-import-XXXXXX", cur[64], text[80], why[IMPORT_WHY_MAX];
    struct import_url url;

    assert_non_null(mkdtemp(path));
    assert_true(import_url_read(path, &url, why) && url.kind == IMPORT_MBOX);
    snprintf(cur, sizeof(cur), "%s/cur", path);
    assert_int_equal(mkdir(cur, 0700), 0);
    assert_true(import_url_read(path, &url, why) && url.kind == IMPORT_MAILDIR);
    snprintf(text, sizeof(text), "mbox:%s", path);
    assert_true(import_url_read(text, &url, why) && url.kind == IMPORT_MBOX);
    assert_string_equal(url.path, path);
    rmdir(cur);
    rmdir(path);
    assert_false(import_url_read(path, &url, why));
}
