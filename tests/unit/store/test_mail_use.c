/* test_mail_use.c - what is known of accounts' use: how old it may be, how much is kept. */
#include "inbound/store/mail_use.h"

#include <stdio.h>

#include "support/unit.h"

static struct bytes key_of(unsigned number, char text[static 32])
{
    snprintf(text, 32, "b.example/%u", number);
    return bytes_of(text);
}

TEST(use_is_known_from_the_first_count_and_counted_anew_when_it_is_old)
{
    const struct bytes key = BYTES("b.example/a");
    struct mail_uses *uses = mail_uses_create(4);
    uint64_t bytes = 7;
    bool counts = false;

    assert_false(mail_use_find(uses, key, 1000, &bytes, &counts));
    assert_true(counts);
    assert_false(mail_use_find(uses, key, 1001, &bytes, &counts));
    assert_false(counts); /* somebody counts it */
    assert_false(mail_use_find(uses, key, 1000 + MAIL_USE_FRESH_MS, &bytes, &counts));
    assert_true(counts); /* which came to nothing */
    assert_int_equal(bytes, 7);
    mail_use_set(uses, key, 500, 100000);
    assert_true(mail_use_find(uses, key, 100000 + MAIL_USE_FRESH_MS - 1, &bytes, &counts));
    assert_int_equal(bytes, 500);
    assert_false(counts);
    assert_true(mail_use_find(uses, key, 100000 + MAIL_USE_FRESH_MS, &bytes, &counts));
    assert_true(counts);
    assert_false(mail_use_find(uses, key, 100000 + MAIL_USE_HOLDS_MS, &bytes, &counts));
    assert_true(counts);
    mail_uses_free(&uses);
    assert_null(uses);
}

TEST(use_of_no_more_accounts_than_allowed_is_kept_and_the_idlest_goes)
{
    struct mail_uses *uses = mail_uses_create(3);
    uint64_t bytes;
    bool counts;
    char text[32];

    for (unsigned i = 0; i < 3; i++)
        mail_use_set(uses, key_of(i, text), i, 1000);
    assert_true(mail_use_find(uses, key_of(0, text), 1000, &bytes, &counts));
    mail_use_set(uses, key_of(3, text), 3, 1000);
    assert_true(mail_use_find(uses, key_of(0, text), 1000, &bytes, &counts));
    assert_true(mail_use_find(uses, key_of(2, text), 1000, &bytes, &counts));
    assert_int_equal(bytes, 2);
    assert_true(mail_use_find(uses, key_of(3, text), 1000, &bytes, &counts));
    assert_false(mail_use_find(uses, key_of(1, text), 1000, &bytes, &counts));
    mail_uses_free(&uses);
}
