/* mx_scenarios.h - tests of the choice of mail hosts, run on the fake and on the real engine. */
#pragma once

#include "dns/mx.h"
#include "unit/dns/dns_fixture.h"

static struct fixture f;
static struct mx_rules rules;
static struct network allowed[4];
static struct address ours[2];

/* What the last lookup said, in one string: "status preference name=address,address ...". */
static char told[8192];
static char note[1024];
static char site[512];
static unsigned told_count;
static bool told_implicit;
static bool told_stale;
static char told_secure[1024];
static int64_t told_expires_ms;

static void tell_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void tell_format(const char *format, ...)
{
    size_t len = strlen(told);
    va_list args;

    va_start(args, format);
    vsnprintf(told + len, sizeof(told) - len, format, args);
    va_end(args);
}

static void tell_security(const struct mx_set *set)
{
    size_t len =
        (size_t)snprintf(told_secure, sizeof(told_secure), "%c %.*s:", set->is_secure ? '+' : '-',
                         BYTES_ARG(set->canonical));

    for (size_t i = 0; i < MIN(set->host_count, (size_t)4); i++)
        len += (size_t)snprintf(told_secure + len, sizeof(told_secure) - len, " %.*s%c%.*s",
                                BYTES_ARG(set->hosts[i].name), set->hosts[i].is_secure ? '+' : '-',
                                BYTES_ARG(set->hosts[i].canonical));
}

static void lookup_done(void *context, const struct mx_set *set)
{
    static const char *const statuses[] = {
        [MX_OK] = "ok",         [MX_NXDOMAIN] = "nxdomain",
        [MX_NULL] = "null",     [MX_NO_ADDRESS] = "no address",
        [MX_LOOP] = "loop",     [MX_UNROUTABLE] = "unroutable",
        [MX_FAILED] = "failed",
    };

    assert_ptr_equal(context, &f);
    told[0] = '\0';
    tell_format("%s", statuses[set->status]);
    for (size_t i = 0; i < set->host_count; i++) {
        const struct mx_host *host = &set->hosts[i];

        tell_format(" %u %.*s", host->preference, BYTES_ARG(host->name));
        for (size_t j = 0; j < host->address_count; j++) {
            char text[ADDRESS_TEXT_MAX];

            address_format_port(&host->addresses[j], text);
            tell_format("%c%s", j == 0 ? '=' : ',', text);
        }
    }
    assert_non_null(set->note);
    snprintf(note, sizeof(note), "%s", set->note);
    snprintf(site, sizeof(site), "%.*s", BYTES_ARG(set->site));
    told_implicit = set->is_implicit;
    told_stale = set->is_stale;
    tell_security(set);
    told_expires_ms = set->expires_ms;
    told_count++;
}

static void mx_start(bool is_trusted)
{
    f.settings.is_trusted = is_trusted;
    fixture_start(&f);
    rules = (struct mx_rules){.our_name = BYTES("mta.example.net"),
                              .use_ipv4 = true,
                              .use_ipv6 = true,
                              .port = 25};
    rules.allow_private = allowed;
    rules.ours = ours;
    /* The documentation networks, so that examples look like examples. */
    assert_true(network_parse(BYTES("192.0.2.0/24"), &allowed[rules.allow_private_count++]));
    assert_true(network_parse(BYTES("2001:db8::/32"), &allowed[rules.allow_private_count++]));
}

static void mx_open(void)
{
    fixture_open_server(&f);
    mx_start(false);
}

static const char *wait_for(struct mx_lookup *lookup)
{
    assert_non_null(lookup);
    told_count = 0;
    fixture_wait(&f, &told_count, 1);
    assert_int_equal(told_count, 1);
    return told;
}

static const char *look_up(const char *domain)
{
    return wait_for(mx_lookup_start(f.resolver, &rules, bytes_of(domain), lookup_done, &f));
}

static const char *look_up_host(const char *host, unsigned port)
{
    return wait_for(
        mx_lookup_host(f.resolver, &rules, bytes_of(host), (uint16_t)port, lookup_done, &f));
}

