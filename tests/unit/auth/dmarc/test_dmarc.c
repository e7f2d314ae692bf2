/* test_dmarc.c - policies, the walk up the tree and alignment, on tables in place of DNS. */
/* modules: dmarc */
#include "auth/dmarc/dmarc.h"

#include <stdio.h>
#include <string.h>

#include "support/unit.h"

enum { RECORDS_MAX = 8, ASKED_MAX = 2048 };

/* "FAIL": SERVFAIL. Of names that are not here, those above one that is exist; others do not. */
struct record {
    const char *name, *text;
};

struct scenario {
    const char *what;
    const char *from;
    const char *more_from; /* a second field */
    struct record zone[RECORDS_MAX];
    const char *identifiers[4];                               /* "dkim:DOMAIN", "spf:DOMAIN" */
    const char *result, *tag, *policy, *disposition, *domain; /* tag NULL: no policy is known */
    const char *asked; /* names without "_dmarc.", "?NAME" for whether it exists; NULL: whatever */
};

static void answer(const struct scenario *s, struct dmarc *dmarc, const struct lookup *lookup)
{
    struct lookup_record records[RECORDS_MAX];
    struct lookup_answer told = {.result = LOOKUP_NO_NAME, .records = records};

    for (size_t i = 0; i < RECORDS_MAX && s->zone[i].name != NULL; i++) {
        struct bytes name = bytes_of(s->zone[i].name);

        if (bytes_equal(name, lookup->name)) {
            if (strcmp(s->zone[i].text, "FAIL") == 0) {
                told = (struct lookup_answer){.result = LOOKUP_FAILED};
                break;
            }
            if (lookup->type == LOOKUP_TXT)
                records[told.count++] = (struct lookup_record){bytes_of(s->zone[i].text), 0};
        }
        if (bytes_ends_nocase(name, lookup->name) && told.result == LOOKUP_NO_NAME)
            told.result = LOOKUP_NO_DATA;
    }
    if (told.count > 0)
        told.result = LOOKUP_FOUND;
    dmarc_answer(dmarc, &told);
}

static void run(const struct scenario *s, struct dmarc *dmarc, char *asked)
{
    struct lookup lookup;

    while (dmarc_run(dmarc, &lookup) == CHECK_ASKS) {
        struct bytes name = lookup.name;
        size_t len = strlen(asked);

        if (lookup.type == LOOKUP_TXT)
            assert_true(bytes_take_nocase(&name, BYTES("_dmarc.")));
        snprintf(asked + len, ASKED_MAX - len, "%s%s%.*s", len > 0 ? " " : "",
                 lookup.type == LOOKUP_A ? "?" : "", BYTES_ARG(name));
        answer(s, dmarc, &lookup);
    }
}

static size_t read_identifiers(const struct scenario *s, struct dmarc_identifier *out)
{
    size_t count = 0;

    for (; count < 4 && s->identifiers[count] != NULL; count++) {
        const char *colon = strpbrk(s->identifiers[count], ":!");

        out[count] = (struct dmarc_identifier){
            .is_dkim = s->identifiers[count][0] == 'd',
            .is_temporary = *colon == '!',
            .domain = bytes_of(colon + 1),
        };
    }
    return count;
}

static void expect_text(const struct scenario *s, const char *what, const char *is,
                        const char *wanted)
{
    if (strcmp(is, wanted) != 0)
        fail_msg("%s: %s is %s, not %s", s->what, what, is, wanted);
}

static void play(const struct scenario *s)
{
    struct dmarc_identifier identifiers[4];
    char asked[ASKED_MAX] = "";
    struct authors authors;
    struct dmarc dmarc;
    char domain[300];

    authors_init(&authors);
    if (s->from != NULL)
        authors_add(&authors, bytes_of(s->from));
    if (s->more_from != NULL)
        authors_add(&authors, bytes_of(s->more_from));
    authors_finish(&authors);
    dmarc_start(&dmarc, &authors);
    run(s, &dmarc, asked);
    dmarc_judge(&dmarc, identifiers, read_identifiers(s, identifiers));
    run(s, &dmarc, asked);
    expect_text(s, "result", dmarc_result_name(dmarc.result), s->result);
    if (dmarc.has_policy != (s->tag != NULL))
        fail_msg("%s: has_policy %d", s->what, dmarc.has_policy);
    assert_non_null(dmarc.why);
    if (s->tag != NULL) {
        expect_text(s, "tag", dmarc.policy_tag, s->tag);
        expect_text(s, "policy", dmarc_policy_name(dmarc.policy), s->policy);
        snprintf(domain, sizeof(domain), "%.*s", (int)dmarc.domain.len,
                 (const char *)dmarc.domain.text);
        expect_text(s, "domain", domain, s->domain);
    }
    expect_text(s, "disposition", dmarc_policy_name(dmarc.disposition),
                s->disposition == NULL ? "none" : s->disposition);
    if (s->asked != NULL)
        expect_text(s, "asked", asked, s->asked);
}

