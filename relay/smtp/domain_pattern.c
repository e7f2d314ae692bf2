/* domain_pattern.c - compares a domain with a pattern. */
#include "smtp/domain_pattern.h"

bool smtp_domain_matches(const char *pattern, struct bytes domain)
{
    struct bytes p = bytes_of(pattern);

    if (p.len == 1 && p.ptr[0] == '*')
        return true;
    if (p.len < 2 || p.ptr[0] != '*' || p.ptr[1] != '.')
        return bytes_equal_nocase(p, domain);
    struct bytes suffix = bytes_slice(p, 1, p.len); /* with its dot */

    return domain.len > suffix.len && bytes_ends_nocase(domain, suffix);
}
