/* test_srs.c - senders of forwarded mail, there and back. */
#include "auth/srs/srs.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "support/unit.h"

static const int64_t NOW_MS = 1785000000000; /* 2026-07-25 */
static const int64_t DAY_MS = 86400000;

static const struct srs_keys keys = {.count = 1, .secret = {BYTES("0123456789abcdef0123")}};
static const struct srs_keys other = {.count = 1, .secret = {BYTES("another secret of ours")}};

static char made[512], back[512];

static enum srs_result forward_at(const struct srs_keys *k, const char *sender, const char *domain,
                                  int64_t wall_ms)
{
    struct buf out;

    buf_init(&out, sizeof(made) - 1);
    enum srs_result result = srs_forward(k, bytes_of(sender), bytes_of(domain), wall_ms, &out);
    struct bytes text = buf_bytes(&out);
    assert_true((result == SRS_OK) == (text.len > 0));
    if (text.len > 0)
        memcpy(made, text.ptr, text.len);
    made[text.len] = '\0';
    buf_free(&out);
    return result;
}

static enum srs_result reverse_at(const struct srs_keys *k, const char *address, int64_t wall_ms)
{
    struct buf out;

    buf_init(&out, sizeof(back) - 1);
    enum srs_result result = srs_reverse(k, bytes_of(address), wall_ms, &out);
    struct bytes text = buf_bytes(&out);
    assert_true((result == SRS_OK) == (text.len > 0));
    if (text.len > 0)
        memcpy(back, text.ptr, text.len);
    back[text.len] = '\0';
    buf_free(&out);
    return result;
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

TEST(forward_and_reverse_give_the_sender_back)
{
    static const char *const senders[] = {
        "anna@from.example",
        "Anna.Berg+x=y@From.Example",
        "\"anna berg\"@from.example",
        "\"a\\\"b=c\"@from.example",
        "anna@xn--bcher-kva.example",
        "0100018c5a3bb1d2-11111111-2222-3333-4444-555555555555-000000@bounces.mailer.example",
        "SRS0@from.example", /* none of ours, nor of anybody's */
        "SRS2=x=y@from.example",
        "\xc3\xa4nna@from.example",
    };

    for (size_t i = 0; i < ARRAY_LEN(senders); i++) {
        assert_int_equal(forward_at(&keys, senders[i], "our.example", NOW_MS), SRS_OK);
        assert_true(begins(made[0] == '"' ? made + 1 : made, "SRS0="));
        assert_true(bytes_ends_nocase(bytes_of(made), BYTES("@our.example")));
        assert_true(srs_is_claimed(bytes_of(made)));
        assert_int_equal(reverse_at(&keys, made, NOW_MS), SRS_OK);
        assert_string_equal(back, senders[i]);
    }
}

TEST(forward_writes_the_form_that_others_read)
{
    assert_int_equal(forward_at(&keys, "anna@from.example", "our.example", NOW_MS), SRS_OK);
    /* SRS0=HHHHHHHH=DD=from.example=anna@our.example */
    assert_true(begins(made, "SRS0="));
    assert_int_equal(made[13], '=');
    assert_int_equal(made[16], '=');
    assert_string_equal(made + 17, "from.example=anna@our.example");
}

TEST(forward_of_a_forwarded_sender_keeps_the_first_hop)
{
    static const char *const firsts[] = {"SRS0=HHH=TT=a.example=u@one.example",
                                         "srs0+HHH=TT=a.example=u@one.example",
                                         "SRS0-HHH=TT=a.example=u@one.example"};
    char second[512];

    for (size_t i = 0; i < ARRAY_LEN(firsts); i++) {
        assert_int_equal(forward_at(&keys, firsts[i], "two.example", NOW_MS), SRS_OK);
        assert_true(begins(made, "SRS1="));
        assert_int_equal(reverse_at(&keys, made, NOW_MS), SRS_OK);
        assert_int_equal(strncasecmp(back, firsts[i], strlen(firsts[i])), 0);
        memcpy(second, made, strlen(made) + 1);
        /* A third forwarder: what it makes leads to the first one as well, past the second. */
        assert_int_equal(forward_at(&other, second, "three.example", NOW_MS), SRS_OK);
        assert_true(begins(made, "SRS1="));
        assert_true(strstr(made, "two.example") == NULL);
        assert_int_equal(reverse_at(&other, made, NOW_MS), SRS_OK);
        assert_int_equal(strncasecmp(back, firsts[i], strlen(firsts[i])), 0);
    }
}

TEST(reverse_refuses_what_is_not_ours)
{
    char forged[512];

    assert_int_equal(forward_at(&keys, "anna@from.example", "our.example", NOW_MS), SRS_OK);
    assert_int_equal(reverse_at(&other, made, NOW_MS), SRS_FORGED);
    /* Each byte counts but the form's. */
    for (size_t i = 5; i < strlen(made) - strlen("@our.example"); i++) {
        memcpy(forged, made, strlen(made) + 1);
        forged[i] = forged[i] == 'x' ? 'y' : 'x';
        assert_int_not_equal(reverse_at(&keys, forged, NOW_MS), SRS_OK);
    }
    static const char *const wrong[] = {
        "SRS0=@our.example",
        "SRS0==@our.example",
        "SRS0=aaaaaaaa=aa=from.example=anna@our.example",
        "SRS1=aaaaaaaa=from.example==x=y=z=u@our.example",
        "SRS0=aaaaaaaa@our.example",
        "SRS0@our.example",
        "anna@our.example",
        "SRS0=",
        "",
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_int_equal(reverse_at(&keys, wrong[i], NOW_MS), SRS_FORGED);
}

TEST(reverse_refuses_the_address_at_another_domain)
{
    char moved[600];

    assert_int_equal(forward_at(&keys, "anna@from.example", "our.example", NOW_MS), SRS_OK);
    snprintf(moved, sizeof(moved), "%.*s@its.example", (int)(strchr(made, '@') - made), made);
    assert_int_equal(reverse_at(&keys, moved, NOW_MS), SRS_FORGED);
}

TEST(reverse_takes_any_case)
{
    assert_int_equal(forward_at(&keys, "anna@from.example", "our.example", NOW_MS), SRS_OK);
    for (char *at = made; *at != '\0'; at++)
        *at = *at >= 'a' && *at <= 'z' ? (char)(*at - 32) : *at;
    assert_int_equal(reverse_at(&keys, made, NOW_MS), SRS_OK);
    assert_string_equal(back, "ANNA@FROM.EXAMPLE");
}

TEST(reverse_refuses_what_is_too_old_or_of_days_to_come)
{
    static const struct {
        int64_t days;
        enum srs_result result;
    } rows[] = {{0, SRS_OK},        {SRS_DAYS_MAX, SRS_OK}, {SRS_DAYS_MAX + 1, SRS_EXPIRED},
                {500, SRS_EXPIRED}, {1022, SRS_EXPIRED},    {-1, SRS_OK},
                {-2, SRS_EXPIRED}};

    assert_int_equal(forward_at(&keys, "anna@from.example", "our.example", NOW_MS), SRS_OK);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(reverse_at(&keys, made, NOW_MS + rows[i].days * DAY_MS), rows[i].result);
    /* 1,024 days are counted; around the turn age holds as well. */
    int64_t turn_ms = 1024 * DAY_MS * 20 - DAY_MS / 2;

    assert_int_equal(forward_at(&keys, "anna@from.example", "our.example", turn_ms), SRS_OK);
    assert_int_equal(reverse_at(&keys, made, turn_ms + 5 * DAY_MS), SRS_OK);
    assert_int_equal(reverse_at(&keys, made, turn_ms + 23 * DAY_MS), SRS_EXPIRED);
}

TEST(an_older_secret_still_reads_what_it_made)
{
    const struct srs_keys both = {.count = 2, .secret = {other.secret[0], keys.secret[0]}};

    assert_int_equal(forward_at(&keys, "anna@from.example", "our.example", NOW_MS), SRS_OK);
    assert_int_equal(reverse_at(&both, made, NOW_MS), SRS_OK);
    assert_int_equal(forward_at(&both, "anna@from.example", "our.example", NOW_MS), SRS_OK);
    assert_int_equal(reverse_at(&keys, made, NOW_MS), SRS_FORGED);
    assert_int_equal(reverse_at(&other, made, NOW_MS), SRS_OK);
}

TEST(forward_refuses_what_is_no_address_or_grows_too_long)
{
    char sender[300];

    assert_int_equal(forward_at(&keys, "", "our.example", NOW_MS), SRS_REFUSED);
    assert_int_equal(forward_at(&keys, "postmaster", "our.example", NOW_MS), SRS_REFUSED);
    assert_int_equal(forward_at(&keys, "a b@x", "our.example", NOW_MS), SRS_REFUSED);
    memset(sender, 'a', sizeof(sender));
    sender[60] = '@';
    for (size_t i = 61; i < 240; i++)
        sender[i] = i % 40 == 0 ? '.' : 'b';
    sender[240] = '\0';
    assert_int_equal(forward_at(&keys, sender, "our.example", NOW_MS), SRS_REFUSED);
    sender[200] = '\0';
    sender[199] = 'b';
    assert_int_equal(forward_at(&keys, sender, "our.example", NOW_MS), SRS_OK);
    assert_int_equal(reverse_at(&keys, made, NOW_MS), SRS_OK);
    assert_string_equal(back, sender);
}

TEST(is_claimed_knows_the_form)
{
    static const struct {
        const char *text;
        bool is_one;
    } rows[] = {{"SRS0=x@y", true}, {"srs1=", true},   {"\"SRS0=a b\"@y", true}, {"SRS0+x", false},
                {"SRS2=", false},   {"xSRS0=", false}, {"SRS0", false},          {"", false}};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_true(srs_is_claimed(bytes_of(rows[i].text)) == rows[i].is_one);
}