#define D "_dmarc."
#define REJECT "v=DMARC1; p=reject"
#define LONG "a.b.c.d.e.f.g.h.i.j.k.example"

static const struct scenario scenarios[] = {
    {"own record, DKIM of the same name",
     "a@b.example",
     NULL,
     {{D "b.example", REJECT}},
     {"dkim:b.example"},
     "pass",
     "p",
     "reject",
     NULL,
     "b.example",
     "b.example"},
    {"own record, SPF of the same name",
     "a@b.example",
     NULL,
     {{D "b.example", REJECT}},
     {"spf:b.example"},
     "pass",
     "p",
     "reject",
     NULL,
     "b.example",
     "b.example"},
    {"own record, nothing passed",
     "a@b.example",
     NULL,
     {{D "b.example", REJECT}},
     {NULL},
     "fail",
     "p",
     "reject",
     "reject",
     "b.example",
     "b.example"},
    {"another organisation",
     "a@b.example",
     NULL,
     {{D "b.example", REJECT}},
     {"dkim:c.example", "spf:c.example"},
     "fail",
     "p",
     "reject",
     "reject",
     "b.example",
     "b.example example"},
    {"another top is not walked for",
     "a@b.example",
     NULL,
     {{D "b.example", REJECT}},
     {"dkim:c.test"},
     "fail",
     "p",
     "reject",
     "reject",
     "b.example",
     "b.example"},
    {"a name that ends alike",
     "a@b.example",
     NULL,
     {{D "b.example", REJECT}},
     {"dkim:xb.example"},
     "fail",
     "p",
     "reject",
     "reject",
     "b.example",
     "b.example example"},
    {"relaxed: below the author",
     "a@b.example",
     NULL,
     {{D "b.example", REJECT}},
     {"dkim:m.b.example"},
     "pass",
     "p",
     "reject",
     NULL,
     "b.example",
     "b.example example m.b.example"},
    {"relaxed: above the author",
     "a@m.b.example",
     NULL,
     {{D "b.example", REJECT}},
     {"spf:b.example"},
     "pass",
     "sp",
     "reject",
     NULL,
     "b.example",
     "m.b.example b.example example"},
    {"relaxed: beside the author",
     "a@m.b.example",
     NULL,
     {{D "m.b.example", "v=DMARC1; p=none"}, {D "b.example", REJECT}},
     {"spf:n.b.example"},
     "pass",
     "p",
     "none",
     NULL,
     "m.b.example",
     "m.b.example b.example example n.b.example"},
    {"strict DKIM",
     "a@b.example",
     NULL,
     {{D "b.example", REJECT "; adkim=s"}},
     {"dkim:m.b.example"},
     "fail",
     "p",
     "reject",
     "reject",
     "b.example",
     "b.example"},
    {"strict DKIM, relaxed SPF",
     "a@b.example",
     NULL,
     {{D "b.example", REJECT "; adkim=s"}},
     {"dkim:m.b.example", "spf:m.b.example"},
     "pass",
     "p",
     "reject",
     NULL,
     "b.example",
     NULL},
    {"strict SPF",
     "a@b.example",
     NULL,
     {{D "b.example", REJECT "; aspf=s"}},
     {"spf:m.b.example"},
     "fail",
     "p",
     "reject",
     "reject",
     "b.example",
     "b.example"},
    {"strict, same name",
     "a@b.example",
     NULL,
     {{D "b.example", REJECT "; aspf=s; adkim=s"}},
     {"spf:b.example"},
     "pass",
     "p",
     "reject",
     NULL,
     "b.example",
     "b.example"},
    {"second of two identifiers",
     "a@b.example",
     NULL,
     {{D "b.example", REJECT}},
     {"dkim:c.example", "dkim:b.example"},
     "pass",
     "p",
     "reject",
     NULL,
     "b.example",
     NULL},

    {"no record anywhere",
     "a@m.b.example",
     NULL,
     {{NULL, NULL}},
     {"dkim:m.b.example"},
     "none",
     NULL,
     NULL,
     NULL,
     NULL,
     "m.b.example b.example example"},
    {"sp for a name that exists",
     "a@m.b.example",
     NULL,
     {{D "b.example", REJECT "; sp=quarantine; np=none"}, {"m.b.example", "x"}},
     {NULL},
     "fail",
     "sp",
     "quarantine",
     "quarantine",
     "b.example",
     "m.b.example b.example example ?m.b.example"},
    {"np for one that does not",
     "a@m.b.example",
     NULL,
     {{D "b.example", REJECT "; sp=quarantine; np=none"}},
     {NULL},
     "fail",
     "np",
     "none",
     NULL,
     "b.example",
     NULL},
    {"np that says as sp is not looked up",
     "a@m.b.example",
     NULL,
     {{D "b.example", "v=DMARC1; p=none; sp=reject; np=reject"}},
     {NULL},
     "fail",
     "sp",
     "reject",
     "reject",
     "b.example",
     "m.b.example b.example example"},
    {"p counts below without sp",
     "a@m.b.example",
     NULL,
     {{D "b.example", REJECT}},
     {NULL},
     "fail",
     "sp",
     "reject",
     "reject",
     "b.example",
     NULL},
    {"own record before the organisation's",
     "a@m.b.example",
     NULL,
     {{D "m.b.example", "v=DMARC1; p=quarantine; sp=none"}, {D "b.example", REJECT}},
     {NULL},
     "fail",
     "p",
     "quarantine",
     "quarantine",
     "m.b.example",
     "m.b.example"},
    {"t=y: reject",
     "a@b.example",
     NULL,
     {{D "b.example", REJECT "; t=y"}},
     {NULL},
     "fail",
     "p",
     "reject",
     "quarantine",
     "b.example",
     NULL},
    {"t=y: quarantine",
     "a@b.example",
     NULL,
     {{D "b.example", "v=DMARC1;p=quarantine;t=y"}},
     {NULL},
     "fail",
     "p",
     "quarantine",
     NULL,
     "b.example",
     NULL},
    {"t=y: none",
     "a@b.example",
     NULL,
     {{D "b.example", "v=DMARC1;p=none;t=y"}},
     {NULL},
     "fail",
     "p",
     "none",
     NULL,
     "b.example",
     NULL},
    {"pct is history",
     "a@b.example",
     NULL,
     {{D "b.example", REJECT "; pct=0"}},
     {NULL},
     "fail",
     "p",
     "reject",
     "reject",
     "b.example",
     NULL},

    {"two records are dropped",
     "a@b.example",
     NULL,
     {{D "b.example", REJECT}, {D "b.example", "v=DMARC1; p=none"}},
     {"dkim:b.example"},
     "none",
     NULL,
     NULL,
     NULL,
     NULL,
     "b.example example"},
    {"two records, and the walk goes on",
     "a@m.b.example",
     NULL,
     {{D "m.b.example", REJECT},
      {D "m.b.example", REJECT},
      {D "b.example", "v=DMARC1; p=quarantine"}},
     {NULL},
     "fail",
     "sp",
     "quarantine",
     "quarantine",
     "b.example",
     NULL},
    {"other texts beside a record",
     "a@b.example",
     NULL,
     {{D "b.example", "v=spf1 -all"}, {D "b.example", REJECT}, {D "b.example", "x"}},
     {NULL},
     "fail",
     "p",
     "reject",
     "reject",
     "b.example",
     NULL},
    {"a record without policy or reports ends it",
     "a@m.b.example",
     NULL,
     {{D "m.b.example", "v=DMARC1; p=block"}, {D "b.example", REJECT}},
     {NULL},
     "none",
     NULL,
     NULL,
     NULL,
     NULL,
     "m.b.example"},
    {"a record without policy with reports",
     "a@b.example",
     NULL,
     {{D "b.example", "v=DMARC1; rua=mailto:a@b.example"}},
     {NULL},
     "fail",
     "p",
     "none",
     NULL,
     "b.example",
     NULL},

    {"psd=n stops the walk",
     "a@x.m.b.example",
     NULL,
     {{D "m.b.example", "v=DMARC1; p=quarantine; psd=n"}, {D "b.example", REJECT}},
     {"dkim:b.example"},
     "fail",
     "sp",
     "quarantine",
     "quarantine",
     "m.b.example",
     "x.m.b.example m.b.example"},
    {"psd=n is an organisation of its own",
     "a@m.b.example",
     NULL,
     {{D "m.b.example", REJECT "; psd=n"}, {D "b.example", REJECT}},
     {"dkim:x.m.b.example"},
     "pass",
     "p",
     "reject",
     NULL,
     "m.b.example",
     "m.b.example x.m.b.example"},
    {"psd=y: the organisation is one below",
     "a@x.b.bank",
     NULL,
     {{D "bank", REJECT "; psd=y"}},
     {"dkim:y.b.bank"},
     "pass",
     "sp",
     "reject",
     NULL,
     "bank",
     "x.b.bank b.bank bank y.b.bank"},
    {"psd=y: others of it are not aligned",
     "a@x.b.bank",
     NULL,
     {{D "bank", REJECT "; psd=y"}},
     {"dkim:c.bank", "dkim:bank"},
     "fail",
     "sp",
     "reject",
     "reject",
     "bank",
     NULL},
    {"psd=y: np of the suffix",
     "a@x.b.bank",
     NULL,
     {{D "bank", "v=DMARC1; p=none; np=reject; psd=y"}},
     {NULL},
     "fail",
     "np",
     "reject",
     "reject",
     "bank",
     "x.b.bank b.bank bank ?x.b.bank"},
    {"psd=y: the organisation's record first",
     "a@x.b.bank",
     NULL,
     {{D "b.bank", "v=DMARC1; p=quarantine"}, {D "bank", REJECT "; psd=y"}},
     {NULL},
     "fail",
     "sp",
     "quarantine",
     "quarantine",
     "b.bank",
     NULL},
    {"psd=y: a record between is passed over",
     "a@x.y.b.bank",
     NULL,
     {{D "y.b.bank", "v=DMARC1; p=none"}, {D "bank", REJECT "; psd=y"}},
     {NULL},
     "fail",
     "sp",
     "reject",
     "reject",
     "bank",
     NULL},
    {"psd=y at the author",
     "a@bank",
     NULL,
     {{D "bank", REJECT "; psd=y"}},
     {"dkim:b.bank"},
     "fail",
     "p",
     "reject",
     "reject",
     "bank",
     "bank b.bank"},
    {"the fewest labels are the organisation",
     "a@x.m.b.example",
     NULL,
     {{D "m.b.example", "v=DMARC1; p=none"}, {D "b.example", REJECT}},
     {NULL},
     "fail",
     "sp",
     "reject",
     "reject",
     "b.example",
     "x.m.b.example m.b.example b.example example"},

    {"long names jump",
     "a@" LONG,
     NULL,
     {{NULL, NULL}},
     {NULL},
     "none",
     NULL,
     NULL,
     NULL,
     NULL,
     LONG " f.g.h.i.j.k.example g.h.i.j.k.example h.i.j.k.example i.j.k.example j.k.example "
          "k.example example"},
    {"what is jumped over does not count",
     "a@" LONG,
     NULL,
     {{D "e.f.g.h.i.j.k.example", REJECT}, {D "k.example", "v=DMARC1; p=none"}},
     {NULL},
     "fail",
     "sp",
     "none",
     NULL,
     "k.example",
     NULL},
    {"eight labels",
     "a@1.2.3.4.5.6.7.example",
     NULL,
     {{NULL, NULL}},
     {NULL},
     "none",
     NULL,
     NULL,
     NULL,
     NULL,
     "1.2.3.4.5.6.7.example 2.3.4.5.6.7.example 3.4.5.6.7.example 4.5.6.7.example 5.6.7.example "
     "6.7.example 7.example example"},
    {"a suffix behind the jump",
     "a@1.2.3.4.5.6.7.8.9.bank",
     NULL,
     {{D "5.6.7.8.9.bank", REJECT "; psd=y"}},
     {"dkim:4.5.6.7.8.9.bank"},
     "pass",
     "sp",
     "reject",
     NULL,
     "5.6.7.8.9.bank",
     NULL},

    {"no From",
     NULL,
     NULL,
     {{D "b.example", REJECT}},
     {"dkim:b.example"},
     "none",
     NULL,
     NULL,
     NULL,
     NULL,
     ""},
    {"From of nobody",
     "nobody:;",
     NULL,
     {{NULL, NULL}},
     {NULL},
     "none",
     NULL,
     NULL,
     NULL,
     NULL,
     ""},
    {"broken From",
     "Doe, John",
     NULL,
     {{D "b.example", REJECT}},
     {"dkim:b.example"},
     "none",
     NULL,
     NULL,
     NULL,
     NULL,
     ""},
    {"broken From with a domain",
     "Doe, John <a@b.example>",
     NULL,
     {{D "b.example", REJECT}},
     {"dkim:b.example"},
     "pass",
     "p",
     "reject",
     NULL,
     "b.example",
     NULL},
    {"broken From with a domain that somebody else signs for",
     "Doe, John <a@b.example>",
     NULL,
     {{D "b.example", REJECT}},
     {"dkim:d.example"},
     "fail",
     "p",
     "reject",
     "reject",
     "b.example",
     NULL},
    {"broken From with several domains",
     "a@b.example <a@d.example",
     NULL,
     {{D "b.example", REJECT}},
     {"dkim:b.example"},
     "fail",
     "p",
     "reject",
     "reject",
     "b.example",
     NULL},
    {"several addresses of one domain",
     "a@b.example, c@B.example",
     NULL,
     {{D "b.example", REJECT}},
     {"dkim:b.example"},
     "pass",
     "p",
     "reject",
     NULL,
     "b.example",
     NULL},
    {"several domains never pass, the strictest counts",
     "a@b.example, a@c.example, a@d.example",
     NULL,
     {{D "b.example", "v=DMARC1; p=none"},
      {D "c.example", REJECT "; t=y"},
      {D "d.example", "v=DMARC1; p=quarantine"}},
     {"dkim:b.example", "dkim:c.example", "spf:d.example"},
     "fail",
     "p",
     "reject",
     "quarantine",
     "c.example",
     "b.example c.example d.example"},
    {"several domains, one has a policy",
     "a@b.example, a@c.test",
     NULL,
     {{D "b.example", REJECT}},
     {"dkim:b.example", "dkim:c.test"},
     "fail",
     "p",
     "reject",
     "reject",
     "b.example",
     NULL},
    {"several domains without a policy",
     "a@b.example, a@c.test",
     NULL,
     {{NULL, NULL}},
     {"dkim:b.example", "dkim:c.test"},
     "none",
     NULL,
     NULL,
     NULL,
     NULL,
     NULL},
    {"several fields of one domain",
     "a@b.example",
     "a@b.example",
     {{D "b.example", REJECT}},
     {"dkim:b.example"},
     "fail",
     "p",
     "reject",
     "reject",
     "b.example",
     NULL},
    {"a literal beside a domain",
     "a@b.example, a@[192.0.2.1]",
     NULL,
     {{D "b.example", REJECT}},
     {"dkim:b.example"},
     "fail",
     "p",
     "reject",
     "reject",
     "b.example",
     NULL},

    {"the policy's look-up fails",
     "a@b.example",
     NULL,
     {{D "b.example", "FAIL"}},
     {"dkim:b.example"},
     "temperror",
     NULL,
     NULL,
     NULL,
     NULL,
     "b.example"},
    {"a look-up above fails",
     "a@m.b.example",
     NULL,
     {{D "example", "FAIL"}, {D "b.example", REJECT}},
     {"dkim:m.b.example"},
     "temperror",
     NULL,
     NULL,
     NULL,
     NULL,
     NULL},
    {"the look-up of existence fails",
     "a@m.b.example",
     NULL,
     {{D "b.example", REJECT "; np=none"}, {"m.b.example", "FAIL"}},
     {"dkim:m.b.example"},
     "temperror",
     NULL,
     NULL,
     NULL,
     NULL,
     NULL},
    {"one of several authors fails",
     "a@b.example, a@c.example",
     NULL,
     {{D "b.example", REJECT}, {D "c.example", "FAIL"}},
     {NULL},
     "temperror",
     NULL,
     NULL,
     NULL,
     NULL,
     NULL},
    {"the author's organisation fails",
     "a@b.example",
     NULL,
     {{D "b.example", REJECT}, {D "example", "FAIL"}},
     {"dkim:m.b.example"},
     "temperror",
     "p",
     "reject",
     NULL,
     "b.example",
     NULL},
    {"the same beside one of the same name",
     "a@b.example",
     NULL,
     {{D "b.example", REJECT}, {D "example", "FAIL"}},
     {"dkim:m.b.example", "dkim:b.example"},
     "pass",
     "p",
     "reject",
     NULL,
     "b.example",
     NULL},
    {"an identifier's organisation fails",
     "a@b.example",
     NULL,
     {{D "b.example", REJECT}, {D "m.b.example", "FAIL"}},
     {"dkim:m.b.example"},
     "temperror",
     "p",
     "reject",
     NULL,
     "b.example",
     NULL},
    {"the same beside one that is aligned",
     "a@b.example",
     NULL,
     {{D "b.example", REJECT}, {D "m.b.example", "FAIL"}},
     {"dkim:m.b.example", "dkim:n.b.example"},
     "pass",
     "p",
     "reject",
     NULL,
     "b.example",
     NULL},
    {"what might have passed is not known",
     "a@b.example",
     NULL,
     {{D "b.example", REJECT}},
     {"dkim!m.b.example"},
     "temperror",
     "p",
     "reject",
     NULL,
     "b.example",
     NULL},
    {"the same of another organisation",
     "a@b.example",
     NULL,
     {{D "b.example", REJECT}},
     {"spf!c.example", "dkim!c.test"},
     "fail",
     "p",
     "reject",
     "reject",
     "b.example",
     NULL},
    {"the same beside one that passed",
     "a@b.example",
     NULL,
     {{D "b.example", REJECT}},
     {"spf!b.example", "dkim:m.b.example"},
     "pass",
     "p",
     "reject",
     NULL,
     "b.example",
     NULL},
};