static void expect_note(const char *part)
{
    if (strstr(note, part) == NULL)
        fail_msg("the note \"%s\" does not say \"%s\"", note, part);
}

TEST(hosts_come_by_preference)
{
    mx_open();
    server_add(&f.server, "example 300 MX 20 b.example");
    server_add(&f.server, "example 200 MX 10 a.example");
    server_add(&f.server, "a.example 100 A 192.0.2.1");
    server_add(&f.server, "b.example 300 A 192.0.2.2");
    assert_string_equal(look_up("Example."),
                        "ok 10 a.example=192.0.2.1:25 20 b.example=192.0.2.2:25");
    assert_string_equal(site, "(a>b).example");
    assert_string_equal(note, "2 mail hosts of example");
    assert_false(told_implicit);
    /* The AAAA that are not there hold for 60 s, less than all others. */
    assert_true(told_expires_ms <= engine_now_ms(f.engine) + 60000);
    assert_true(told_expires_ms > engine_now_ms(f.engine) + 50000);
    fixture_close(&f);
}

TEST(equal_hosts_are_shuffled)
{
    unsigned firsts[3] = {0};

    mx_open();
    for (unsigned i = 0; i < 3; i++) {
        char line[64];

        snprintf(line, sizeof(line), "example 300 MX 10 m%u.example", i);
        server_add(&f.server, line);
        snprintf(line, sizeof(line), "m%u.example 300 A 192.0.2.%u", i, i + 1);
        server_add(&f.server, line);
    }
    for (unsigned i = 0; i < 300; i++) {
        look_up("example");
        firsts[told[strlen("ok 10 m")] - '0']++;
        assert_string_equal(site, "(m0|m1|m2).example");
    }
    for (unsigned i = 0; i < 3; i++)
        assert_in_range(firsts[i], 50, 150);
    fixture_close(&f);
}

TEST(families_alternate_ipv6_first)
{
    mx_open();
    server_add(&f.server, "example 300 MX 10 a.example");
    server_add(&f.server, "a.example 300 A 192.0.2.1");
    server_add(&f.server, "a.example 300 AAAA 2001:db8::1");
    assert_string_equal(look_up("example"), "ok 10 a.example=[2001:db8::1]:25,192.0.2.1:25");
    rules.use_ipv6 = false;
    resolver_flush(f.resolver, BYTES_NONE);
    unsigned queries = f.server.queries;

    assert_string_equal(look_up("example"), "ok 10 a.example=192.0.2.1:25");
    assert_int_equal(f.server.queries, queries + 2); /* no AAAA is asked */
    rules.use_ipv4 = false;
    assert_string_equal(look_up("example"), "no address");
    rules.use_ipv6 = true;
    assert_string_equal(look_up("example"), "ok 10 a.example=[2001:db8::1]:25");
    fixture_close(&f);
}

TEST(addresses_of_a_host_are_bounded)
{
    mx_open();
    server_add(&f.server, "example 300 MX 10 a.example");
    for (unsigned i = 1; i < 100; i++) {
        char line[64];

        snprintf(line, sizeof(line), "a.example 300 A 192.0.2.%u", i);
        server_add(&f.server, line);
        snprintf(line, sizeof(line), "a.example 300 AAAA 2001:db8::%u", i);
        server_add(&f.server, line);
    }
    look_up("example");
    unsigned count = 1;

    for (const char *p = told; *p != '\0'; p++)
        count += *p == ',';
    assert_int_equal(count, MX_ADDRESSES_MAX);
    fixture_close(&f);
}

TEST(domain_without_mx_is_its_own_host)
{
    mx_open();
    server_add(&f.server, "example 300 A 192.0.2.1");
    assert_string_equal(look_up("example"), "ok 0 example=192.0.2.1:25");
    assert_true(told_implicit);
    assert_string_equal(site, "example");
    expect_note("no MX record");
    fixture_close(&f);
}

