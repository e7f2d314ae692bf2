/* test_flow.c - flows, tenants and domains: interned, counted, forgotten. */
#include "queue/flow.h"

#include <stdio.h>

#include "support/unit.h"

/* Of mail that asks nothing of TLS. */
static struct flow *get_flow(struct flows *flows, struct bytes tenant, enum mail_class class,
                             struct bytes domain)
{
    const struct flow_part part = {tenant, class, MAIL_TLS_ANY, false};

    return flow_get(flows, &part, domain);
}

static struct domain *get_domain(struct flows *flows, struct bytes name)
{
    return domain_get(flows, MAIL_TLS_ANY, name);
}

static struct domain *find_domain(struct flows *flows, struct bytes name)
{
    return domain_find(flows, MAIL_TLS_ANY, name);
}

TEST(domain_get_interns_by_name)
{
    struct flows *flows = flows_create();
    char name[] = "a.example";
    struct domain *a = get_domain(flows, bytes_of(name));

    name[0] = 'b'; /* the name is the domain's own copy */
    struct domain *b = get_domain(flows, bytes_of(name));
    assert_ptr_not_equal(a, b);
    assert_true(bytes_equal(domain_name(a), BYTES("a.example")));
    assert_ptr_equal(get_domain(flows, BYTES("a.example")), a);
    assert_ptr_equal(find_domain(flows, BYTES("b.example")), b);
    assert_null(find_domain(flows, BYTES("c.example")));
    assert_int_equal(domains_count(flows), 2);
    assert_int_equal(a->pending_count, 0);
    assert_null(a->destination);
    flows_free(&flows);
    assert_null(flows);
}

TEST(domain_find_in_an_empty_set_is_null)
{
    struct flows *flows = flows_create();

    assert_null(find_domain(flows, BYTES("")));
    struct domain *nameless = get_domain(flows, BYTES(""));
    assert_ptr_equal(find_domain(flows, BYTES("")), nameless);
    flows_free(&flows);
}

TEST(domain_forget_keeps_what_is_used)
{
    struct flows *flows = flows_create();
    struct domain *used = get_domain(flows, BYTES("used.example"));
    struct domain *routed = get_domain(flows, BYTES("routed.example"));
    struct domain *idle = get_domain(flows, BYTES("idle.example"));
    struct domain *kept_used = used;

    flow_up(get_flow(flows, BYTES_NONE, MAIL_NORMAL, BYTES("used.example")));
    routed->destination = &idle;
    domain_forget(flows, &used);
    domain_forget(flows, &routed);
    domain_forget(flows, &idle);
    assert_null(used);
    assert_null(idle);
    assert_ptr_equal(find_domain(flows, BYTES("used.example")), kept_used);
    assert_non_null(find_domain(flows, BYTES("routed.example")));
    assert_null(find_domain(flows, BYTES("idle.example")));
    assert_int_equal(domains_count(flows), 2);
    flows_free(&flows);
}

static void forget_even(void *context, struct domain *domain)
{
    size_t *visited = context;

    (*visited)++;
    if ((domain_name(domain).ptr[0] - '0') % 2 == 0) {
        struct flows *flows = domain->destination;

        domain->destination = NULL;
        domain_forget(flows, &domain);
    }
}

TEST(domains_for_each_visits_all_and_lets_forget)
{
    struct flows *flows = flows_create();
    size_t visited = 0;

    for (unsigned i = 0; i < 10000; i++) {
        char name[32];
        int len = snprintf(name, sizeof(name), "%u.%u.example", i % 10, i);

        get_domain(flows, bytes_range(name, (size_t)len))->destination = flows;
    }
    domains_for_each(flows, forget_even, &visited);
    assert_int_equal(visited, 10000);
    assert_int_equal(domains_count(flows), 5000);
    assert_non_null(find_domain(flows, BYTES("3.4443.example")));
    flows_free(&flows);
}

/* --- flows ----------------------------------------------------------------------------------- */

