/* signing.c - From decides whether and by whom; the keys come while the body does. */
#include "signing/signing.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "directory/directory_name.h"
#include "directory/tenants.h"
#include "smtp/mailbox.h"

enum {
    DOMAIN_MAX = 253,
    NAME_ROOM = 8 * 1024,
    AUTHORS_MAX = 16, /* that are looked at */
    SELECTOR_MAX = 63,
    PREFIX_MAX = 64 * 1024, /* of what is put before a message; beyond it the header is too large */
};

struct key_of_message {
    struct key_use use;
    struct signing *signing;
    uint8_t domain; /* number */
    size_t selector_len;
    char selector[SELECTOR_MAX + 1];
};

struct signing {
    struct signer *signer;
    char tenant[TENANT_NAME_MAX + 1]; /* "": our own mail */
    struct mail_header header;        /* as it came */
    struct body_hashes hashes;
    struct dkim_signer dkim;
    bool is_decided; /* the header is whole, and word and domain are known */
    bool is_finished;
    const char *word; /* of the result; NULL: it is to be signed */
    const char *why;  /* words for the log, with "key" and "header" */
    size_t domain_count;
    struct signing_domain {
        size_t len;
        char name[DOMAIN_MAX + 1];
    } domains[SIGNING_DOMAINS_MAX];
    size_t key_count, unsettled_count;
    struct key_of_message keys[DKIM_IDENTITIES_MAX];
    /* finish */
    struct mail_header whole; /* as it leaves */
    struct signer_work work;
    struct buf fields, selectors;
    void (*done)(void *context, const struct signing_result *result);
    void *context;
};

static void go_on(struct signing *s);
static void on_settled(struct key_use *use);
static void work_run(struct signer_work *work);
static void work_done(struct signer_work *work);

struct signing *signing_begin(struct signer *signer, struct bytes tenant)
{
    struct signing *s = malloc(sizeof(*s));

    check(tenant.len <= TENANT_NAME_MAX);
    if (s == NULL)
        return NULL;
    /* The hashes are large, and initialise themselves. */
    memset(s, 0, offsetof(struct signing, hashes));
    memset(&s->dkim, 0, sizeof(*s) - offsetof(struct signing, dkim));
    s->signer = signer;
    if (tenant.len > 0)
        memcpy(s->tenant, tenant.ptr, tenant.len);
    mail_header_init(&s->header, MAIL_HEADER_SIZE_MAX, MAIL_HEADER_FIELDS_MAX);
    body_hashes_init(&s->hashes);
    buf_init(&s->fields, SIGNING_FIELDS_MAX);
    buf_init(&s->selectors, (SELECTOR_MAX + 1) * DKIM_IDENTITIES_MAX);
    return s;
}

void signing_free(struct signing **signing)
{
    struct signing *s = *signing;

    *signing = NULL;
    if (s == NULL)
        return;
    signer_cancel(&s->work);
    for (size_t i = 0; i < s->key_count; i++)
        key_cache_drop(signer_keys(s->signer), &s->keys[i].use);
    mail_header_free(&s->header);
    mail_header_free(&s->whole);
    body_hashes_free(&s->hashes);
    buf_free(&s->fields);
    buf_free(&s->selectors);
    free(s);
}

size_t signing_memory(const struct signing *s)
{
    return sizeof(*s) + s->header.raw.capacity + s->whole.raw.capacity + s->fields.capacity +
           (s->header.fields_capacity + s->whole.fields_capacity) * sizeof(struct mail_field);
}

/* --- whether, and by whom --------------------------------------------------------------------- */

/* The domains of the addresses in the first From, in the one form that is looked up. False: there
 * is none that can be read. */
static bool find_authors(const struct mail_header *header, struct arena *arena,
                         struct bytes domains[static AUTHORS_MAX], size_t *count_out)
{
    struct mailbox mailbox;
    struct mailbox_reader reader;
    enum mailbox_step step;
    size_t count = 0, at = 0;

    while (at < header->count && !bytes_equal_nocase(header->fields[at].name, BYTES("From")))
        at++;
    if (at == header->count)
        return false;
    mailbox_reader_init(&reader, header->fields[at].value);
    while ((step = mailbox_next(&reader, &mailbox)) == MAILBOX_FOUND)
        if (count < AUTHORS_MAX &&
            directory_domain_name(arena, mailbox_domain(&mailbox), &domains[count]))
            count++;
    *count_out = count;
    return count > 0 && step == MAILBOX_END;
}

static const struct directory_domain *find_domain(const struct signing *s,
                                                  const struct snapshot *snapshot,
                                                  struct bytes author)
{
    const struct directory_domain *domain = snapshot_domain_above(snapshot, author);

