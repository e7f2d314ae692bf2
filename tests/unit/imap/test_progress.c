/* test_progress.c - how far a command is, in words. */
#include "inbound/imap/progress.h"
#include "support/unit.h"

/* RFC 9585 section 4 */
static const struct {
    uint64_t done, goal;
    const char *text;
} told[] = {
    {454, 1000, "INPROGRESS (\"A001\" 454 1000)"},
    {0, 1, "INPROGRESS (\"A001\" 0 1)"},
    {15, 0, "INPROGRESS (\"A001\" 15 NIL)"},
    {1000, 1000, "INPROGRESS (\"A001\" 999 1000)"}, /* the answer is still to come */
    {1, UINT64_MAX, "INPROGRESS (\"A001\" 1 NIL)"},
    {UINT64_MAX, 0, "INPROGRESS (\"A001\" 4294967295 NIL)"},
};

TEST(progress_stays_below_its_goal)
{
    for (size_t i = 0; i < ARRAY_LEN(told); i++) {
        struct buf out;

        buf_init(&out, 100);
        assert_true(imap_put_progress(&out, "A001", told[i].done, told[i].goal));
        assert_true(bytes_equal(buf_bytes(&out), bytes_of(told[i].text)));
        buf_free(&out);
    }
}