TEST(verdicts)
{
    for (size_t i = 0; i < ARRAY_LEN(scenarios); i++)
        play(&scenarios[i]);
}

TEST(identifiers_are_told_apart)
{
    struct dmarc_identifier identifiers[] = {
        {.is_dkim = true, .domain = BYTES("m.b.example")},
        {.is_dkim = false, .domain = BYTES("x.n.b.example")},
    };
    const struct scenario s = {
        .zone = {{D "b.example", REJECT}, {D "n.b.example", REJECT "; psd=n"}},
    };
    char asked[ASKED_MAX] = "";
    struct authors authors;
    struct dmarc dmarc;

    authors_init(&authors);
    authors_add(&authors, BYTES("a@b.example"));
    authors_finish(&authors);
    dmarc_start(&dmarc, &authors);
    run(&s, &dmarc, asked);
    dmarc_judge(&dmarc, identifiers, 2);
    run(&s, &dmarc, asked);
    assert_true(identifiers[0].is_aligned);
    assert_false(identifiers[1].is_aligned);
}

/* Strangers choose how many there are: those past the bound are asked for nothing. */
TEST(identifiers_are_bounded)
{
    struct dmarc_identifier identifiers[DMARC_IDENTIFIERS_MAX + 2];
    char names[DMARC_IDENTIFIERS_MAX + 2][32], asked[ASKED_MAX] = "";
    const struct scenario s = {.zone = {{D "b.example", REJECT}}};
    struct authors authors;
    struct dmarc dmarc;

    authors_init(&authors);
    authors_add(&authors, BYTES("a@b.example"));
    authors_finish(&authors);
    for (size_t i = 0; i < ARRAY_LEN(identifiers); i++) {
        snprintf(names[i], sizeof(names[i]), "m%zu.b.example", i);
        identifiers[i] = (struct dmarc_identifier){.is_dkim = true, .domain = bytes_of(names[i])};
    }
    dmarc_start(&dmarc, &authors);
    run(&s, &dmarc, asked);
    dmarc_judge(&dmarc, identifiers, ARRAY_LEN(identifiers));
    run(&s, &dmarc, asked);
    assert_true(identifiers[DMARC_IDENTIFIERS_MAX - 1].is_aligned);
    assert_false(identifiers[DMARC_IDENTIFIERS_MAX].is_aligned);
    assert_null(strstr(asked, names[DMARC_IDENTIFIERS_MAX]));
}
