/* test_event_ledger.c - what adds up, what does not, and how that is named. */
#include "event/event_ledger.h"

#include <stdio.h>
#include <string.h>

#include "support/unit.h"

struct fact {
    uint64_t id;
    uint32_t seq;
    unsigned kind; /* enum event_kind, or one of those below */
    const char *recipient;
};

enum { CUT = EVENT_KIND_COUNT + 1, QUEUED, END }; /* in place of a kind */

/* A whole run: facts in order, CUT between them, QUEUED with `seq` recipients. */
struct ledger_case {
    const char *what;
    bool is_not_whole;
    struct fact facts[12];
    struct ledger_sum sum;
    uint64_t wrong;
    const char *said; /* of it, one a line */
};

#define ACCEPT(id, seq, to) \
    { \
        id, seq, EVENT_ACCEPTED, to \
    }
#define DONE(id, seq, to) \
    { \
        id, seq, EVENT_DELIVERED, to \
    }

static const struct ledger_case cases[] = {
    {.what = "a message with both ends",
     .facts = {ACCEPT(1, 0, "a@x"),
               ACCEPT(1, 1, "b@x"),
               {1, 2, EVENT_DEFERRED, "a@x"},
               DONE(1, 3, "b@x"),
               {1, 4, EVENT_BOUNCED, "a@x"},
               {0, 0, END, NULL}},
     .sum = {2, {1, 1, 0, 0, 0}, 0}},
    {.what = "one that was filed",
     .facts = {ACCEPT(1, 0, "a@x"),
               ACCEPT(1, 1, "b@x"),
               {1, 2, EVENT_FILED, "a@x"},
               DONE(1, 3, "b@x"),
               {0, 0, END, NULL}},
     .sum = {2, {2, 0, 0, 0, 0}, 0}},
    {.what = "one that was filed twice",
     .facts = {ACCEPT(1, 0, "a@x"),
               {1, 1, EVENT_FILED, "a@x"},
               {1, 2, EVENT_FILED, "a@x"},
               {0, 0, END, NULL}},
     .sum = {1, {1, 0, 0, 0, 0}, 0},
     .wrong = 1,
     .said = "to=a@x has 2 final events: filed (seq 1), filed (seq 2)\n"},
    {.what = "the same address twice",
     .facts = {ACCEPT(1, 0, "a@x"),
               ACCEPT(1, 1, "a@x"),
               DONE(1, 2, "a@x"),
               DONE(1, 3, "a@x"),
               {0, 0, END, NULL}},
     .sum = {2, {2, 0, 0, 0, 0}, 0}},
    {.what = "one that waits",
     .facts = {ACCEPT(1, 0, "a@x"),
               ACCEPT(1, 1, "b@x"),
               DONE(1, 2, "a@x"),
               {0, 0, CUT, NULL},
               {1, 1, QUEUED, NULL},
               {0, 0, END, NULL}},
     .sum = {2, {1, 0, 0, 0, 0}, 1}},
    {.what = "one that ends while the queue is read, seen before",
     .facts = {ACCEPT(1, 0, "a@x"),
               {0, 0, CUT, NULL},
               {1, 1, QUEUED, NULL},
               DONE(1, 1, "a@x"),
               {0, 0, END, NULL}},
     .sum = {1, {1, 0, 0, 0, 0}, 0}},
    {.what = "... and not seen",
     .facts = {ACCEPT(1, 0, "a@x"), {0, 0, CUT, NULL}, DONE(1, 1, "a@x"), {0, 0, END, NULL}},
     .sum = {1, {1, 0, 0, 0, 0}, 0}},
    {.what = "one that comes while the queue is read",
     .facts = {{0, 0, CUT, NULL},
               {1, 1, QUEUED, NULL},
               ACCEPT(1, 0, "a@x"),
               ACCEPT(2, 0, "b@x"),
               {0, 0, END, NULL}}},
    {.what = "events that stand beside and none of a message",
     .facts = {{0, 0, EVENT_REJECTED, "a@x"}, {0, 0, END, NULL}}},
    {.what = "a lost outcome",
     .facts = {ACCEPT(1, 0, "a@x"), {0, 0, CUT, NULL}, {0, 0, END, NULL}},
     .sum = {1, {0, 0, 0, 0, 0}, 0},
     .wrong = 1,
     .said = "1 recipients have no final event and 0 of the message wait in the queue: a@x\n"},
    {.what = "a lost recipient of two",
     .facts = {ACCEPT(1, 0, "a@x"),
               ACCEPT(1, 1, "b@x"),
               {0, 0, CUT, NULL},
               {1, 1, QUEUED, NULL},
               {0, 0, END, NULL}},
     .sum = {2, {0, 0, 0, 0, 0}, 1},
     .wrong = 1,
     .said = "2 recipients have no final event and 1 of the message wait in the queue: a@x, b@x\n"},
    {.what = "one queued though it ended",
     .facts = {ACCEPT(1, 0, "a@x"),
               DONE(1, 1, "a@x"),
               {0, 0, CUT, NULL},
               {1, 1, QUEUED, NULL},
               {0, 0, END, NULL}},
     .sum = {1, {1, 0, 0, 0, 0}, 0},
     .wrong = 1,
     .said = "1 recipients wait in the queue and 0 have no final event\n"},
    {.what = "more queued than have no final event",
     .facts = {ACCEPT(1, 0, "a@x"),
               ACCEPT(1, 1, "b@x"),
               DONE(1, 2, "a@x"),
               {0, 0, CUT, NULL},
               {1, 2, QUEUED, NULL},
               {0, 0, END, NULL}},
     .sum = {2, {1, 0, 0, 0, 0}, 1},
     .wrong = 1,
     .said = "2 recipients wait in the queue and 1 have no final event\n"},
    {.what = "... and it ends while the queue is read",
     .facts = {ACCEPT(1, 0, "a@x"),
               {0, 0, CUT, NULL},
               {1, 2, QUEUED, NULL},
               DONE(1, 1, "a@x"),
               {0, 0, END, NULL}},
     .sum = {1, {1, 0, 0, 0, 0}, 0},
     .wrong = 1,
     .said = "2 recipients wait in the queue and 0 have no final event\n"},
    {.what = "a second outcome",
     .facts =
         {ACCEPT(1, 0, "a@x"), DONE(1, 1, "a@x"), {1, 2, EVENT_BOUNCED, "a@x"}, {0, 0, END, NULL}},
     .sum = {1, {1, 0, 0, 0, 0}, 0},
     .wrong = 1,
     .said = "to=a@x has 2 final events: delivered (seq 1), bounced (seq 2)\n"},
    {.what = "another's outcome",
     .facts = {ACCEPT(1, 0, "a@x"), DONE(1, 1, "b@x"), {0, 0, CUT, NULL}, {0, 0, END, NULL}},
     .sum = {1, {1, 0, 0, 0, 0}, 0},
     .wrong = 1,
     .said = "to=b@x has a final event, delivered (seq 1), and was not accepted\n"
             "1 recipients have no final event and 0 of the message wait in the queue: a@x\n"},
    {.what = "a hole in the numbers",
     .facts =
         {ACCEPT(1, 0, "a@x"), {1, 2, EVENT_DEFERRED, "a@x"}, DONE(1, 3, "a@x"), {0, 0, END, NULL}},
     .sum = {1, {1, 0, 0, 0, 0}, 0},
     .wrong = 1,
     .said = "seq 1 is missing: seq 2 (deferred) comes behind seq 0\n"},
    {.what = "a number twice",
     .facts = {ACCEPT(1, 0, "a@x"),
               {1, 1, EVENT_DEFERRED, "a@x"},
               {1, 1, EVENT_DEFERRED, "a@x"},
               DONE(1, 2, "a@x"),
               {0, 0, END, NULL}},
     .sum = {1, {1, 0, 0, 0, 0}, 0},
     .wrong = 1,
     .said = "seq 1 (deferred) comes behind seq 1\n"},
    {.what = "no beginning",
     .facts = {ACCEPT(1, 0, "a@x"), DONE(1, 1, "a@x"), DONE(2, 1, "b@x"), {0, 0, END, NULL}},
     .sum = {1, {1, 0, 0, 0, 0}, 0},
     .wrong = 1,
     .said = "it has no accepted events: the first is seq 1\n"},
    {.what = "a beginning in a file that was removed",
     .is_not_whole = true,
     .facts = {DONE(1, 1, "a@x"), ACCEPT(2, 0, "b@x"), DONE(2, 1, "b@x"), {0, 0, END, NULL}},
     .sum = {1, {1, 0, 0, 0, 0}, 0}},
    {.what = "no beginning although it would be there",
     .is_not_whole = true,
     .facts = {ACCEPT(1, 0, "b@x"), DONE(1, 1, "b@x"), DONE(2, 1, "a@x"), {0, 0, END, NULL}},
     .sum = {1, {1, 0, 0, 0, 0}, 0},
     .wrong = 1,
     .said = "it has no accepted events: the first is seq 1\n"},
    {.what = "queued and never told",
     .facts = {{0, 0, CUT, NULL}, {1, 3, QUEUED, NULL}, {0, 0, END, NULL}},
     .wrong = 1,
     .said = "3 recipients wait in the queue, and there is no event of the message\n"},
    {.what = "an outcome whose address the spool lost",
     .facts = {ACCEPT(1, 0, "a@x"), {1, 1, EVENT_BOUNCED, NULL}, {0, 0, END, NULL}},
     .sum = {1, {0, 1, 0, 0, 0}, 0}},
    {.what = "kinds that come to finished messages",
     .facts =
         {ACCEPT(1, 0, "a@x"), DONE(1, 1, "a@x"), {1, 2, EVENT_OPENED, "a@x"}, {0, 0, END, NULL}},
     .sum = {1, {1, 0, 0, 0, 0}, 0}},
};

