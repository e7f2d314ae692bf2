/* verify.c - keys first, hashes when the body has ended. */
#include "auth/arc/verify.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/evp.h>

#include "auth/arc/chain.h"
#include "auth/dkim/signature_check.h"
#include "auth/dkim/signed_fields.h"

enum { TEXT_MAX = 1024 /* octets: a seal's part of the chain's text; the reason; a key's name */ };

struct entry {
    struct signature_check message, seal;
    int want; /* of the body's hashes */
};

struct arc_verifier {
    const struct mail_header *header;
    struct body_hashes *hashes;
    struct field_index *index;
    struct arena arena;
    struct arc_chain chain;
    struct entry *entries;         /* of instance 1 first */
    unsigned asking;               /* of questions(), the next */
    struct signature_check *asked; /* whose key the question that is out asks for */
    bool is_settled;               /* the verdict does not depend on keys or hashes any more */
    bool is_told;
    struct arc_verdict verdict;
    char reason[TEXT_MAX];
    struct buf text; /* of the chain */
};

const char *arc_status_name(enum arc_status status)
{
    static const char *const names[] = {"none", "pass", "fail"};

    return names[status];
}

__attribute__((format(printf, 3, 4))) static void settle(struct arc_verifier *verifier,
                                                         enum arc_status status, const char *format,
                                                         ...)
{
    va_list args;

    va_start(args, format);
    int len = vsnprintf(verifier->reason, sizeof(verifier->reason), format, args);
    va_end(args);
    check(len > 0 && (size_t)len < sizeof(verifier->reason));
    verifier->is_settled = true;
    verifier->verdict.status = status;
    verifier->verdict.reason = bytes_range(verifier->reason, (size_t)len);
}

/* A signature that must hold does not. */
static void fail(struct arc_verifier *verifier, const char *kind, unsigned instance,
                 const struct signature_check *check)
{
    settle(verifier, ARC_FAIL, "%s of set %u: %s", kind, instance, check->reason);
    verifier->verdict.is_temporary = check->result == DKIM_TEMPERROR;
}

/* RFC 8617 section 4.1.2 has no field of ARC signed. A seal would not hold, since a newer one takes
 * its place; results are signed by sealers in use, as drafts had it, and do no harm. */
static bool signs_seals(struct bytes names)
{
    struct bytes name;

    while (tag_item_take(&names, ':', &name))
        if (bytes_equal_nocase(name, BYTES("ARC-Seal")))
            return true;
    return false;
}

static void start_message(struct arc_verifier *verifier, struct entry *entry,
                          const struct mail_field *field, int64_t wall_ms)
{
    const struct dkim_signature *signature = &entry->message.signature;

    signature_check_start(&entry->message, SIGNATURE_ARC_MESSAGE, field->value, wall_ms,
                          &verifier->arena);
    if (entry->message.result == DKIM_NONE && signs_seals(signature->names))
        signature_check_settle(&entry->message, DKIM_PERMERROR, "h= names ARC-Seal");
    if (entry->message.result != DKIM_NONE)
        return;
    uint64_t length =
        signature->has_length ? MIN(signature->length, BODY_HASH_WHOLE - 1) : BODY_HASH_WHOLE;

    entry->want = body_hashes_want(verifier->hashes, signature->body_form, length);
    if (entry->want < 0)
        signature_check_settle(&entry->message, DKIM_NEUTRAL, "the body has too many hashes");
}

/* What can be read is read also of a chain that is none: it is told. */
static void start_entries(struct arc_verifier *verifier, int64_t wall_ms)
{
    const struct arc_chain *chain = &verifier->chain;

    for (unsigned i = 0; i < chain->count; i++) {
        const struct arc_set *set = &chain->sets[i];
        struct entry *entry = &verifier->entries[i];

        if (set->seal != NULL)
            signature_check_start(&entry->seal, SIGNATURE_ARC_SEAL, set->seal->value, wall_ms,
                                  &verifier->arena);
        if (set->message != NULL && chain->wrong == NULL)
            start_message(verifier, entry, set->message, wall_ms);
    }
}

