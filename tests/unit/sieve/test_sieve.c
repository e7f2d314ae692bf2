/* threads: one */
/* test_sieve.c - scripts over messages, and what they come to. */
#include "inbound/sieve/sieve.h"

#include <stdio.h>
#include <string.h>

#include "support/unit.h"

#define MESSAGE_A \
    "Date: Tue, 1 Apr 1997 09:06:31 -0800 (PST)\r\n" \
    "From: coyote@desert.example.org\r\n" \
    "To: roadrunner@acme.example.com\r\n" \
    "Subject: I have a present for you\r\n" \
    "\r\n" \
    "Look, I'm sorry about the whole anvil thing.\r\n"

#define MESSAGE_B \
    "From: =?ISO-8859-1?Q?Andr=E9?= Pirard <PIRARD+news@vm1.ulg.ac.be>,\r\n" \
    "\tgroup: x@one.example, \"y z\"@two.example;\r\n" \
    "To: not an address list <\r\n" \
    "Cc: (nobody)\r\n" \
    "Subject:  =?utf-8?B?w6k=?= =?utf-8?Q?t=C3=A9?=\r\n" \
    "  and $$$ folded \r\n" \
    "X-Empty:\r\n" \
    "X-Two: first\r\n" \
    "X-Two: Second (*)\r\n" \
    "X-Koi: =?koi8-r?B?8A==?=\r\n" \
    "X-Star: a*\r\n" \
    "X-Word: =?utf-8?Q?_x_?=\r\n" \
    "\r\n"

enum which { A, B };

static const char *const messages[] = {MESSAGE_A, MESSAGE_B};

static bool is_test_mailbox(struct bytes name)
{
    return bytes_find(name, '.', 0) == name.len;
}

static const struct sieve_host host = {.can_redirect = true,
                                       .can_answer = true,
                                       .is_mailbox = is_test_mailbox};

/* --- what a run came to, as a line ------------------------------------------------------------ */

static void put_strings(struct buf *out, size_t count, const struct bytes *of)
{
    for (size_t i = 0; i < count; i++)
        assert_true(buf_printf(out, "%s%.*s", i > 0 ? " " : "", BYTES_ARG(of[i])));
}

static void put_action(const struct sieve_action *action, struct buf *out)
{
    switch (action->kind) {
    case SIEVE_FILE:
        assert_true(buf_printf(out, "%s<%.*s>", action->line == 0 ? "implicit" : "file",
                               BYTES_ARG(action->text)));
        if (action->flags.count > 0) {
            assert_true(buf_append_byte(out, '['));
            put_strings(out, action->flags.count, action->flags.of);
            assert_true(buf_append_byte(out, ']'));
        }
        return;
    case SIEVE_REDIRECT:
        assert_true(buf_printf(out, "redirect<%.*s>", BYTES_ARG(action->text)));
        return;
    case SIEVE_REJECT:
        assert_true(buf_printf(out, "reject<%.*s>", BYTES_ARG(action->text)));
        return;
    case SIEVE_VACATION:
        assert_true(buf_printf(out, "vacation<%.*s>%u", BYTES_ARG(action->vacation->reason),
                               (unsigned)action->vacation->days));
        return;
    }
}

static void run_text(struct bytes text, const char *message, struct sieve_result *result,
                     struct buf *out)
{
    struct mail_header header;
    struct sieve_error error;
    struct bytes rest = bytes_of(message);
    struct sieve_script *script = sieve_parse(text, &host, &error);

    if (script == NULL)
        fail_msg("line %u: %s", error.line, error.what);
    mail_header_init(&header, MAIL_HEADER_SIZE_MAX, MAIL_HEADER_FIELDS_MAX);
    if (!mail_header_feed(&header, &rest))
        mail_header_finish(&header);
    struct sieve_message of = {.header = &header,
                               .size = strlen(message),
                               .from = BYTES("Coyote+acme@desert.example.org"),
                               .to = BYTES("roadrunner+a+b@acme.example.com")};

    sieve_run(script, &of, result);
    if (out != NULL)
        for (size_t i = 0; i < result->count; i++) {
            assert_true(i == 0 || buf_append_byte(out, ' '));
            put_action(&result->actions[i], out);
        }
    sieve_free(&script);
    mail_header_free(&header);
}

/* --- tests ------------------------------------------------------------------------------------ */

