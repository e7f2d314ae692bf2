/* test_flag_memo.c - texts of flags by their set. */
#include "inbound/imap/flag_memo.h"

#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "support/unit.h"

enum { ROUNDS = 200, SETS = 80 };

static struct bytes text_of(uint64_t flags, char out[static 64])
{
    snprintf(out, 64, "FLAGS (%llx", (unsigned long long)flags);
    return bytes_of(out);
}

static bool has(const struct flag_memo *memo, uint64_t flags)
{
    const struct flag_text *text = flag_memo_find(memo, flags);
    char expected[64];

    if (text != NULL)
        assert_true(bytes_equal(bytes_range(text->bytes, text->len), text_of(flags, expected)));
    return text != NULL;
}

TEST(memo_has_what_was_kept_and_nothing_else)
{
    static struct flag_memo memo;
    char text[64];

    random_seed(1);
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned kept = 0;

        flag_memo_clear(&memo);
        for (unsigned i = 0; i < SETS; i++) {
            uint64_t flags =
                random_below(32) | MAIL_KEYWORD(random_below(MAILBOX_KEYWORDS_MAX - 1));

            if (!has(&memo, flags)) {
                flag_memo_keep(&memo, flags, text_of(flags, text));
                kept++;
                assert_int_equal(has(&memo, flags), kept <= FLAG_MEMO_MAX);
            }
            assert_false(has(&memo, flags | MAIL_KEYWORD(MAILBOX_KEYWORDS_MAX - 1)));
        }
        assert_true(kept > FLAG_MEMO_MAX);
    }
}

TEST(memo_has_no_text_that_is_too_long)
{
    static struct flag_memo memo;
    uint64_t fits = MAIL_KEYWORD(0), is_long = MAIL_KEYWORD(1);
    char text[FLAG_TEXT_ROOM];

    memset(text, 'x', sizeof(text));
    flag_memo_keep(&memo, is_long, bytes_range(text, sizeof(text)));
    assert_null(flag_memo_find(&memo, is_long));
    flag_memo_keep(&memo, fits, bytes_range(text, sizeof(text) - 1));
    assert_int_equal(flag_memo_find(&memo, fits)->len, sizeof(text) - 1);
    assert_null(flag_memo_find(&memo, is_long));
}