TEST(mx_that_fails_is_no_implicit_mx)
{
    mx_open();
    server_add(&f.server, "example 300 A 192.0.2.1");
    server_behave(&f.server, "example", 15, SAYS_SERVFAIL);
    assert_string_equal(look_up("example"), "failed");
    expect_note("the MX lookup of example failed: SERVFAIL");
    fixture_close(&f);
}

TEST(permanent_refusals_are_told_apart)
{
    mx_open();
    server_add(&f.server, "null.example 300 MX 0 .");
    server_add(&f.server, "text.example 300 TXT hello");
    server_add(&f.server, "dangling.example 300 MX 10 gone.example");
    assert_string_equal(look_up("null.example"), "null");
    expect_note("null MX");
    assert_string_equal(look_up("gone.example"), "nxdomain");
    assert_string_equal(look_up("text.example"), "no address");
    assert_string_equal(look_up("dangling.example"), "no address");
    expect_note("gone.example has no usable address");
    assert_string_equal(look_up("not a name"), "nxdomain");
    assert_string_equal(look_up(""), "nxdomain");
    assert_string_equal(look_up("[300.1.1.1]"), "nxdomain");
    fixture_close(&f);
}

TEST(cnames_of_domain_and_host_are_followed)
{
    mx_open();
    server_add(&f.server, "alias.example 300 CNAME real.example");
    server_add(&f.server, "real.example 300 MX 10 mail.example");
    server_add(&f.server, "mail.example 300 CNAME host.example");
    server_add(&f.server, "host.example 300 A 192.0.2.1");
    assert_string_equal(look_up("alias.example"), "ok 10 mail.example=192.0.2.1:25");
    fixture_close(&f);
}

TEST(set_and_hosts_tell_what_dnssec_made_sure_of)
{
    fixture_open_server(&f);
    mx_start(true);
    server_add(&f.server, "example 300 MX 10 good.example");
    server_add(&f.server, "example 300 MX 20 plain.example");
    server_add(&f.server, "example 300 MX 30 alias.example");
    server_add(&f.server, "example 300 MX 40 half.example");
    server_add(&f.server, "good.example 300 A 192.0.2.1");
    server_add(&f.server, "plain.example 300 A 192.0.2.2");
    server_add(&f.server, "alias.example 300 CNAME good.example");
    server_add(&f.server, "half.example 300 CNAME plain.example");
    server_behave(&f.server, "half.example", 0, SAYS_BARE_CNAME);
    server_sign(&f.server, "good.example");
    server_sign(&f.server, "alias.example");
    server_sign(&f.server, "half.example");
    look_up("example");
    assert_string_equal(told_secure, "- example: good.example+good.example "
                                     "plain.example-plain.example alias.example+good.example "
                                     "half.example-plain.example");
    resolver_flush(f.resolver, BYTES_NONE);
    server_sign(&f.server, "example");
    server_sign(&f.server, "plain.example");
    look_up("example");
    assert_string_equal(told_secure, "+ example: good.example+good.example "
                                     "plain.example+plain.example alias.example+good.example "
                                     "half.example+plain.example");
    look_up("good.example"); /* no MX, and that is sure */
    assert_string_equal(told_secure, "+ good.example: good.example+good.example");
    look_up("[192.0.2.1]");
    assert_string_equal(told_secure, "- : [192.0.2.1]-");
    fixture_close(&f);
}

TEST(host_is_as_secure_as_the_worse_of_its_families)
{
    fixture_open_server(&f);
    mx_start(true);
    server_add(&f.server, "both.example 300 A 192.0.2.1");
    server_add(&f.server, "both.example 300 AAAA 2001:db8::1");
    server_sign(&f.server, "both.example");
    look_up("both.example");
    assert_string_equal(told_secure, "+ both.example: both.example+both.example");
    server_add(&f.server, "one.example 300 MX 10 x.example");
    server_add(&f.server, "x.example 300 CNAME y.example");
    server_add(&f.server, "y.example 300 A 192.0.2.1");
    server_add(&f.server, "y.example 300 AAAA 2001:db8::1");
    server_sign(&f.server, "one.example");
    server_sign(&f.server, "x.example");
    look_up("one.example");
    assert_string_equal(told_secure, "+ one.example: x.example+y.example");
    fixture_close(&f);
}

