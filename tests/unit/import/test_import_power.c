/* test_import_power.c - imports that power cuts and kills end at every call, and that go on. */
#include "support/mail_sim.h"

#include <stdio.h>

#include "inbound/import/import_account.h"
#include "inbound/store/maildir.h"
#include "support/unit.h"

enum { MESSAGES = 14 };

static const char *const folders[] = {"INBOX", "INBOX", "INBOX", "Sent",
                                      "Sent",  "INBOX", "Sent",  "Lists/c"};

static void told(void *context, const char *text)
{
    (void)context;
    print_message("%s\n", text);
}

static const char *folder_of(unsigned number)
{
    return folders[number % ARRAY_LEN(folders)];
}

static int tell_message(struct import_taker *taker, unsigned number)
{
    char key[16], content[64];
    struct import_message message = {.label = key, .has_date = true, .date_s = 1000 + number};
    const char *form = number % 2 == 0 ? "Subject: %u\n\nbody\n" : "Subject: %u\r\n\r\nbody\r\n";
    int len = snprintf(content, sizeof(content), form, number);
    size_t cut = number % 2 == 0 ? 5 : strcspn(content, "\r") + 1; /* between CR and LF too */

    snprintf(key, sizeof(key), "key %u", number);
    message.key = bytes_of(key);
    message.keyword_count = number % 3 == 0 ? 1 : 0;
    message.keywords[0] = BYTES("work");
    if (!taker->wants(taker, message.key))
        return 0;
    int error = taker->begin(taker);

    if (error == 0)
        error = taker->data(taker, bytes_range(content, cut));
    if (error == 0)
        error = taker->data(taker, bytes_range(content + cut, (size_t)len - cut));
    return error == 0 ? taker->end(taker, &message) : error;
}

/* All of the source; what it came to. */
static int import_all(uint64_t quota, struct import_counts *counts_out)
{
    struct import_settings settings = {
        .directory = "/nowhere/mail",
        .domain = BYTES("b.example"),
        .local = BYTES("anna"),
        .quota = quota,
        .source = BYTES("test"),
        .told = told,
    };
    char why[IMPORT_WHY_MAX];
    int error = 0;
    struct import_account *account = import_account_open(&settings, &error, why);

    if (account == NULL)
        return error;
    struct import_taker *taker = import_account_taker(account);

    for (unsigned i = 0; i < MESSAGES && error == 0; i++) {
        error = taker->folder(taker, bytes_of(folder_of(i)));
        if (error == 0)
            error = tell_message(taker, i);
    }
    error = import_account_finish(account, why);
    *counts_out = import_account_counts(account);
    import_account_close(&account);
    return error;
}

/* --- what is in the account ------------------------------------------------------------------- */

struct look {
    int directory;
    bool moves;
    int trash;
    unsigned found[MESSAGES];
    unsigned others;
};

static bool look_at(void *context, const char *name)
{
    struct look *look = context;
    char text[64] = "", wanted[64];
    unsigned number;
    int fd = mail_file_open(look->directory, name, O_RDONLY);

    assert_true(fd >= 0);
    assert_true(mail_file_read_at(fd, text, sizeof(text) - 1, 0) > 0);
    mail_file_close(fd);
    if (sscanf(text, "Subject: %u", &number) != 1 || number >= MESSAGES)
        number = 0;
    snprintf(wanted, sizeof(wanted), "Subject: %u\r\n\r\nbody\r\n", number);
    if (strcmp(text, wanted) == 0)
        look->found[number]++;
    else
        look->others++;
    return true;
}

static int open_cur(const char *folder)
{
    struct maildir maildir;
    int root = mail_file_open_root("/nowhere/mail");
    int error = root < 0 ? root : maildir_open(root, "b.example", "anna", &maildir);

    assert_int_equal(error, 0);
    int fd = maildir_open_folder(&maildir, folder, "cur");

    assert_true(fd >= 0);
    maildir_close(&maildir);
    mail_file_close(root);
    return fd;
}

static void look_in(struct look *look, const char *folder)
{
    look->directory = open_cur(folder);
    assert_int_equal(mail_file_list(look->directory, look_at, look), 0);
    mail_file_close(look->directory);
}

static void check_each_once(void)
{
    struct look look = {0};

    look_in(&look, "");
    look_in(&look, ".Sent");
    look_in(&look, ".Lists.c");
    look_in(&look, ".Trash");
    assert_int_equal(look.others, 0);
    for (unsigned i = 0; i < MESSAGES; i++)
        if (look.found[i] != 1)
            fail_msg("message %u is there %u times", i, look.found[i]);
}

static bool move_one(void *context, const char *name)
{
    struct look *look = context;
    int error = mail_file_rename(look->directory, name, look->trash, name);

    return error == 0;
}

/* As a reader does who cannot wait. */
static void move_away(const char *folder)
{
    struct look look = {.directory = open_cur(folder), .trash = open_cur(".Trash")};

    for (unsigned i = 0; i < MESSAGES; i++)
        (void)!mail_file_list(look.directory, move_one, &look);
    mail_file_close(look.directory);
    mail_file_close(look.trash);
}

static uint64_t import_cut_at(uint64_t end, bool power, bool moves)
{
    struct import_counts counts;

    random_seed(end + 1);
    sim_begin();
    sim.calls = 0;
    sim.end_call = end;
    int error = import_all(1 << 20, &counts);
    uint64_t calls = sim.calls;

    assert_true(error == 0 || sim.is_over);
    sim_restart(power);
    if (moves)
        move_away("");
    if (end == 0 && !moves)
        check_each_once(); /* what was said to be complete survives */
    /* Once more it does not come to its end. */
    sim.calls = 0;
    sim.end_call = end == 0 ? 0 : 1 + random_below(40);
    error = import_all(1 << 20, &counts);
    assert_true(error == 0 || sim.is_over);
    sim_restart(power);
    assert_int_equal(import_all(1 << 20, &counts), 0);
    assert_int_equal(counts.bad, 0);
    check_each_once();
    /* Once more: there is nothing to do. */
    assert_int_equal(import_all(1 << 20, &counts), 0);
    assert_int_equal(counts.messages, 0);
    assert_int_equal(counts.known, MESSAGES);
    check_each_once();
    sim_end();
    return calls;
}

static void at_every_call(bool power, bool moves)
{
    uint64_t calls = import_cut_at(0, power, moves);

    assert_true(calls > 100);
    for (uint64_t end = 1; end <= calls; end++)
        import_cut_at(end, power, moves);
}

TEST(import_cut_by_the_power_at_any_call_goes_on_with_each_message_once)
{
    at_every_call(true, false);
}

TEST(import_killed_at_any_call_goes_on_with_each_message_once)
{
    at_every_call(false, false);
}

TEST(import_goes_on_though_its_reader_moved_messages_meanwhile)
{
    at_every_call(true, true);
    at_every_call(false, true);
}