/* A test, in the body of "if TEST { discard; }" with everything required that there is. */
static const struct {
    const char *test;
    enum which message;
    bool is_true;
} tests[] = {
    {"true", A, true},
    {"false", A, false},
    {"not false", A, true},
    {"not not true", A, true},
    {"allof (true, true)", A, true},
    {"allof (true, false)", A, false},
    {"anyof (false, false)", A, false},
    {"anyof (false, true)", A, true},
    {"exists \"from\"", A, true},
    {"exists [\"From\", \"Date\"]", A, true},
    {"exists [\"From\", \"X-None\"]", A, false},
    {"exists \"X-Empty\"", B, true},
    {"exists \"From:\"", A, false},
    {"size :over 1", A, true},
    {"size :over 1K", A, false},
    {"size :under 1K", A, true},
    {"size :under 1G", A, true},
    {"size :under 1", A, false},
    /* header */
    {"header \"subject\" \"i HAVE a present for you\"", A, true},
    {"header :is \"subject\" \"I have\"", A, false},
    {"header :comparator \"i;octet\" \"subject\" \"i have a present for you\"", A, false},
    {"header :comparator \"i;octet\" \"subject\" \"I have a present for you\"", A, true},
    {"header :contains \"subject\" \"PRESENT\"", A, true},
    {"header :contains :comparator \"i;octet\" \"subject\" \"PRESENT\"", A, false},
    {"header :contains :comparator \"i;octet\" \"subject\" \"present\"", A, true},
    {"header :contains \"subject\" \"\"", A, true},
    {"header :contains \"X-None\" \"\"", A, false},
    {"header :is \"subject\" \"\"", A, false},
    {"header :is \"X-Empty\" \"\"", B, true},
    {"header :contains [\"x-none\", \"Subject\"] [\"nothing\", \"have\"]", A, true},
    {"header :matches \"subject\" \"*present*\"", A, true},
    {"header :matches \"subject\" \"present*\"", A, false},
    {"header :matches \"subject\" \"? have*\"", A, true},
    {"header :matches \"subject\" \"*you\"", A, true},
    {"header :matches \"subject\" \"*you?\"", A, false},
    {"header :matches \"subject\" \"**e*e*e*\"", A, true},
    {"header :matches \"subject\" \"*e*e*e*e*\"", A, false},
    {"header :matches \"subject\" \"\"", A, false},
    {"header :matches \"X-Empty\" \"\"", B, true},
    {"header :matches \"X-Empty\" \"*\"", B, true},
    {"header :matches \"X-Empty\" \"?*\"", B, false},
    {"header :matches \"X-Two\" \"second (\\\\*)\"", B, true},
    {"header :matches \"X-Two\" \"first\\\\*\"", B, false},
    {"header :matches \"X-Star\" \"a\\\\*\"", B, true},
    {"header :matches \"X-Star\" \"a\\\\?\"", B, false},
    {"header :matches \"X-Star\" \"a*\\\\\"", B, false},
    {"header \"X-Word\" \" x \"", B, true},
    {"header :contains \"subject\" \"for YOU\"", A, true},
    {"header :contains \"subject\" \"for you!\"", A, false},
    {"header :matches \"X-Two\" \"f\\\\irst\"", B, true},
    {"header :is \"x-two\" \"second (*)\"", B, true},
    {"header :is \"subject\" \"\xc3\xa9t\xc3\xa9  and $$$ folded\"", B, true},
    {"header :contains \"from\" \"Andr\xc3\xa9 Pirard\"", B, true},
    {"header :is \"x-koi\" \"=?koi8-r?B?8A==?=\"", B, true},
    {"header :contains \"subject\" \"${hex:24 24}$\"", B, true},
    {"header :contains \"subject\" \"${unicode:e9}t${UNICODE: 00e9 }\"", B, true},
    {"header :contains \"subject\" \"${hex:24\"", B, false},
    /* address */
    {"address \"from\" \"COYOTE@desert.example.org\"", A, true},
    {"address :all :comparator \"i;octet\" \"from\" \"COYOTE@desert.example.org\"", A, false},
    {"address :localpart \"from\" \"coyote\"", A, true},
    {"address :domain \"from\" \"DESERT.example.org\"", A, true},
    {"address :domain :contains [\"to\", \"from\"] [\"acme\", \"x\"]", A, true},
    {"address :localpart \"from\" \"pirard+news\"", B, true},
    {"address :user \"from\" \"pirard\"", B, true},
    {"address :detail \"from\" \"news\"", B, true},
    {"address :detail \"from\" \"\"", A, false},
    {"address :detail :contains \"from\" \"\"", A, false},
    {"address :domain \"from\" \"two.example\"", B, true},
    {"address \"from\" \"\\\"y z\\\"@two.example\"", B, true},
    {"address \"from\" \"y z@two.example\"", B, false},
    {"address :localpart \"from\" \"y z\"", B, true},
    {"address :contains \"from\" \"Andr\"", B, false},
    {"address :contains \"from\" \"group\"", B, false},
    {"address :localpart :contains \"to\" \"\"", B, false},
    {"address :is \"to\" \"not an address list <\"", B, true},
    {"address :contains \"to\" \"address\"", B, true},
    {"address \"x:y\" \"\"", A, false},
    /* envelope */
    {"envelope \"from\" \"coyote+acme@desert.example.org\"", A, true},
    {"envelope :user \"from\" \"coyote\"", A, true},
    {"envelope :detail \"TO\" \"a+b\"", A, true},
    {"envelope :localpart \"to\" \"roadrunner\"", A, false},
    {"envelope :domain :matches [\"from\", \"to\"] \"*.example.???\"", A, true},
    {"header :matches :comparator \"i;ascii-casemap\" \"subject\" \"I HAVE*\"", A, true},
};

