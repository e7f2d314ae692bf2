/* signature.c - each tag is a row: how it is read, of which kinds, and whether it must be there. */
#include "auth/dkim/signature.h"

#include "auth/dkim/signed_fields.h"
#include "smtp/address.h"

enum { NAME_LEN_MAX = 253, LABEL_LEN_MAX = 63 };

/* What a reader of a tag works on. It returns NULL, or what is wrong. */
struct reading {
    struct arena *arena;
    struct dkim_signature *out;
    enum signature_kind kind;
};

/* Letters, digits, hyphens inside; underscores too, which selectors in use have. */
static bool is_ascii_name(struct bytes name)
{
    size_t label = 0;

    for (size_t i = 0; i <= name.len; i++) {
        if (i == name.len || name.ptr[i] == '.') {
            if (label == 0 || label > LABEL_LEN_MAX || name.ptr[i - 1] == '-')
                return false;
            label = 0;
            continue;
        }
        if (!byte_is_alnum(name.ptr[i]) && name.ptr[i] != '_' && (name.ptr[i] != '-' || label == 0))
            return false;
        label++;
    }
    return name.len <= NAME_LEN_MAX;
}

/* As DNS has it (RFC 8616 section 5). */
static bool read_name(struct arena *arena, struct bytes value, struct bytes *name_out)
{
    struct bytes name;

    if (value.len == 0 || value.ptr[value.len - 1] == '.')
        return false;
    if (bytes_has_8bit(value)) {
        if (!smtp_domain_normalise(arena, value, &name) || name.len > NAME_LEN_MAX)
            return false;
        *name_out = name;
        return true;
    }
    if (!is_ascii_name(value))
        return false;
    uint8_t *lower = arena_alloc(arena, value.len);
    if (lower == NULL)
        return false;
    for (size_t i = 0; i < value.len; i++)
        lower[i] = byte_lower(value.ptr[i]);
    *name_out = bytes_range(lower, value.len);
    return true;
}

static const char *read_version(struct reading *reading, struct bytes value)
{
    (void)reading;
    return bytes_equal(value, BYTES("1")) ? NULL : "its version is not 1";
}

static const char *read_algorithm(struct reading *reading, struct bytes value)
{
    reading->out->algorithm = tag_is_word(value) ? value : BYTES_NONE;
    for (int i = SIGNATURE_RSA_SHA256; i <= SIGNATURE_ED25519_SHA256; i++) {
        if (!bytes_equal(value, bytes_of(signature_algorithm_name((enum signature_algorithm)i))))
            continue;
        reading->out->key_algorithm = (enum signature_algorithm)i;
        return NULL;
    }
    return bytes_equal(value, BYTES("rsa-sha1")) ? "rsa-sha1 is not secure (RFC 8301)"
                                                 : "its algorithm is unknown";
}

static const char *read_domain(struct reading *reading, struct bytes value)
{
    struct bytes domain;

    if (!read_name(reading->arena, value, &domain))
        return "d= is not a domain name";
    reading->out->domain = domain;
    return bytes_find(domain, '.', 0) < domain.len ? NULL : "d= is a top-level domain";
}

static const char *read_selector(struct reading *reading, struct bytes value)
{
    return read_name(reading->arena, value, &reading->out->selector) ? NULL
                                                                     : "s= is not a selector";
}

static const char *read_canonical(struct reading *reading, struct bytes value)
{
    struct bytes header = value, body = BYTES("simple");
    size_t slash = bytes_find(value, '/', 0);

    if (slash < value.len) {
        header = bytes_slice(value, 0, slash);
        body = bytes_slice(value, slash + 1, value.len);
    }
    return canonical_form_parse(header, &reading->out->header_form) &&
                   canonical_form_parse(body, &reading->out->body_form)
               ? NULL
               : "its canonicalization is unknown";
}

static bool is_field_name(struct bytes name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] < 33 || name.ptr[i] > 126 || name.ptr[i] == ':')
            return false;
    return name.len > 0;
}

static const char *read_names(struct reading *reading, struct bytes value)
{
    struct bytes rest = value, name;
    bool has_from = false;

    if (reading->kind == SIGNATURE_ARC_SEAL)
        return "a seal must not have h=";
    for (size_t count = 0; tag_item_take(&rest, ':', &name); count++) {
        if (!is_field_name(name))
            return "h= is not a list of field names";
        if (count == SIGNED_NAMES_MAX)
            return "h= names too many fields";
        has_from = has_from || bytes_equal_nocase(name, BYTES("From"));
    }
    reading->out->names = value;
    return has_from ? NULL : "From is not signed";
}

static const char *read_base64(struct reading *reading, struct bytes value, struct bytes *out)
{
    struct buf octets;
    const char *reason = "its base64 is wrong, or too long";

    buf_init(&octets, DKIM_SIGNATURE_LEN_MAX);
    if (tag_base64(value, &octets) && buf_len(&octets) > 0 &&
        arena_copy(reading->arena, buf_bytes(&octets), out))
        reason = NULL;
    buf_free(&octets);
    return reason;
}

static const char *read_signature(struct reading *reading, struct bytes value)
{
    reading->out->signature_text = value;
    return read_base64(reading, value, &reading->out->signature);
}

static const char *read_body_hash(struct reading *reading, struct bytes value)
{
    const char *reason = read_base64(reading, value, &reading->out->body_hash);

    if (reason == NULL && reading->out->body_hash.len != DKIM_HASH_LEN)
        return "bh= has not the length of its hash";
    return reason;
}