TEST(flow_get_interns_by_tenant_class_and_domain)
{
    struct flows *flows = flows_create();
    struct flow *all[2][MAIL_CLASSES][2];
    static const char *const tenants[] = {"", "shop"};
    static const char *const domains[] = {"a.example", "b.example"};

    for (unsigned round = 0; round < 2; round++)
        for (unsigned t = 0; t < 2; t++)
            for (unsigned c = 0; c < MAIL_CLASSES; c++)
                for (unsigned d = 0; d < 2; d++) {
                    struct flow *flow =
                        get_flow(flows, bytes_of(tenants[t]), c, bytes_of(domains[d]));

                    assert_true(bytes_equal(flow_tenant(flow), bytes_of(tenants[t])));
                    assert_int_equal(flow->class, c);
                    assert_ptr_equal(flow_domain(flow), find_domain(flows, bytes_of(domains[d])));
                    if (round == 1)
                        assert_ptr_equal(flow, all[t][c][d]);
                    all[t][c][d] = flow;
                }
    assert_int_equal(flows_count(flows), 2 * MAIL_CLASSES * 2);
    assert_int_equal(domains_count(flows), 2);
    assert_int_equal(tenants_count(flows), 2);
    assert_ptr_equal(all[0][0][0]->tenant, all[0][MAIL_BULK][1]->tenant);
    assert_ptr_not_equal(all[0][0][0]->tenant, all[1][0][0]->tenant);
    flows_free(&flows);
}

TEST(flow_down_tells_when_a_domain_has_no_recipient_left)
{
    struct flows *flows = flows_create();
    struct flow *first = get_flow(flows, BYTES("shop"), MAIL_NORMAL, BYTES("a.example"));
    struct flow *second = get_flow(flows, BYTES("shop"), MAIL_HIGH, BYTES("a.example"));
    struct domain *domain = flow_domain(first);
    struct domain *idle = domain;

    flow_up(first);
    flow_up(second);
    flow_up(second);
    assert_int_equal(domain->pending_count, 3);
    flow_down(flows, &first, &idle);
    assert_null(first);
    assert_null(idle);
    assert_int_equal(flows_count(flows), 1);
    struct flow *left = second;
    flow_down(flows, &left, &idle);
    assert_null(idle);
    domain_forget(flows, &(struct domain *){domain}); /* in use: stays */
    assert_ptr_equal(find_domain(flows, BYTES("a.example")), domain);
    flow_down(flows, &second, &idle);
    assert_ptr_equal(idle, domain);
    assert_int_equal(flows_count(flows), 0);
    assert_int_equal(tenants_count(flows), 0);
    domain_forget(flows, &idle);
    assert_int_equal(domains_count(flows), 0);
    flows_free(&flows);
}

TEST(flow_with_a_line_outlives_its_recipients_and_keeps_its_domain)
{
    struct flows *flows = flows_create();

    for (unsigned class = MAIL_NORMAL; class < MAIL_CLASSES; class ++) {
        struct flow *flow = get_flow(flows, BYTES("shop"), class, BYTES("a.example"));
        struct flow *kept = flow;
        struct domain *idle;

        flow_up(flow);
        flow->line = flows;
        flow_down(flows, &flow, &idle);
        assert_non_null(idle);
        domain_forget(flows, &idle);
        assert_ptr_equal(get_flow(flows, BYTES("shop"), class, BYTES("a.example")), kept);
        assert_int_equal(flow_domain(kept)->flow_count, class + 1);
    }
    for (unsigned class = MAIL_NORMAL; class < MAIL_CLASSES; class ++) {
        struct flow *flow = get_flow(flows, BYTES("shop"), class, BYTES("a.example"));

        flow->line = NULL;
        flow_forget(flows, &flow);
    }
    assert_int_equal(flows_count(flows), 0);
    struct domain *domain = find_domain(flows, BYTES("a.example"));
    domain_forget(flows, &domain);
    assert_int_equal(domains_count(flows), 0);
    flows_free(&flows);
}

TEST(flow_of_a_domain_takes_the_place_that_is_free_in_it)
{
    struct flows *flows = flows_create();
    struct flow *own = get_flow(flows, BYTES("one"), MAIL_NORMAL, BYTES("a.example"));
    struct flow *other = get_flow(flows, BYTES("two"), MAIL_NORMAL, BYTES("a.example"));

    assert_true(own->is_own);
    assert_false(other->is_own);
    flow_up(other);
    flow_forget(flows, &own);
    /* What is there already is found, whatever place is free. */
    assert_ptr_equal(get_flow(flows, BYTES("two"), MAIL_NORMAL, BYTES("a.example")), other);
    assert_true(get_flow(flows, BYTES("three"), MAIL_BULK, BYTES("a.example"))->is_own);
    assert_int_equal(tenants_count(flows), 2);
    flows_free(&flows);
}

