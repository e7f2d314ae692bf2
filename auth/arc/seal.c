/* seal.c - a set's three fields: results, signature over the message, seal over all sets. */
#include "auth/arc/seal.h"

#include <openssl/evp.h>

#include "auth/arc/chain.h"
#include "auth/dkim/folder.h"
#include "auth/dkim/sign.h"
#include "auth/dkim/signed_fields.h"
#include "auth/tag_list.h"
#include "base/base64.h"

enum {
    FIELD_MAX = 64 * 1024,
    COLUMN_FULL = 100, /* how long b= will be is not known: what follows begins a line */
};

/* A field that is being written: what is before b= and what is behind it. */
struct draft {
    struct buf head, tail, text;
};

struct sealing {
    const struct arc_sealer *sealer;
    const struct mail_header *header;
    const struct arc_seal_request *request;
    unsigned instance;
    struct arc_chain chain;
    struct draft results, message, seal; /* results: all of it is head */
    const char *reason;
};

void arc_sealer_init(struct arc_sealer *sealer, struct body_hashes *hashes)
{
    sealer->hashes = hashes;
    sealer->want = body_hashes_want(hashes, CANONICAL_RELAXED, BODY_HASH_WHOLE);
}

static void refuse(struct sealing *sealing, const char *reason)
{
    if (sealing->reason == NULL)
        sealing->reason = reason;
}

static struct mail_field field_of(struct bytes raw)
{
    size_t colon = bytes_find(raw, ':', 0);

    return (struct mail_field){.raw = raw,
                               .name = bytes_slice(raw, 0, colon),
                               .value = bytes_slice(raw, colon + 1, raw.len)};
}

static struct folder folder_on(const struct sealing *sealing, struct buf *out, size_t column)
{
    return (struct folder){.out = out, .column = column, .is_flat = sealing->request->is_flat};
}

/* Folds of the results are those of a field: each CRLF is followed by a blank. */
static bool is_field_value(struct bytes value)
{
    for (size_t i = 0; i < value.len; i++) {
        bool is_fold = value.ptr[i] == '\r' && i + 2 < value.len && value.ptr[i + 1] == '\n' &&
                       (value.ptr[i + 2] == ' ' || value.ptr[i + 2] == '\t');

        if (is_fold)
            i++;
        else if (value.ptr[i] == '\r' || value.ptr[i] == '\n' || value.ptr[i] == '\0')
            return false;
    }
    return value.len > 0;
}

static void write_results(struct sealing *sealing)
{
    struct bytes results = tag_trim(sealing->request->results);

    if (!is_field_value(results))
        refuse(sealing, "the results are not the value of a field");
    else if (!buf_printf(&sealing->results.head, "ARC-Authentication-Results: i=%u; ",
                         sealing->instance) ||
             !buf_append(&sealing->results.head, results))
        refuse(sealing, "no room for the set");
}

/* Signs the hash, and puts the field together: its head, b=, its tail. */
static void finish(struct sealing *sealing, struct draft *draft, EVP_MD_CTX *state)
{
    uint8_t digest[DKIM_HASH_LEN];
    struct buf octets, base64;

    check(EVP_DigestFinal_ex(state, digest, NULL) == 1);
    buf_init(&octets, DKIM_SIGNATURE_LEN_MAX);
    buf_init(&base64, 2 * DKIM_SIGNATURE_LEN_MAX);
    if (!dkim_key_sign(sealing->request->key, digest, &octets))
        refuse(sealing, "the key does not sign");
    else
        check(base64_write(buf_bytes(&octets), &base64));
    bool fits = buf_append(&draft->text, buf_bytes(&draft->head));
    struct bytes head = buf_bytes(&draft->head);
    size_t line = head.len;

    while (line > 0 && head.ptr[line - 1] != '\n')
        line--;
    struct folder folder = folder_on(sealing, &draft->text, head.len - line);

    folder_anywhere(&folder, buf_bytes(&base64));
    folder_text(&folder, buf_bytes(&draft->tail));
    if (!fits || folder.is_full)
        refuse(sealing, "no room for the set");
    buf_free(&octets);
    buf_free(&base64);
}

/* The field as it is hashed: b= is there and says nothing. */
static void put_unsigned(const struct draft *draft, struct canonical_sink sink)
{
    struct bytes head = buf_bytes(&draft->head), tail = buf_bytes(&draft->tail);
    struct buf text;

    buf_init(&text, (size_t)2 * FIELD_MAX);
    check(buf_append(&text, head) && buf_append(&text, tail));
    struct mail_field field = field_of(buf_bytes(&text));

    canonical_field_put(CANONICAL_RELAXED, &field, BYTES_NONE, false, sink);
    buf_free(&text);
}