/* What is wrong before a key is asked for. */
static void judge_fields(struct arc_verifier *verifier)
{
    const struct arc_chain *chain = &verifier->chain;

    if (!chain->is_there) {
        settle(verifier, ARC_NONE, "there is no chain");
    } else if (chain->wrong != NULL && chain->wrong_at > 0) {
        settle(verifier, ARC_FAIL, "set %u: %s", chain->wrong_at, chain->wrong);
    } else if (chain->wrong != NULL) {
        settle(verifier, ARC_FAIL, "%s", chain->wrong);
    } else {
        const struct signature_check *newest = &verifier->entries[chain->count - 1].message;

        if (newest->result != DKIM_NONE)
            fail(verifier, "signature", chain->count, newest);
        for (unsigned i = chain->count; i > 0 && !verifier->is_settled; i--)
            if (verifier->entries[i - 1].seal.result != DKIM_NONE)
                fail(verifier, "seal", i, &verifier->entries[i - 1].seal);
    }
}

struct arc_verifier *arc_verifier_new(const struct mail_header *header, struct body_hashes *hashes,
                                      int64_t wall_ms)
{
    struct arc_verifier *verifier = calloc(1, sizeof(*verifier));

    check(verifier != NULL);
    verifier->header = header;
    verifier->hashes = hashes;
    arc_chain_read(header, &verifier->chain);
    size_t count = verifier->chain.count;

    verifier->verdict.count = (unsigned)count;
    arena_init(&verifier->arena, count * 2 * (SIGNATURE_ARENA + TEXT_MAX));
    buf_init(&verifier->text, (count + 1) * TEXT_MAX);
    if (count > 0) {
        verifier->index = field_index_new(header);
        verifier->entries = calloc(count, sizeof(*verifier->entries));
        check(verifier->entries != NULL);
        start_entries(verifier, wall_ms);
    }
    judge_fields(verifier);
    return verifier;
}

void arc_verifier_free(struct arc_verifier **verifier)
{
    struct arc_verifier *v = *verifier;

    if (v == NULL)
        return;
    for (unsigned i = 0; i < v->chain.count; i++) {
        signature_check_free(&v->entries[i].message);
        signature_check_free(&v->entries[i].seal);
    }
    free(v->entries);
    field_index_free(&v->index);
    arena_free(&v->arena);
    buf_free(&v->text);
    free(v);
    *verifier = NULL;
}

/* Question 0 is for the newest signature, 1 to count for the seals from the newest down, the rest
 * for older signatures. *instance_out is the set's. */
static struct signature_check *question(const struct arc_verifier *verifier, unsigned number,
                                        unsigned *instance_out)
{
    unsigned count = verifier->chain.count;
    bool is_seal = number >= 1 && number <= count;
    unsigned instance = count;

    if (is_seal)
        instance = count - (number - 1);
    else if (number > count)
        instance = 2 * count - number;
    *instance_out = instance;
    return is_seal ? &verifier->entries[instance - 1].seal
                   : &verifier->entries[instance - 1].message;
}

enum check_step arc_verifier_run(struct arc_verifier *verifier, struct lookup *question_out)
{
    unsigned instance;

    check(verifier->asked == NULL);
    while (!verifier->is_settled && verifier->asking < 2 * verifier->chain.count) {
        struct signature_check *check = question(verifier, verifier->asking, &instance);
        bool is_older = verifier->asking > verifier->chain.count;

        if (signature_check_run(check, question_out) == CHECK_ASKS) {
            verifier->asked = check;
            return CHECK_ASKS;
        }
        if (check->result != DKIM_NONE && is_older)
            break; /* what is older does not matter for oldest-pass */
        if (check->result != DKIM_NONE)
            fail(verifier, verifier->asking == 0 ? "signature" : "seal", instance, check);
        verifier->asking++;
    }
    return CHECK_DONE;
}

void arc_verifier_answer(struct arc_verifier *verifier, const struct lookup_answer *answer)
{
    check(verifier->asked != NULL);
    signature_check_answer(verifier->asked, answer);
    verifier->asked = NULL;
}

