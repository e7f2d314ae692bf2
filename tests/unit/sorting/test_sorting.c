/* test_sorting.c - scripts on disk, and what they make of a message. */
#include "inbound/sorting/sorting.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "inbound/sorting/account_script.h"
#include "support/unit.h"

#define DOMAIN BYTES("b.example")
#define LOCAL BYTES("anna")

struct room {
    char top[64], directory[96];
    struct filing_target usual;
    struct bytes content;
    struct sorting sorting;
};

static void open_room(struct room *room)
{
    *room = (struct room){.top = "/tmp/ringpost-sorting-XXXXXX",
                          .content = BYTES("Subject: hello\r\n\r\nX-Body: y\r\n")};
    assert_non_null(mkdtemp(room->top));
    snprintf(room->directory, sizeof(room->directory), "%s/sieve", room->top);
}

static void close_room(struct room *room)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s", room->top);
    assert_int_equal(system(command), 0);
}

static void install(const struct room *room, const char *text)
{
    assert_int_equal(account_script_write(room->directory, DOMAIN, LOCAL, bytes_of(text)), 0);
}

static const struct sorting *sort_it(struct room *room)
{
    struct sorting_request request = {
        .directory = room->directory,
        .domain = DOMAIN,
        .local = LOCAL,
        .from = BYTES("x@a.example"),
        .to = BYTES("Anna+d@b.example"),
        .head = BYTES("Return-Path: <x@a.example>\r\nDelivered-To: anna@b.example\r\n"),
        .prefix = BYTES("X-Spam: Yes\r\nReceived: from a\r\n"),
        .content = room->content,
        .usual = &room->usual,
    };

    sort_message(&request, &room->sorting);
    return &room->sorting;
}

static const struct sorting *sort_by(struct room *room, const char *text)
{
    install(room, text);
    return sort_it(room);
}

static bool is_in(const struct sorting *sorting, size_t number, const char *folder,
                  const char *flags)
{
    return number < sorting->target_count && strcmp(sorting->targets[number].folder, folder) == 0 &&
           strcmp(sorting->targets[number].flags, flags) == 0;
}

TEST(mail_without_a_script_is_as_it_was)
{
    struct room room;

    open_room(&room);
    assert_int_equal(sort_it(&room)->kind, SORTING_NONE); /* there is not even the directory */
    install(&room, "discard;");
    assert_int_equal(sort_it(&room)->kind, SORTING_DISCARDED);
    assert_int_equal(account_script_remove(room.directory, DOMAIN, LOCAL), 0);
    assert_int_equal(account_script_remove(room.directory, DOMAIN, LOCAL), -ENOENT);
    assert_int_equal(sort_it(&room)->kind, SORTING_NONE);
    close_room(&room);
}

TEST(scripts_see_all_of_the_message)
{
    static const char *const tests[] = {
        "header :is \"return-path\" \"<x@a.example>\"",
        "header :is \"x-spam\" \"yes\"",
        "exists \"Received\"",
        "header :is \"subject\" \"hello\"",
        "not exists \"X-Body\"",
        "size :over 117",
        "size :under 119",
        "envelope :is \"from\" \"x@a.example\"",
        "envelope :is \"to\" \"Anna+d@b.example\"",
    };
    struct room room;
    char text[256];

    open_room(&room);
    for (size_t i = 0; i < ARRAY_LEN(tests); i++) {
        snprintf(text, sizeof(text), "require \"envelope\"; if %s { discard; }", tests[i]);
        expect_row(i, sort_by(&room, text)->kind == SORTING_DISCARDED);
    }
    close_room(&room);
}

TEST(actions_become_folders_and_flags)
{
    const struct sorting *sorting;
    struct room room;

    open_room(&room);
    sorting = sort_by(&room, "require [\"fileinto\", \"imap4flags\", \"copy\"];"
                             "addflag [\"\\\\seen\", \"\\\\Draft\", \"$Junk\"];"
                             "fileinto \"Lists/Gr\xc3\xb6\xc3\x9f\x65\";"
                             "fileinto :copy :flags [\"\\\\Deleted\", \"\\\\Flagged\","
                             " \"\\\\Answered\"] \"INBOX\";"
                             "fileinto :flags \"a\" \"x\";");
    assert_int_equal(sorting->kind, SORTING_FILED);
    assert_int_equal(sorting->target_count, 3);
    assert_true(is_in(sorting, 0, ".Lists.Gr&APYA3w-e", "DS"));
    assert_true(is_in(sorting, 1, "", "FRT"));
    assert_true(is_in(sorting, 2, ".x", ""));
    close_room(&room);
}

/* keep is what happens without a script: spam that was found goes to Junk, but by name the inbox is
 * the inbox. What means one folder is one, with the flags of the last. */
TEST(keep_goes_where_mail_goes_without_a_script)
{
    const struct sorting *sorting;
    struct room room;

    open_room(&room);
    snprintf(room.usual.folder, sizeof(room.usual.folder), ".Junk");
    sorting = sort_by(&room, "keep;");
    assert_int_equal(sorting->target_count, 1);
    assert_true(is_in(sorting, 0, ".Junk", ""));
    sorting = sort_by(&room, "");
    assert_true(is_in(sorting, 0, ".Junk", ""));
    sorting = sort_by(&room, "require \"fileinto\"; fileinto \"inbox\";");
    assert_int_equal(sorting->target_count, 1);
    assert_true(is_in(sorting, 0, "", ""));
    sorting = sort_by(&room, "require [\"fileinto\", \"imap4flags\"];"
                             "fileinto \"Junk\"; setflag \"\\\\Seen\"; keep;");
    assert_int_equal(sorting->target_count, 1);
    assert_true(is_in(sorting, 0, ".Junk", "S"));
    room.usual.folder[0] = '\0';
    sorting = sort_by(&room, "require [\"fileinto\", \"copy\"]; fileinto :copy \"INBOX\";");
    assert_int_equal(sorting->target_count, 1);
    close_room(&room);
}

