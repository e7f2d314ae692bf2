/* verify.c - one check a signature field, one hash of the header each, the body's shared. */
#include "auth/dkim/verify.h"

#include <stdlib.h>

#include <openssl/evp.h>

#include "auth/dkim/signed_fields.h"

enum { REASON_MAX = 256 };

struct entry {
    struct signature_check check;
    const struct mail_field *field;
    int want; /* of the body's hashes */
    bool is_told;
    struct dkim_verdict verdict;
};

struct dkim_verifier {
    const struct mail_header *header;
    struct body_hashes *hashes;
    struct field_index *index;
    struct arena arena;
    size_t count;
    struct entry *entries;
};

static bool is_signature(const struct mail_field *field)
{
    return bytes_equal_nocase(field->name, BYTES("DKIM-Signature"));
}

static void want_body(struct dkim_verifier *verifier, struct entry *entry)
{
    const struct dkim_signature *signature = &entry->check.signature;
    /* One too large to be read is a length like others: longer than any body. */
    uint64_t length =
        signature->has_length ? MIN(signature->length, BODY_HASH_WHOLE - 1) : BODY_HASH_WHOLE;

    if (entry->check.result != DKIM_NONE)
        return;
    entry->want = body_hashes_want(verifier->hashes, signature->body_form, length);
    if (entry->want < 0)
        signature_check_settle(&entry->check, DKIM_NEUTRAL, "the body has too many hashes");
}

/* Those that are looked at. Of all others the field is not even read. */
static void start(struct dkim_verifier *verifier, size_t number, int64_t wall_ms)
{
    struct entry *entry = &verifier->entries[number];

    if (number >= DKIM_SIGNATURES_MAX) {
        signature_check_settle(&entry->check, DKIM_NEUTRAL,
                               "there are more signatures than are looked at");
        return;
    }
    signature_check_start(&entry->check, SIGNATURE_DKIM, entry->field->value, wall_ms,
                          &verifier->arena);
    if (verifier->header->is_cut && entry->check.result == DKIM_NONE)
        signature_check_settle(&entry->check, DKIM_NEUTRAL,
                               "the header is larger than is looked at");
    want_body(verifier, entry);
}

struct dkim_verifier *dkim_verifier_new(const struct mail_header *header,
                                        struct body_hashes *hashes, int64_t wall_ms)
{
    struct dkim_verifier *verifier = calloc(1, sizeof(*verifier));
    size_t count = mail_header_count(header, BYTES("DKIM-Signature"));

    check(header->in_body);
    check(verifier != NULL);
    verifier->header = header;
    verifier->hashes = hashes;
    verifier->count = count;
    arena_init(&verifier->arena, (size_t)DKIM_SIGNATURES_MAX * (SIGNATURE_ARENA + REASON_MAX));
    if (count == 0)
        return verifier;
    verifier->index = field_index_new(header);
    verifier->entries = calloc(count, sizeof(*verifier->entries));
    check(verifier->entries != NULL);
    count = 0;
    for (size_t i = 0; i < header->count; i++) {
        if (!is_signature(&header->fields[i]))
            continue;
        verifier->entries[count].field = &header->fields[i];
        start(verifier, count++, wall_ms);
    }
    return verifier;
}

void dkim_verifier_free(struct dkim_verifier **verifier)
{
    struct dkim_verifier *v = *verifier;

    if (v == NULL)
        return;
    for (size_t i = 0; i < v->count; i++)
        signature_check_free(&v->entries[i].check);
    free(v->entries);
    field_index_free(&v->index);
    arena_free(&v->arena);
    free(v);
    *verifier = NULL;
}

size_t dkim_verifier_count(const struct dkim_verifier *verifier)
{
    return verifier->count;
}

enum check_step dkim_verifier_run(struct dkim_verifier *verifier, size_t number,
                                  struct lookup *question_out)
{
    check(number < verifier->count);
    return signature_check_run(&verifier->entries[number].check, question_out);
}

void dkim_verifier_answer(struct dkim_verifier *verifier, size_t number,
                          const struct lookup_answer *answer)
{
    check(number < verifier->count);
    signature_check_answer(&verifier->entries[number].check, answer);
}

/* RFC 6376 section 3.7: the signed fields, then the signature's own without what b= says. */
static void hash_header(struct dkim_verifier *verifier, const struct entry *entry,
                        uint8_t digest[static DKIM_HASH_LEN])
{
    const struct dkim_signature *signature = &entry->check.signature;
    EVP_MD_CTX *state = dkim_hash_begin();
    struct canonical_sink sink = {dkim_hash_update, state};

    signed_fields_put(verifier->index, signature->names, entry->field, signature->header_form,
                      sink);
    canonical_field_put(signature->header_form, entry->field, signature->without, false, sink);
    check(EVP_DigestFinal_ex(state, digest, NULL) == 1);
    EVP_MD_CTX_free(state);
}

/* What l= leaves unsigned, and what testing means, is said of a pass too. */
static struct bytes tell_reason(struct dkim_verifier *verifier, const struct entry *entry)
{
    const struct dkim_verdict *verdict = &entry->verdict;
    const char *testing = verdict->is_testing ? "; the domain is testing (t=y)" : "";
    struct bytes reason = bytes_of(entry->check.reason);
    struct bytes longer;

    if (verdict->body_is_partial && verdict->result != DKIM_FAIL &&
        arena_printf(&verifier->arena, &longer,
                     "%s, and %llu of the %llu octets of the body are signed (l=)%s",
                     entry->check.reason, (unsigned long long)verdict->body_signed,
                     (unsigned long long)verdict->body_size, testing))
        return longer;
    if (verdict->is_testing &&
        arena_printf(&verifier->arena, &longer, "%s%s", entry->check.reason, testing))
        return longer;
    return reason;
}

static void tell(struct dkim_verifier *verifier, struct entry *entry)
{
    const struct dkim_signature *signature = &entry->check.signature;
    struct dkim_verdict *verdict = &entry->verdict;
    uint8_t digest[DKIM_HASH_LEN];

    if (entry->check.result == DKIM_NONE) {
        const uint8_t *body = body_hashes_digest(verifier->hashes, entry->want);

        hash_header(verifier, entry, digest);
        signature_check_verify(&entry->check, digest, body);
        verdict->body_size = body_hashes_size(verifier->hashes, signature->body_form);
        verdict->body_signed =
            signature->has_length && body != NULL ? signature->length : verdict->body_size;
        verdict->body_is_partial = verdict->body_signed < verdict->body_size;
    }
    verdict->result = entry->check.result;
    verdict->domain = signature->domain;
    verdict->selector = signature->selector;
    verdict->algorithm = signature->algorithm;
    verdict->identity = signature->identity;
    verdict->signature_text = signature->signature_text;
    verdict->key_bits = entry->check.key_bits;
    verdict->is_testing = entry->check.is_testing;
    verdict->reason = tell_reason(verifier, entry);
    entry->is_told = true;
}

const struct dkim_verdict *dkim_verifier_verdict(struct dkim_verifier *verifier, size_t number)
{
    check(number < verifier->count);
    struct entry *entry = &verifier->entries[number];

    if (!entry->is_told)
        tell(verifier, entry);
    return &entry->verdict;
}