TEST(exchanges_that_cannot_be_are_skipped)
{
    mx_open();
    server_add(&f.server, "example 300 MX 5 192.0.2.7");
    server_add(&f.server, "example 300 MX 6 mail server.example");
    server_add(&f.server, "example 300 MX 7 .");
    server_add(&f.server, "example 300 MX 10 a.example");
    server_add(&f.server, "a.example 300 A 192.0.2.1");
    server_add(&f.server, "bad.example 300 MX 5 192.0.2.7");
    server_add(&f.server, "odd.example 300 MX 5 mail server.example");
    server_add(&f.server, "odd.example 300 A 192.0.2.1");
    assert_string_equal(look_up("example"), "ok 10 a.example=192.0.2.1:25");
    expect_note("MX 192.0.2.7 was skipped: not a host name");
    expect_note("1 MX records were skipped: not host names");
    expect_note("a null MX beside others was ignored");
    assert_string_equal(look_up("bad.example"), "no address");
    assert_string_equal(look_up("odd.example"), "no address"); /* and not its own host */
    fixture_close(&f);
}

TEST(our_name_drops_equal_and_worse_hosts)
{
    mx_open();
    server_add(&f.server, "example 300 MX 10 a.example");
    server_add(&f.server, "example 300 MX 20 MTA.example.net");
    server_add(&f.server, "example 300 MX 20 b.example");
    server_add(&f.server, "example 300 MX 30 c.example");
    server_add(&f.server, "a.example 300 A 192.0.2.1");
    server_add(&f.server, "b.example 300 A 192.0.2.2");
    server_add(&f.server, "c.example 300 A 192.0.2.3");
    server_add(&f.server, "loop.example 300 MX 10 mta.example.net");
    server_add(&f.server, "loop.example 300 MX 20 a.example");
    server_add(&f.server, "mta.example.net 300 A 192.0.2.9");
    assert_string_equal(look_up("example"), "ok 10 a.example=192.0.2.1:25");
    assert_string_equal(site, "a.example");
    assert_string_equal(look_up("loop.example"), "loop");
    assert_string_equal(look_up("mta.example.net"), "loop");
    fixture_close(&f);
}

TEST(our_address_drops_equal_and_worse_hosts)
{
    mx_open();
    assert_true(address_parse(BYTES("192.0.2.9"), 25, &ours[rules.ours_count++]));
    server_add(&f.server, "example 300 MX 10 a.example");
    server_add(&f.server, "example 300 MX 20 us.example");
    server_add(&f.server, "example 300 MX 20 b.example");
    server_add(&f.server, "a.example 300 A 192.0.2.1");
    server_add(&f.server, "b.example 300 A 192.0.2.2");
    server_add(&f.server, "us.example 300 A 192.0.2.8");
    server_add(&f.server, "us.example 300 A 192.0.2.9");
    server_add(&f.server, "loop.example 300 MX 10 us.example");
    server_add(&f.server, "loop.example 300 MX 20 a.example");
    assert_string_equal(look_up("example"), "ok 10 a.example=192.0.2.1:25");
    expect_note("us.example was dropped");
    assert_string_equal(look_up("loop.example"), "loop");
    assert_string_equal(look_up("[192.0.2.9]"), "loop");
    /* Another server of ours on another port is no loop. */
    assert_string_equal(look_up_host("192.0.2.9", 2525), "ok 0 [192.0.2.9]=192.0.2.9:2525");
    assert_string_equal(look_up_host("192.0.2.9", 25), "loop");
    address_set_port(&ours[0], 0);
    assert_string_equal(look_up_host("192.0.2.9", 2525), "loop");
    fixture_close(&f);
}

TEST(our_name_behind_a_cname_is_a_loop)
{
    mx_open();
    server_add(&f.server, "example 300 MX 10 mail.example");
    server_add(&f.server, "mail.example 300 CNAME mta.example.net");
    server_add(&f.server, "mta.example.net 300 A 192.0.2.1");
    assert_string_equal(look_up("example"), "loop");
    fixture_close(&f);
}

