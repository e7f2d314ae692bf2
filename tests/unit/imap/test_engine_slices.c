/* modules: imap pop3 */
/* test_engine_slices.c - which commands are answered without the pool, and what makes them go there
 * all the same: the answer is the same. */
#define ROOM_DIRECTORY "/tmp" /* tmpfs does not say what it would wait for */
#include "tests/unit/access/access_room.h"

#include "inbound/imap/kept.h"
#include "inbound/mailbox/mailbox_private.h"
#include "inbound/store/mail_file.h"

enum { COUNT = 40, TRIES = 50 };
static const char message_text[] = "From: a@b.example\r\nSubject: x\r\n\r\nhello\r\n";

struct slices {
    struct access_room room;
    struct mail_account *account;
    struct mailbox *inbox;
    struct client client;
};

static uint64_t chores(struct slices *slices)
{
    struct blocking_status status;

    blocking_pool_status(slices->room.pool, &status);
    return status.done;
}

/* Says it; the lines of the answer are counted, the last is the given one. How many chores. */
static uint64_t ask(struct slices *slices, const char *command, unsigned lines, const char *last)
{
    uint64_t before = chores(slices);

    client_say(&slices->client, command);
    for (unsigned i = 0; i < lines; i++)
        client_hears(&slices->client, "* ");
    client_hears(&slices->client, last);
    return chores(slices) - before;
}

/* Without the pool, at least once: a machine that is busy may take the time of a turn away. */
static void ask_here(struct slices *slices, const char *command, unsigned lines, const char *last)
{
    unsigned tries = 0;

    while (ask(slices, command, lines, last) > 0)
        assert_true(++tries < TRIES);
}

static void begin_as(struct slices *slices, const struct speech *speech)
{
    struct room mail;

    access_room_make(&slices->room, speech);
    mail = slices->room.mail;
    assert_int_equal(mail_account_open(mail.accounts, BYTES("hosted.example"), BYTES("bob"), 0,
                                       &slices->account),
                     0);
    mail.account = slices->account;
    assert_int_equal(mailbox_open(slices->account, BYTES("INBOX"), &slices->inbox), 0);
    for (unsigned i = 0; i < COUNT; i++)
        room_append(&mail, slices->inbox, message_text, 0);
    assert_int_equal(mailbox_look(slices->inbox), 0); /* it is known what came */
    client_greeted(&slices->client, &slices->room, "127.0.0.1");
    client_logs_in(&slices->client);
}

static void begin(struct slices *slices)
{
    begin_as(slices, &speeches[0]);
    assert_true(ask(slices, "a SELECT INBOX\r\n", 9, "a OK [READ-WRITE]") > 0);
}

static void end_without_client(struct slices *slices)
{
    mailbox_close(&slices->inbox);
    mail_account_close(&slices->account);
    access_room_free(&slices->room);
}

static void end(struct slices *slices)
{
    client_go(&slices->client);
    end_without_client(slices);
}

TEST(what_memory_answers_does_not_go_to_the_pool)
{
    struct slices slices;

    begin(&slices);
    ask_here(&slices, "a NOOP\r\n", 0, "a OK Done\r\n");
    ask_here(&slices, "a FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)\r\n", COUNT,
             "a OK FETCH done\r\n");
    ask_here(&slices, "a SEARCH UNSEEN 3:5\r\n", 1, "a OK SEARCH done\r\n");
    ask_here(&slices, "a UID FETCH 7 FLAGS\r\n", 1, "a OK FETCH done\r\n");
    end(&slices);
}

TEST(what_is_computed_once_is_told_without_the_pool_from_then_on)
{
    static const char *const commands[] = {
        "a SEARCH FROM \"b.example\"\r\n",
        "a OK SEARCH done\r\n",
        "a SORT (SUBJECT) UTF-8 ALL\r\n",
        "a OK SORT done\r\n",
    };
    struct slices slices;

    begin(&slices);
    for (size_t i = 0; i < ARRAY_LEN(commands); i += 2) {
        assert_true(ask(&slices, commands[i], 1, commands[i + 1]) > 0);
        ask_here(&slices, commands[i], 1, commands[i + 1]);
    }
    end(&slices);
}

