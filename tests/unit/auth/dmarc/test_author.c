/* test_author.c - the author domains of From fields. */
/* modules: dmarc */
#include "auth/dmarc/author.h"

#include <string.h>

#include "support/unit.h"

static const struct {
    const char *fields[3];
    const char *domains[5]; /* kept ones */
    unsigned domain_count;
    bool is_single;
} rows[] = {
    {{"a@B.Example"}, {"b.example"}, 1, true},
    {{" A <a@b.example>"}, {"b.example"}, 1, true},
    {{"a@b.example, c@B.EXAMPLE"}, {"b.example"}, 1, true},
    {{"both: a@b.example, c@b.example;"}, {"b.example"}, 1, true},
    {{"a@b\xc3\xbc"
      "cher.example"},
     {"xn--bcher-kva.example"},
     1,
     true},
    {{"a@B\xc3\x9c"
      "CHER.example, a@xn--bcher-kva.example"},
     {"xn--bcher-kva.example"},
     1,
     true},
    {{"a@x_y.example"}, {"x_y.example"}, 1, true}, /* no host has it, a reader shows it */
    {{"a@b.example, c@d.example"}, {"b.example", "d.example"}, 2, false},
    {{"a@b.example", "a@b.example"}, {"b.example"}, 1, false},
    {{"a@b.example", "c@d.example"}, {"b.example", "d.example"}, 2, false},
    {{"a@1.e,a@2.e,a@3.e,a@4.e,a@5.e,a@6.e"}, {"1.e", "2.e", "3.e", "4.e"}, 6, false},
    {{"a@[192.0.2.1]"}, {NULL}, 0, false},
    {{"a@[192.0.2.1], a@b.example"}, {"b.example"}, 1, false},
    {{"nobody:;"}, {NULL}, 0, false},
    {{""}, {NULL}, 0, false},
    {{NULL}, {NULL}, 0, false},
    {{"nonsense", "a@b.example"}, {"b.example"}, 1, false},
    {{"nonsense"}, {NULL}, 0, false},
    /* No lists, which readers show all the same. */
    {{"a@b.example, nonsense"}, {"b.example"}, 1, true},
    {{"Doe, John <a@B.example>"}, {"b.example"}, 1, true},
    {{"a@b.example."}, {"b.example"}, 1, true},
    {{"a.@b.example"}, {"b.example"}, 1, true},
    {{"<a@b.example"}, {"b.example"}, 1, true},
    {{"\"a <a@b.example>"}, {"b.example"}, 1, true},
    {{"a <a@\r\n b.example> c"}, {"b.example"}, 1, true},
    {{"a@b.example <c@d.example"}, {"b.example", "d.example"}, 2, false},
    {{"a@b.example@d.example"}, {"b.example", "d.example"}, 2, false},
    {{"\"a@b.example <c@d.example>"}, {"b.example", "d.example"}, 2, false},
    {{"(a@b.example <c@d.example>"}, {"b.example", "d.example"}, 2, false},
    {{"Doe, John <a@b.example>, c@[192.0.2.1]"}, {"b.example"}, 1, false},
    {{"Doe, John @ <a@b.example>"}, {"b.example"}, 1, false},
    {{"Doe, John <a@>"}, {NULL}, 0, false},
    {{"Doe, John <a@b\xc3\xbc"
      "cher.example>"},
     {"xn--bcher-kva.example"},
     1,
     true},
    {{"a@\xe2\x98\x83-.example"}, {NULL}, 0, false}, /* no A-label */
};

TEST(authors_are_the_domains_of_from)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct authors authors;

        authors_init(&authors);
        for (size_t k = 0; rows[i].fields[k] != NULL; k++)
            authors_add(&authors, bytes_of(rows[i].fields[k]));
        authors_finish(&authors);
        expect_row(i, authors.domain_count == rows[i].domain_count);
        expect_row(i, (authors.why == NULL) == rows[i].is_single);
        for (unsigned k = 0; rows[i].domains[k] != NULL; k++)
            expect_row(i, bytes_equal(author_domain(&authors, k), bytes_of(rows[i].domains[k])));
    }
}

TEST(domain_from_bounds_and_lowers)
{
    char text[300];
    struct author_domain domain;

    memset(text, 'A', sizeof(text));
    assert_true(author_domain_from(bytes_range(text, AUTHOR_DOMAIN_MAX), &domain));
    assert_int_equal(domain.text[AUTHOR_DOMAIN_MAX - 1], 'a');
    assert_false(author_domain_from(bytes_range(text, AUTHOR_DOMAIN_MAX + 1), &domain));
    assert_false(author_domain_from(BYTES("a..b"), &domain));
    assert_false(author_domain_from(BYTES(".a"), &domain));
    assert_false(author_domain_from(BYTES("a."), &domain));
    assert_false(author_domain_from(BYTES(""), &domain));
}