TEST(targets_that_are_not_public_are_dropped)
{
    mx_open();
    server_add(&f.server, "example 300 MX 10 a.example");
    server_add(&f.server, "a.example 300 A 127.0.0.1");
    server_add(&f.server, "a.example 300 A 192.0.2.1");
    server_add(&f.server, "a.example 300 AAAA ::1");
    server_add(&f.server, "private.example 300 MX 10 b.example");
    server_add(&f.server, "b.example 300 A 10.1.2.3");
    assert_string_equal(look_up("example"), "ok 10 a.example=192.0.2.1:25");
    expect_note("127.0.0.1 of a.example is not a public address");
    expect_note("::1 of a.example is not a public address");
    assert_string_equal(look_up("private.example"), "unroutable");
    assert_string_equal(look_up("[10.1.2.3]"), "unroutable");
    assert_true(network_parse(BYTES("10.0.0.0/8"), &allowed[rules.allow_private_count++]));
    assert_string_equal(look_up("private.example"), "ok 10 b.example=10.1.2.3:25");
    assert_string_equal(look_up("[10.1.2.3]"), "ok 0 [10.1.2.3]=10.1.2.3:25");
    fixture_close(&f);
}

TEST(hosts_that_fail_now_are_left_out)
{
    mx_open();
    server_add(&f.server, "example 300 MX 10 a.example");
    server_add(&f.server, "example 300 MX 20 b.example");
    server_add(&f.server, "b.example 300 A 192.0.2.2");
    server_behave(&f.server, "a.example", 0, SAYS_SERVFAIL);
    assert_string_equal(look_up("example"), "ok 20 b.example=192.0.2.2:25");
    assert_string_equal(site, "(a>b).example"); /* the same site as when all is well */
    assert_true(told_expires_ms <= engine_now_ms(f.engine) + 1000); /* tried again soon */
    server_behave(&f.server, "b.example", 0, IS_SILENT);
    resolver_flush(f.resolver, BYTES("b.example"));
    assert_string_equal(look_up("example"), "failed");
    /* One family that fails is no failure of the host. */
    server_add(&f.server, "half.example 300 MX 10 c.example");
    server_add(&f.server, "c.example 300 A 192.0.2.3");
    server_behave(&f.server, "c.example", 28, SAYS_SERVFAIL);
    assert_string_equal(look_up("half.example"), "ok 10 c.example=192.0.2.3:25");
    fixture_close(&f);
}

TEST(failure_comes_before_final_refusal)
{
    mx_open();
    server_add(&f.server, "example 300 MX 10 gone.example");
    server_add(&f.server, "example 300 MX 20 b.example");
    server_behave(&f.server, "b.example", 0, SAYS_SERVFAIL);
    assert_string_equal(look_up("example"), "failed");
    fixture_close(&f);
}

TEST(old_data_make_a_stale_set)
{
    mx_open();
    server_add(&f.server, "example 1 MX 10 a.example");
    server_add(&f.server, "a.example 1 A 192.0.2.1");
    assert_string_equal(look_up("example"), "ok 10 a.example=192.0.2.1:25");
    assert_false(told_stale);
    fixture_advance(&f, 1100);
    server_behave(&f.server, "example", 0, SAYS_SERVFAIL);
    assert_string_equal(look_up("example"), "ok 10 a.example=192.0.2.1:25");
    assert_true(told_stale);
    fixture_close(&f);
}

TEST(huge_sets_are_cut_in_order)
{
    mx_open();
    for (unsigned i = 0; i < 100; i++) {
        char line[80];

        snprintf(line, sizeof(line), "example 300 MX %u mail-host-%u.big.example", 200 - i, i);
        server_add(&f.server, line);
        snprintf(line, sizeof(line), "mail-host-%u.big.example 300 A 192.0.2.%u", i, i + 1);
        server_add(&f.server, line);
    }
    look_up("example");
    assert_ptr_equal(strstr(told, "ok 101 mail-host-99.big.example=192.0.2.100:25 102 "), told);
    assert_null(strstr(told, " 121 "));
    expect_note("only the first 20 of 100 MX hosts are tried");
    assert_int_equal(strlen(site), MX_SITE_MAX);
    char before[sizeof(site)];

    snprintf(before, sizeof(before), "%s", site);
    look_up("example");
    assert_string_equal(site, before);
    fixture_close(&f);
}