TEST(mailbox_that_is_in_memory_is_selected_without_the_pool)
{
    struct slices slices;

    begin(&slices);
    ask_here(&slices, "a SELECT INBOX\r\n", 10, "a OK [READ-WRITE]");
    ask_here(&slices, "a FETCH 40 FLAGS\r\n", 1, "a OK FETCH done\r\n");
    assert_true(ask(&slices, "a SELECT None\r\n", 1, "a NO [NONEXISTENT]") > 0);
    assert_int_equal(ask(&slices, "a FETCH 1 FLAGS\r\n", 0, "a BAD"), 0);
    (void)ask(&slices, "a EXAMINE INBOX\r\n", 9, "a OK [READ-ONLY]"); /* nothing was selected */
    ask_here(&slices, "a EXAMINE INBOX\r\n", 10, "a OK [READ-ONLY]");
    end(&slices);
}

/* RFC 9051 section 6.3.2: whatever it fails for, no mailbox is selected then. */
TEST(select_of_what_cannot_be_a_name_leaves_none_selected)
{
    static const char *const commands[] = {"a SELECT \"\"\r\n", "a EXAMINE &\r\n"};
    struct slices slices;

    begin(&slices);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        client_say(&slices.client, commands[i]);
        client_hears(&slices.client, "* OK [CLOSED]");
        client_hears(&slices.client, "a NO [CANNOT]");
        (void)ask(&slices, commands[i], 0, "a NO [CANNOT]");
        (void)ask(&slices, "a FETCH 1 FLAGS\r\n", 0, "a BAD");
        (void)ask(&slices, "a SELECT INBOX\r\n", 9, "a OK [READ-WRITE]");
    }
    end(&slices);
}

TEST(news_in_idle_are_told_without_the_pool)
{
    struct slices slices;
    unsigned count = COUNT, tries = 0;
    char exists[32];
    uint64_t before;

    begin(&slices);
    struct room mail = slices.room.mail;

    mail.account = slices.account;
    client_say(&slices.client, "a IDLE\r\n");
    client_hears(&slices.client, "+ idling\r\n");
    do {
        assert_true(tries++ < TRIES);
        before = chores(&slices);
        room_append(&mail, slices.inbox, message_text, 0);
        snprintf(exists, sizeof(exists), "* %u EXISTS\r\n", ++count);
        client_hears(&slices.client, exists);
        client_hears(&slices.client, "* 0 RECENT\r\n");
    } while (chores(&slices) != before);
    client_say(&slices.client, "DONE\r\n");
    client_hears(&slices.client, "a OK IDLE done\r\n");
    end(&slices);
}

TEST(what_reads_all_messages_or_changes_them_goes_to_the_pool)
{
    struct slices slices;

    begin(&slices);
    assert_true(ask(&slices, "a SEARCH BODY hello\r\n", 1, "a OK SEARCH done\r\n") > 0);
    assert_true(ask(&slices, "a SEARCH HEADER X-None \"\"\r\n", 1, "a OK SEARCH done\r\n") > 0);
    assert_true(ask(&slices, "a STORE 1 +FLAGS (\\Seen)\r\n", 1, "a OK") > 0);
    end(&slices);
}

/* Each message once, and its flag behind it. */
TEST(fetch_that_sets_seen_is_told_once_and_ends_on_the_pool)
{
    struct slices slices;

    begin(&slices);
    client_say(&slices.client, "a FETCH 1:2 BODY[TEXT]\r\n");
    for (unsigned i = 0; i < 2; i++) {
        client_hears(&slices.client,
                     i == 0 ? "* 1 FETCH (BODY[TEXT] {7}\r\n" : "* 2 FETCH (BODY[TEXT] {7}\r\n");
        client_hears(&slices.client, "hello\r\n)\r\n");
    }
    client_hears(&slices.client, "* 1 FETCH (FLAGS (\\Seen))\r\n");
    client_hears(&slices.client, "* 2 FETCH (FLAGS (\\Seen))\r\n");
    client_hears(&slices.client, "a OK FETCH done\r\n");
    assert_int_equal(room_flags(slices.inbox, 2), MAIL_SEEN);
    assert_int_equal(room_flags(slices.inbox, 3), 0);
    end(&slices);
}

