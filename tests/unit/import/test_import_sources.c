/* test_import_sources.c - Maildirs and mboxes into an account, as its mailboxes show it. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utime.h>

#include "inbound/import/import_account.h"
#include "inbound/import/import_source.h"
#include "inbound/mailbox/mailbox.h"
#include "support/unit.h"

struct place {
    char path[64], mail[80], source[80];
    struct import_counts counts;
    char said[4096]; /* what was told, a line each */
    struct import_rename renames[2];
    size_t rename_count;
    uint64_t quota;
    bool is_dry;
    unsigned stop_after; /* messages; 0: never */
    unsigned went;
};

static void make(struct place *place)
{
    *place = (struct place){.quota = 0};
    snprintf(place->path, sizeof(place->path), "%s/ringpost-import-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(place->path));
    snprintf(place->mail, sizeof(place->mail), "%s/mail", place->path);
    snprintf(place->source, sizeof(place->source), "%s/source", place->path);
    assert_int_equal(mkdir(place->source, 0700), 0);
}

static void unmake(struct place *place)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s", place->path);
    assert_int_equal(system(command), 0);
}

static void drop(struct place *place, const char *name, const char *text, int64_t date_s)
{
    char path[400];
    struct utimbuf times = {.actime = date_s, .modtime = date_s};

    snprintf(path, sizeof(path), "%s/%s", place->source, name);
    for (char *at = path + strlen(place->source) + 1; (at = strchr(at, '/')) != NULL; at++) {
        *at = '\0';
        (void)mkdir(path, 0700);
        *at = '/';
    }
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    if (date_s != 0)
        assert_int_equal(utime(path, &times), 0);
}

static void told(void *context, const char *text)
{
    struct place *place = context;
    size_t len = strlen(place->said);

    snprintf(place->said + len, sizeof(place->said) - len, "%s\n", text);
}

static int went(void *context)
{
    struct place *place = context;

    return ++place->went == place->stop_after;
}

static int import(struct place *place, bool is_mbox, int *result_out)
{
    struct import_settings settings = {
        .directory = place->mail,
        .domain = BYTES("b.example"),
        .local = BYTES("anna"),
        .quota = place->quota,
        .source = bytes_of(place->source),
        .is_dry = place->is_dry,
        .rename_count = place->rename_count,
        .renames = place->renames,
        .context = place,
        .told = told,
        .went = went,
    };
    char why[IMPORT_WHY_MAX] = "";
    int error = 0;
    struct import_account *account = import_account_open(&settings, &error, why);

    place->said[0] = '\0';
    place->went = 0;
    if (account == NULL)
        return error;
    struct import_taker *taker = import_account_taker(account);

    *result_out = is_mbox ? import_mbox(place->source, taker, why)
                          : import_maildir(place->source, taker, why);
    error = import_account_finish(account, why);
    place->counts = import_account_counts(account);
    import_account_close(&account);
    return error;
}

/* How many of the inbox's names end so. */
static unsigned names_that_end(const struct place *place, const char *end)
{
    char path[200];
    unsigned count = 0;
    struct dirent *entry;

    snprintf(path, sizeof(path), "%s/b.example/anna/cur", place->mail);
    DIR *directory = opendir(path);

    assert_non_null(directory);
    while ((entry = readdir(directory)) != NULL)
        count += bytes_ends_nocase(bytes_of(entry->d_name), bytes_of(end)) ? 1 : 0;
    closedir(directory);
    return count;
}

static void import_whole(struct place *place, bool is_mbox)
{
    int result = 0;

    assert_int_equal(import(place, is_mbox, &result), 0);
    assert_int_equal(result, 0);
}

