/* threads: one */
/* test_mime_thread.c - keys of SORT and what becomes of them in THREAD. */
#include "inbound/mime/mime_thread.h"

#include "inbound/mime/mime_sort.h"

#include "support/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *subject, *base;
    bool is_reply;
} subjects[] = {
    {"", "", false},
    {"Hello", "hello", false},
    {"Re: Hello", "hello", true},
    {"RE[2]: re : Fw: FWD: Hello", "hello", true},
    {"[list] Hello", "hello", false},
    {"[list] Re: [other] Hello", "hello", true},
    {"Re [blob]: Hello", "hello", true},
    {"Hello (fwd)", "hello", true},
    {"Hello (fwd) (FWD) ", "hello", true},
    {"[Fwd: Hello]", "hello", true},
    {"[fwd: Re: Hello (fwd)]", "hello", true},
    {"[only a blob]", "[only a blob]", false},
    {"Re: [only a blob]", "[only a blob]", true},
    {"[a][b] x", "x", false},
    {"Re:", "", true},
    {"(fwd)", "", true},
    {"[Fwd:]", "", true},
    {"Regarding: x", "regarding: x", false},
    {"[unclosed x", "[unclosed x", false},
    {"a  \t b", "a b", false},
    {"=?utf-8?q?Re=3A_=C3=89?= x", "e\xcc\x81 x", true},
};

TEST(base_subjects)
{
    struct buf out;

    buf_init(&out, MIME_SORT_KEY_MAX);
    for (size_t i = 0; i < ARRAY_LEN(subjects); i++) {
        bool is_reply = !subjects[i].is_reply;

        assert_true(mime_sort_subject(bytes_of(subjects[i].subject), &out, &is_reply));
        if (!bytes_equal(buf_bytes(&out), bytes_of(subjects[i].base)) ||
            is_reply != subjects[i].is_reply)
            fail_msg("%s: %.*s %d", subjects[i].subject, BYTES_ARG(buf_bytes(&out)), is_reply);
        buf_clear(&out);
    }
    buf_free(&out);
}

TEST(base_subjects_of_brackets_have_a_bound)
{
    struct buf text, out;
    bool is_reply;

    buf_init(&text, 1 << 20);
    buf_init(&out, MIME_SORT_KEY_MAX);
    while (buf_append(&text, BYTES("[a]")))
        continue;
    assert_true(mime_sort_subject(buf_bytes(&text), &out, &is_reply));
    assert_in_range(buf_len(&out), 1, 6);
    buf_free(&text);
    buf_free(&out);
}

static const struct {
    const char *value, *mailbox, *display;
} addresses[] = {
    {"Anna <B@c.example>, d@e", "b", "anna"},
    {"B@C.example", "b", "b@c.example"},
    {"Group: \"A. B\" <x@y>;", "x", "a. b"},
    {"=?utf-8?q?=C3=89?= <x@y>", "x", "e\xcc\x81"},
    {"Group:;", "", ""},
    {"", "", ""},
};

TEST(addresses_as_keys)
{
    struct buf out;

    buf_init(&out, MIME_SORT_KEY_MAX);
    for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
        assert_true(mime_sort_mailbox(bytes_of(addresses[i].value), &out));
        expect_row(i, bytes_equal(buf_bytes(&out), bytes_of(addresses[i].mailbox)));
        buf_clear(&out);
        assert_true(mime_sort_display(bytes_of(addresses[i].value), &out));
        expect_row(i, bytes_equal(buf_bytes(&out), bytes_of(addresses[i].display)));
        buf_clear(&out);
    }
    buf_free(&out);
}

TEST(message_ids_are_taken_one_by_one)
{
    struct bytes value = BYTES(" text <a@b>\r\n <\"c\\\"d\"@e> <> <f g@h> <not ended");
    static const char *const ids[] = {"a@b", "c\"d@e", "fg@h"};
    struct buf out;

    buf_init(&out, 20);
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        assert_true(mime_sort_take_id(&value, &out));
        expect_row(i, bytes_equal(buf_bytes(&out), bytes_of(ids[i])));
        buf_clear(&out);
    }
    assert_false(mime_sort_take_id(&value, &out));
    buf_free(&out);
    buf_init(&out, 3); /* what does not fit is passed over */
    value = BYTES("<toolong@x> <a@b>");
    assert_true(mime_sort_take_id(&value, &out));
    assert_true(bytes_equal(buf_bytes(&out), BYTES("a@b")));
    buf_free(&out);
}