TEST(what_others_expunged_is_told_and_the_rest_has_its_numbers)
{
    static const uint32_t gone[] = {3, 4, 30};
    struct slices slices;
    size_t count = 0;

    begin(&slices);
    for (size_t i = 0; i < ARRAY_LEN(gone); i++)
        room_store(slices.inbox, gone[i], STORE_ADD, MAIL_DELETED);
    assert_int_equal(mailbox_expunge(slices.inbox, gone, ARRAY_LEN(gone), &count), 0);
    assert_int_equal(count, ARRAY_LEN(gone));
    client_say(&slices.client, "a NOOP\r\n");
    client_hears(&slices.client, "* 3 EXPUNGE\r\n");
    client_hears(&slices.client, "* 3 EXPUNGE\r\n");
    client_hears(&slices.client, "* 28 EXPUNGE\r\n");
    client_hears(&slices.client, "a OK Done\r\n");
    client_say(&slices.client, "a FETCH 2,3,27,28,37 UID\r\n");
    client_hears(&slices.client, "* 2 FETCH (UID 2)\r\n");
    client_hears(&slices.client, "* 3 FETCH (UID 5)\r\n");
    client_hears(&slices.client, "* 27 FETCH (UID 29)\r\n");
    client_hears(&slices.client, "* 28 FETCH (UID 31)\r\n");
    client_hears(&slices.client, "* 37 FETCH (UID 40)\r\n");
    client_hears(&slices.client, "a OK FETCH done\r\n");
    end(&slices);
}

static void sorts(struct slices *slices, const char *command, const char *first, unsigned from,
                  unsigned to, const uint32_t *gone, size_t gone_count)
{
    char line[512];
    int len = snprintf(line, sizeof(line), "* SORT%s", first);

    for (unsigned number = from; number <= to; number++) {
        bool is_gone = false;

        for (size_t i = 0; i < gone_count; i++)
            is_gone |= gone[i] == number;
        if (!is_gone)
            len += snprintf(line + len, sizeof(line) - (size_t)len, " %u", number);
    }
    snprintf(line + len, sizeof(line) - (size_t)len, "\r\n");
    client_say(&slices->client, command);
    client_hears(&slices->client, line);
    client_hears(&slices->client, "a OK SORT done\r\n");
}

TEST(sort_of_all_has_what_is_there_and_no_more)
{
    static const uint32_t gone[] = {3, 30};
    static const char sort[] = "a SORT (SUBJECT) UTF-8 ALL\r\n";
    static const char uid_sort[] = "a UID SORT (SUBJECT ARRIVAL) UTF-8 ALL\r\n";
    struct slices slices;
    size_t count = 0;

    begin(&slices);
    struct room mail = slices.room.mail;

    mail.account = slices.account;
    sorts(&slices, sort, "", 1, COUNT, NULL, 0);
    sorts(&slices, uid_sort, "", 1, COUNT, NULL, 0);
    for (size_t i = 0; i < ARRAY_LEN(gone); i++)
        room_store(slices.inbox, gone[i], STORE_ADD, MAIL_DELETED);
    assert_int_equal(mailbox_expunge(slices.inbox, gone, ARRAY_LEN(gone), &count), 0);
    sorts(&slices, sort, "", 1, COUNT, gone, ARRAY_LEN(gone)); /* and nobody said so yet */
    (void)ask(&slices, "a NOOP\r\n", ARRAY_LEN(gone), "a OK Done\r\n");
    sorts(&slices, sort, "", 1, COUNT - 2, NULL, 0);
    sorts(&slices, uid_sort, "", 1, COUNT, gone, ARRAY_LEN(gone));
    room_append(&mail, slices.inbox, "Subject: a\r\n\r\n", 0);
    (void)ask(&slices, "a NOOP\r\n", 2, "a OK Done\r\n");
    sorts(&slices, sort, " 39", 1, COUNT - 2, NULL, 0);
    sorts(&slices, sort, " 39", 1, COUNT - 2, NULL, 0);
    sorts(&slices, uid_sort, " 41", 1, COUNT, gone, ARRAY_LEN(gone));
    end(&slices);
}

