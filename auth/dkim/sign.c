/* sign.c - the field's text, folded while it is written, and the hash over it. */
#include "auth/dkim/sign.h"

#include <stdlib.h>

#include <openssl/evp.h>

#include "auth/dkim/folder.h"
#include "base/base64.h"

enum {
    DNS_NAME_MAX = 253,
    NAMES_USUAL = 512, /* octets, so that the texts of an ordinary message do not grow */
    FIELD_USUAL = 1024,
};

const char dkim_key_does_not_sign[] = "the key does not sign";

/* In the order of h=. Over-signed ones are named once more than they are there, so that none can be
 * added; of the others a list or a gateway on the way may rightly add its own. */
static const struct signed_name {
    const char *text;
    size_t len;
    unsigned more;
} signed_names[] = {
    {"From", sizeof("From") - 1, 1},
    {"Reply-To", sizeof("Reply-To") - 1, 1},
    {"Subject", sizeof("Subject") - 1, 1},
    {"Date", sizeof("Date") - 1, 1},
    {"To", sizeof("To") - 1, 1},
    {"Cc", sizeof("Cc") - 1, 1},
    {"Message-ID", sizeof("Message-ID") - 1, 1},
    {"In-Reply-To", sizeof("In-Reply-To") - 1, 1},
    {"References", sizeof("References") - 1, 1},
    {"MIME-Version", sizeof("MIME-Version") - 1, 1},
    {"Content-Type", sizeof("Content-Type") - 1, 1},
    {"Content-Transfer-Encoding", sizeof("Content-Transfer-Encoding") - 1, 1},
    {"List-Unsubscribe", sizeof("List-Unsubscribe") - 1, 1},
    {"List-Unsubscribe-Post", sizeof("List-Unsubscribe-Post") - 1, 1},
    {"Sender", sizeof("Sender") - 1, 0},
    {"Content-ID", sizeof("Content-ID") - 1, 0},
    {"Content-Description", sizeof("Content-Description") - 1, 0},
    {"List-Id", sizeof("List-Id") - 1, 0},
    {"List-Help", sizeof("List-Help") - 1, 0},
    {"List-Subscribe", sizeof("List-Subscribe") - 1, 0},
    {"List-Post", sizeof("List-Post") - 1, 0},
    {"List-Owner", sizeof("List-Owner") - 1, 0},
    {"List-Archive", sizeof("List-Archive") - 1, 0},
    {"Feedback-ID", sizeof("Feedback-ID") - 1, 0},
};

void dkim_signer_init(struct dkim_signer *signer, const struct dkim_signer_options *options,
                      struct body_hashes *hashes)
{
    signer->options = *options;
    signer->hashes = hashes;
    signer->want = body_hashes_want(hashes, options->body_form, BODY_HASH_WHOLE);
}

/* Which fields are signed: the row of each in signed_names, and how many a row has. */
struct choice {
    uint8_t *rows; /* of each field; ARRAY_LEN(signed_names): none */
    size_t counts[ARRAY_LEN(signed_names)];
};

static uint8_t find_name(struct bytes name)
{
    uint8_t row = 0;

    while (row < ARRAY_LEN(signed_names) &&
           (signed_names[row].len != name.len ||
            !bytes_equal_nocase(bytes_range(signed_names[row].text, name.len), name)))
        row++;
    return row;
}

static void choose(struct choice *choice, const struct mail_header *header)
{
    *choice = (struct choice){.rows = malloc(MAX(header->count, (size_t)1))};
    check(choice->rows != NULL);
    for (size_t i = 0; i < header->count; i++) {
        choice->rows[i] = find_name(header->fields[i].name);
        if (choice->rows[i] < ARRAY_LEN(signed_names))
            choice->counts[choice->rows[i]]++;
    }
}

