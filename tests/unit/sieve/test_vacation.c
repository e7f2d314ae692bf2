/* test_vacation.c - who is answered, and with what. */
#include "inbound/sieve/vacation.h"

#include <stdio.h>
#include <string.h>

#include "smtp/encoded_word.h"
#include "support/unit.h"

static const struct sieve_host host = {.can_answer = true};

struct room {
    struct sieve_script *script;
    struct sieve_result result;
    struct sieve_message message;
    struct mail_header header;
    struct vacation_question question;
};

static void open_room(struct room *room, const char *script, const char *from, const char *text)
{
    struct sieve_error error;
    struct bytes rest = bytes_of(text);
    char whole[2048];

    snprintf(whole, sizeof(whole), "require [\"vacation\", \"encoded-character\"]; %s", script);
    room->script = sieve_parse(bytes_of(whole), &host, &error);
    assert_non_null(room->script);
    mail_header_init(&room->header, MAIL_HEADER_SIZE_MAX, MAIL_HEADER_FIELDS_MAX);
    if (!mail_header_feed(&room->header, &rest))
        mail_header_finish(&room->header);
    room->message = (struct sieve_message){.header = &room->header,
                                           .size = 100,
                                           .from = bytes_of(from),
                                           .to = BYTES("anna@b.example")};
    sieve_run(room->script, &room->message, &room->result);
    assert_false(room->result.is_failed);
    assert_int_equal(room->result.actions[0].kind, SIEVE_VACATION);
    room->question = (struct vacation_question){.message = &room->message,
                                                .vacation = room->result.actions[0].vacation,
                                                .account = BYTES("anna@b.example")};
}

static void close_room(struct room *room)
{
    sieve_free(&room->script);
    mail_header_free(&room->header);
}

static const struct {
    const char *from, *text; /* the header */
    const char *why;         /* a part of it; NULL: it is answered */
} rows[] = {
    {"x@a.example", "To: anna@b.example\r\n\r\n", NULL},
    {"x@a.example", "To: someone@a.example, Anna <ANNA+d@B.example>\r\n\r\n", NULL},
    {"x@a.example", "Cc: friends: anna@b.example, c@d.example;\r\n\r\n", NULL},
    {"x@a.example", "Resent-To: anna@b.example\r\nTo: c@d.example\r\n\r\n", NULL},
    {"x@a.example", "To: work@d.example\r\n\r\n", NULL}, /* :addresses */
    {"x@a.example", "To: team@b.example\r\n\r\n", "among its recipients"},
    {"x@a.example", "To: xanna@b.example\r\n\r\n", "among its recipients"},
    {"x@a.example", "To: anna@b.example.org\r\n\r\n", "among its recipients"},
    {"x@a.example", "To: \"anna@b.example\" <c@d.example>\r\n\r\n", "among its recipients"},
    {"x@a.example", "Subject: none\r\n\r\n", "among its recipients"},
    {"x@a.example", "To: anna@b.example, (((\r\n\r\n", "among its recipients"},
    {"", "To: anna@b.example\r\n\r\n", "null"},
    {"MAILER-daemon@a.example", "To: anna@b.example\r\n\r\n", "machine"},
    {"owner-x@a.example", "To: anna@b.example\r\n\r\n", "machine"},
    {"x-Request@a.example", "To: anna@b.example\r\n\r\n", "machine"},
    {"x-requests@a.example", "To: anna@b.example\r\n\r\n", NULL},
    {"x@owner-a.example", "To: anna@b.example\r\n\r\n", NULL},
    {"LISTSERV@a.example", "To: anna@b.example\r\n\r\n", "machine"},
    {"bounces+1-2@a.example", "To: anna@b.example\r\n\r\n", "machine"},
    {"anna+x@b.example", "To: anna@b.example\r\n\r\n", "itself"},
    {"Work@d.example", "To: anna@b.example\r\n\r\n", "itself"},
    {"x@a.example", "To: anna@b.example\r\nList-Id: <x.y>\r\n\r\n", "List-"},
    {"x@a.example", "To: anna@b.example\r\nlist-unsubscribe: <x:y>\r\n\r\n", "List-"},
    {"x@a.example", "To: anna@b.example\r\nPrecedence: Bulk\r\n\r\n", "Precedence"},
    {"x@a.example", "To: anna@b.example\r\nPrecedence: first-class\r\n\r\n", NULL},
    {"x@a.example", "To: anna@b.example\r\nAuto-Submitted: auto-replied\r\n\r\n", "Auto-Submitted"},
    {"x@a.example", "To: anna@b.example\r\nAuto-Submitted: nonsense\r\n\r\n", "Auto-Submitted"},
    {"x@a.example", "To: anna@b.example\r\nAuto-Submitted:\r\n\r\n", "Auto-Submitted"},
    {"x@a.example", "To: anna@b.example\r\nAuto-Submitted: No (by hand)\r\n\r\n", NULL},
    {"x@a.example", "To: anna@b.example\r\nX-Auto-Response-Suppress: DR, OOF\r\n\r\n", "Suppress"},
    {"x@a.example", "To: anna@b.example\r\nX-Auto-Response-Suppress: DR\r\n\r\n", NULL},
    {"x@a.example", "To: anna@b.example\r\nContent-Type: multipart/report;\r\n x=y\r\n\r\n",
     "report"},
};