/* A mailbox as text: "date flags size keywords content|" for each message. */
static void show(struct place *place, const char *name, char out[static 4096])
{
    struct mail_accounts_settings settings = {.directory = place->mail, .host = "mta1"};
    struct mailbox_message messages[64];
    char why[ACCOUNTS_WHY_MAX], word[MAILBOX_KEYWORD_LEN_MAX + 1];
    struct mail_accounts *accounts = mail_accounts_open(&settings, why);
    struct mail_account *account;
    struct mailbox *mailbox;
    uint32_t next;
    size_t at = 0;

    assert_int_equal(mail_account_open(accounts, BYTES("b.example"), BYTES("anna"), 0, &account),
                     0);
    out[0] = '\0';
    if (mailbox_open(account, bytes_of(name), &mailbox) == 0) {
        assert_int_equal(mailbox_look(mailbox), 0);
        size_t count = mailbox_read(mailbox, 1, 0, messages, ARRAY_LEN(messages), &next);

        for (size_t i = 0; i < count; i++) {
            char text[256] = "";
            int fd = mailbox_open_message(mailbox, messages[i].uid);

            assert_true(fd >= 0 && read(fd, text, sizeof(text) - 1) >= 0);
            close(fd);
            at += (size_t)snprintf(out + at, 4096 - at, "%lld %llx",
                                   (long long)messages[i].internal_s,
                                   (unsigned long long)(messages[i].flags & 31));
            assert_true(messages[i].size == messages[i].file_size);
            for (unsigned k = 0; mailbox_keyword_name(mailbox, k, word); k++)
                if ((messages[i].flags & MAIL_KEYWORD(k)) != 0)
                    at += (size_t)snprintf(out + at, 4096 - at, " %s", word);
            at += (size_t)snprintf(out + at, 4096 - at, " %s|", text);
        }
        mailbox_close(&mailbox);
    }
    mail_account_close(&account);
    mail_accounts_close(&accounts);
}

static void expect(struct place *place, const char *name, const char *wanted)
{
    char shown[4096];

    show(place, name, shown);
    assert_string_equal(shown, wanted);
}

TEST(maildir_keeps_folders_flags_keywords_and_dates)
{
    struct place place;

    make(&place);
    drop(&place, "cur/100.a.host,S=5:2,FSab", "A: b\n\nx\n", 1000);
    drop(&place, "new/99.b.host", "A: c\r\n\r\ny\r\n", 2000);
    drop(&place, "cur/101.c.host:2,DPRT", "A: d\n\nz", 3000);
    drop(&place, "dovecot-keywords", "0 work\n1 $Forwarded\n", 0);
    drop(&place, ".Lists.Gr&APYA3w-e/cur/1.x.host:2,S", "A: e\n\n", 4000);
    drop(&place,
         ".Gr\xc3\xbc\xc3\x9f"
         "e/cur/1.x.host:2,",
         "A: f\n\n", 5000);
    drop(&place, ".Empty/cur/.hidden", "", 0);
    import_whole(&place, false);
    assert_int_equal(place.counts.messages, 5);
    assert_int_equal(place.counts.folders, 4);
    assert_int_equal(place.counts.bad, 0);
    assert_int_equal(names_that_end(&place, ":2,DPRT"), 1);
    expect(
        &place, "INBOX",
        "2000 0 A: c\r\n\r\ny\r\n|1000 a work $Forwarded A: b\r\n\r\nx\r\n|3000 15 A: d\r\n\r\nz|");
    expect(&place,
           "Lists/Gr\xc3\xb6\xc3\x9f"
           "e",
           "4000 8 A: e\r\n\r\n|");
    expect(&place,
           "Gr\xc3\xbc\xc3\x9f"
           "e",
           "5000 0 A: f\r\n\r\n|");
    /* What came since is all that comes. */
    drop(&place, "cur/102.d.host:2,", "A: g\n\n", 6000);
    import_whole(&place, false);
    assert_int_equal(place.counts.messages, 1);
    assert_int_equal(place.counts.known, 5);
    /* Its reader moved it from new/ to cur/ and set flags: it is the same. */
    char from[200], to[200];
    snprintf(from, sizeof(from), "%s/new/99.b.host", place.source);
    snprintf(to, sizeof(to), "%s/cur/99.b.host:2,S", place.source);
    assert_int_equal(rename(from, to), 0);
    import_whole(&place, false);
    assert_int_equal(place.counts.messages, 0);
    assert_int_equal(place.counts.known, 6);
    unmake(&place);
}

TEST(maildir_messages_that_cannot_be_had_are_named_and_the_rest_comes)
{
    struct place place;
    char path[200];
    int result = 0;

    make(&place);
    drop(&place, "cur/100.a.host:2,", "A: b\n\n", 1000);
    drop(&place, "cur/101.empty.host:2,", "", 1000);
    snprintf(path, sizeof(path), "%s/cur/102.dir.host:2,", place.source);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/cur/103.link.host:2,", place.source);
    assert_int_equal(symlink("/etc/hostname", path), 0);
    assert_int_equal(import(&place, false, &result), 0);
    assert_int_equal(result, 0);
    assert_int_equal(place.counts.messages, 1);
    assert_int_equal(place.counts.bad, 3);
    assert_non_null(strstr(place.said, "101.empty.host:2, in INBOX: it is empty"));
    assert_non_null(strstr(place.said, "102.dir.host:2, in INBOX: it is no file"));
    assert_non_null(strstr(place.said, "103.link.host:2, in INBOX: "));
    unmake(&place);
}