/* What the signature of the message covers. */
static bool list_names(const struct sealing *sealing, struct buf *names)
{
    struct bytes dkim = BYTES("DKIM-Signature");
    size_t count = mail_header_count(sealing->header, dkim);

    if (sealing->request->names.len > 0)
        return buf_append(names, sealing->request->names);
    bool fits = dkim_signed_names(sealing->header, names);

    for (size_t i = 0; i < count; i++)
        fits = fits && buf_append(names, BYTES(":")) && buf_append(names, dkim);
    return fits;
}

/* The name in the head, then tags in the order of their names, with b= first of the tail. */
static void begin(const struct sealing *sealing, struct draft *draft, const char *name)
{
    struct folder folder = folder_on(sealing, &draft->head, 0);

    folder_text(&folder, bytes_of(name));
    folder_value(&folder, BYTES("a="),
                 bytes_of(signature_algorithm_name(dkim_key_algorithm(sealing->request->key))));
    folder_word(&folder, BYTES("b="));
}

static void write_message(struct sealing *sealing)
{
    const struct arc_seal_request *request = sealing->request;
    const uint8_t *digest = body_hashes_digest(sealing->sealer->hashes, sealing->sealer->want);
    struct folder folder = folder_on(sealing, &sealing->message.tail, COLUMN_FULL);
    struct buf names, hash;

    begin(sealing, &sealing->message, "ARC-Message-Signature:");
    buf_init(&names, FIELD_MAX / 2);
    buf_init(&hash, 64);
    check(base64_write(bytes_range(digest, DKIM_HASH_LEN), &hash));
    if (!list_names(sealing, &names))
        refuse(sealing, "no room for the set");
    folder_text(&folder, BYTES(";"));
    folder_value(&folder, BYTES("bh="), buf_bytes(&hash));
    folder_word(&folder, BYTES("c=relaxed/relaxed;"));
    folder_value(&folder, BYTES("d="), request->domain);
    folder_word(&folder, BYTES("h="));
    folder_names(&folder, buf_bytes(&names));
    folder_text(&folder, BYTES(";"));
    folder_tag(&folder, "i=%u;", sealing->instance);
    folder_value(&folder, BYTES("s="), request->selector);
    folder_tag(&folder, "t=%lld", (long long)(request->wall_ms / 1000));
    if (folder.is_full)
        refuse(sealing, "no room for the set");
    if (sealing->reason == NULL) {
        struct field_index *index = field_index_new(sealing->header);
        EVP_MD_CTX *state = dkim_hash_begin();
        struct canonical_sink sink = {dkim_hash_update, state};

        signed_fields_put(index, buf_bytes(&names), NULL, CANONICAL_RELAXED, sink);
        put_unsigned(&sealing->message, sink);
        finish(sealing, &sealing->message, state);
        EVP_MD_CTX_free(state);
        field_index_free(&index);
    }
    buf_free(&names);
    buf_free(&hash);
}

/* Section 5.1.1; of a chain that failed only the set that says so is sealed (section 5.1.2). */
static void put_sets(const struct sealing *sealing, struct canonical_sink sink)
{
    struct mail_field results = field_of(buf_bytes(&sealing->results.head));
    struct mail_field message = field_of(buf_bytes(&sealing->message.text));

    for (unsigned i = 0; i < sealing->chain.count && sealing->request->status == ARC_PASS; i++) {
        canonical_field_put(CANONICAL_RELAXED, sealing->chain.sets[i].results, BYTES_NONE, true,
                            sink);
        canonical_field_put(CANONICAL_RELAXED, sealing->chain.sets[i].message, BYTES_NONE, true,
                            sink);
        canonical_field_put(CANONICAL_RELAXED, sealing->chain.sets[i].seal, BYTES_NONE, true, sink);
    }
    canonical_field_put(CANONICAL_RELAXED, &results, BYTES_NONE, true, sink);
    canonical_field_put(CANONICAL_RELAXED, &message, BYTES_NONE, true, sink);
    put_unsigned(&sealing->seal, sink);
}