    if (domain == NULL || s->tenant[0] == '\0')
        return domain;
    const struct directory_tenant *tenant = snapshot_tenant(snapshot, bytes_of(s->tenant));
    return tenant != NULL && tenant->id == domain->tenant ? domain : NULL;
}

static void take_key(struct signing *s, const struct directory_key *key)
{
    struct key_of_message *taken = &s->keys[s->key_count];

    if (s->key_count == DKIM_IDENTITIES_MAX || key->selector.len > SELECTOR_MAX)
        return;
    taken->signing = s;
    taken->domain = (uint8_t)(s->domain_count - 1);
    taken->selector_len = key->selector.len;
    memcpy(taken->selector, key->selector.ptr, key->selector.len);
    taken->use.settled = on_settled;
    s->key_count++;
    if (!key_cache_take(signer_keys(s->signer), key, &taken->use))
        s->unsettled_count++;
}

/* The oldest algorithm first: who looks at one signature only knows that. */
static void take_keys(struct signing *s, const struct directory_domain *domain)
{
    static const enum signature_algorithm order[] = {SIGNATURE_RSA_SHA256,
                                                     SIGNATURE_ED25519_SHA256};

    for (size_t n = 0; n < ARRAY_LEN(order); n++)
        for (size_t i = 0; i < domain->key_count; i++)
            if (domain->keys[i].state == DKIM_KEY_ACTIVE && domain->keys[i].algorithm == order[n])
                take_key(s, &domain->keys[i]);
}

static struct bytes name_of(const struct signing *s, size_t number)
{
    return bytes_range(s->domains[number].name, s->domains[number].len);
}

static bool is_taken(const struct signing *s, struct bytes name)
{
    for (size_t i = 0; i < s->domain_count; i++)
        if (bytes_equal(name_of(s, i), name))
            return true;
    return false;
}

/* It signs, too. A word: it does not, and why. */
static const char *take_domain(struct signing *s, const struct directory_domain *domain)
{
    if (domain == NULL)
        return "no-domain";
    if (!domain->is_active)
        return "domain-pending";
    if (is_taken(s, domain->name) || s->domain_count == SIGNING_DOMAINS_MAX ||
        s->key_count == DKIM_IDENTITIES_MAX)
        return NULL;
    check(domain->name.len <= DOMAIN_MAX);
    struct signing_domain *taken = &s->domains[s->domain_count++];
    size_t before = s->key_count;

    taken->len = domain->name.len;
    memcpy(taken->name, domain->name.ptr, domain->name.len);
    take_keys(s, domain);
    if (s->key_count == before) {
        s->word = "key";
        s->why = "the domain has no active key";
    }
    return NULL;
}

/* RFC 6376 section 5.6 leaves it to the signer; DMARC looks at each domain of From (RFC 7489
 * section 6.6.1), so that each needs a signature of its own. */
static void decide_by(struct signing *s, const struct snapshot *snapshot,
                      const struct bytes *authors, size_t count)
{
    const char *not_signed = NULL;

    for (size_t i = 0; i < count && s->word == NULL; i++) {
        const char *word = take_domain(s, find_domain(s, snapshot, authors[i]));

        if (not_signed == NULL)
            not_signed = word;
    }
    if (s->word == NULL && s->domain_count == 0)
        s->word = not_signed;
}

/* The header has come. */
static void decide(struct signing *s)
{
    struct bytes authors[AUTHORS_MAX];
    struct arena arena;
    size_t count;

    s->is_decided = true;
    arena_init(&arena, NAME_ROOM);
    if (find_authors(&s->header, &arena, authors, &count)) {
        decide_by(s, snapshot_begin(signer_reader(s->signer)), authors, count);
        snapshot_end(signer_reader(s->signer));
    } else {
        s->word = "no-from";
    }
    arena_free(&arena);
    if (s->word == NULL)
        dkim_signer_init(&s->dkim, signer_options(s->signer), &s->hashes);
}

void signing_content(struct signing *s, struct bytes run)
{
    check(!s->is_finished);
    if (!s->is_decided) {
        if (!mail_header_feed(&s->header, &run))
            return;
        decide(s);
        if (s->word == NULL)
            body_hashes_feed(&s->hashes, s->header.body_start);
    }
    if (s->word == NULL && run.len > 0)
        body_hashes_feed(&s->hashes, run);
}

/* --- the signatures --------------------------------------------------------------------------- */

/* The header as it leaves: what we add is above what came. */
static void join(struct signing *s, struct bytes prefix)
{
    mail_header_init(&s->whole, MAIL_HEADER_SIZE_MAX + PREFIX_MAX, MAIL_HEADER_FIELDS_MAX + 100);
    (void)mail_header_feed(&s->whole, &prefix);
    for (size_t i = 0; i < s->header.count; i++) {
        struct bytes field = s->header.fields[i].raw;

        (void)mail_header_feed(&s->whole, &field);
    }
    mail_header_finish(&s->whole);
    s->whole.is_cut |= s->header.is_cut;
}