/* Those of the last two, which differ. */
static void fetch_made(struct slices *slices)
{
    client_say(&slices->client, "a FETCH 40:41 (ENVELOPE BODYSTRUCTURE)\r\n");
    client_hears(
        &slices->client,
        "* 40 FETCH (ENVELOPE (NIL \"x\" ((NIL NIL \"a\" \"b.example\")) ((NIL NIL \"a\" "
        "\"b.example\")) ((NIL NIL \"a\" \"b.example\")) NIL NIL NIL NIL NIL) "
        "BODYSTRUCTURE (\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 7 1 NIL "
        "NIL NIL NIL))\r\n");
    client_hears(
        &slices->client,
        "* 41 FETCH (ENVELOPE (NIL \"other\" NIL NIL NIL NIL NIL NIL NIL NIL) "
        "BODYSTRUCTURE (\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0 NIL "
        "NIL NIL NIL))\r\n");
    client_hears(&slices->client, "a OK FETCH done\r\n");
}

static void fetch_fields(struct slices *slices, const char *first, const char *second)
{
    client_say(&slices->client, "a FETCH 40:41 (UID BODY.PEEK[HEADER.FIELDS (SUBJECT DATE)])\r\n");
    client_hears(&slices->client, first);
    client_hears(&slices->client, second);
    client_hears(&slices->client, "a OK FETCH done\r\n");
}

/* Where its text is; NULL: it is not kept. */
static const uint8_t *kept_text(struct slices *slices, const char *label)
{
    struct kept *kept = kept_open(slices->inbox);
    struct bytes text = BYTES_NONE;

    kept_lock(kept);
    uint32_t row = kept_known_row(kept, 41, 0);
    if (row != KEPT_NO_ROW)
        (void)!kept_find(kept, kept_section(kept, bytes_of(label)), row, &text);

    kept_unlock(kept);
    kept_close(&kept);
    return text.ptr;
}

static const char fields_of_40[] =
    "* 40 FETCH (UID 40 BODY[HEADER.FIELDS (SUBJECT DATE)] {14}\r\nSubject: x\r\n\r\n)\r\n";
static const char fields_of_41[] =
    "* 41 FETCH (UID 41 BODY[HEADER.FIELDS (SUBJECT DATE)] {18}\r\nSubject: other\r\n\r\n)\r\n";

/* Other labels, some of it, two of them, what needs the message, and what sets a flag. */
static const struct {
    const char *command, *answer;
} others[] = {
    {"a FETCH 41 BODY.PEEK[HEADER.FIELDS (To)]\r\n",
     "* 41 FETCH (BODY[HEADER.FIELDS (To)] {19}\r\nTo: a@b.example\r\n\r\n)\r\n"
     "a OK FETCH done\r\n"},
    {"a FETCH 41 BODY.PEEK[HEADER.FIELDS (SUBJECT DATE)]<3.8>\r\n",
     "* 41 FETCH (BODY[HEADER.FIELDS (SUBJECT DATE)]<3> {8}\r\nject: ot)\r\na OK FETCH done\r\n"},
    {"a FETCH 41 (BODY.PEEK[HEADER.FIELDS (SUBJECT DATE)] BODY.PEEK[HEADER.FIELDS (To)])\r\n",
     "* 41 FETCH (BODY[HEADER.FIELDS (SUBJECT DATE)] {18}\r\nSubject: other\r\n\r\n "
     "BODY[HEADER.FIELDS (To)] {19}\r\nTo: a@b.example\r\n\r\n)\r\na OK FETCH done\r\n"},
    {"a FETCH 41 (PREVIEW BODY.PEEK[HEADER.FIELDS (SUBJECT DATE)])\r\n",
     "* 41 FETCH (PREVIEW \"\" BODY[HEADER.FIELDS (SUBJECT DATE)] {18}\r\n"
     "Subject: other\r\n\r\n)\r\n"
     "a OK FETCH done\r\n"},
    {"a FETCH 41 BODY.PEEK[HEADER.FIELDS (X-Other)]\r\n",
     "* 41 FETCH (BODY[HEADER.FIELDS (X-Other)] {2}\r\n\r\n)\r\na OK FETCH done\r\n"},
    {"a FETCH 41 (FLAGS BODY[HEADER.FIELDS (SUBJECT DATE)])\r\n",
     "* 41 FETCH (FLAGS () BODY[HEADER.FIELDS (SUBJECT DATE)] {18}\r\nSubject: other\r\n\r\n)\r\n"
     "* 41 FETCH (FLAGS (\\Seen))\r\na OK FETCH done\r\n"},
};