static void write_seal(struct sealing *sealing)
{
    const struct arc_seal_request *request = sealing->request;
    struct folder folder = folder_on(sealing, &sealing->seal.tail, COLUMN_FULL);

    begin(sealing, &sealing->seal, "ARC-Seal:");
    folder_text(&folder, BYTES(";"));
    folder_value(&folder, BYTES("cv="), bytes_of(arc_status_name(request->status)));
    folder_value(&folder, BYTES("d="), request->domain);
    folder_tag(&folder, "i=%u;", sealing->instance);
    folder_value(&folder, BYTES("s="), request->selector);
    folder_tag(&folder, "t=%lld", (long long)(request->wall_ms / 1000));
    if (folder.is_full)
        refuse(sealing, "no room for the set");
    if (sealing->reason != NULL)
        return;
    EVP_MD_CTX *state = dkim_hash_begin();

    put_sets(sealing, (struct canonical_sink){dkim_hash_update, state});
    finish(sealing, &sealing->seal, state);
    EVP_MD_CTX_free(state);
}

/* Section 4.1.2: what others take out or add to may not be signed. */
static bool names_are_apt(struct bytes names)
{
    static const char *const banned[] = {"Authentication-Results", "ARC-Authentication-Results",
                                         "ARC-Message-Signature", "ARC-Seal"};
    struct bytes name;

    while (tag_item_take(&names, ':', &name))
        for (size_t i = 0; i < ARRAY_LEN(banned); i++)
            if (bytes_equal_nocase(name, bytes_of(banned[i])))
                return false;
    return true;
}

/* What is asked for cannot be. */
static void judge(struct sealing *sealing)
{
    const struct arc_seal_request *request = sealing->request;
    const struct arc_chain *chain = &sealing->chain;

    if (sealing->header->is_cut)
        refuse(sealing, "the header is too large");
    if (mail_header_find(sealing->header, BYTES("From"), sealing->header->count) < 0)
        refuse(sealing, "there is no From field");
    if (!dkim_is_dns_name(request->domain))
        refuse(sealing, "the domain is not one");
    if (!dkim_is_dns_name(request->selector))
        refuse(sealing, "the selector is not one");
    if (!names_are_apt(request->names))
        refuse(sealing, "a field is named that must not be signed");
    if (request->status == ARC_NONE ? chain->is_there : !chain->is_there)
        refuse(sealing, "the chain is not as it was judged");
    if (request->status == ARC_PASS && chain->wrong != NULL)
        refuse(sealing, "the chain cannot have passed");
}

static void draft_init(struct draft *draft)
{
    buf_init(&draft->head, FIELD_MAX);
    buf_init(&draft->tail, FIELD_MAX);
    buf_init(&draft->text, (size_t)2 * FIELD_MAX);
}

static void draft_free(struct draft *draft)
{
    buf_free(&draft->head);
    buf_free(&draft->tail);
    buf_free(&draft->text);
}

static void write_set(struct sealing *sealing, struct buf *out)
{
    draft_init(&sealing->results);
    draft_init(&sealing->message);
    draft_init(&sealing->seal);
    write_results(sealing);
    if (sealing->reason == NULL)
        write_message(sealing);
    if (sealing->reason == NULL)
        write_seal(sealing);
    struct bytes fields[] = {buf_bytes(&sealing->seal.text), buf_bytes(&sealing->message.text),
                             buf_bytes(&sealing->results.head)};
    struct bytes end = BYTES("\r\n");

    if (fields[0].len + fields[1].len + fields[2].len + 3 * end.len > buf_room(out))
        refuse(sealing, "no room for the set");
    for (size_t i = 0; i < ARRAY_LEN(fields) && sealing->reason == NULL; i++)
        check(buf_append(out, fields[i]) && buf_append(out, end));
    draft_free(&sealing->results);
    draft_free(&sealing->message);
    draft_free(&sealing->seal);
}

enum arc_sealing arc_seal(const struct arc_sealer *sealer, const struct mail_header *header,
                          const struct arc_seal_request *request, struct buf *out,
                          const char **reason_out)
{
    struct sealing sealing = {.sealer = sealer, .header = header, .request = request};

    arc_chain_read(header, &sealing.chain);
    if (arc_chain_has_ended(&sealing.chain) || sealing.chain.count == ARC_SETS_MAX)
        return ARC_ENDED;
    sealing.instance = sealing.chain.count + 1;
    judge(&sealing);
    if (sealing.reason == NULL)
        write_set(&sealing, out);
    if (sealing.reason == NULL)
        return ARC_SEALED;
    *reason_out = sealing.reason;
    return ARC_REFUSED;
}
