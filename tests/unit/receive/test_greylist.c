#include "inbound/receive/greylist.h"

#include <stdio.h>

#include "support/unit.h"

static bool try(const char *client, const char *sender, const char *recipient, int64_t now_ms)
{
    struct address address;

    assert_true(address_parse(bytes_of(client), 0, &address));
    return greylist_passes(&address, bytes_of(sender), bytes_of(recipient), 60000, now_ms);
}

TEST(greylist_knows_a_network_whose_mail_came_again)
{
    greylist_forget_all();
    assert_false(try("192.0.2.1", "a@b.example", "c@d.example", 1000));
    assert_false(try("192.0.2.1", "a@b.example", "c@d.example", 60999));
    assert_true(try("192.0.2.200", "A@b.example", "c@D.example", 61000)); /* a /24, in any case */
    assert_true(try("192.0.2.7", "other@b.example", "other@d.example", 61001));
    assert_false(try("192.0.3.7", "a@b.example", "c@d.example", 61001));
    assert_false(try("2001:db8::1", "a@b.example", "c@d.example", 61001));
    assert_true(try("2001:db8::2", "a@b.example", "c@d.example", 130000));
    assert_false(try("2001:db8:0:1::2", "a@b.example", "c@d.example", 130000));
}

TEST(greylist_tells_what_was_put_off_apart)
{
    greylist_forget_all();
    assert_false(try("192.0.2.1", "a@b.example", "c@d.example", 1000));
    assert_false(try("192.0.2.1", "a2@b.example", "c@d.example", 70000));
    assert_false(try("192.0.2.1", "a@b.example", "c2@d.example", 70000));
    assert_false(try("192.0.2.1", "a@b.examplec", "@d.example", 70000));
    assert_true(try("192.0.2.1", "a@b.example", "c@d.example", 70000));
}

TEST(greylist_forgets)
{
    const int64_t waits_ms = (int64_t)GREYLIST_WAITS_S * 1000;
    const int64_t known_ms = (int64_t)GREYLIST_KNOWN_S * 1000;

    greylist_forget_all();
    assert_false(try("192.0.2.1", "a@b.example", "c@d.example", 0));
    assert_false(try("192.0.2.1", "a@b.example", "c@d.example", waits_ms + 1));
    assert_true(try("192.0.2.1", "a@b.example", "c@d.example", waits_ms + 60001));
    int64_t now_ms = waits_ms + 60001 + known_ms;
    assert_true(try("192.0.2.1", "x@y.example", "c@d.example", now_ms)); /* seen again */
    assert_true(try("192.0.2.1", "x@y.example", "c@d.example", now_ms + known_ms));
    assert_false(try("192.0.2.1", "x@y.example", "c@d.example", now_ms + 2 * known_ms + 1));
}

/* More than there is room for: nobody passes for that. */
TEST(greylist_is_bounded)
{
    char sender[32];

    greylist_forget_all();
    for (unsigned i = 0; i < 2 * GREYLIST_MAX; i++) {
        snprintf(sender, sizeof(sender), "%u@b.example", i);
        assert_false(try("192.0.2.1", sender, "c@d.example", i));
    }
}