#define REQUIRE_ALL \
    "require [\"fileinto\", \"envelope\", \"encoded-character\", \"copy\", \"imap4flags\"," \
    "\"subaddress\", \"reject\", \"ereject\", \"vacation\", \"comparator-i;octet\"];\n"

TEST(tests_follow_table)
{
    struct sieve_result result;
    char text[1024];

    for (size_t i = 0; i < ARRAY_LEN(tests); i++) {
        snprintf(text, sizeof(text), REQUIRE_ALL "if %s { discard; }\n", tests[i].test);
        run_text(bytes_of(text), messages[tests[i].message], &result, NULL);
        expect_row(i, !result.is_failed);
        expect_row(i, (result.count == 0) == tests[i].is_true);
    }
}

TEST(null_path_is_empty_in_all_parts)
{
    static const char *const parts[] = {"all", "localpart", "domain", "user", "detail"};
    struct mail_header header;
    struct sieve_error error;
    struct sieve_result result;
    struct bytes rest = BYTES("\r\n");
    char text[256];

    mail_header_init(&header, 1000, 10);
    assert_true(mail_header_feed(&header, &rest));
    struct sieve_message message = {.header = &header, .to = BYTES("a@b.example")};

    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        snprintf(text, sizeof(text),
                 "require [\"envelope\", \"subaddress\"];"
                 "if envelope :%s \"from\" \"\" { discard; }",
                 parts[i]);
        struct sieve_script *script = sieve_parse(bytes_of(text), &host, &error);

        assert_non_null(script);
        sieve_run(script, &message, &result);
        expect_row(i, result.count == 0);
        sieve_free(&script);
    }
    mail_header_free(&header);
}

/* --- actions ---------------------------------------------------------------------------------- */