TEST(header_fields_are_told_alike_wherever_they_are_had_from)
{
    static const char label[] = "BODY[HEADER.FIELDS (SUBJECT DATE)]";
    struct slices slices;

    begin(&slices);
    struct room mail = slices.room.mail;

    mail.account = slices.account;
    room_append(&mail, slices.inbox, "Subject: other\r\nTo: a@b.example\r\n\r\n", 0);
    (void)ask(&slices, "a NOOP\r\n", 2, "a OK Done\r\n");
    struct kept *kept = kept_open(slices.inbox);

    kept_lock(kept); /* somebody has it */
    fetch_fields(&slices, fields_of_40, fields_of_41);
    kept_unlock(kept);
    kept_close(&kept);
    assert_null(kept_text(&slices, label));
    fetch_fields(&slices, fields_of_40, fields_of_41);
    const uint8_t *text = kept_text(&slices, label);
    assert_non_null(text);
    fetch_fields(&slices, fields_of_40, fields_of_41);
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        client_say(&slices.client, others[i].command);
        client_hears(&slices.client, others[i].answer);
    }
    assert_ptr_equal(kept_text(&slices, label), text); /* once, however often it was told */
    end(&slices);
}

static bool keeps_envelopes(struct slices *slices)
{
    struct kept *kept = kept_open(slices->inbox);
    struct bytes text;

    kept_lock(kept);
    uint32_t row = kept_known_row(kept, 41, 0);
    bool is_kept = row != KEPT_NO_ROW && kept_find(kept, KEPT_ENVELOPE, row, &text);

    kept_unlock(kept);
    kept_close(&kept);
    return is_kept;
}

TEST(what_mime_makes_is_told_alike_wherever_it_is_had_from)
{
    struct slices slices;

    begin(&slices);
    struct room mail = slices.room.mail;

    mail.account = slices.account;
    room_append(&mail, slices.inbox, "Subject: other\r\n\r\n", 0);
    (void)ask(&slices, "a NOOP\r\n", 2, "a OK Done\r\n");
    struct kept *kept = kept_open(slices.inbox);

    kept_lock(kept); /* somebody has it: told from the message, then from the cache */
    fetch_made(&slices);
    fetch_made(&slices);
    kept_unlock(kept);
    kept_close(&kept);
    assert_false(keeps_envelopes(&slices));
    fetch_made(&slices);
    assert_true(keeps_envelopes(&slices));
    (void)ask(&slices, "a FETCH 1:* ENVELOPE\r\n", COUNT + 1, "a OK FETCH done\r\n");
    fetch_made(&slices);
    end(&slices);
}

TEST(much_that_others_expunged_is_told_on_the_pool)
{
    enum { MORE = 300 };
    static struct mailbox_upload uploads[MORE];
    struct mailbox_flags_change change = {.how = STORE_ADD, .flags = MAIL_DELETED};
    struct slices slices;
    uint32_t uids[COUNT + MORE];
    size_t count = 0;

    begin(&slices);
    for (size_t i = 0; i < MORE; i++) {
        assert_int_equal(mailbox_upload_begin(slices.account, &uploads[i]), 0);
        assert_int_equal(mailbox_upload_write(&uploads[i], BYTES("x\r\n")), 0);
    }
    assert_int_equal(mailbox_append(slices.inbox, uploads, MORE), 0);
    for (size_t i = 0; i < MORE; i++)
        mailbox_upload_end(slices.account, &uploads[i]);
    for (size_t i = 0; i < ARRAY_LEN(uids); i++)
        uids[i] = (uint32_t)i + 1;
    assert_int_equal(mailbox_store_flags(slices.inbox, uids, ARRAY_LEN(uids), &change), 0);
    /* EXISTS, RECENT, and each flag. */
    (void)ask(&slices, "a NOOP\r\n", 2 + COUNT, "a OK Done\r\n");
    ask_here(&slices, "a NOOP\r\n", 0, "a OK Done\r\n");
    assert_int_equal(mailbox_expunge(slices.inbox, uids, ARRAY_LEN(uids), &count), 0);
    assert_int_equal(count, ARRAY_LEN(uids));
    assert_int_equal(mailbox_look(slices.inbox), 0);
    assert_true(ask(&slices, "a NOOP\r\n", COUNT + MORE, "a OK Done\r\n") > 0);
    end(&slices);
}

struct holder {
    struct mailbox *mailbox;
    _Atomic bool has_it, lets_go;
};