static void add_numbered(unsigned number, unsigned preference, bool has_address)
{
    char line[80];

    snprintf(line, sizeof(line), "example 300 MX %u m%u.example", preference, number);
    server_add(&f.server, line);
    snprintf(line, sizeof(line), "m%u.example 300 A 192.0.2.%u", number, number);
    if (has_address)
        server_add(&f.server, line);
}

/* RFC 5321 section 5.1 limits what is tried, not which names are looked up. */
TEST(names_without_address_do_not_count_as_hosts)
{
    mx_open();
    for (unsigned i = 1; i <= 45; i++)
        add_numbered(i, i, i == 25 || i == 45);
    assert_string_equal(look_up("example"), "ok 25 m25.example=192.0.2.25:25 "
                                            "45 m45.example=192.0.2.45:25");
    fixture_close(&f);
}

TEST(names_are_looked_up_until_some_have_addresses)
{
    mx_open();
    for (unsigned i = 1; i <= 60; i++)
        add_numbered(i, i, i > 15 && i != 41);
    unsigned queries = f.server.queries;

    look_up("example"); /* five in the first twenty names */
    assert_ptr_equal(strstr(told, "ok 16 m16.example=192.0.2.16:25 "), told);
    assert_null(strstr(told, " 21 "));
    /* The MX once more over TCP: they do not fit into a datagram. */
    assert_in_range(f.server.queries - queries, 1, 2 + 2 * MX_HOSTS_MAX);
    fixture_close(&f);
}

TEST(hosts_to_try_are_limited_when_names_were_looked_up_in_turns)
{
    unsigned count = 0;

    mx_open();
    for (unsigned i = 1; i <= 60; i++)
        add_numbered(i, i, i >= 17);
    look_up("example"); /* four, and then twenty more */
    for (const char *p = told; (p = strchr(p, '=')) != NULL; p++)
        count++;
    assert_int_equal(count, MX_HOSTS_MAX);
    assert_ptr_equal(strstr(told, "ok 17 m17.example=192.0.2.17:25 "), told);
    fixture_close(&f);
}

TEST(our_address_ends_the_search_for_more)
{
    mx_open();
    assert_true(address_parse(BYTES("192.0.2.9"), 25, &ours[rules.ours_count++]));
    for (unsigned i = 1; i <= 40; i++)
        add_numbered(i, i, i == 9 || i == 30);
    unsigned queries = f.server.queries;

    assert_string_equal(look_up("example"), "loop");
    /* The MX, and two of each of the first names: what comes behind us is not asked for. */
    assert_in_range(f.server.queries - queries, 1, 2 + 2 * MX_HOSTS_MAX);
    fixture_close(&f);
}

/* What fails now may be there later: a set whose other hosts have no address is not refused. */
TEST(host_that_fails_is_remembered_while_more_names_are_looked_up)
{
    mx_open();
    for (unsigned i = 1; i <= 40; i++)
        add_numbered(i, i, false);
    server_behave(&f.server, "m3.example", 0, SAYS_SERVFAIL);
    assert_string_equal(look_up("example"), "failed");
    fixture_close(&f);
}

TEST(host_named_twice_counts_where_it_is_better)
{
    mx_open();
    server_add(&f.server, "example 300 MX 30 a.example");
    server_add(&f.server, "example 300 MX 20 b.example");
    server_add(&f.server, "example 300 MX 10 a.example");
    server_add(&f.server, "example 300 MX 40 b.example");
    server_add(&f.server, "a.example 300 A 192.0.2.1");
    server_add(&f.server, "b.example 300 A 192.0.2.2");
    assert_string_equal(look_up("example"),
                        "ok 10 a.example=192.0.2.1:25 20 b.example=192.0.2.2:25");
    assert_string_equal(site, "(a>b).example");
    fixture_close(&f);
}