/* --- THREAD ----------------------------------------------------------------------------------- */

enum { MESSAGES_MAX = 12, REFERENCES = 4 };

struct sample {
    const char *id, *references, *subject; /* a reply: "re x" */
    int sent;
};

static bool thread(const struct sample *samples, bool by_references, struct buf *out)
{
    struct mime_threaded messages[MESSAGES_MAX] = {0};
    struct bytes references[MESSAGES_MAX][REFERENCES];
    size_t count = 0;

    for (; count < MESSAGES_MAX && samples[count].id != NULL; count++) {
        struct bytes subject = bytes_of(samples[count].subject);
        struct bytes list = bytes_of(samples[count].references);
        struct mime_threaded *message = &messages[count];

        message->id = (uint32_t)count + 1;
        message->is_reply = bytes_take_nocase(&subject, BYTES("re "));
        message->subject = subject;
        message->sent_s = samples[count].sent;
        message->message_id = bytes_of(samples[count].id);
        message->references = references[count];
        while (list.len > 0) {
            struct bytes one;

            if (!bytes_take_until(&list, ' ', &one)) {
                one = list;
                list.len = 0;
            }
            references[count][message->reference_count++] = one;
        }
    }
    return by_references ? mime_thread_references(messages, count, out)
                         : mime_thread_ordered_subject(messages, count, out);
}

static const struct {
    const char *name;
    struct sample samples[MESSAGES_MAX];
    const char *references, *ordered;
} threads[] = {
    {"nothing", {{0}}, "", ""},
    {"one", {{"a", "", "s", 1}}, "(1)", "(1)"},
    {"by dates, then by number",
     {{"a", "", "s", 3}, {"b", "", "t", 1}, {"c", "", "u", 1}},
     "(2)(3)(1)",
     "(2)(3)(1)"},
    {"a chain",
     {{"a", "", "s", 1}, {"b", "a", "re s", 2}, {"c", "a b", "re s", 3}},
     "(1 2 3)",
     "(1 (2)(3))"},
    {"newest first",
     {{"c", "a b", "re s", 3}, {"b", "a", "re s", 2}, {"a", "", "s", 1}},
     "(3 2 1)",
     "(3 (2)(1))"},
    {"two answers",
     {{"a", "", "s", 1}, {"c", "a", "re s", 3}, {"b", "a", "re s", 2}},
     "(1 (3)(2))",
     "(1 (3)(2))"},
    {"the parent is missing: one answer takes its place", {{"b", "x", "re s", 2}}, "(1)", "(1)"},
    {"the parent of two is missing",
     {{"b", "x", "re s", 2}, {"c", "x", "re s", 3}},
     "((1)(2))",
     "(1 2)"},
    {"one is missing in between", {{"a", "", "s", 1}, {"c", "a x", "re s", 3}}, "(1 2)", "(1 2)"},
    {"the same id twice",
     {{"a", "", "s", 1}, {"a", "", "t", 2}, {"b", "a", "re s", 3}},
     "(1 3)(2)",
     "(1 3)(2)"},
    {"without ids", {{"", "", "s", 1}, {"", "", "t", 2}}, "(1)(2)", "(1)(2)"},
    {"it refers to itself", {{"a", "a", "s", 1}}, "(1)", "(1)"},
    {"two refer to each other", {{"a", "b", "s", 1}, {"b", "a", "t", 2}}, "(2 1)", "(1)(2)"},
    {"a circle of three",
     {{"a", "c", "s", 1}, {"b", "a", "t", 2}, {"c", "b", "u", 3}},
     "(3 1 2)",
     "(1)(2)(3)"},
    {"the message itself knows its parent better",
     {{"c", "a b", "s", 3}, {"b", "x", "t", 2}, {"x", "", "u", 1}, {"a", "", "v", 4}},
     "(3 2 1)(4)",
     "(3)(2)(1)(4)"},
    {"by subject: an answer without references",
     {{"a", "", "s", 1}, {"b", "", "re s", 2}},
     "(1 2)",
     "(1 2)"},
    {"by subject: the answer came first",
     {{"b", "", "re s", 1}, {"a", "", "s", 2}},
     "(2 1)",
     "(1 2)"},
    {"by subject: neither is an answer",
     {{"a", "", "s", 1}, {"b", "", "s", 2}, {"c", "", "s", 3}},
     "((1)(2)(3))",
     "(1 (2)(3))"},
    {"by subject: both are answers",
     {{"a", "", "re s", 1}, {"b", "", "re s", 2}},
     "((1)(2))",
     "(1 2)"},
    {"by subject: a dummy takes it in",
     {{"a", "x", "re s", 1}, {"b", "x", "re s", 2}, {"c", "", "re s", 3}},
     "((1)(2)(3))",
     "(1 (2)(3))"},
    {"by subject: two dummies become one",
     {{"a", "x", "re s", 1}, {"b", "x", "re s", 4}, {"c", "y", "re s", 2}, {"d", "y", "re s", 3}},
     "((1)(3)(4)(2))",
     "(1 (3)(4)(2))"},
    {"without a subject nothing is joined",
     {{"a", "", "", 1}, {"b", "", "", 2}},
     "(1)(2)",
     "(1 2)"},
    {"nested",
     {{"a", "", "s", 1},
      {"b", "a", "re s", 2},
      {"c", "a b", "re s", 3},
      {"d", "a b", "re s", 4},
      {"e", "a b d", "re s", 5},
      {"f", "a", "re s", 6}},
     "(1 (2 (3)(4 5))(6))",
     "(1 (2)(3)(4)(5)(6))"},
};