/* What 100,000 domains of one flow each cost: no second allocation, and little in the first. */
TEST(flow_of_a_domain_of_its_own_costs_24_bytes)
{
    assert_int_equal(sizeof(struct flow), 24);
    assert_int_equal(sizeof(struct domain), sizeof(struct map_node) + 16 + sizeof(struct flow));
}

TEST(tenant_keeps_its_weight_while_it_has_no_mail)
{
    struct flows *flows = flows_create();
    struct flow *flow = get_flow(flows, BYTES("t"), MAIL_HIGH, BYTES("a.example"));

    assert_int_equal(flow->tenant->weight, TENANT_WEIGHT_DEFAULT);
    tenant_weigh(flows, BYTES("t"), 5);
    assert_int_equal(flow->tenant->weight, 5);
    flow_forget(flows, &flow);
    assert_int_equal(tenants_count(flows), 1);
    flow = get_flow(flows, BYTES("t"), MAIL_HIGH, BYTES("a.example"));
    assert_int_equal(flow->tenant->weight, 5);
    tenant_weigh(flows, BYTES("t"), TENANT_WEIGHT_DEFAULT);
    flow_forget(flows, &flow);
    assert_int_equal(tenants_count(flows), 0);
    tenant_weigh(flows, BYTES("u"), TENANT_WEIGHT_MAX); /* before its first mail */
    assert_int_equal(tenants_count(flows), 1);
    tenant_weigh(flows, BYTES("u"), TENANT_WEIGHT_DEFAULT);
    assert_int_equal(tenants_count(flows), 0);
    tenant_weigh(flows, BYTES_NONE, 3); /* of mail without a tenant, too */
    flow = get_flow(flows, BYTES_NONE, MAIL_NORMAL, BYTES("a.example"));
    assert_int_equal(flow->tenant->weight, 3);
    flow_forget(flows, &flow);
    flows_free(&flows);
}

static unsigned told_weight;

static void tell_terms(void *context, struct bytes tenant, struct tenant_terms *out)
{
    unsigned *asked = context;

    (*asked)++;
    out->weight = bytes_equal(tenant, BYTES("heavy")) ? told_weight : 0;
}

/* Asked when it comes, and again when somebody says that terms changed; nobody is kept for it. */
TEST(tenant_has_the_weight_of_its_terms)
{
    struct flows *flows = flows_create();
    unsigned asked = 0;

    told_weight = 7;
    flows_set_terms(flows, tell_terms, &asked);
    struct flow *heavy = get_flow(flows, BYTES("heavy"), MAIL_HIGH, BYTES("a.example"));
    struct flow *light = get_flow(flows, BYTES("light"), MAIL_HIGH, BYTES("a.example"));
    struct flow *nobody = get_flow(flows, BYTES_NONE, MAIL_HIGH, BYTES("a.example"));

    assert_int_equal(heavy->tenant->weight, 7);
    assert_int_equal(light->tenant->weight, TENANT_WEIGHT_DEFAULT);
    assert_int_equal(nobody->tenant->weight, TENANT_WEIGHT_DEFAULT);
    assert_int_equal(asked, 2);
    told_weight = 9;
    assert_false(flows_weigh_some(flows, 10)); /* nothing was said to have changed */
    assert_int_equal(heavy->tenant->weight, 7);
    flows_weigh_all(flows);
    assert_true(flows_weigh_some(flows, 1));
    assert_false(flows_weigh_some(flows, 1));
    assert_int_equal(heavy->tenant->weight, 9);
    told_weight = 100000; /* more than there is */
    flows_weigh_all(flows);
    assert_false(flows_weigh_some(flows, 10));
    assert_int_equal(heavy->tenant->weight, TENANT_WEIGHT_MAX);
    flow_forget(flows, &heavy);
    flow_forget(flows, &light);
    flow_forget(flows, &nobody);
    assert_int_equal(tenants_count(flows), 0);
    flows_free(&flows);
}