static const char *read_length(struct reading *reading, struct bytes value)
{
    reading->out->has_length = true;
    return tag_number(value, &reading->out->length) ? NULL : "l= is not a number";
}

static const char *read_query(struct reading *reading, struct bytes value)
{
    struct bytes method;
    bool is_known = false;

    (void)reading;
    while (tag_item_take(&value, ':', &method))
        is_known = is_known || bytes_equal(method, BYTES("dns/txt"));
    return is_known ? NULL : "none of its ways to find the key is known";
}

static const char *read_time(struct reading *reading, struct bytes value)
{
    reading->out->has_time = true;
    return tag_number(value, &reading->out->time_s) ? NULL : "t= is not a number";
}

static const char *read_expiry(struct reading *reading, struct bytes value)
{
    reading->out->has_expiry = true;
    return tag_number(value, &reading->out->expiry_s) ? NULL : "x= is not a number";
}

/* Where an address's domain begins; 0: it has none. */
static size_t domain_at(struct bytes address)
{
    size_t at = address.len;

    while (at > 0 && address.ptr[at - 1] != '@')
        at--;
    return at;
}

/* Of domain names as DNS has them. */
static bool is_below(struct bytes name, struct bytes domain)
{
    return name.len > domain.len && bytes_ends_nocase(name, domain) &&
           name.ptr[name.len - domain.len - 1] == '.';
}

/* [local-part] "@" domain, in quoted-printable. Read after d=, which it must be in. */
static const char *read_identity(struct reading *reading, struct bytes value)
{
    struct dkim_signature *out = reading->out;
    const char *reason = "i= is not an address";
    struct bytes domain;
    struct buf text;

    buf_init(&text, SMTP_PATH_MAX);
    if (tag_quoted_printable(value, &text)) {
        struct bytes address = buf_bytes(&text);
        size_t at = domain_at(address);

        if (at > 0 && read_name(reading->arena, bytes_slice(address, at, address.len), &domain)) {
            out->identity = value;
            out->identity_is_below = is_below(domain, out->domain);
            reason = out->identity_is_below || bytes_equal(domain, out->domain) ? NULL
                                                                                : "i= is not in d=";
        }
    }
    buf_free(&text);
    return reason;
}

enum {
    IN_DKIM = 1 << SIGNATURE_DKIM,
    IN_MESSAGE = 1 << SIGNATURE_ARC_MESSAGE,
    IN_SEAL = 1 << SIGNATURE_ARC_SEAL,
    IN_ALL = IN_DKIM | IN_MESSAGE | IN_SEAL
};

/* What names the signature comes first: it is told of one that is refused, too. */
static const struct {
    char name[3];
    unsigned in;       /* the kinds that have it */
    unsigned required; /* by these */
    const char *missing;
    const char *(*read)(struct reading *reading, struct bytes value);
} tags[] = {
    {"a", IN_ALL, IN_ALL, "a= is missing", read_algorithm},
    {"d", IN_ALL, IN_ALL, "d= is missing", read_domain},
    {"s", IN_ALL, IN_ALL, "s= is missing", read_selector},
    {"v", IN_DKIM, IN_DKIM, "v= is missing", read_version},
    {"c", IN_DKIM | IN_MESSAGE, 0, NULL, read_canonical},
    {"h", IN_ALL, IN_DKIM | IN_MESSAGE, "h= is missing", read_names},
    {"b", IN_ALL, IN_ALL, "b= is missing", read_signature},
    {"bh", IN_DKIM | IN_MESSAGE, IN_DKIM | IN_MESSAGE, "bh= is missing", read_body_hash},
    {"l", IN_DKIM | IN_MESSAGE, 0, NULL, read_length},
    {"q", IN_DKIM | IN_MESSAGE, 0, NULL, read_query},
    {"t", IN_ALL, 0, NULL, read_time},
    {"x", IN_DKIM | IN_MESSAGE, 0, NULL, read_expiry},
    {"i", IN_DKIM, 0, NULL, read_identity},
};

/* All rows are read, so that what can be told is; the first complaint counts. */
static const char *read_tags(struct reading *reading, const struct tag_list *list)
{
    const char *first = NULL;

    for (size_t i = 0; i < ARRAY_LEN(tags); i++) {
        const struct tag *tag = tag_list_find(list, bytes_of(tags[i].name));
        const char *reason = NULL;

        if ((tags[i].in >> reading->kind & 1) == 0)
            continue;
        if (tag != NULL)
            reason = tags[i].read(reading, tag->value);
        else if (tags[i].required >> reading->kind & 1)
            reason = tags[i].missing;
        if (first == NULL)
            first = reason;
    }
    return first;
}

bool dkim_signature_parse(enum signature_kind kind, struct bytes value, struct arena *arena,
                          struct dkim_signature *out, const char **reason_out)
{
    struct reading reading = {.arena = arena, .out = out, .kind = kind};
    struct tag_list list;

    *out = (struct dkim_signature){0};
    if (kind == SIGNATURE_ARC_SEAL) /* RFC 8617 section 5.1.1 */
        out->header_form = CANONICAL_RELAXED;
    if (!tag_list_parse(value, &list, reason_out))
        return false;
    const char *reason = read_tags(&reading, &list);
    if (reason == NULL && out->has_time && out->has_expiry && out->expiry_s <= out->time_s)
        reason = "it expires before it was made";
    if (reason != NULL) {
        *reason_out = reason;
        return false;
    }
    out->without = tag_list_find(&list, BYTES("b"))->span;
    return true;
}
