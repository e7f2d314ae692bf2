/* test_filing_judge.c - of several copies of a recipient the worst counts, whatever comes last. */
#include "delivery/filing/filer_private.h"
#include "support/unit.h"

static const struct {
    enum judgement_kind first, second, counts;
} rows[] = {
    {JUDGEMENT_FILED, JUDGEMENT_FILED, JUDGEMENT_FILED},
    {JUDGEMENT_FILED, JUDGEMENT_BOUNCED, JUDGEMENT_BOUNCED},
    {JUDGEMENT_BOUNCED, JUDGEMENT_FILED, JUDGEMENT_BOUNCED},
    {JUDGEMENT_FILED, JUDGEMENT_DEFERRED, JUDGEMENT_DEFERRED},
    {JUDGEMENT_DEFERRED, JUDGEMENT_FILED, JUDGEMENT_DEFERRED},
    /* It may still come right: it is tried again, and what was filed is not filed twice. */
    {JUDGEMENT_BOUNCED, JUDGEMENT_DEFERRED, JUDGEMENT_DEFERRED},
    {JUDGEMENT_DEFERRED, JUDGEMENT_BOUNCED, JUDGEMENT_DEFERRED},
};

TEST(judgement_of_several_copies_is_the_worst)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct filed_recipient recipient = {0};
        struct filer filer = {0};
        char text[] = "first";

        arena_init(&filer.arena, 4096);
        filer_judge(&filer, &recipient, rows[i].first, 2, 2, "a", "first-rule", text);
        text[0] = 'x'; /* it was copied */
        filer_judge(&filer, &recipient, rows[i].second, 3, 1, "b", "second-rule", "second");
        expect_row(i, recipient.is_judged && recipient.judgement.kind == rows[i].counts);
        bool is_second = rows[i].counts != rows[i].first;
        assert_string_equal(recipient.judgement.rule, is_second ? "second-rule" : "first-rule");
        expect_row(i, bytes_equal(recipient.judgement.text,
                                  is_second ? BYTES("second") : BYTES("first")));
        arena_free(&filer.arena);
    }
}