TEST(redirects_are_told_beside_what_is_filed)
{
    const struct sorting *sorting;
    struct room room;

    open_room(&room);
    sorting = sort_by(&room, "redirect \"x@y.example\"; redirect \"A <z@y.example>\";");
    assert_int_equal(sorting->kind, SORTING_REDIRECTED);
    assert_int_equal(sorting->target_count, 0);
    assert_int_equal(sorting->redirect_count, 2);
    assert_string_equal(sorting->redirects[0], "x@y.example");
    assert_string_equal(sorting->redirects[1], "z@y.example");
    sorting = sort_by(&room, "redirect \"x@y.example\"; keep;");
    assert_int_equal(sorting->kind, SORTING_FILED);
    assert_int_equal(sorting->target_count, 1);
    assert_int_equal(sorting->redirect_count, 1);
    close_room(&room);
}

TEST(what_was_redirected_before_is_kept)
{
    static const struct {
        struct bytes content;
        enum sorting_kind kind;
    } rows[] = {
        {BYTES("Delivered-To: Anna@B.example\r\n\r\n"), SORTING_NONE},
        {BYTES("Subject: a\r\ndelivered-to:anna@b.example \r\n\r\n"), SORTING_NONE},
        {BYTES("Delivered-To: bob@b.example\r\n\r\n"), SORTING_REDIRECTED},
        {BYTES("Delivered-To: anna@b.example.org\r\n\r\n"), SORTING_REDIRECTED},
        {BYTES("X: y\r\n\r\nDelivered-To: anna@b.example\r\n"), SORTING_REDIRECTED},
    };
    struct room room;

    open_room(&room);
    install(&room, "redirect \"x@y.example\";");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        room.content = rows[i].content;
        expect_row(i, sort_it(&room)->kind == rows[i].kind);
    }
    close_room(&room);
}

TEST(reasons_are_lines_that_end_in_lf)
{
    const struct sorting *sorting;
    struct room room;

    open_room(&room);
    sorting = sort_by(&room, "require \"reject\"; reject text:\nno,\n\n really\n\n.\n;");
    assert_int_equal(sorting->kind, SORTING_REJECTED);
    assert_string_equal(sorting->reason, "no,\n\n really");
    close_room(&room);
}

TEST(what_does_not_count_leaves_mail_as_it_was)
{
    static const char *const scripts[] = {
        "discard; frob;",
        "require \"reject\"; reject \"a\"; keep;",
        "require \"fileinto\"; fileinto \"a.b\";",
    };
    struct buf many;
    struct room room;

    open_room(&room);
    for (size_t i = 0; i < ARRAY_LEN(scripts); i++)
        expect_row(i, sort_by(&room, scripts[i])->kind == SORTING_NONE);
    buf_init(&many, 4096);
    assert_true(buf_append(&many, BYTES("require \"fileinto\";")));
    for (unsigned i = 0; i <= FILING_TARGETS_MAX; i++)
        assert_true(buf_printf(&many, "fileinto \"f%u\";", i));
    assert_int_equal(account_script_write(room.directory, DOMAIN, LOCAL, buf_bytes(&many)), 0);
    assert_int_equal(sort_it(&room)->kind, SORTING_NONE);
    buf_free(&many);
    close_room(&room);
}

TEST(scripts_are_read_from_files_alone)
{
    struct room room;
    struct buf text;
    char path[160];

    open_room(&room);
    install(&room, "discard;");
    snprintf(path, sizeof(path), "%s/b.example/anna.sieve", room.directory);
    buf_init(&text, 2 * SIEVE_SIZE_MAX);
    assert_int_equal(account_script_read(room.directory, DOMAIN, BYTES("bob"), &text), -ENOENT);
    assert_int_equal(account_script_read(room.directory, DOMAIN, LOCAL, &text), 0);
    assert_true(bytes_equal(buf_bytes(&text), BYTES("discard;")));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_int_equal(account_script_read(room.directory, DOMAIN, LOCAL, &text), -ELOOP);
    assert_int_equal(sort_it(&room)->kind, SORTING_NONE);
    install(&room, "discard;"); /* takes the link's place */
    assert_int_equal(sort_it(&room)->kind, SORTING_DISCARDED);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0); /* nobody writes there: it reads as empty */
    assert_int_not_equal(sort_it(&room)->kind, SORTING_DISCARDED);
    assert_int_equal(truncate(path, 0) == 0, false);
    assert_int_equal(unlink(path), 0);
    install(&room, "");
    assert_int_equal(truncate(path, SIEVE_SIZE_MAX + 1), 0);
    assert_int_equal(account_script_read(room.directory, DOMAIN, LOCAL, &text), -EFBIG);
    buf_free(&text);
    close_room(&room);
}

TEST(names_never_leave_the_directory)
{
    uint8_t name[300];
    struct room room;
    char path[200];

    open_room(&room);
    assert_int_equal(account_script_write(room.directory, BYTES(".."), BYTES("../x"), BYTES("")),
                     0);
    snprintf(path, sizeof(path), "%s/%%2E./%%2E.%%2Fx.sieve", room.directory);
    assert_int_equal(access(path, F_OK), 0);
    memset(name, 'a', sizeof(name));
    for (size_t len = 249; len < 260; len++) /* with the suffix no name is longer than 255 */
        assert_int_equal(account_script_write(room.directory, DOMAIN, bytes_range(name, len),
                                              BYTES("keep;")),
                         len <= 249 ? 0 : -ENAMETOOLONG);
    close_room(&room);
}