TEST(literals_are_not_looked_up)
{
    mx_open();
    assert_string_equal(look_up("[192.0.2.1]"), "ok 0 [192.0.2.1]=192.0.2.1:25");
    assert_string_equal(site, "[192.0.2.1]");
    assert_string_equal(look_up("[IPv6:2001:db8::1]"), "ok 0 [2001:db8::1]=[2001:db8::1]:25");
    assert_string_equal(look_up("[ipv6:2001:db8::1]"), "ok 0 [2001:db8::1]=[2001:db8::1]:25");
    assert_string_equal(look_up_host("192.0.2.1", 2525), "ok 0 [192.0.2.1]=192.0.2.1:2525");
    assert_string_equal(site, "[192.0.2.1]:2525");
    assert_string_equal(look_up_host("[2001:db8::1]", 25), "ok 0 [2001:db8::1]=[2001:db8::1]:25");
    assert_string_equal(look_up_host("2001:db8::1", 25), "ok 0 [2001:db8::1]=[2001:db8::1]:25");
    rules.use_ipv6 = false;
    assert_string_equal(look_up("[IPv6:2001:db8::1]"), "no address");
    assert_int_equal(f.server.queries, 0);
    fixture_close(&f);
}

TEST(routes_to_named_hosts_ask_no_mx)
{
    mx_open();
    server_add(&f.server, "relay.example 300 MX 10 other.example");
    server_add(&f.server, "relay.example 300 A 192.0.2.1");
    server_add(&f.server, "inside.example 300 A 10.0.0.9");
    assert_string_equal(look_up_host("relay.example", 2525), "ok 0 relay.example=192.0.2.1:2525");
    assert_string_equal(site, "relay.example:2525");
    assert_string_equal(look_up_host("10.0.0.9", 2500), "ok 0 [10.0.0.9]=10.0.0.9:2500");
    assert_string_equal(look_up_host("inside.example", 2500), "unroutable");
    assert_string_equal(look_up_host("gone.example", 25), "no address");
    fixture_close(&f);
}

static void clear_slot(void *context, const struct mx_set *set)
{
    struct mx_lookup **slot = context;

    assert_non_null(*slot); /* neither cancelled nor told before */
    assert_int_equal(set->status, MX_OK);
    mx_lookup_cancel(slot); /* harmless here, and clears */
    assert_null(*slot);
}

TEST(lookup_can_be_cancelled_at_every_stage)
{
    mx_open();
    server_add(&f.server, "example 300 MX 10 a.example");
    server_add(&f.server, "a.example 300 A 192.0.2.1");
    for (int turns = 0; turns < 12; turns++) {
        struct mx_lookup *slots[3];

        resolver_flush(f.resolver, BYTES_NONE);
        slots[0] = mx_lookup_start(f.resolver, &rules, BYTES("example"), clear_slot, &slots[0]);
        slots[1] = mx_lookup_start(f.resolver, &rules, BYTES("[192.0.2.1]"), clear_slot, &slots[1]);
        slots[2] =
            mx_lookup_host(f.resolver, &rules, BYTES("a.example"), 25, clear_slot, &slots[2]);
        for (int i = 0; i < turns; i++)
            fixture_turn(&f);
        for (size_t i = 0; i < ARRAY_LEN(slots); i++) {
            mx_lookup_cancel(&slots[i]);
            assert_null(slots[i]);
        }
        fixture_turn(&f);
    }
    fixture_close(&f);
}

TEST(destroyed_resolver_ends_lookups)
{
    mx_open();
    server_behave(&f.server, "example", 0, IS_SILENT);
    told_count = 0;
    assert_non_null(mx_lookup_start(f.resolver, &rules, BYTES("example"), lookup_done, &f));
    fixture_turn(&f);
    fixture_close(&f);
    assert_int_equal(told_count, 1);
    assert_string_equal(told, "failed");
}