static const struct {
    const char *script; /* behind REQUIRE_ALL */
    const char *result;
    const char *error; /* of the run */
} actions[] = {
    {"", "implicit<>", NULL},
    {"keep;", "file<>", NULL},
    {"discard;", "", NULL},
    {"stop; discard;", "implicit<>", NULL},
    {"if true { stop; } discard;", "implicit<>", NULL},
    {"fileinto \"Lists/c\";", "file<Lists/c>", NULL},
    {"fileinto \"inbox\";", "file<INBOX>", NULL},
    {"fileinto \"a\"; discard;", "file<a>", NULL},
    {"fileinto :copy \"a\";", "file<a> implicit<>", NULL},
    {"fileinto :copy \"a\"; discard;", "file<a>", NULL},
    {"fileinto \"a\"; fileinto \"a\"; keep; keep;", "file<a> file<>", NULL},
    {"fileinto :copy \"INBOX\"; fileinto \"Inbox\"; keep;", "file<INBOX> file<>", NULL},
    {"redirect \"x@y.example\";", "redirect<x@y.example>", NULL},
    {"redirect \"X Y <x@y.example>\";", "redirect<x@y.example>", NULL},
    {"redirect :copy \"x@y.example\"; redirect \"X@y.example\";", "redirect<x@y.example>", NULL},
    {"redirect :copy \"x@y.example\";", "redirect<x@y.example> implicit<>", NULL},
    {"redirect \"a@y.example\"; redirect \"b@y.example\"; redirect \"c@y.example\";"
     "redirect \"d@y.example\"; redirect \"e@y.example\";",
     "implicit<>", "redirected too often"},
    {"reject \"no\";", "reject<no>", NULL},
    {"ereject text:\n..dots\nand more\n.\n;", "reject<.dots\r\nand more\r\n>", NULL},
    {"reject \"no\"; keep;", "implicit<>", "was rejected"},
    {"reject \"no\"; discard;", "reject<no>", NULL},
    {"fileinto \"a\"; reject \"no\";", "implicit<>", "cannot be rejected"},
    {"reject \"no\"; ereject \"no\";", "implicit<>", "already"},
    {"vacation \"away\"; reject \"no\";", "implicit<>", "cannot be rejected"},
    {"reject \"no\"; vacation \"away\";", "implicit<>", "was rejected"},
    {"vacation \"away\";", "vacation<away>7 implicit<>", NULL},
    {"vacation :days 0 \"away\"; discard;", "vacation<away>1", NULL},
    {"vacation :days 4000 \"away\"; discard;", "vacation<away>365", NULL},
    {"vacation \"a\"; vacation \"b\";", "implicit<>", "answered already"},
    {"vacation :days 3 :subject \"s\" :from \"a@b.example\" :addresses [\"c@d.example\"] :mime "
     ":handle \"h\" \"x\"; keep;",
     "vacation<x>3 file<>", NULL},
    /* flags */
    {"setflag \"\\\\Seen\";", "implicit<>[\\Seen]", NULL},
    {"addflag [\"\\\\Seen\", \"\\\\flagged \\\\seen\"]; keep;", "file<>[\\Seen \\flagged]", NULL},
    {"addflag \"a b  c\"; removeflag \"B x\"; keep;", "file<>[a c]", NULL},
    {"addflag \"a\"; removeflag \"A\"; keep;", "file<>", NULL},
    {"addflag \"a\"; setflag \"b\"; keep;", "file<>[b]", NULL},
    {"addflag [\"\\\\Recent\", \"\\\\Other\", \"a(b\", \"\", \"\xc3\xa9\"]; keep;", "file<>", NULL},
    {"addflag \"a\"; fileinto :flags \"b\" \"x\"; fileinto \"y\"; fileinto :flags \"\" \"z\";",
     "file<x>[b] file<y>[a] file<z>", NULL},
    {"fileinto :flags \"a\" \"x\"; fileinto :flags \"b\" \"x\";", "file<x>[b]", NULL},
    {"addflag \"a\"; if hasflag \"A\" { discard; }", "", NULL},
    {"addflag \"a\"; if hasflag [\"c\", \"b a\"] { discard; }", "", NULL},
    {"addflag \"junk1\"; if hasflag :contains \"unk\" { discard; }", "", NULL},
    {"addflag \"junk1\"; if hasflag \"junk\" { discard; }", "implicit<>[junk1]", NULL},
    {"if hasflag :contains \"\" { discard; }", "implicit<>", NULL},
    /* control */
    {"if true { fileinto \"a\"; } elsif true { fileinto \"b\"; } else { fileinto \"c\"; }",
     "file<a>", NULL},
    {"if false { fileinto \"a\"; } elsif true { fileinto \"b\"; } else { fileinto \"c\"; }",
     "file<b>", NULL},
    {"if false { fileinto \"a\"; } elsif false { fileinto \"b\"; } else { fileinto \"c\"; }",
     "file<c>", NULL},
    {"if false { fileinto \"a\"; } if true { fileinto \"b\"; } keep;", "file<b> file<>", NULL},
    {"IF TRUE { FileInto \"a\"; /* a * comment\n */ } # the end", "file<a>", NULL},
};

TEST(actions_follow_table)
{
    struct sieve_result result;
    struct buf out;
    char text[2048];

    buf_init(&out, 4096);
    for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
        buf_clear(&out);
        snprintf(text, sizeof(text), REQUIRE_ALL "%s", actions[i].script);
        run_text(bytes_of(text), MESSAGE_A, &result, &out);
        if (!bytes_equal(buf_bytes(&out), bytes_of(actions[i].result)))
            fail_msg("row %zu: %.*s", i, BYTES_ARG(buf_bytes(&out)));
        expect_row(i, result.is_failed == (actions[i].error != NULL));
        if (actions[i].error != NULL) {
            expect_row(i, strstr(result.error.what, actions[i].error) != NULL);
            expect_row(i, result.error.line == 2);
        }
    }
    buf_free(&out);
}

TEST(sizes_are_compared_exactly)
{
    static const struct {
        const char *limit;
        uint64_t size;
    } rows[] = {{"0", 0}, {"100", 100}, {"1k", 1024}, {"3M", 3 << 20}, {"2G", UINT64_C(2) << 30}};
    struct mail_header header;
    struct sieve_result result;
    struct sieve_error error;
    char text[128];

    mail_header_init(&header, 1000, 10);
    mail_header_finish(&header);
    for (size_t i = 0; i < 2 * ARRAY_LEN(rows); i++) {
        bool is_over = i % 2 == 1;
        uint64_t size = rows[i / 2].size;

        snprintf(text, sizeof(text), "if size :%s %s { discard; }", is_over ? "over" : "under",
                 rows[i / 2].limit);
        struct sieve_script *script = sieve_parse(bytes_of(text), &host, &error);

        assert_non_null(script);
        for (uint64_t at = size == 0 ? 0 : size - 1; at <= size + 1; at++) {
            struct sieve_message message = {.header = &header, .size = at};

            sieve_run(script, &message, &result);
            expect_row(i, (result.count == 0) == (is_over ? at > size : at < size));
        }
        sieve_free(&script);
    }
    mail_header_free(&header);
}