static void *hold(void *context)
{
    struct holder *holder = context;

    pthread_mutex_lock(&holder->mailbox->mutex);
    atomic_store(&holder->has_it, true);
    while (!atomic_load(&holder->lets_go))
        sched_yield();
    pthread_mutex_unlock(&holder->mailbox->mutex);
    return NULL;
}

TEST(who_has_the_mailbox_holds_up_its_sessions_and_no_engine)
{
    struct slices slices;
    pthread_t thread;

    begin(&slices);
    struct holder holder = {.mailbox = slices.inbox};
    struct client other;
    uint64_t before = chores(&slices);

    client_greeted(&other, &slices.room, "127.0.0.2");
    assert_int_equal(pthread_create(&thread, NULL, hold, &holder), 0);
    while (!atomic_load(&holder.has_it))
        sched_yield();
    client_say(&slices.client, "a FETCH 1 FLAGS\r\n");
    client_hears_nothing(&slices.client);
    client_say(&other, "b NOOP\r\n"); /* the same engine's */
    client_hears(&other, "b OK Done\r\n");
    atomic_store(&holder.lets_go, true);
    pthread_join(thread, NULL);
    client_hears(&slices.client, "* 1 FETCH (FLAGS ())\r\n");
    client_hears(&slices.client, "a OK FETCH done\r\n");
    assert_true(chores(&slices) > before);
    client_go(&other);
    end(&slices);
}

TEST(select_that_has_to_wait_is_told_once)
{
    struct slices slices;
    pthread_t thread;

    begin(&slices);
    struct holder holder = {.mailbox = slices.inbox};

    assert_int_equal(pthread_create(&thread, NULL, hold, &holder), 0);
    while (!atomic_load(&holder.has_it))
        sched_yield();
    client_say(&slices.client, "a SELECT INBOX\r\n");
    client_hears_nothing(&slices.client);
    atomic_store(&holder.lets_go, true);
    pthread_join(thread, NULL);
    client_hears(&slices.client, "* OK [CLOSED] ");
    for (unsigned i = 0; i < 9; i++)
        client_hears(&slices.client, "* ");
    client_hears(&slices.client, "a OK [READ-WRITE]");
    end(&slices);
}