TEST(folders_are_renamed_left_out_and_told_where_there_are_none)
{
    struct place place;

    make(&place);
    drop(&place, "cur/1.a.host:2,", "A: b\n\n", 1000);
    drop(&place, ".Sent/cur/1.b.host:2,", "A: c\n\n", 2000);
    place.renames[0] = (struct import_rename){BYTES("inbox"), BYTES("Old/In")};
    place.renames[1] = (struct import_rename){BYTES("Sent"), BYTES("")};
    place.rename_count = 2;
    import_whole(&place, false);
    assert_int_equal(place.counts.messages, 1);
    expect(&place, "Old/In", "1000 0 A: b\r\n\r\n|");
    expect(&place, "INBOX", "");
    expect(&place, "Sent", "");
    /* A message is known wherever it went. */
    place.renames[0] = (struct import_rename){BYTES("Nowhere"), BYTES("x")};
    import_whole(&place, false);
    assert_int_equal(place.counts.messages, 0);
    assert_int_equal(place.counts.known, 1);
    assert_string_equal(place.said, "--folder Nowhere: the source has no such folder\n");
    unmake(&place);
}

TEST(folder_names_become_ours_or_are_refused)
{
    static const struct {
        const char *from, *to;
    } names[] = {{"INBOX", "INBOX"}, {"a.b/c", "a_b/c"},    {"..", "__"}, {"a//b", NULL},
                 {"/a", NULL},       {"a/", NULL},          {"", NULL},   {"a\tb", NULL},
                 {"\xff", NULL},     {"../../x", "__/__/x"}};
    char out[1024];

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        bool is_one = import_folder_name(bytes_of(names[i].from), out);

        expect_row(i, is_one == (names[i].to != NULL));
        expect_row(i, !is_one || strcmp(out, names[i].to) == 0);
    }
}

TEST(dry_run_counts_and_writes_nothing)
{
    struct place place;

    make(&place);
    drop(&place, "cur/1.a.host:2,", "A: b\n\n", 1000);
    place.is_dry = true;
    import_whole(&place, false);
    assert_int_equal(place.counts.messages, 1);
    assert_int_equal(place.counts.bytes, 6);
    assert_int_equal(access(place.mail, F_OK), -1);
    place.is_dry = false;
    import_whole(&place, false);
    place.is_dry = true;
    import_whole(&place, false);
    assert_int_equal(place.counts.messages, 0);
    assert_int_equal(place.counts.known, 1);
    unmake(&place);
}

TEST(quota_ends_an_import_and_room_lets_it_go_on)
{
    struct place place;
    char name[64], text[128];
    int result = 0;

    make(&place);
    for (unsigned i = 0; i < 10; i++) {
        snprintf(name, sizeof(name), "cur/%u.a.host:2,", 100 + i);
        snprintf(text, sizeof(text), "A: %u\r\n\r\n%080u\r\n", i, i);
        drop(&place, name, text, 1000 + i);
    }
    place.quota = 400;
    assert_int_equal(import(&place, false, &result), -EDQUOT);
    assert_int_equal(result, IMPORT_STOPPED);
    assert_int_equal(place.counts.messages, 4);
    assert_int_equal(import(&place, false, &result), -EDQUOT);
    assert_int_equal(place.counts.messages, 0);
    assert_int_equal(place.counts.known, 4);
    place.quota = 10000;
    import_whole(&place, false);
    assert_int_equal(place.counts.messages, 6);
    /* One that no quota would let in is a bad one, and not the end. */
    drop(&place, "cur/90.b.host:2,", "A: large\n\n", 1);
    place.quota = 5;
    import_whole(&place, false);
    assert_int_equal(place.counts.bad, 1);
    assert_non_null(strstr(place.said, "larger than the whole quota"));
    unmake(&place);
}

TEST(interrupted_import_goes_on)
{
    struct place place;
    char name[64];
    int result = 0;

    make(&place);
    for (unsigned i = 0; i < 10; i++) {
        snprintf(name, sizeof(name), "cur/%u.a.host:2,", 100 + i);
        drop(&place, name, "A: b\n\n", 1000 + i);
    }
    place.stop_after = 4;
    assert_int_equal(import(&place, false, &result), -ECANCELED);
    assert_int_equal(place.counts.messages, 4);
    place.stop_after = 0;
    import_whole(&place, false);
    assert_int_equal(place.counts.messages, 6);
    assert_int_equal(place.counts.known, 4);
    unmake(&place);
}