TEST(more_flags_than_there_may_be_are_passed_over)
{
    struct sieve_result result;
    struct buf text;

    buf_init(&text, 4096);
    assert_true(buf_append(&text, BYTES("require \"imap4flags\";")));
    for (unsigned i = 0; i < 2 * SIEVE_FLAGS_MAX; i++)
        assert_true(buf_printf(&text, "addflag \"f%u\";", i));
    run_text(buf_bytes(&text), MESSAGE_A, &result, NULL);
    assert_false(result.is_failed);
    assert_int_equal(result.actions[0].flags.count, SIEVE_FLAGS_MAX);
    buf_free(&text);
}

TEST(too_many_actions_fail_the_run)
{
    struct sieve_result result;
    struct buf text;

    buf_init(&text, 4096);
    assert_true(buf_append(&text, BYTES("require \"fileinto\";")));
    for (unsigned i = 0; i <= SIEVE_ACTIONS_MAX; i++) {
        run_text(buf_bytes(&text), MESSAGE_A, &result, NULL);
        assert_false(result.is_failed);
        assert_true(buf_printf(&text, "fileinto \"a%u\";\n", i));
    }
    run_text(buf_bytes(&text), MESSAGE_A, &result, NULL);
    assert_true(result.is_failed);
    assert_int_equal(result.count, 1);
    buf_free(&text);
}

/* Stars that could be taken in millions of ways over a long value. */
TEST(long_comparisons_fail_the_run)
{
    struct sieve_result result;
    struct buf message, script;

    buf_init(&message, 300000);
    buf_init(&script, 100000);
    assert_true(buf_append(&message, BYTES("Subject: ")));
    for (unsigned i = 0; i < 200000; i++)
        assert_true(buf_append_byte(&message, i % 77 == 76 ? ' ' : 'a'));
    assert_true(buf_append(&message, BYTES("\r\n\r\n")) && buf_append_byte(&message, '\0'));
    assert_true(buf_append(&script, BYTES("if header :matches \"subject\" [")));
    for (unsigned i = 0; i < 900; i++)
        assert_true(buf_printf(&script, "\"*aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab%u\",", i));
    assert_true(buf_append(&script, BYTES("\"b\"] { discard; }")));
    run_text(buf_bytes(&script), (const char *)buf_bytes(&message).ptr, &result, NULL);
    assert_true(result.is_failed);
    assert_non_null(strstr(result.error.what, "too long"));
    assert_int_equal(result.count, 1);
    buf_free(&script);
    buf_free(&message);
}

/* --- scripts that are none -------------------------------------------------------------------- */