static struct event_head head_of(const struct fact *fact)
{
    return (struct event_head){
        .kind = (enum event_kind)fact->kind,
        .has_seq = true,
        .seq = fact->seq,
        .id = {fact->id},
        .recipient = fact->recipient == NULL ? BYTES_NONE : bytes_of(fact->recipient),
        .tenant = fact->id % 2 == 0 ? BYTES("even") : BYTES_NONE,
    };
}

static void read_facts(struct ledger *ledger, const struct ledger_case *c,
                       void (*each)(struct ledger *ledger, const struct event_head *head),
                       bool with_queue)
{
    for (const struct fact *fact = c->facts; fact->kind != END; fact++) {
        struct event_head head = head_of(fact);

        if (fact->kind == CUT && with_queue)
            ledger_cut(ledger);
        else if (fact->kind == QUEUED && with_queue)
            ledger_queued(ledger, head.id, fact->seq);
        else if (fact->kind < EVENT_KIND_COUNT)
            each(ledger, &head);
    }
}

static void keep(void *context, struct message_id id, const char *text)
{
    (void)id;
    bool fits = buf_printf(context, "%s\n", text);

    assert_true(fits);
}

TEST(ledger_judges_each_case_and_names_what_is_wrong)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct ledger_case *c = &cases[i];
        const struct ledger_settings settings = {.is_whole = !c->is_not_whole};
        struct ledger *ledger = ledger_create(&settings);
        struct ledger_totals totals;
        struct buf said;

        buf_init(&said, 65536);
        read_facts(ledger, c, ledger_event, true);
        ledger_judge(ledger);
        ledger_totals(ledger, &totals);
        read_facts(ledger, c, ledger_recount, false);
        ledger_tell(ledger, keep, &said);
        bool is_right = totals.wrong_messages == c->wrong &&
                        memcmp(&totals.sum, &c->sum, sizeof(c->sum)) == 0 &&
                        bytes_equal(buf_bytes(&said), bytes_of(c->said == NULL ? "" : c->said));
        if (!is_right)
            fail_msg("%s: %llu wrong, %llu accepted, %llu queued, said: %.*s", c->what,
                     (unsigned long long)totals.wrong_messages,
                     (unsigned long long)totals.sum.accepted, (unsigned long long)totals.sum.queued,
                     BYTES_ARG(buf_bytes(&said)));
        buf_free(&said);
        ledger_free(&ledger);
    }
}

