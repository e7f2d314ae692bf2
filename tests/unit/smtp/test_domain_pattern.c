/* test_domain_pattern.c - what a pattern matches. */
#include "smtp/domain_pattern.h"

#include "support/unit.h"

TEST(domain_matches_patterns)
{
    static const struct {
        const char *pattern;
        const char *domain;
        bool matches;
    } rows[] = {
        {"*", "example.org", true},
        {"*", "", true},
        {"example.org", "example.org", true},
        {"example.org", "EXAMPLE.org", true},
        {"example.org", "a.example.org", false},
        {"*.example.org", "a.example.org", true},
        {"*.example.org", "a.b.example.org", true},
        {"*.example.org", "example.org", false},
        {"*.example.org", ".example.org", false},
        {"*.example.org", "badexample.org", false},
        {"*example.org", "badexample.org", false}, /* no pattern: taken as it stands */
        {"[192.0.2.1]", "[192.0.2.1]", true},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_row(i, smtp_domain_matches(rows[i].pattern, bytes_of(rows[i].domain)) ==
                          rows[i].matches);
}