static const struct {
    struct bytes script;
    unsigned line;
    const char *what; /* part of it */
} broken[] = {
    {BYTES("frobnicate;"), 1, "\"frobnicate\" is none"},
    {BYTES("\n\nkeep"), 3, "expected ';', found the end"},
    {BYTES("keep\nkeep;"), 2, "expected ';', found keep"},
    {BYTES("keep;;"), 1, "expected a command"},
    {BYTES("keep; }"), 1, "expected a command, found }"},
    {BYTES("if true { keep;\n\n"), 3, "begins in line 1"},
    {BYTES("if true keep;"), 1, "'{' first"},
    {BYTES("if { keep; }"), 1, "expected a test"},
    {BYTES("if keep { }"), 1, "expected a test, and \"keep\" is none"},
    {BYTES("true;"), 1, "expected a command, and \"true\" is none"},
    {BYTES("else { }"), 1, "before \"else\""},
    {BYTES("if true { } keep; elsif true { }"), 1, "before \"elsif\""},
    {BYTES("if true { } else { }\nelse { }"), 2, "before \"else\""},
    {BYTES("if not { }"), 1, "expected a test"},
    {BYTES("if allof true { }"), 1, "a list of tests"},
    {BYTES("if allof (true true) { }"), 1, "',' or ')'"},
    {BYTES("if anyof () { }"), 1, "expected a test"},
    {BYTES("stop \"x\";"), 1, "expected no more"},
    {BYTES("require \"nonsense\";"), 1, "the extension \"nonsense\" is not supported"},
    {BYTES("require [\"fileinto\",\n\"variables\"];"), 1, "\"variables\" is not supported"},
    {BYTES("require \"FileInto\";"), 1, "not supported"},
    {BYTES("keep;\nrequire \"fileinto\";"), 2, "before every other"},
    {BYTES("require;"), 1, "a string or a list of strings more"},
    {BYTES("require [];"), 1, "expected a string"},
    {BYTES("require [\"fileinto\""), 1, "',' or ']'"},
    {BYTES("fileinto \"a\";"), 1, "expected require \"fileinto\""},
    {BYTES("require \"fileinto\"; fileinto [\"a\"];"), 1, "one string"},
    {BYTES("require \"fileinto\"; fileinto :copy \"a\";"), 1, "require \"copy\""},
    {BYTES("require \"fileinto\"; fileinto \"a.b\";"), 1, "a mailbox's name"},
    {BYTES("require \"fileinto\"; fileinto \"\";"), 1, "a mailbox's name"},
    {BYTES("require \"fileinto\"; fileinto :over \"a\";"), 1, "takes no \":over\""},
    {BYTES("keep :flags \"a\";"), 1, "require \"imap4flags\""},
    {BYTES("setflag \"a\";"), 1, "require \"imap4flags\""},
    {BYTES("require \"imap4flags\";\nsetflag \"v\" \"a\";"), 2, "\"variables\""},
    {BYTES("redirect \"nobody\";"), 1, "a mail address"},
    {BYTES("redirect \"a@b.example, c@d.example\";"), 1, "a mail address"},
    {BYTES("redirect \"a@b.example, C <c@d.example>\";"), 1, "a mail address"},
    {BYTES("redirect \"A\r\n <a@b.example>\";"), 1, "a mail address"},
    {BYTES("redirect \"@a:b@c.example\";"), 1, "a mail address"},
    {BYTES("redirect \"a@b.example\r\nBcc: c@d.example\";"), 1, "a mail address"},
    {BYTES("if header \"a\" { }"), 1, "more behind \"header\""},
    {BYTES("if header \"a\" 1 { }"), 1, "found a number"},
    {BYTES("if header \"a\" :is \"b\" { }"), 1, "found a tag"},
    {BYTES("if header :is :contains \"a\" \"b\" { }"), 1, "one too many"},
    {BYTES("if header :all \"a\" \"b\" { }"), 1, "takes no \":all\""},
    {BYTES("if header :comparator \"a\" \"b\" { }"), 1, "expected a comparator"},
    {BYTES("if header :comparator \"i;unicode-casemap\" \"a\" \"b\" { }"), 1, "\"i;unicode"},
    {BYTES("if header :comparator [\"i;octet\"] \"a\" \"b\" { }"), 1, "one string behind"},
    {BYTES("if header :regex \"a\" \"b\" { }"), 1, "takes no \":regex\""},
    {BYTES("if header :count \"a\" \"b\" { }"), 1, "takes no \":count\""},
    {BYTES("if address \"subject\" \"b\" { }"), 1, "a field of addresses"},
    {BYTES("if address :user \"from\" \"b\" { }"), 1, "require \"subaddress\""},
    {BYTES("if envelope \"from\" \"b\" { }"), 1, "require \"envelope\""},
    {BYTES("require \"envelope\"; if envelope \"auth\" \"b\" { }"), 1, "\"from\" or \"to\""},
    {BYTES("if size 100 { }"), 1, "\":over\" or \":under\""},
    {BYTES("if size :over :under 100 { }"), 1, "one too many"},
    {BYTES("if size :over \"100\" { }"), 1, "expected a number"},
    {BYTES("if size :over 100X { }"), 1, "expected a number"},
    {BYTES("if size :over 100KB { }"), 1, "expected a number"},
    {BYTES("if size :over 99999999999999999999 { }"), 1, "too large"},
    {BYTES("if size :over 9999999999999G { }"), 1, "too large"},
    {BYTES("require \"vacation\"; vacation;"), 1, "one string more"},
    {BYTES("require \"vacation\"; vacation :days \"x\" \"y\";"), 1, "a number behind \":days\""},
    {BYTES("require \"vacation\"; vacation :days"), 1, "a number behind \":days\""},
    {BYTES("require \"vacation\"; vacation :from \"nobody\" \"y\";"), 1, "addresses behind"},
    {BYTES("require \"vacation\"; vacation :from \"a@b.example\nX: y\" \"y\";"), 1, "addresses"},
    {BYTES("require \"vacation\"; vacation :mime \"X: \xc3\xa9\r\n\r\ny\";"), 1, "ASCII alone"},
    {BYTES("require \"vacation\"; vacation :days 1 :days 2 \"y\";"), 1, "one too many"},
    {BYTES("keep; /* no end"), 1, "\"*/\""},
    {BYTES("\nkeep \"no end\n\n"), 2, "ends the string that begins here"},
    {BYTES("keep \"no end\\"), 1, "ends the string"},
    {BYTES("require \"reject\";\nreject text:\nno end\n"), 2, "a line \".\""},
    {BYTES("require \"reject\";\nreject text: x\n.\n;"), 2, "the end of the line"},
    {BYTES("keep\rkeep;"), 1, "a CR without"},
    {BYTES("keep; # \r \n"), 1, "a CR without"},
    {BYTES("keep \"a\rb\";"), 1, "a CR without"},
    {BYTES("keep;\n\0"), 2, "NUL"},
    {BYTES("keep \"\0\";"), 1, "NUL"},
    {BYTES("/* \0 */ keep;"), 1, "NUL"},
    {BYTES("keep: ;"), 1, "expected a word behind ':'"},
    {BYTES("keep @;"), 1, "\"@\" begins nothing"},
    {BYTES("\xef\xbb\xbfkeep;"), 1, "begins nothing"},
    {BYTES("require \"encoded-character\";\nif header \"a\" \"${unicode:200000}\" { }"), 2,
     "a character of Unicode"},
    {BYTES("require \"encoded-character\"; if header \"a\" \"${unicode:110000}\" { }"), 1,
     "a character of Unicode"},
    {BYTES("require \"encoded-character\"; if header \"a\" \"${Unicode:DF01}\" { }"), 1,
     "a character of Unicode"},
};