TEST(keywords_beyond_the_letters_are_counted)
{
    struct place place;
    char text[4000] = "From \n";

    make(&place);
    for (unsigned i = 0; i < 30; i++)
        snprintf(text + strlen(text), 100, "X-Keywords: k%u\n", i);
    snprintf(text + strlen(text), 100, "X-Keywords: (bad)\n\nx\n");
    drop(&place, "box", text, 0);
    import_whole(&place, true);
    assert_int_equal(place.counts.messages, 1);
    assert_int_equal(place.counts.keywords, 5);
    unmake(&place);
}

TEST(mboxes_of_a_tree_become_folders)
{
    struct place place;
    const char *box = "From a Mon Mar  2 10:00:00 2026\nStatus: RO\nA: b\n\nx\n\n"
                      "From a Mon Mar  2 10:00:00 2026\nA: b\n\nx\n\n";

    make(&place);
    drop(&place, "Inbox", box, 0);
    drop(&place, "Inbox.msf", "x", 0);
    drop(&place, "Sent.mbox", "", 0);
    drop(&place, "Lists.sbd/c", box, 0);
    drop(&place, "Apple.mbox/mbox", box, 0);
    drop(&place, "notes.txt", "no mail", 0);
    import_whole(&place, true);
    /* The same message twice in a file stays two. */
    assert_int_equal(place.counts.messages, 6);
    assert_int_equal(place.counts.folders, 4);
    assert_non_null(strstr(place.said, "notes.txt: it is no mbox and is left out"));
    expect(&place, "INBOX", "1772445600 8 A: b\r\n\r\nx\r\n|1772445600 0 A: b\r\n\r\nx\r\n|");
    expect(&place, "Lists/c", "1772445600 8 A: b\r\n\r\nx\r\n|1772445600 0 A: b\r\n\r\nx\r\n|");
    expect(&place, "Apple", "1772445600 8 A: b\r\n\r\nx\r\n|1772445600 0 A: b\r\n\r\nx\r\n|");
    import_whole(&place, true);
    assert_int_equal(place.counts.messages, 0);
    assert_int_equal(place.counts.known, 6);
    /* What stands before a message in the file does not matter. */
    drop(&place, "Inbox",
         "From a Mon Mar  2 10:00:00 2026\nA: new\n\nx\n\n"
         "From a Mon Mar  2 10:00:00 2026\nStatus: RO\nA: b\n\nx\n\n",
         0);
    import_whole(&place, true);
    assert_int_equal(place.counts.messages, 1);
    unmake(&place);
}

TEST(two_imports_at_once_are_one_too_many)
{
    struct place place;
    struct import_settings settings = {
        .domain = BYTES("b.example"),
        .local = BYTES("anna"),
        .source = BYTES("x"),
        .told = told,
        .context = &place,
    };
    char why[IMPORT_WHY_MAX];
    int error = 0, result;

    make(&place);
    settings.directory = place.mail;
    struct import_account *first = import_account_open(&settings, &error, why);

    assert_non_null(first);
    assert_int_equal(import(&place, false, &result), -EBUSY);
    import_account_close(&first);
    drop(&place, "cur/1.a.host:2,", "A: b\n\n", 1000);
    import_whole(&place, false);
    unmake(&place);
}

TEST(memory_of_what_was_imported_survives_a_torn_tail)
{
    struct place place;
    char path[200];
    struct stat status;

    make(&place);
    drop(&place, "cur/1.a.host:2,", "A: b\n\n", 1000);
    drop(&place, "cur/2.a.host:2,", "A: c\n\n", 1000);
    import_whole(&place, false);
    snprintf(path, sizeof(path), "%s/b.example/anna/ringpost.imported", place.mail);
    FILE *file = fopen(path, "a");

    assert_non_null(file);
    fputs("torn", file);
    fclose(file);
    drop(&place, "cur/3.a.host:2,", "A: d\n\n", 1000);
    import_whole(&place, false);
    assert_int_equal(place.counts.known, 2);
    assert_int_equal(place.counts.messages, 1);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, 8 + 3 * 24);
    /* Something else under that name is left alone. */
    file = fopen(path, "w");
    assert_non_null(file);
    fputs("something else", file);
    fclose(file);
    int result;
    assert_int_equal(import(&place, false, &result), -EBADMSG);
    unmake(&place);
}
