#include "directory/domain_records.h"

#include "support/unit.h"

static const struct domain_key_row keys[] = {
    {.selector = BYTES("new"),
     .algorithm = SIGNATURE_ED25519_SHA256,
     .state = DKIM_KEY_PUBLISHED,
     .public_key = BYTES("bmV3")},
    {.selector = BYTES("now"),
     .algorithm = SIGNATURE_RSA_SHA256,
     .state = DKIM_KEY_ACTIVE,
     .public_key = BYTES("bm93bm93")},
    {.selector = BYTES("old"), .state = DKIM_KEY_RETIRED, .public_key = BYTES("b2xk")},
};

static const struct domain_row hosted = {
    .name = BYTES("shop.example"),
    .tenant = BYTES("shop"),
    .is_hosted = true,
    .created_s = 77,
    .key_count = 3,
    .keys = keys,
};

static size_t records_of(const struct domain_row *row, size_t address_count, struct arena *arena,
                         struct domain_record out[static DOMAIN_RECORDS_MAX])
{
    static const struct bytes addresses[] = {BYTES("192.0.2.1"), BYTES("2001:db8::1")};
    static const struct bytes reverse[] = {BYTES("1.2.0.192.in-addr.arpa"), BYTES("1.ip6.arpa")};
    const struct domain_hosts hosts = {BYTES("mta1.example.net"), address_count, addresses, 2,
                                       reverse};

    arena_init(arena, 65536);
    return domain_records(row, &hosts, arena, out);
}

TEST(records_of_a_hosted_domain_are_complete)
{
    static const struct {
        const char *purpose, *name, *value;
        enum domain_record_type type;
        bool is_required;
    } wanted[] = {
        {"dkim", "new._domainkey.shop.example", "v=DKIM1; k=ed25519; p=bmV3", RECORD_TXT, true},
        {"dkim", "now._domainkey.shop.example", "v=DKIM1; k=rsa; p=bm93bm93", RECORD_TXT, true},
        {"spf", "shop.example", "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 ~all", RECORD_TXT, true},
        {"dmarc", "_dmarc.shop.example", "v=DMARC1; p=none", RECORD_TXT, false},
        {"return-path", "bounces.shop.example", "mta1.example.net", RECORD_CNAME, false},
        {"mx", "shop.example", "mta1.example.net", RECORD_MX, true},
        {"mta-sts", "_mta-sts.shop.example", "v=STSv1; id=77", RECORD_TXT, false},
        {"mta-sts", "mta-sts.shop.example", "mta1.example.net", RECORD_CNAME, false},
        {"tls-rpt", "_smtp._tls.shop.example", "v=TLSRPTv1; rua=mailto:postmaster@shop.example",
         RECORD_TXT, false},
        {"ptr", "1.2.0.192.in-addr.arpa", "mta1.example.net", RECORD_PTR, false},
        {"ptr", "1.ip6.arpa", "mta1.example.net", RECORD_PTR, false},
    };
    struct domain_record records[DOMAIN_RECORDS_MAX];
    struct arena arena;

    assert_int_equal(records_of(&hosted, 2, &arena, records), ARRAY_LEN(wanted));
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        assert_string_equal(records[i].purpose, wanted[i].purpose);
        expect_row(i, bytes_equal(records[i].name, bytes_of(wanted[i].name)));
        expect_row(i, bytes_equal(records[i].value, bytes_of(wanted[i].value)));
        expect_row(i, records[i].type == wanted[i].type);
        expect_row(i, records[i].is_required == wanted[i].is_required);
    }
    arena_free(&arena);
}

TEST(records_without_sources_name_the_host)
{
    struct domain_record records[DOMAIN_RECORDS_MAX];
    struct domain_row row = hosted;
    struct arena arena;

    row.is_hosted = false;
    assert_int_equal(records_of(&row, 0, &arena, records), 5);
    assert_true(bytes_equal(records[2].value, BYTES("v=spf1 a:mta1.example.net ~all")));
    arena_free(&arena);
}

