/* body_hash.c - one running hash a form; lengths are copies of it on the way. */
#include "auth/dkim/body_hash.h"

#include <openssl/evp.h>

void body_hashes_init(struct body_hashes *hashes)
{
    hashes->count = 0;
    hashes->is_finished = false;
    for (size_t i = 0; i < ARRAY_LEN(hashes->forms); i++)
        hashes->forms[i].state = NULL;
}

void body_hashes_free(struct body_hashes *hashes)
{
    for (size_t i = 0; i < ARRAY_LEN(hashes->forms); i++) {
        EVP_MD_CTX_free(hashes->forms[i].state);
        hashes->forms[i].state = NULL;
    }
    hashes->count = 0;
}

static void update(struct body_hash_form *form, struct bytes b)
{
    check(EVP_DigestUpdate(form->state, b.ptr, b.len) == 1);
    form->hashed += b.len;
}

/* Makes the digests that are wanted of what was hashed so far, and finds the next length. */
static void make(struct body_hash_form *form, enum canonical_form number)
{
    struct body_hashes *hashes = form->hashes;

    form->next = BODY_HASH_WHOLE;
    for (size_t i = 0; i < hashes->count; i++) {
        struct body_hash_want *want = &hashes->wants[i];

        if (want->form != number || want->is_made)
            continue;
        if (want->length == form->hashed) {
            EVP_MD_CTX *copy = EVP_MD_CTX_new();

            check(copy != NULL && EVP_MD_CTX_copy_ex(copy, form->state) == 1);
            check(EVP_DigestFinal_ex(copy, want->digest, NULL) == 1);
            EVP_MD_CTX_free(copy);
            want->is_made = true;
        } else {
            form->next = MIN(form->next, want->length);
        }
    }
}

static void put(void *context, struct bytes run)
{
    struct body_hash_form *form = context;
    enum canonical_form number = (enum canonical_form)(form - form->hashes->forms);

    while (form->next - form->hashed <= run.len) {
        size_t len = (size_t)(form->next - form->hashed);

        update(form, bytes_slice(run, 0, len));
        run = bytes_slice(run, len, run.len);
        make(form, number);
    }
    update(form, run);
}

/* The running hash itself becomes the digest. */
static void make_whole(struct body_hash_form *form, enum canonical_form number)
{
    struct body_hashes *hashes = form->hashes;

    for (size_t i = 0; i < hashes->count; i++) {
        struct body_hash_want *want = &hashes->wants[i];

        if (want->form == number && want->length == BODY_HASH_WHOLE) {
            check(EVP_DigestFinal_ex(form->state, want->digest, NULL) == 1);
            want->is_made = true;
        }
    }
}

static void start(struct body_hashes *hashes, enum canonical_form number)
{
    struct body_hash_form *form = &hashes->forms[number];

    form->hashes = hashes;
    form->hashed = 0;
    form->next = BODY_HASH_WHOLE;
    form->state = EVP_MD_CTX_new();
    check(form->state != NULL && EVP_DigestInit_ex2(form->state, dkim_sha256(), NULL) == 1);
    canonical_body_init(&form->body, number, (struct canonical_sink){put, form});
}

int body_hashes_want(struct body_hashes *hashes, enum canonical_form form, uint64_t length)
{
    check(!hashes->is_finished);
    for (size_t i = 0; i < hashes->count; i++)
        if (hashes->wants[i].form == form && hashes->wants[i].length == length)
            return (int)i;
    if (hashes->count == BODY_HASH_WANTS_MAX)
        return -1;
    if (hashes->forms[form].state == NULL)
        start(hashes, form);
    check(hashes->forms[form].hashed == 0);
    hashes->forms[form].next = MIN(hashes->forms[form].next, length);
    hashes->wants[hashes->count] = (struct body_hash_want){.form = form, .length = length};
    return (int)hashes->count++;
}

void body_hashes_feed(struct body_hashes *hashes, struct bytes body)
{
    for (size_t i = 0; i < ARRAY_LEN(hashes->forms); i++)
        if (hashes->forms[i].state != NULL)
            canonical_body_feed(&hashes->forms[i].body, body);
}

void body_hashes_finish(struct body_hashes *hashes)
{
    check(!hashes->is_finished);
    for (size_t i = 0; i < ARRAY_LEN(hashes->forms); i++) {
        if (hashes->forms[i].state == NULL)
            continue;
        canonical_body_finish(&hashes->forms[i].body);
        make(&hashes->forms[i], (enum canonical_form)i);
        make_whole(&hashes->forms[i], (enum canonical_form)i);
    }
    hashes->is_finished = true;
}

const uint8_t *body_hashes_digest(const struct body_hashes *hashes, int want)
{
    check(hashes->is_finished);
    check(want >= 0 && (size_t)want < hashes->count);
    return hashes->wants[want].is_made ? hashes->wants[want].digest : NULL;
}

uint64_t body_hashes_size(const struct body_hashes *hashes, enum canonical_form form)
{
    check(hashes->is_finished && hashes->forms[form].state != NULL);
    return hashes->forms[form].hashed;
}