static void fail(struct signing *s, const char *word, const char *why)
{
    s->word = word;
    s->why = why;
}

static bool put_selectors(struct signing *s)
{
    bool fits = true;

    for (size_t i = 0; i < s->key_count && s->keys[i].domain == 0; i++)
        fits = fits && (i == 0 || buf_append_byte(&s->selectors, ',')) &&
               buf_append(&s->selectors, bytes_range(s->keys[i].selector, s->keys[i].selector_len));
    return fits;
}

static void work_run(struct signer_work *work)
{
    struct signing *s = container_of(work, struct signing, work);
    struct dkim_identity identities[DKIM_IDENTITIES_MAX];
    int64_t began_us = clock_monotonic_us();
    const char *why;

    for (size_t i = 0; i < s->key_count; i++)
        identities[i] = (struct dkim_identity){
            .domain = name_of(s, s->keys[i].domain),
            .selector = bytes_range(s->keys[i].selector, s->keys[i].selector_len),
            .key = key_cache_key(&s->keys[i].use),
        };
    body_hashes_finish(&s->hashes);
    if (!dkim_sign(&s->dkim, &s->whole, identities, s->key_count,
                   engine_wall_ms(signer_engine(s->signer)), &s->fields, &why)) {
        fail(s, why == dkim_key_does_not_sign ? "key" : "header", why);
        return;
    }
    bool fits = put_selectors(s);
    check(fits);
    s->word = "signed";
    metric_observe_us(HISTOGRAM_DKIM, clock_monotonic_us() - began_us);
    for (size_t i = 0; i < s->key_count; i++)
        metric_inc(dkim_key_algorithm(identities[i].key) == SIGNATURE_RSA_SHA256
                       ? METRIC_DKIM_SIGNATURES_RSA
                       : METRIC_DKIM_SIGNATURES_ED25519);
}

static struct verdict verdict_of(const struct signing *s)
{
    if (s->why == NULL)
        return VERDICT_OK;
    if (strcmp(s->word, "header") == 0)
        return verdict_refuse(550, "5.6.0", "The message cannot be signed: its header is too large",
                              "dkim");
    return verdict_refuse(451, "4.3.5",
                          "The message cannot be signed now, its domain's key is not there",
                          "dkim");
}

static void answer(struct signing *s)
{
    struct signing_result result = {.verdict = verdict_of(s), .word = s->word};
    bool is_signed = s->why == NULL && buf_len(&s->fields) > 0;

    if (is_signed) {
        result.fields = buf_bytes(&s->fields);
        result.domain = name_of(s, 0);
        result.selectors = buf_bytes(&s->selectors);
    }
    metric_inc(is_signed        ? METRIC_DKIM_SIGNED
               : s->why == NULL ? METRIC_DKIM_UNSIGNED
                                : METRIC_DKIM_FAILED);
    if (s->why != NULL)
        log_limited(LOG_LEVEL_WARN, "domain=%s tenant=%s unsigned=%s why=%s",
                    LOG_TEXT(name_of(s, 0)), LOG_STRING(s->tenant), LOG_STRING(s->word),
                    LOG_STRING(s->why));
    s->done(s->context, &result);
}

static void work_done(struct signer_work *work)
{
    answer(container_of(work, struct signing, work));
}

/* Everything is here but perhaps a turn's time. */
static void go_on(struct signing *s)
{
    for (size_t i = 0; i < s->key_count && s->word == NULL; i++)
        if (key_cache_key(&s->keys[i].use) == NULL)
            fail(s, "key", key_cache_why(&s->keys[i].use));
    if (s->word != NULL) {
        answer(s);
        return;
    }
    s->work.run = work_run;
    s->work.done = work_done;
    signer_run(s->signer, &s->work);
}

static void on_settled(struct key_use *use)
{
    struct signing *s = container_of(use, struct key_of_message, use)->signing;

    check(s->unsettled_count > 0);
    if (--s->unsettled_count == 0 && s->is_finished)
        go_on(s);
}

void signing_finish(struct signing *s, struct bytes prefix,
                    void (*done)(void *context, const struct signing_result *result), void *context)
{
    check(!s->is_finished);
    s->is_finished = true;
    s->done = done;
    s->context = context;
    if (!s->is_decided) {
        mail_header_finish(&s->header);
        decide(s);
    }
    if (s->word == NULL)
        join(s, prefix);
    if (s->unsettled_count == 0)
        go_on(s);
}

bool signing_put_words(const struct signing_result *result, struct buf *out)
{
    return buf_append(out, bytes_of(result->word)) &&
           (result->domain.len == 0 ||
            buf_printf(out, " %.*s %.*s", BYTES_ARG(result->domain), BYTES_ARG(result->selectors)));
}