/* What came just before a command is told by it, on the pool. */
TEST(file_that_others_dropped_is_taken_in_before_the_answer)
{
    struct slices slices;
    char path[256];

    begin(&slices);
    snprintf(path, sizeof(path), "%s/hosted.example/bob/new/1780000000.M1P1.other",
             slices.room.mail.path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(message_text, file);
    fclose(file);
    client_say(&slices.client, "a UID FETCH 1 FLAGS\r\n");
    client_hears(&slices.client, "* 1 FETCH (FLAGS () UID 1)\r\n");
    client_hears(&slices.client, "* 41 EXISTS\r\n");
    client_hears(&slices.client, "* 0 RECENT\r\n");
    client_hears(&slices.client, "a OK FETCH done\r\n");
    end(&slices);
}

static const struct {
    const char *command, *answer;
} messages[] = {
    {"RETR 7\r\n", "+OK 40 octets\r\nFrom: a@b.example\r\nSubject: x\r\n\r\nhello\r\n.\r\n"},
    {"TOP 8 0\r\n", "+OK\r\nFrom: a@b.example\r\nSubject: x\r\n\r\n.\r\n"},
};

TEST(pop3_lists_and_sends_what_memory_has_without_the_pool)
{
    struct speech speech = speeches[1];
    struct slices slices;
    struct mailbox_status status;
    unsigned tries = 0;
    uint64_t before;

    speech.logged_in = "+OK Logged in, 40 messages\r\n";
    begin_as(&slices, &speech);
    mailbox_status(slices.inbox, &status);
    do {
        before = chores(&slices);
        client_say(&slices.client, "UIDL\r\n");
        client_hears(&slices.client, "+OK 40 messages\r\n");
        for (unsigned i = 1; i <= COUNT; i++) {
            char line[32];

            snprintf(line, sizeof(line), "%u %u.%u\r\n", i, status.uidvalidity, i);
            client_hears(&slices.client, line);
        }
        client_hears(&slices.client, ".\r\n");
        assert_true(++tries < TRIES);
    } while (chores(&slices) > before);
    int fd = mailbox_open_message(slices.inbox, 7);
    uint8_t byte;
    /* On a tmpfs nobody may ask for what is there at once, so the pool is asked. */
    bool is_told = mail_file_read_cached(fd, &byte, 1, 0) == 1;

    close(fd);
    for (unsigned i = 0; i < 2; i++)
        if (is_told)
            ask_here(&slices, messages[i].command, 0, messages[i].answer);
        else
            assert_true(ask(&slices, messages[i].command, 0, messages[i].answer) > 0);
    end(&slices);
}

TEST(pop3_message_whose_mailbox_others_have_is_sent_from_the_pool)
{
    struct speech speech = speeches[1];
    struct slices slices;
    pthread_t thread;

    speech.logged_in = "+OK Logged in, 40 messages\r\n";
    begin_as(&slices, &speech);
    struct holder holder = {.mailbox = slices.inbox};
    uint64_t before = chores(&slices);

    assert_int_equal(pthread_create(&thread, NULL, hold, &holder), 0);
    while (!atomic_load(&holder.has_it))
        sched_yield();
    client_say(&slices.client, messages[0].command);
    client_hears_nothing(&slices.client);
    atomic_store(&holder.lets_go, true);
    pthread_join(thread, NULL);
    client_hears(&slices.client, messages[0].answer);
    assert_true(chores(&slices) > before);
    end(&slices);
}

/* Where the file system forgets what it is asked to, its bytes are read by the pool. */
TEST(pop3_message_that_is_not_in_memory_is_sent_from_the_pool)
{
    struct speech speech = speeches[1];
    struct slices slices;

    speech.logged_in = "+OK Logged in, 40 messages\r\n";
    begin_as(&slices, &speech);
    for (unsigned i = 0; i < TRIES; i++) {
        int fd = mailbox_open_message(slices.inbox, 7);

        assert_true(fd >= 0);
        assert_int_equal(fsync(fd), 0);
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        close(fd);
        (void)ask(&slices, messages[0].command, 0, messages[0].answer);
    }
    end(&slices);
}

/* --- between commands ------------------------------------------------------------------------- */

TEST(done_is_something_said)
{
    enum { MINUTE_MS = 60 * 1000 };
    struct slices slices;

    begin(&slices);
    client_say(&slices.client, "a IDLE\r\n");
    client_hears(&slices.client, "+ idling\r\n");
    fake_advance_ms(slices.room.engine, 29 * MINUTE_MS);
    client_say(&slices.client, "DONE\r\n");
    client_hears(&slices.client, "a OK IDLE done\r\n");
    fake_advance_ms(slices.room.engine, 29 * MINUTE_MS);
    client_hears_nothing(&slices.client);
    client_say(&slices.client, "a NOOP\r\n");
    client_hears(&slices.client, "a OK Done\r\n");
    end(&slices);
}

TEST(message_of_a_login_that_is_not_good_any_more_is_not_taken)
{
    struct slices slices;
    struct mailbox_status status;

    begin(&slices);
    assert_true(chat_directory_rule(&slices.room.directory, BYTES("revoked"), BYTES("1")));
    client_say(&slices.client, "a APPEND INBOX {7+}\r\nhello\r\n\r\n");
    client_hears_last(&slices.client, slices.room.speech->not_good);
    mailbox_status(slices.inbox, &status);
    assert_int_equal(status.exists, COUNT);
    end_without_client(&slices);
}

TEST(commands_that_are_none_are_counted_in_a_row)
{
    static const struct {
        const char *said, *heard[4];
    } rows[] = {
        {"a NAMESPACE\r\n", {"* NAMESPACE", "a OK"}},
        {"a IDLE\r\nDONE\r\n", {"+ idling", "a OK"}},
        {"a APPEND INBOX {7+}\r\nhello\r\n\r\n", {"* 41 EXISTS", "* 0 RECENT", "a OK"}},
    };
    struct slices slices;

    begin(&slices);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (unsigned round = 0; round < (i < 2 ? 3 : 1); round++) {
            for (unsigned k = 0; k < slices.room.settings.errors_max - 1; k++)
                (void)ask(&slices, "a NONSENSE\r\n", 0, "a BAD");
            client_say(&slices.client, rows[i].said);
            for (size_t k = 0; rows[i].heard[k] != NULL; k++)
                client_hears(&slices.client, rows[i].heard[k]);
        }
    (void)ask(&slices, "a NONSENSE\r\n", 0, "a BAD");
    end(&slices);
}
