#include "queue/domain.h"

#include <stdio.h>

#include "support/unit.h"

TEST(domain_get_interns_by_name)
{
    struct domains *domains = domains_create();
    char name[] = "a.example";
    struct domain *a = domain_get(domains, bytes_of(name));

    name[0] = 'b'; /* the name is the domain's own copy */
    struct domain *b = domain_get(domains, bytes_of(name));
    assert_ptr_not_equal(a, b);
    assert_true(bytes_equal(domain_name(a), BYTES("a.example")));
    assert_ptr_equal(domain_get(domains, BYTES("a.example")), a);
    assert_ptr_equal(domain_find(domains, BYTES("b.example")), b);
    assert_null(domain_find(domains, BYTES("c.example")));
    assert_int_equal(domains_count(domains), 2);
    assert_int_equal(a->pending_count, 0);
    assert_null(a->destination);
    domains_free(&domains);
    assert_null(domains);
}

TEST(domain_find_in_an_empty_set_is_null)
{
    struct domains *domains = domains_create();

    assert_null(domain_find(domains, BYTES("")));
    struct domain *nameless = domain_get(domains, BYTES(""));
    assert_ptr_equal(domain_find(domains, BYTES("")), nameless);
    domains_free(&domains);
}

TEST(domain_forget_keeps_what_is_used)
{
    struct domains *domains = domains_create();
    struct domain *used = domain_get(domains, BYTES("used.example"));
    struct domain *routed = domain_get(domains, BYTES("routed.example"));
    struct domain *idle = domain_get(domains, BYTES("idle.example"));
    struct domain *kept_used = used;

    used->pending_count = 1;
    routed->destination = &idle;
    domain_forget(domains, &used);
    domain_forget(domains, &routed);
    domain_forget(domains, &idle);
    assert_null(used);
    assert_null(idle);
    assert_ptr_equal(domain_find(domains, BYTES("used.example")), kept_used);
    assert_non_null(domain_find(domains, BYTES("routed.example")));
    assert_null(domain_find(domains, BYTES("idle.example")));
    assert_int_equal(domains_count(domains), 2);
    domains_free(&domains);
}

static void forget_even(void *context, struct domain *domain)
{
    size_t *visited = context;

    (*visited)++;
    if ((domain_name(domain).ptr[0] - '0') % 2 == 0) {
        struct domains *domains = domain->destination;

        domain->destination = NULL;
        domain_forget(domains, &domain);
    }
}

TEST(domains_for_each_visits_all_and_lets_forget)
{
    struct domains *domains = domains_create();
    size_t visited = 0;

    for (unsigned i = 0; i < 10000; i++) {
        char name[32];
        int len = snprintf(name, sizeof(name), "%u.%u.example", i % 10, i);

        domain_get(domains, bytes_range(name, (size_t)len))->destination = domains;
    }
    domains_for_each(domains, forget_even, &visited);
    assert_int_equal(visited, 10000);
    assert_int_equal(domains_count(domains), 5000);
    assert_non_null(domain_find(domains, BYTES("3.4443.example")));
    domains_free(&domains);
}