static bool message_holds(struct arc_verifier *verifier, unsigned instance)
{
    struct entry *entry = &verifier->entries[instance - 1];
    const struct dkim_signature *signature = &entry->message.signature;
    const struct mail_field *field = verifier->chain.sets[instance - 1].message;
    uint8_t digest[DKIM_HASH_LEN];

    if (entry->message.result == DKIM_NONE) {
        EVP_MD_CTX *state = dkim_hash_begin();
        struct canonical_sink sink = {dkim_hash_update, state};

        signed_fields_put(verifier->index, signature->names, field, signature->header_form, sink);
        canonical_field_put(signature->header_form, field, signature->without, false, sink);
        check(EVP_DigestFinal_ex(state, digest, NULL) == 1);
        EVP_MD_CTX_free(state);
        signature_check_verify(&entry->message, digest,
                               body_hashes_digest(verifier->hashes, entry->want));
    }
    return entry->message.result == DKIM_PASS;
}

/* Section 5.1.1: a seal covers all sets up to its own. */
static void verify_seals(struct arc_verifier *verifier)
{
    EVP_MD_CTX *state = dkim_hash_begin(), *copy = EVP_MD_CTX_new();
    struct canonical_sink sink = {dkim_hash_update, state}, own = {dkim_hash_update, copy};
    uint8_t digest[DKIM_HASH_LEN];

    check(copy != NULL);
    for (unsigned i = 0; i < verifier->chain.count; i++) {
        const struct arc_set *set = &verifier->chain.sets[i];
        struct signature_check *seal = &verifier->entries[i].seal;

        canonical_field_put(CANONICAL_RELAXED, set->results, BYTES_NONE, true, sink);
        canonical_field_put(CANONICAL_RELAXED, set->message, BYTES_NONE, true, sink);
        check(EVP_MD_CTX_copy_ex(copy, state) == 1);
        canonical_field_put(CANONICAL_RELAXED, set->seal, seal->signature.without, false, own);
        check(EVP_DigestFinal_ex(copy, digest, NULL) == 1);
        signature_check_verify(seal, digest, NULL);
        canonical_field_put(CANONICAL_RELAXED, set->seal, BYTES_NONE, true, sink);
    }
    EVP_MD_CTX_free(copy);
    EVP_MD_CTX_free(state);
}

static void judge_signatures(struct arc_verifier *verifier)
{
    unsigned count = verifier->chain.count;
    unsigned oldest = count;

    if (!message_holds(verifier, count)) {
        fail(verifier, "signature", count, &verifier->entries[count - 1].message);
        return;
    }
    verify_seals(verifier);
    for (unsigned i = count; i > 0; i--)
        if (verifier->entries[i - 1].seal.result != DKIM_PASS) {
            fail(verifier, "seal", i, &verifier->entries[i - 1].seal);
            return;
        }
    while (oldest > 1 && message_holds(verifier, oldest - 1))
        oldest--;
    verifier->verdict.oldest_pass = oldest == 1 ? 0 : oldest;
    settle(verifier, ARC_PASS, count == 1 ? "the set holds" : "all %u sets hold", count);
}

static void tell_chain(struct arc_verifier *verifier)
{
    struct buf *text = &verifier->text;

    for (unsigned i = verifier->chain.count; i > 0; i--) {
        struct bytes domain = verifier->entries[i - 1].seal.signature.domain;
        struct bytes selector = verifier->entries[i - 1].seal.signature.selector;

        if (domain.len > 0 && selector.len > 0)
            check(buf_printf(text, "%sas[%u].d=%.*s as[%u].s=%.*s", buf_len(text) > 0 ? " " : "", i,
                             BYTES_ARG(domain), i, BYTES_ARG(selector)));
    }
    verifier->verdict.chain = buf_bytes(text);
}

const struct arc_verdict *arc_verifier_verdict(struct arc_verifier *verifier)
{
    check(verifier->asked == NULL);
    if (!verifier->is_told) {
        if (!verifier->is_settled)
            judge_signatures(verifier);
        tell_chain(verifier);
        verifier->is_told = true;
    }
    return &verifier->verdict;
}

bool arc_verifier_link(const struct arc_verifier *verifier, unsigned instance, struct arc_link *out)
{
    check(instance > 0 && instance <= verifier->chain.count);
    const struct dkim_signature *seal = &verifier->entries[instance - 1].seal.signature;

    if (seal->domain.len == 0 || seal->selector.len == 0)
        return false;
    *out =
        (struct arc_link){seal->domain, seal->selector, verifier->chain.sets[instance - 1].payload};
    return true;
}
