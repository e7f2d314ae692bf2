/* test_mx_site.c - names of MX sets. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dns/mx.h"
#include "support/unit.h"

enum { NAMES_MAX = 8 };

/* "10 mx.example", or only "mx.example": of preference 0. */
static struct mx_exchange exchange_of(const char *text)
{
    char *end;
    unsigned long preference = strtoul(text, &end, 10);

    if (*end != ' ')
        return (struct mx_exchange){.name = bytes_of(text)};
    return (struct mx_exchange){(uint16_t)preference, bytes_of(end + 1)};
}

static void expect_site(const char *const names[static NAMES_MAX], const char *expected)
{
    struct mx_exchange exchanges[NAMES_MAX];
    struct bytes site;
    struct arena arena;
    size_t count = 0;

    while (count < NAMES_MAX && names[count] != NULL) {
        exchanges[count] = exchange_of(names[count]);
        count++;
    }
    arena_init(&arena, 65536);
    assert_true(mx_site_name(&arena, exchanges, count, &site));
    if (!bytes_equal(site, bytes_of(expected)))
        fail_msg("\"%.*s\" is not \"%s\"", BYTES_ARG(site), expected);
    arena_free(&arena);
}

TEST(site_name_factors_the_common_end)
{
    static const struct {
        const char *names[NAMES_MAX];
        const char *site;
    } rows[] = {
        {{"mx.example"}, "mx.example"},
        {{"mx.example", "mx.example"}, "mx.example"},
        {{"b.example", "a.example"}, "(a|b).example"},
        {{"aspmx.l.google.com", "alt2.aspmx.l.google.com", "alt1.aspmx.l.google.com"},
         "(alt1.aspmx|alt2.aspmx|aspmx).l.google.com"},
        {{"example", "mx.example"}, "(example|mx.example)"}, /* a label stays of each */
        {{"mx.a.example", "mx.b.test"}, "(mx.a.example|mx.b.test)"},
        {{"amx.example", "bmx.example"}, "(amx|bmx).example"}, /* labels, not letters */
        {{"a.mx.example", "b.mx.example"}, "(a|b).mx.example"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_site(rows[i].names, rows[i].site);
}

TEST(site_name_tells_the_order_of_hosts)
{
    static const struct {
        const char *names[NAMES_MAX];
        const char *site;
    } rows[] = {
        {{"10 a.example", "20 b.example"}, "(a>b).example"},
        {{"20 a.example", "10 b.example"}, "(b>a).example"},
        {{"5 b.example", "7 a.example"}, "(b>a).example"}, /* the order, not the numbers */
        {{"20 c.example", "10 a.example", "20 b.example"}, "(a>b|c).example"},
        {{"10 c.example", "10 b.example", "20 a.example"}, "(b|c>a).example"},
        {{"20 a.example", "15 b.example", "10 a.example"}, "(a>b).example"}, /* named twice */
        {{"30 mx.example", "20 mx.example"}, "mx.example"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_site(rows[i].names, rows[i].site);
}

TEST(site_name_is_bounded_and_still_tells_sets_apart)
{
    char text[50][32];
    struct mx_exchange names[50];
    struct bytes sites[2];
    struct bytes fewer;
    struct arena arena;

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(text[i], sizeof(text[i]), "mail-host-%zu.example", i);
        names[i] = (struct mx_exchange){.name = bytes_of(text[i])};
    }
    arena_init(&arena, 65536);
    assert_true(mx_site_name(&arena, names, 50, &sites[0]));
    struct mx_exchange swapped = names[0];

    names[0] = names[49];
    names[49] = swapped;
    assert_true(mx_site_name(&arena, names, 50, &sites[1]));
    assert_true(mx_site_name(&arena, names, 49, &fewer));
    assert_int_equal(sites[0].len, MX_SITE_MAX);
    assert_true(bytes_equal(sites[0], sites[1]));
    assert_false(bytes_equal(sites[0], fewer));
    /* Where the order of what was cut off is another one, the name is. */
    names[48].preference = 1;
    assert_true(mx_site_name(&arena, names, 50, &sites[1]));
    assert_false(bytes_equal(sites[0], sites[1]));
    arena_free(&arena);
}

TEST(site_name_says_when_the_arena_is_full)
{
    struct mx_exchange names[] = {{0, BYTES("a.example")}, {0, BYTES("b.example")}};
    struct bytes site;
    struct arena arena;

    arena_init(&arena, 40);
    assert_false(mx_site_name(&arena, names, 2, &site));
    arena_free(&arena);
}