TEST(those_are_answered_who_may_be)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct room room;

        open_room(&room, "vacation :addresses [\"Work@d.example\"] \"away\";", rows[i].from,
                  rows[i].text);
        const char *why = vacation_refusal(&room.question);

        if (rows[i].why == NULL)
            expect_row(i, why == NULL);
        else
            expect_row(i, why != NULL && strstr(why, rows[i].why) != NULL);
        close_room(&room);
    }
}

TEST(an_alias_is_an_address_of_the_account)
{
    struct room room;

    open_room(&room, "vacation \"away\";", "x@a.example", "To: info+a@c.example\r\n\r\n");
    assert_non_null(vacation_refusal(&room.question));
    room.question.alias = BYTES("info@c.example");
    assert_null(vacation_refusal(&room.question));
    room.message.from = BYTES("info@c.example");
    assert_non_null(vacation_refusal(&room.question));
    close_room(&room);
}

TEST(a_header_that_is_not_known_whole_is_not_answered)
{
    struct room room;

    open_room(&room, "vacation \"away\";", "x@a.example", "To: anna@b.example\r\n\r\n");
    room.header.is_cut = true;
    assert_non_null(vacation_refusal(&room.question));
    close_room(&room);
}

/* --- what it is remembered by ----------------------------------------------------------------- */

static uint64_t key_of(const char *script, const char *from)
{
    struct room room;

    open_room(&room, script, from, "To: anna@b.example\r\n\r\n");
    uint64_t key = vacation_key(&room.message, room.question.vacation);

    close_room(&room);
    return key;
}

TEST(senders_are_remembered_by_handle_or_by_what_is_said)
{
    uint64_t plain = key_of("vacation \"away\";", "x@a.example");

    assert_true(plain ==
                key_of("vacation :days 3 :addresses [\"y@z.example\"] \"away\";", "X@A.example"));
    assert_true(plain != key_of("vacation \"away\";", "y@a.example"));
    assert_true(plain != key_of("vacation \"gone\";", "x@a.example"));
    assert_true(plain != key_of("vacation :subject \"s\" \"away\";", "x@a.example"));
    assert_true(plain != key_of("vacation :from \"anna@b.example\" \"away\";", "x@a.example"));
    uint64_t handle = key_of("vacation :handle \"h\" \"away\";", "x@a.example");

    assert_true(plain != handle);
    assert_true(handle == key_of("vacation :handle \"h\" :subject \"s\" \"gone\";", "x@a.example"));
    assert_true(handle != key_of("vacation :handle \"i\" \"away\";", "x@a.example"));
}

/* --- answers ---------------------------------------------------------------------------------- */

static bool write_answer(struct room *room, struct buf *out, struct bytes *from)
{
    const struct vacation_names names = {.id = BYTES("<1.answer@mx.b.example>"),
                                         .date = "Sat, 28 Nov 2026 23:00:00 +0000"};

    buf_init(out, 1 << 20);
    return vacation_write(&room->question, &names, out, from);
}

static void expect_answer(const char *script, const char *header, const char *expected)
{
    struct room room;
    struct bytes from;
    struct buf out;

    open_room(&room, script, "x@a.example", header);
    assert_true(write_answer(&room, &out, &from));
    assert_true(buf_append_byte(&out, 0));
    assert_string_equal((const char *)buf_bytes(&out).ptr, expected);
    buf_free(&out);
    close_room(&room);
}

TEST(an_answer_is_whole)
{
    expect_answer("vacation \"I am away.\";",
                  "To: anna@b.example\r\nMessage-ID: <m1@a.example>\r\n"
                  "References: <r1@a.example>\r\n <r2@a.example>\r\n"
                  "Subject: =?utf-8?q?lunch?=\r\n\r\n",
                  "From: <anna@b.example>\r\n"
                  "To: <x@a.example>\r\n"
                  "Subject: Auto: lunch\r\n"
                  "Date: Sat, 28 Nov 2026 23:00:00 +0000\r\n"
                  "Message-ID: <1.answer@mx.b.example>\r\n"
                  "In-Reply-To: <m1@a.example>\r\n"
                  "References: <r1@a.example>\r\n"
                  " <r2@a.example>\r\n"
                  " <m1@a.example>\r\n"
                  "Auto-Submitted: auto-replied\r\n"
                  "X-Auto-Response-Suppress: All\r\n"
                  "MIME-Version: 1.0\r\n"
                  "Content-Type: text/plain; charset=us-ascii\r\n"
                  "Content-Transfer-Encoding: 7bit\r\n\r\n"
                  "I am away.\r\n");
}