/* The value of h=; false: no room. */
static bool write_names(const struct choice *choice, struct buf *names)
{
    bool fits = true;

    for (size_t i = 0; i < ARRAY_LEN(signed_names); i++)
        for (size_t n = 0; n < choice->counts[i] + signed_names[i].more; n++)
            fits = fits && (buf_len(names) == 0 || buf_append(names, BYTES(":"))) &&
                   buf_append(names, bytes_range(signed_names[i].text, signed_names[i].len));
    return fits;
}

/* What h= names, in its order; fields of one name from the bottom up (RFC 6376 section 5.4.2). */
static void put_fields(const struct choice *choice, const struct mail_header *header,
                       enum canonical_form form, struct canonical_sink sink)
{
    for (uint8_t row = 0; row < ARRAY_LEN(signed_names); row++) {
        size_t left = choice->counts[row];

        for (size_t i = header->count; i > 0 && left > 0; i--) {
            if (choice->rows[i - 1] != row)
                continue;
            canonical_field_put(form, &header->fields[i - 1], BYTES_NONE, true, sink);
            left--;
        }
    }
}

bool dkim_signed_names(const struct mail_header *header, struct buf *names)
{
    struct choice choice;

    choose(&choice, header);
    bool fits = write_names(&choice, names);

    free(choice.rows);
    return fits;
}

static void put_names(struct folder *folder, struct bytes names)
{
    folder_word(folder, BYTES("h="));
    folder_names(folder, names);
    folder_text(folder, BYTES(";"));
}

/* All but what b= says. */
static void put_tags(struct folder *folder, const struct dkim_signer *signer,
                     const struct dkim_identity *identity, struct bytes names, int64_t wall_ms)
{
    const struct dkim_signer_options *options = &signer->options;
    struct bytes digest =
        bytes_range(body_hashes_digest(signer->hashes, signer->want), DKIM_HASH_LEN);
    uint8_t text[64];
    struct buf hash;

    folder_text(folder, BYTES("DKIM-Signature: v=1;"));
    folder_value(folder, BYTES("a="),
                 bytes_of(signature_algorithm_name(dkim_key_algorithm(identity->key))));
    folder_tag(folder, "c=%s/%s;", canonical_form_name(options->header_form),
               canonical_form_name(options->body_form));
    folder_value(folder, BYTES("d="), identity->domain);
    folder_value(folder, BYTES("s="), identity->selector);
    folder_tag(folder, "t=%lld;", (long long)(wall_ms / 1000));
    if (options->lifetime_s > 0)
        folder_tag(folder, "x=%lld;", (long long)(wall_ms / 1000) + options->lifetime_s);
    put_names(folder, names);
    buf_init(&hash, sizeof(text));
    check(base64_write(digest, &hash));
    folder_value(folder, BYTES("bh="), buf_bytes(&hash));
    buf_free(&hash);
    folder_word(folder, BYTES("b="));
}

/* `field` is what was written so far of the signature; `state` has the hash of all before. */
static void hash_field(enum canonical_form form, struct bytes field, EVP_MD_CTX *state,
                       uint8_t digest[static DKIM_HASH_LEN])
{
    size_t colon = bytes_find(field, ':', 0);
    struct mail_field own = {.raw = field,
                             .name = bytes_slice(field, 0, colon),
                             .value = bytes_slice(field, colon + 1, field.len)};

    canonical_field_put(form, &own, BYTES_NONE, false,
                        (struct canonical_sink){dkim_hash_update, state});
    check(EVP_DigestFinal_ex(state, digest, NULL) == 1);
}

/* NULL, or what is wrong. `state` has the hash of the fields that are signed; it is used up. */
static const char *sign_one(const struct dkim_signer *signer, const struct dkim_identity *identity,
                            struct bytes names, EVP_MD_CTX *state, int64_t wall_ms, struct buf *out)
{
    struct folder folder = {.out = out};
    uint8_t digest[DKIM_HASH_LEN];
    size_t start = buf_len(out);
    struct buf octets, text;
    const char *reason = NULL;

