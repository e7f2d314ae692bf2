/* modules: imap pop3 */
/* test_fetch_flags.c - flags with keywords as FETCH tells them: each message's own, whatever was
 * told before and whoever changes them meanwhile. */
#define ROOM_DIRECTORY "/tmp"
#include "tests/unit/access/access_room.h"

#include <pthread.h>

#include "base/random.h"

enum { COUNT = 150, ROUNDS = 12, KEYWORDS = 20, SETS = 6, FETCHES = 60, LINE_MAX_LEN = 2048 };

struct flags {
    struct access_room room;
    struct mail_account *account;
    struct mailbox *inbox;
    struct client client;
    uint64_t sets[SETS];
    _Atomic bool is_over;
};

static void begin(struct flags *flags)
{
    struct room mail;

    access_room_make(&flags->room, &speeches[0]);
    mail = flags->room.mail;
    assert_int_equal(mail_account_open(mail.accounts, BYTES("hosted.example"), BYTES("bob"), 0,
                                       &flags->account),
                     0);
    mail.account = flags->account;
    assert_int_equal(mailbox_open(flags->account, BYTES("INBOX"), &flags->inbox), 0);
    for (unsigned i = 0; i < COUNT; i++)
        room_append(&mail, flags->inbox, "Subject: x\r\n\r\n", 0);
    assert_int_equal(mailbox_look(flags->inbox), 0);
    client_greeted(&flags->client, &flags->room, "127.0.0.1");
    client_logs_in(&flags->client);
}

static void end(struct flags *flags)
{
    client_go(&flags->client);
    mailbox_close(&flags->inbox);
    mail_account_close(&flags->account);
    access_room_free(&flags->room);
}

/* Some are as long as can be. */
static void keyword_name(unsigned number, char out[static MAILBOX_KEYWORD_LEN_MAX + 1])
{
    int len = snprintf(out, MAILBOX_KEYWORD_LEN_MAX, "$Key%u", number);

    if (number % 8 == 7)
        memset(out + len, 'x', MAILBOX_KEYWORD_LEN_MAX - (size_t)len);
    out[number % 8 == 7 ? MAILBOX_KEYWORD_LEN_MAX : len] = '\0';
}

static void make_keyword(struct mailbox *mailbox, unsigned number)
{
    char name[MAILBOX_KEYWORD_LEN_MAX + 1];
    unsigned made;

    keyword_name(number, name);
    assert_int_equal(mailbox_keyword(mailbox, bytes_of(name), true, &made), 0);
    assert_int_equal(made, number);
}

/* "\Seen $Key1)" */
static void put_flags(uint64_t flags, char out[static LINE_MAX_LEN])
{
    static const char *const names[] = {"\\Answered", "\\Flagged", "\\Deleted", "\\Seen",
                                        "\\Draft"};
    char name[MAILBOX_KEYWORD_LEN_MAX + 1];
    size_t len = 0;

    for (unsigned i = 0; i < 64; i++)
        if ((flags >> i & 1) != 0) {
            if (i >= MAILBOX_KEYWORD_SHIFT)
                keyword_name(i - MAILBOX_KEYWORD_SHIFT, name);
            len += (size_t)snprintf(out + len, LINE_MAX_LEN - len, "%s%s", len > 0 ? " " : "",
                                    i < MAILBOX_KEYWORD_SHIFT ? names[i] : name);
        }
    snprintf(out + len, LINE_MAX_LEN - len, ")");
}

static void set(struct mailbox *mailbox, uint32_t uid, uint64_t flags)
{
    struct mailbox_flags_change change = {.how = STORE_SET, .flags = flags};

    assert_int_equal(mailbox_store_flags(mailbox, &uid, 1, &change), 0);
}

static uint64_t some_flags(void)
{
    uint64_t flags = random_below(32);

    for (uint64_t i = random_below(4); i > 0; i--)
        flags |= MAIL_KEYWORD(random_below(KEYWORDS));
    return flags;
}

static void hears_all(struct flags *flags, const uint64_t *of, const char *command,
                      const char *before, const char *behind)
{
    char text[LINE_MAX_LEN], line[LINE_MAX_LEN + 256];

    client_say(&flags->client, command);
    for (unsigned i = 0; i < COUNT; i++) {
        put_flags(of[i], text);
        snprintf(line, sizeof(line), "* %u FETCH (UID %u %sFLAGS (%s%s)\r\n", i + 1, i + 1, before,
                 text, behind);
        client_hears(&flags->client, line);
    }
    client_hears(&flags->client, "a OK FETCH done\r\n");
}