TEST(broken_scripts_are_told_with_their_line)
{
    struct sieve_error error;

    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        struct sieve_script *script = sieve_parse(broken[i].script, &host, &error);

        expect_row(i, script == NULL);
        if (error.line != broken[i].line || strstr(error.what, broken[i].what) == NULL)
            fail_msg("row %zu: line %u: %s", i, error.line, error.what);
    }
}

TEST(what_the_host_cannot_do_is_no_command)
{
    static const char *const scripts[] = {
        "redirect \"a@b.example\";",
        "require \"vacation\";",
        "vacation \"x\";",
    };
    struct sieve_host poor = {.can_redirect = false};
    struct sieve_error error;

    for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
        expect_row(i, sieve_parse(bytes_of(scripts[i]), &poor, &error) == NULL);
        expect_row(i, strstr(error.what, "not supported here") != NULL);
    }
}

/* --- strings and bounds ----------------------------------------------------------------------- */

static const struct {
    const char *string; /* as it stands in the script */
    struct bytes value;
} strings[] = {
    {"\"\"", BYTES("")},
    {"\"a\\\"b\\\\c\\d\"", BYTES("a\"b\\cd")},
    {"\"two\nlines\r\n\"", BYTES("two\r\nlines\r\n")},
    {"text:\n.\n", BYTES("")},
    {"text: \t# comment\r\n..\r\n.a\r\n...b\r\n.\r\n", BYTES(".\r\n.a\r\n..b\r\n")},
    {"TEXT:\na\n.\n", BYTES("a\r\n")},
    {"\"${hex:41}\"", BYTES("${hex:41}")}, /* not required */
    {"\"\x80\xff\"", BYTES("\x80\xff")},
};

TEST(strings_follow_table)
{
    struct sieve_result result;
    struct buf out, expected;
    char text[256];

    buf_init(&out, 1024);
    buf_init(&expected, 1024);
    for (size_t i = 0; i < ARRAY_LEN(strings); i++) {
        buf_clear(&out);
        buf_clear(&expected);
        snprintf(text, sizeof(text), "require \"reject\"; reject %s;", strings[i].string);
        run_text(bytes_of(text), MESSAGE_A, &result, &out);
        assert_true(buf_printf(&expected, "reject<%.*s>", BYTES_ARG(strings[i].value)));
        expect_row(i, bytes_equal(buf_bytes(&out), buf_bytes(&expected)));
    }
    buf_free(&expected);
    buf_free(&out);
}