TEST(threads_of_messages)
{
    struct buf out;

    buf_init(&out, 1000);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        for (int by_references = 0; by_references < 2; by_references++) {
            const char *expected = by_references ? threads[i].references : threads[i].ordered;

            assert_true(thread(threads[i].samples, by_references, &out));
            if (!bytes_equal(buf_bytes(&out), bytes_of(expected)))
                fail_msg("%s: %.*s %s", threads[i].name, BYTES_ARG(buf_bytes(&out)), expected);
            buf_clear(&out);
        }
    buf_free(&out);
}

/* A chain, in the order of the answers and against it; then answers to all before. */
TEST(long_threads_cost_little)
{
    enum { COUNT = 200 * 1000 };
    struct mime_threaded *messages = calloc(COUNT, sizeof(*messages));
    struct bytes *ids = calloc(COUNT + 1, sizeof(*ids));
    char *text = calloc(COUNT + 1, 16);
    struct buf out;

    buf_init(&out, 64 << 20);
    for (size_t i = 0; i <= COUNT; i++) {
        int len = snprintf(text + 16 * i, 16, "id%zu", i);

        ids[i] = bytes_range(text + 16 * i, (size_t)len);
    }
    for (int turn = 0; turn < 3; turn++) {
        for (size_t i = 0; i < COUNT; i++) {
            size_t number = turn == 1 ? COUNT - i : i + 1;
            size_t references = turn == 2 ? MIN(number, (size_t)30) : 1;

            messages[i] = (struct mime_threaded){.id = (uint32_t)number,
                                                 .message_id = ids[number],
                                                 .references = &ids[number - references],
                                                 .reference_count = references,
                                                 .sent_s = (int64_t)number};
        }
        assert_true(mime_thread_references(messages, COUNT, &out));
        assert_true(bytes_starts_nocase(buf_bytes(&out), BYTES("(1 2 3 4 5 6 7 8 9 10 11 ")));
        assert_true(bytes_ends_nocase(buf_bytes(&out), BYTES(" 199999 200000)")));
        buf_clear(&out);
    }
    free(text);
    free(ids);
    free(messages);
    buf_free(&out);
}