static void add_tenant(void *context, struct bytes name, const struct ledger_sum *sum)
{
    uint64_t *accepted = context;

    accepted[name.len > 0] += sum->accepted;
    assert_true(ledger_sum_adds_up(sum));
}

TEST(ledger_sums_by_tenant)
{
    const struct ledger_settings settings = {.is_whole = true};
    struct ledger *ledger = ledger_create(&settings);
    uint64_t accepted[2] = {0};

    for (uint64_t id = 1; id <= 9; id++) {
        struct event_head begin = head_of(&(struct fact)ACCEPT(id, 0, "a@x"));
        struct event_head end = head_of(&(struct fact)DONE(id, 1, "a@x"));

        ledger_event(ledger, &begin);
        ledger_event(ledger, &end);
    }
    ledger_judge(ledger);
    ledger_for_each_tenant(ledger, add_tenant, accepted);
    assert_int_equal(accepted[0], 5);
    assert_int_equal(accepted[1], 4);
    ledger_free(&ledger);
}

TEST(ledger_counts_only_messages_since)
{
    const struct ledger_settings settings = {.is_whole = true, .since_us = 1577836800000000 + 5};
    struct ledger *ledger = ledger_create(&settings);
    struct ledger_totals totals;

    for (uint64_t id = 4; id <= 6; id++) {
        struct event_head begin = head_of(&(struct fact)ACCEPT(id, 0, "a@x"));

        ledger_event(ledger, &begin);
    }
    ledger_cut(ledger);
    for (uint64_t id = 3; id <= 6; id++)
        ledger_queued(ledger, (struct message_id){id}, 1);
    ledger_judge(ledger);
    ledger_totals(ledger, &totals);
    assert_int_equal(totals.sum.accepted, 2);
    assert_int_equal(totals.sum.queued, 2);
    assert_int_equal(totals.wrong_messages, 0);
    ledger_free(&ledger);
}

TEST(ledger_names_so_many_and_counts_all)
{
    const struct ledger_settings settings = {.is_whole = true};
    struct ledger *ledger = ledger_create(&settings);
    struct ledger_totals totals;
    struct buf said;

    buf_init(&said, 1 << 20);
    for (uint64_t id = 1; id <= LEDGER_NAMED_MAX + 7; id++) {
        struct event_head begin = head_of(&(struct fact)ACCEPT(id, 0, "a@x"));

        ledger_event(ledger, &begin);
    }
    ledger_judge(ledger);
    ledger_totals(ledger, &totals);
    assert_int_equal(totals.wrong_messages, LEDGER_NAMED_MAX + 7);
    ledger_free(&ledger);
    buf_free(&said);
}