TEST(an_answer_says_what_the_script_says)
{
    expect_answer("vacation :subject \"Zur\xc3\xbc"
                  "ck\" :from \"Anna B <anna+a@b.example>\" text:\nf\xc3\xbcr\n..\n.\n;",
                  "To: anna@b.example\r\nMessage-ID: broken <m 1@a.example>\r\n\r\n",
                  "From: Anna B <anna+a@b.example>\r\n"
                  "To: <x@a.example>\r\n"
                  "Subject: =?utf-8?B?WnVyw7xjaw==?=\r\n"
                  "Date: Sat, 28 Nov 2026 23:00:00 +0000\r\n"
                  "Message-ID: <1.answer@mx.b.example>\r\n"
                  "Auto-Submitted: auto-replied\r\n"
                  "X-Auto-Response-Suppress: All\r\n"
                  "MIME-Version: 1.0\r\n"
                  "Content-Type: text/plain; charset=utf-8\r\n"
                  "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
                  "f=C3=BCr\r\n.\r\n");
}

TEST(an_answer_in_mime_has_what_is_of_the_content_alone)
{
    expect_answer("vacation :mime \"Content-Type: text/html\r\nBcc: all@a.example\r\n"
                  "MIME-Version: 1.0\r\n\r\n<b>away</b>\";",
                  "To: anna@b.example\r\nSubject:\r\n\r\n",
                  "From: <anna@b.example>\r\n"
                  "To: <x@a.example>\r\n"
                  "Subject: Auto: \r\n"
                  "Date: Sat, 28 Nov 2026 23:00:00 +0000\r\n"
                  "Message-ID: <1.answer@mx.b.example>\r\n"
                  "Auto-Submitted: auto-replied\r\n"
                  "X-Auto-Response-Suppress: All\r\n"
                  "MIME-Version: 1.0\r\n"
                  "Content-Type: text/html\r\n\r\n"
                  "<b>away</b>\r\n");
}

TEST(what_cannot_be_sent_is_not_sent)
{
    static const char *const scripts[] = {
        "vacation :mime \"no header\";",
        "vacation :mime \"\r\nno header\";",
        "vacation :mime \"Content-Type: text/plain\r\n\r\na${hex:0d}b\";",
        "vacation :mime \"Content-Type: text/plain\r\n\r\na${hex:0a}b\";",
        "vacation :mime \"Content-Type: text/plain\r\n\r\na${hex:00}b\";",
    };

    for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
        struct room room;
        struct bytes from;
        struct buf out;

        open_room(&room, scripts[i], "x@a.example", "To: anna@b.example\r\n\r\n");
        expect_row(i, !write_answer(&room, &out, &from));
        buf_free(&out);
        close_room(&room);
    }
}

static const struct {
    const char *from, *author;
} authors[] = {
    {"anna@b.example", "anna@b.example"},
    {"Anna+x@b.example", "Anna+x@b.example"},
    {"boss@b.example", "anna@b.example"},   /* somebody else's */
    {"work@d.example", "anna@b.example"},   /* named, but of another domain */
    {"sales@b.example", "sales@b.example"}, /* named by :addresses */
    {"anna@b.example, sales@b.example", "anna@b.example"},
    {"anna@xb.example", "anna@b.example"},
};

TEST(a_script_writes_as_its_account_alone)
{
    for (size_t i = 0; i < ARRAY_LEN(authors); i++) {
        char script[256];
        struct room room;
        struct bytes from;
        struct buf out;

        snprintf(
            script, sizeof(script),
            "vacation :addresses [\"work@d.example\", \"sales@b.example\"] :from \"%s\" \"a\";",
            authors[i].from);
        open_room(&room, script, "x@a.example", "To: anna@b.example\r\n\r\n");
        expect_row(i, write_answer(&room, &out, &from) &&
                          bytes_equal(from, bytes_of(authors[i].author)));
        buf_free(&out);
        close_room(&room);
    }
}

TEST(long_subjects_are_cut_between_characters)
{
    char header[4096] = "To: anna@b.example\r\nSubject: ";
    size_t len = strlen(header);
    struct bytes from;
    struct room room;
    struct buf out;

    for (unsigned i = 0; i < 400; i++, len += 2)
        memcpy(header + len, "\xc3\xa4", 3);
    memcpy(header + len, "\r\n\r\n", 5);
    open_room(&room, "vacation \"a\";", "x@a.example", header);
    assert_true(write_answer(&room, &out, &from));
    struct bytes text = buf_bytes(&out), line;
    size_t longest = 0;

    while (bytes_take_until(&text, '\n', &line))
        longest = MAX(longest, line.len);
    assert_true(longest <= 77 && longest > 60);
    buf_free(&out);
    close_room(&room);
}
