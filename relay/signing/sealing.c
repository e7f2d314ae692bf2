/* sealing.c - a key, a body hash in steps, and the set. */
#include "signing/sealing.h"

#include <stdlib.h>
#include <string.h>

#include "auth/arc/seal.h"
#include "base/log.h"
#include "base/metric.h"

enum {
    DOMAIN_MAX = 253,
    SELECTOR_MAX = 63,
    PREFIX_MAX = 64 * 1024,
    STEP_MAX = 512 * 1024, /* bytes of a body that are hashed in one go */
};

struct sealing {
    struct signer *signer;
    struct sealing_request request;
    void (*done)(void *context, const struct sealing_result *result);
    void *context;
    struct key_use use;
    struct turn_end begin; /* of what needs no key to be waited for */
    struct signer_work work;
    struct mail_header header; /* as it leaves, but for the set */
    struct body_hashes hashes;
    struct arc_sealer sealer;
    struct bytes body; /* what is not hashed yet */
    bool is_begun;     /* the body's hash is */
    const char *word;  /* NULL: not known yet */
    const char *why;
    struct buf fields;
    size_t domain_len, selector_len;
    char domain[DOMAIN_MAX + 1], selector[SELECTOR_MAX + 1];
};

static void answer(struct sealing *s)
{
    struct sealing_result result = {.word = s->word};

    if (buf_len(&s->fields) > 0) {
        result.fields = buf_bytes(&s->fields);
        result.domain = bytes_range(s->domain, s->domain_len);
        result.selector = bytes_range(s->selector, s->selector_len);
        metric_inc(METRIC_ARC_SEALED);
    } else {
        metric_inc(METRIC_ARC_UNSEALED);
    }
    if (s->why != NULL)
        log_limited(LOG_LEVEL_WARN, "domain=%s unsealed=%s why=%s", LOG_TEXT(s->request.domain),
                    LOG_STRING(s->word), LOG_STRING(s->why));
    s->done(s->context, &result);
}

/* --- the key ---------------------------------------------------------------------------------- */

static const struct directory_key *find_key(const struct directory_domain *domain)
{
    const struct directory_key *found = NULL;

    for (size_t i = 0; i < domain->key_count; i++) {
        const struct directory_key *key = &domain->keys[i];

        if (key->state != DKIM_KEY_ACTIVE || key->selector.len > SELECTOR_MAX)
            continue;
        if (found == NULL ||
            (found->algorithm != SIGNATURE_RSA_SHA256 && key->algorithm == SIGNATURE_RSA_SHA256))
            found = key;
    }
    return found;
}

static const struct directory_key *choose(struct sealing *s, const struct snapshot *snapshot)
{
    const struct directory_domain *domain = snapshot_domain_above(snapshot, s->request.domain);
    const struct directory_key *key = domain != NULL && domain->is_active ? find_key(domain) : NULL;

    if (key == NULL)
        return NULL;
    check(domain->name.len <= DOMAIN_MAX);
    s->domain_len = domain->name.len;
    memcpy(s->domain, domain->name.ptr, domain->name.len);
    s->selector_len = key->selector.len;
    memcpy(s->selector, key->selector.ptr, key->selector.len);
    return key;
}

/* --- the work --------------------------------------------------------------------------------- */

static void begin_body(struct sealing *s)
{
    struct bytes input = s->request.prefix;
    struct bytes content = s->request.content;

    s->is_begun = true;
    (void)mail_header_feed(&s->header, &input);
    if (mail_header_feed(&s->header, &content)) {
        arc_sealer_init(&s->sealer, &s->hashes);
        body_hashes_feed(&s->hashes, s->header.body_start);
        s->body = content;
        return;
    }
    mail_header_finish(&s->header);
    arc_sealer_init(&s->sealer, &s->hashes);
}

static void seal(struct sealing *s)
{
    const struct arc_seal_request request = {
        .domain = bytes_range(s->domain, s->domain_len),
        .selector = bytes_range(s->selector, s->selector_len),
        .key = key_cache_key(&s->use),
        .results = s->request.results,
        .status = s->request.status,
        .wall_ms = engine_wall_ms(signer_engine(s->signer)),
    };

    body_hashes_finish(&s->hashes);
    switch (arc_seal(&s->sealer, &s->header, &request, &s->fields, &s->why)) {
    case ARC_SEALED:
        s->word = "sealed";
        return;
    case ARC_ENDED:
        s->word = "ended";
        return;
    case ARC_REFUSED:
        s->word = "refused";
        return;
    }
}

static void work_run(struct signer_work *work)
{
    struct sealing *s = container_of(work, struct sealing, work);

    if (!s->is_begun)
        begin_body(s);
    struct bytes step = bytes_slice(s->body, 0, STEP_MAX);

    body_hashes_feed(&s->hashes, step);
    s->body = bytes_slice(s->body, step.len, s->body.len);
    if (s->body.len == 0)
        seal(s);
}

static void work_done(struct signer_work *work)
{
    struct sealing *s = container_of(work, struct sealing, work);

    if (s->word == NULL)
        signer_run(s->signer, work);
    else
        answer(s);
}

static void go_on(struct sealing *s)
{
    if (key_cache_key(&s->use) == NULL) {
        s->word = "key";
        s->why = key_cache_why(&s->use);
        answer(s);
        return;
    }
    s->work = (struct signer_work){.run = work_run, .done = work_done};
    signer_run(s->signer, &s->work);
}

static void on_begin(struct turn_end *turn_end)
{
    struct sealing *s = container_of(turn_end, struct sealing, begin);

    if (s->word != NULL)
        answer(s);
    else
        go_on(s);
}

static void on_settled(struct key_use *use)
{
    go_on(container_of(use, struct sealing, use));
}

struct sealing *sealing_begin(struct signer *signer, const struct sealing_request *request,
                              void (*done)(void *context, const struct sealing_result *result),
                              void *context)
{
    struct sealing *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return NULL;
    s->signer = signer;
    s->request = *request;
    s->done = done;
    s->context = context;
    s->use.settled = on_settled;
    turn_end_init(&s->begin, on_begin);
    mail_header_init(&s->header, MAIL_HEADER_SIZE_MAX + PREFIX_MAX, MAIL_HEADER_FIELDS_MAX + 100);
    body_hashes_init(&s->hashes);
    buf_init(&s->fields, SEALING_FIELDS_MAX);
    const struct directory_key *key = choose(s, snapshot_begin(signer_reader(signer)));
    bool is_settled = key != NULL && key_cache_take(signer_keys(signer), key, &s->use);

    snapshot_end(signer_reader(signer));
    if (key == NULL)
        s->word = "no-key";
    if (key == NULL || is_settled)
        engine_at_turn_end(signer_engine(signer), &s->begin);
    return s;
}

void sealing_free(struct sealing **sealing)
{
    struct sealing *s = *sealing;

    *sealing = NULL;
    if (s == NULL)
        return;
    engine_turn_end_cancel(signer_engine(s->signer), &s->begin);
    signer_cancel(&s->work);
    key_cache_drop(signer_keys(s->signer), &s->use);
    mail_header_free(&s->header);
    body_hashes_free(&s->hashes);
    buf_free(&s->fields);
    free(s);
}