TEST(records_found_are_right_wrong_or_missing)
{
    static const struct {
        const char *purpose;
        enum domain_record_type type;
        const char *value;
        const char *found[3];
        enum domain_record_finding finding;
    } rows[] = {
        {"dkim", RECORD_TXT, "v=DKIM1; k=rsa; p=abc", {"v=DKIM1; k=rsa; p=abc"}, RECORD_RIGHT},
        {"dkim", RECORD_TXT, "v=DKIM1; k=rsa; p=abc", {"k=rsa;p=a bc ;"}, RECORD_RIGHT},
        {"dkim", RECORD_TXT, "v=DKIM1; k=rsa; p=abc", {"v=DKIM1; p=abd"}, RECORD_WRONG},
        {"dkim", RECORD_TXT, "v=DKIM1; k=rsa; p=abc", {"v=DKIM1; p=ab"}, RECORD_WRONG},
        {"dkim", RECORD_TXT, "v=DKIM1; k=rsa; p=abc", {"v=DKIM1; p="}, RECORD_WRONG},
        {"dkim", RECORD_TXT, "v=DKIM1; k=rsa; p=abc", {"p=abc", "p=abc"}, RECORD_WRONG},
        {"dkim", RECORD_TXT, "v=DKIM1; k=rsa; p=abc", {NULL}, RECORD_MISSING},
        {"spf",
         RECORD_TXT,
         "v=spf1 a:m.example ~all",
         {"v=spf1 mx +a:M.example -all"},
         RECORD_RIGHT},
        {"spf",
         RECORD_TXT,
         "v=spf1 a:m.example ~all",
         {"other", "v=spf1 a:m.example"},
         RECORD_RIGHT},
        {"spf", RECORD_TXT, "v=spf1 a:m.example ~all", {"v=spf1 -a:m.example"}, RECORD_WRONG},
        {"spf", RECORD_TXT, "v=spf1 a:m.example ~all", {"v=spf1 a:m.example.org"}, RECORD_WRONG},
        {"spf",
         RECORD_TXT,
         "v=spf1 ip4:192.0.2.1 ip6:::1 ~all",
         {"v=spf1 ip4:192.0.2.1"},
         RECORD_WRONG},
        {"spf",
         RECORD_TXT,
         "v=spf1 a:m.example ~all",
         {"v=spf1 a:m.example", "v=spf1 a:m.example"},
         RECORD_WRONG},
        {"spf", RECORD_TXT, "v=spf1 a:m.example ~all", {"v=spf10 a:m.example"}, RECORD_MISSING},
        {"dmarc",
         RECORD_TXT,
         "v=DMARC1; p=none",
         {"v=DMARC1;p=reject; rua=mailto:a@b"},
         RECORD_RIGHT},
        {"dmarc", RECORD_TXT, "v=DMARC1; p=none", {"v=spf1 -all"}, RECORD_MISSING},
        {"mx", RECORD_MX, "m.example", {"x.example", "M.example"}, RECORD_RIGHT},
        {"mx", RECORD_MX, "m.example", {"x.example"}, RECORD_WRONG},
        {"mx", RECORD_MX, "m.example", {NULL}, RECORD_MISSING},
        {"return-path", RECORD_CNAME, "m.example", {"m.example"}, RECORD_RIGHT},
        {"return-path", RECORD_CNAME, "m.example", {"b.shop.example"}, RECORD_MISSING},
        {"return-path", RECORD_CNAME, "m.example", {"x.example"}, RECORD_WRONG},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct domain_record record = {.purpose = rows[i].purpose,
                                       .type = rows[i].type,
                                       .name = BYTES("b.shop.example"),
                                       .value = bytes_of(rows[i].value)};
        struct bytes found[3], shown;
        size_t count = 0;

        while (count < ARRAY_LEN(found) && rows[i].found[count] != NULL) {
            found[count] = bytes_of(rows[i].found[count]);
            count++;
        }
        expect_row(i, domain_record_judge(&record, count, found, &shown) == rows[i].finding);
        expect_row(i, rows[i].finding != RECORD_MISSING || shown.len == 0);
    }
}