static void count_visit(void *context, struct domain *domain)
{
    (void)domain;
    (*(size_t *)context)++;
}

TEST(what_is_asked_of_tls_tells_domains_apart)
{
    struct flows *flows = flows_create();
    struct flow *of[MAIL_TLS_COUNT];
    size_t visited = 0;

    for (unsigned tls = 0; tls < MAIL_TLS_COUNT; tls++) {
        const struct flow_part part = {BYTES("shop"), MAIL_NORMAL, (enum mail_tls)tls, false};

        of[tls] = flow_get(flows, &part, BYTES("a.example"));
        flow_up(of[tls]);
        assert_ptr_equal(flow_get(flows, &part, BYTES("a.example")), of[tls]);
        struct domain *domain = domain_find(flows, (enum mail_tls)tls, BYTES("a.example"));
        assert_ptr_equal(domain, flow_domain(of[tls]));
        assert_int_equal(domain->tls, tls);
        assert_int_equal(domains_count(flows), tls + 1);
        assert_int_equal(tenants_count(flows), 1);
    }
    domains_for_each(flows, count_visit, &visited);
    assert_int_equal(visited, MAIL_TLS_COUNT);
    for (unsigned tls = 0; tls < MAIL_TLS_COUNT; tls++) {
        struct domain *idle;

        flow_down(flows, &of[tls], &idle);
        assert_int_equal(idle->tls, tls);
        domain_forget(flows, &idle);
        assert_int_equal(domains_count(flows), MAIL_TLS_COUNT - tls - 1);
    }
    flows_free(&flows);
}

TEST(received_mail_is_in_flows_of_its_own)
{
    struct flows *flows = flows_create();
    const struct message sent = {.tenant = BYTES("shop"), .service = BYTES("submission")};
    const struct message received = {.tenant = BYTES("shop"), .service = BYTES("inbound")};
    const struct message unknown = {.tenant = BYTES("shop")};
    struct flow_part part = flow_part_of(&sent), other = flow_part_of(&received);
    struct flow *first = flow_get(flows, &part, BYTES("a.example"));

    flow_up(first);
    struct flow *second = flow_get(flows, &other, BYTES("a.example"));

    flow_up(second);
    assert_ptr_not_equal(first, second);
    assert_ptr_equal(first->tenant, second->tenant);
    assert_ptr_equal(flow_domain(first), flow_domain(second));
    assert_false(first->is_received);
    assert_true(second->is_received);
    assert_ptr_equal(flow_get(flows, &other, BYTES("a.example")), second);
    part = flow_part_of(&unknown); /* written before it was known */
    assert_ptr_equal(flow_get(flows, &part, BYTES("a.example")), first);
    flow_count_two(first, RECIPIENTS_ACCEPTED, 3, RECIPIENTS_WAITING, 3);
    flow_count_two(second, RECIPIENTS_ACCEPTED, 5, RECIPIENTS_WAITING, 5);
    flow_count(second, RECIPIENTS_DEFERRED, 1);
    assert_int_equal(first->tenant->counts->values[RECIPIENTS_ACCEPTED], 8);
    assert_int_equal(first->tenant->received->values[RECIPIENTS_ACCEPTED], 5);
    assert_int_equal(first->tenant->received->values[RECIPIENTS_DEFERRED], 1);
    struct domain *idle;

    flow_down(flows, &first, &idle);
    assert_null(idle);
    flow_down(flows, &second, &idle);
    domain_forget(flows, &idle);
    flows_free(&flows);
}

/* RFC 8689 section 5: a bounce is not to be lost for the want of REQUIRETLS. */
TEST(a_bounce_that_asks_for_tls_is_in_line_with_the_others)
{
    struct message message = {.tls = MAIL_TLS_REQUIRED, .reverse_path = BYTES("a@b.example")};

    assert_int_equal(flow_part_of(&message).tls, MAIL_TLS_REQUIRED);
    message.reverse_path = BYTES("");
    assert_int_equal(flow_part_of(&message).tls, MAIL_TLS_ANY);
    message.tls = MAIL_TLS_OPTIONAL;
    assert_int_equal(flow_part_of(&message).tls, MAIL_TLS_OPTIONAL);
}