    put_tags(&folder, signer, identity, names, wall_ms);
    if (folder.is_full)
        return "no room for the signature";
    hash_field(signer->options.header_form, bytes_slice(buf_bytes(out), start, buf_len(out)), state,
               digest);
    buf_init(&octets, DKIM_SIGNATURE_LEN_MAX);
    buf_init(&text, 2 * DKIM_SIGNATURE_LEN_MAX);
    if (!dkim_key_sign(identity->key, digest, &octets))
        reason = dkim_key_does_not_sign;
    else
        check(base64_write(buf_bytes(&octets), &text));
    folder_anywhere(&folder, buf_bytes(&text));
    folder_text(&folder, BYTES("\r\n"));
    if (reason == NULL && folder.is_full)
        reason = "no room for the signature";
    buf_free(&octets);
    buf_free(&text);
    return reason;
}

bool dkim_is_dns_name(struct bytes name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!byte_is_alnum(name.ptr[i]) && name.ptr[i] != '-' && name.ptr[i] != '_' &&
            (name.ptr[i] != '.' || i == 0 || i + 1 == name.len))
            return false;
    return name.len > 0 && name.len <= DNS_NAME_MAX;
}

static const char *judge(const struct mail_header *header, const struct dkim_identity *identities,
                         size_t count)
{
    check(count <= DKIM_IDENTITIES_MAX);
    if (header->is_cut)
        return "the header is too large";
    if (mail_header_find(header, BYTES("From"), header->count) < 0)
        return "there is no From field";
    for (size_t i = 0; i < count; i++) {
        if (!dkim_is_dns_name(identities[i].domain))
            return "the domain is not one";
        if (!dkim_is_dns_name(identities[i].selector))
            return "the selector is not one";
    }
    return NULL;
}

static const char *sign_all(const struct dkim_signer *signer, const struct mail_header *header,
                            const struct dkim_identity *identities, size_t count, int64_t wall_ms,
                            struct buf *out)
{
    EVP_MD_CTX *signed_fields = EVP_MD_CTX_new(), *copy = count > 1 ? EVP_MD_CTX_new() : NULL;
    const char *reason = NULL;
    struct choice choice;
    struct buf names;

    check(signed_fields != NULL && (count <= 1 || copy != NULL));
    check(EVP_DigestInit_ex2(signed_fields, dkim_sha256(), NULL) == 1);
    buf_init(&names, buf_room(out));
    (void)!buf_reserve(&names, MIN((size_t)NAMES_USUAL, buf_room(&names)));
    (void)!buf_reserve(out, MIN(count * FIELD_USUAL, buf_room(out)));
    choose(&choice, header);
    if (write_names(&choice, &names))
        put_fields(&choice, header, signer->options.header_form,
                   (struct canonical_sink){dkim_hash_update, signed_fields});
    else
        reason = "no room for the signature";
    for (size_t i = 0; i < count && reason == NULL; i++) {
        EVP_MD_CTX *state = i + 1 < count ? copy : signed_fields;

        check(state == signed_fields || EVP_MD_CTX_copy_ex(state, signed_fields) == 1);
        reason = sign_one(signer, &identities[i], buf_bytes(&names), state, wall_ms, out);
    }
    free(choice.rows);
    buf_free(&names);
    EVP_MD_CTX_free(signed_fields);
    EVP_MD_CTX_free(copy);
    return reason;
}

bool dkim_sign(const struct dkim_signer *signer, const struct mail_header *header,
               const struct dkim_identity *identities, size_t count, int64_t wall_ms,
               struct buf *out, const char **reason_out)
{
    size_t before = buf_len(out);
    const char *reason = judge(header, identities, count);

    check(header->in_body);
    if (reason == NULL)
        reason = sign_all(signer, header, identities, count, wall_ms, out);
    if (reason == NULL)
        return true;
    buf_truncate(out, before);
    *reason_out = reason;
    return false;
}