/* Few sets on most messages, more of them than are kept, and long ones. */
TEST(each_message_is_told_with_its_own_flags)
{
    static struct flags flags;
    static uint64_t of[COUNT];

    random_seed(1);
    begin(&flags);
    for (unsigned i = 0; i < KEYWORDS; i++)
        make_keyword(flags.inbox, i);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < SETS; i++)
            flags.sets[i] = some_flags();
        for (unsigned i = 0; i < COUNT; i++) {
            bool is_usual = random_below(ROUNDS) >= round;

            of[i] = is_usual ? flags.sets[random_below(SETS)] : some_flags();
            set(flags.inbox, i + 1, of[i]);
        }
        client_say(&flags.client, "a EXAMINE INBOX\r\n");
        for (unsigned i = 0; i < (round == 0 ? 9 : 10); i++)
            client_hears(&flags.client, "* ");
        client_hears(&flags.client, "a OK");
        hears_all(&flags, of, "a FETCH 1:* (UID FLAGS)\r\n", "", "");
        hears_all(&flags, of, "a UID FETCH 1:* (UID RFC822.SIZE FLAGS)\r\n", "RFC822.SIZE 14 ", "");
        hears_all(&flags, of, "a FETCH 1:* (UID FLAGS BINARY.SIZE[])\r\n", "", " BINARY.SIZE[] 14");
    }
    end(&flags);
}

/* Those of even and of odd UIDs have none in common. */
static void *change(void *context)
{
    struct flags *flags = context;
    unsigned made = SETS;

    while (!atomic_load(&flags->is_over)) {
        uint32_t uid = 1 + (uint32_t)random_below(COUNT);

        if (made < KEYWORDS && random_below(10) == 0)
            make_keyword(flags->inbox, made++);
        set(flags->inbox, uid,
            (uid % 2 == 0 ? MAIL_SEEN : 0) | MAIL_KEYWORD(2 * random_below(made / 2) + uid % 2));
    }
    return NULL;
}

static void hear_line(struct client *client, char out[static LINE_MAX_LEN])
{
    struct bytes line = BYTES_NONE, got;

    for (unsigned i = 0; i < TURNS_MAX; i++) {
        got = buf_bytes(&client->got);
        if (bytes_take_until(&got, '\n', &line))
            break;
        client_turn(client, 1);
    }
    assert_true(line.len > 0 && line.len < LINE_MAX_LEN);
    memcpy(out, line.ptr, line.len);
    out[line.len - 1] = '\0'; /* the CR */
    buf_consume(&client->got, line.len + 1);
}

static void check_told(uint32_t uid, const char *text, unsigned known)
{
    char expected[LINE_MAX_LEN];

    for (unsigned i = uid % 2; i < known; i += 2) {
        put_flags((uid % 2 == 0 ? MAIL_SEEN : 0) | MAIL_KEYWORD(i), expected);
        expected[strlen(expected) - 1] = '\0';
        if (strncmp(text, expected, strlen(expected)) == 0 && text[strlen(expected)] == ')')
            return;
    }
    fail_msg("UID %u was told with \"%s\", and %u keywords are known", uid, text, known);
}

/* Only what the client was told of; a change of flags is told behind the messages, without UID. */
static unsigned fetch_while_they_change(struct flags *flags, unsigned known)
{
    char line[LINE_MAX_LEN];
    unsigned told = 0, number, uid;
    int at;

    client_say(&flags->client, "a FETCH 1:* (UID FLAGS)\r\n");
    for (;;) {
        hear_line(&flags->client, line);
        if (strcmp(line, "a OK FETCH done") == 0)
            break;
        if (strncmp(line, "* FLAGS (", 9) == 0) {
            for (known = 0; strstr(line, "$Key") != NULL; known++)
                memcpy(strstr(line, "$Key"), "----", 4);
            continue;
        }
        if (sscanf(line, "* %u FETCH (UID %u FLAGS (%n", &number, &uid, &at) == 2) {
            assert_int_equal(number, ++told);
            assert_int_equal(uid, number);
        } else {
            assert_int_equal(sscanf(line, "* %u FETCH (FLAGS (%n", &number, &at), 1);
        }
        check_told(number, line + at, known);
    }
    assert_int_equal(told, COUNT);
    return known;
}

TEST(each_message_is_told_with_its_own_flags_while_others_change_them)
{
    static struct flags flags;
    pthread_t thread;
    unsigned known = SETS;

    begin(&flags);
    for (unsigned i = 0; i < SETS; i++)
        make_keyword(flags.inbox, i);
    for (uint32_t uid = 1; uid <= COUNT; uid++)
        set(flags.inbox, uid, (uid % 2 == 0 ? MAIL_SEEN : 0) | MAIL_KEYWORD(uid % 2));
    client_say(&flags.client, "a EXAMINE INBOX\r\n");
    for (unsigned i = 0; i < 9; i++)
        client_hears(&flags.client, "* ");
    client_hears(&flags.client, "a OK");
    assert_int_equal(pthread_create(&thread, NULL, change, &flags), 0);
    for (unsigned i = 0; i < FETCHES; i++)
        known = fetch_while_they_change(&flags, known);
    atomic_store(&flags.is_over, true);
    pthread_join(thread, NULL);
    assert_true(known > SETS);
    end(&flags);
}