static const struct {
    struct bytes string, value;
} encoded[] = {
    /* RFC 5228 section 2.4.2.4 */
    {BYTES("$${hex:40}"), BYTES("$@")},
    {BYTES("${hex: 40 }"), BYTES("@")},
    {BYTES("${HEX: 40}"), BYTES("@")},
    {BYTES("${hex:40"), BYTES("${hex:40")},
    {BYTES("${hex:400}"), BYTES("${hex:400}")},
    {BYTES("${hex:4${hex:30}}"), BYTES("${hex:40}")},
    {BYTES("${unicode:40}"), BYTES("@")},
    {BYTES("${ unicode:40}"), BYTES("${ unicode:40}")},
    {BYTES("${UNICODE:40}"), BYTES("@")},
    {BYTES("${UnICoDE:0000040}"), BYTES("@")},
    {BYTES("${Unicode:Cool}"), BYTES("${Unicode:Cool}")},
    {BYTES("${hex:40 1 c3a9}"), BYTES("${hex:40 1 c3a9}")},
    {BYTES("${hex:40\t1 c3 a9}"), BYTES("@\x01\xc3\xa9")},
    {BYTES("${hex:}"), BYTES("${hex:}")},
    {BYTES("${unicode:e9 20ac 1f600}"), BYTES("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80")},
    {BYTES("${unicode:200000 x}"), BYTES("${unicode:200000 x}")}, /* no error: it is malformed */
};

TEST(encoded_characters_follow_table)
{
    struct sieve_result result;
    struct buf out, expected;
    char text[256];

    buf_init(&out, 1024);
    buf_init(&expected, 1024);
    for (size_t i = 0; i < ARRAY_LEN(encoded); i++) {
        buf_clear(&out);
        buf_clear(&expected);
        snprintf(text, sizeof(text),
                 "require [\"reject\", \"encoded-character\"]; reject \"%.*s\";",
                 BYTES_ARG(encoded[i].string));
        run_text(bytes_of(text), MESSAGE_A, &result, &out);
        assert_true(buf_printf(&expected, "reject<%.*s>", BYTES_ARG(encoded[i].value)));
        expect_row(i, bytes_equal(buf_bytes(&out), buf_bytes(&expected)));
    }
    buf_free(&expected);
    buf_free(&out);
}

static bool parses(struct buf *text, const char *what)
{
    struct sieve_error error = {0};
    struct sieve_script *script = sieve_parse(buf_bytes(text), &host, &error);
    bool is_good = script != NULL;

    if (!is_good && strstr(error.what, what) == NULL)
        fail_msg("line %u: %s", error.line, error.what);
    sieve_free(&script);
    return is_good;
}

static void repeat(struct buf *out, const char *what, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        assert_true(buf_append(out, bytes_of(what)));
}

TEST(scripts_have_bounds)
{
    struct buf text;

    buf_init(&text, 4 * SIEVE_SIZE_MAX);
    /* RFC 5228 section 2.10.7: fifteen levels of each must work. */
    repeat(&text, "if anyof (allof (", 1);
    repeat(&text, "not anyof(", 13);
    repeat(&text, "true", 1);
    repeat(&text, ")", 15);
    repeat(&text, "{", 1);
    repeat(&text, "if true {", 15);
    repeat(&text, "}", 16);
    assert_true(parses(&text, ""));
    buf_clear(&text);
    repeat(&text, "if true {", SIEVE_DEPTH_MAX + 1);
    assert_false(parses(&text, "levels of nesting"));
    buf_clear(&text);
    repeat(&text, "if ", 1);
    repeat(&text, "not ", SIEVE_DEPTH_MAX + 1);
    assert_false(parses(&text, "levels of nesting"));
    buf_clear(&text);
    repeat(&text, "if true {} if not false {}", SIEVE_DEPTH_MAX);
    assert_true(parses(&text, ""));
    buf_clear(&text);
    repeat(&text, "if exists [", 1);
    repeat(&text, "\"a\",", SIEVE_LIST_MAX - 1);
    repeat(&text, "\"a\"] { }", 1);
    assert_true(parses(&text, ""));
    buf_clear(&text);
    repeat(&text, "if exists [", 1);
    repeat(&text, "\"a\",", SIEVE_LIST_MAX);
    repeat(&text, "\"a\"] { }", 1);
    assert_false(parses(&text, "strings in a list"));
    buf_clear(&text);
    repeat(&text, "if header :is :is :is :is :is :is :is :is :is :is :is :is :is :is :is :is :is",
           1);
    assert_false(parses(&text, "fewer arguments"));
    buf_clear(&text);
    repeat(&text, "keep;", SIEVE_SIZE_MAX / 5);
    assert_true(parses(&text, ""));
    repeat(&text, "keep;", 1);
    assert_false(parses(&text, "and may have"));
    buf_clear(&text);
    repeat(&text, "require \"reject\"; reject \"", 1);
    repeat(&text, "x", SIEVE_REASON_MAX);
    repeat(&text, "\";", 1);
    assert_true(parses(&text, ""));
    buf_clear(&text);
    repeat(&text, "require \"reject\"; reject \"", 1);
    repeat(&text, "x", SIEVE_REASON_MAX + 1);
    repeat(&text, "\";", 1);
    assert_false(parses(&text, "a shorter reason"));
    buf_free(&text);
}
