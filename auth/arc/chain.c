/* chain.c - three kinds of fields, sorted by instance. */
#include "auth/arc/chain.h"

#include "auth/tag_list.h"

static void wrong(struct arc_chain *chain, unsigned instance, const char *phrase)
{
    if (chain->wrong != NULL)
        return; /* the first complaint counts */
    chain->wrong = phrase;
    chain->wrong_at = instance;
}

/* position = 1*2DIGIT, 1 to 50. */
static bool read_position(struct bytes text, unsigned *instance_out)
{
    uint64_t number;

    if (text.len > 2 || !tag_number(text, &number) || number == 0 || number > ARC_SETS_MAX)
        return false;
    *instance_out = (unsigned)number;
    return true;
}

/* Takes comments and folding white space off the front (CFWS of RFC 5322 section 3.2.2). */
static void skip_cfws(struct bytes *rest)
{
    unsigned depth = 0;

    while (rest->len > 0) {
        uint8_t c = rest->ptr[0];

        if (c == '(')
            depth++;
        else if (c == ')' && depth > 0)
            depth--;
        else if (depth == 0 && c != ' ' && c != '\t' && c != '\r' && c != '\n')
            return;
        *rest = bytes_slice(*rest, depth > 0 && c == '\\' ? 2 : 1, rest->len);
    }
}

/* [CFWS] "i" [CFWS] "=" [CFWS] position [CFWS] ";" payload. */
static bool read_results(struct bytes value, unsigned *instance_out, struct bytes *payload_out)
{
    size_t digits = 0;

    skip_cfws(&value);
    if (value.len == 0 || value.ptr[0] != 'i')
        return false;
    value = bytes_slice(value, 1, value.len);
    skip_cfws(&value);
    if (value.len == 0 || value.ptr[0] != '=')
        return false;
    value = bytes_slice(value, 1, value.len);
    skip_cfws(&value);
    while (digits < value.len && byte_is_digit(value.ptr[digits]))
        digits++;
    if (!read_position(bytes_slice(value, 0, digits), instance_out))
        return false;
    value = bytes_slice(value, digits, value.len);
    skip_cfws(&value);
    if (value.len == 0 || value.ptr[0] != ';')
        return false;
    *payload_out = tag_trim(bytes_slice(value, 1, value.len));
    return true;
}

static enum arc_cv read_cv(const struct tag_list *list)
{
    struct bytes value = tag_list_value(list, BYTES("cv"));

    if (bytes_equal(value, BYTES("none")))
        return ARC_CV_NONE;
    if (bytes_equal(value, BYTES("pass")))
        return ARC_CV_PASS;
    return bytes_equal(value, BYTES("fail")) ? ARC_CV_FAIL : ARC_CV_UNKNOWN;
}

static void place(struct arc_chain *chain, unsigned instance, const struct mail_field **slot,
                  const struct mail_field *field, const char *twice)
{
    if (instance > chain->count)
        chain->count = instance;
    if (*slot != NULL)
        wrong(chain, instance, twice);
    else
        *slot = field;
}

static void add_results(struct arc_chain *chain, const struct mail_field *field)
{
    struct bytes payload;
    unsigned instance;

    if (!read_results(field->value, &instance, &payload)) {
        wrong(chain, 0, "authentication results of ARC have no instance");
        return;
    }
    struct arc_set *set = &chain->sets[instance - 1];

    place(chain, instance, &set->results, field, "there are two fields of authentication results");
    set->payload = payload;
}

/* A message signature or a seal. */
static void add_signature(struct arc_chain *chain, const struct mail_field *field, bool is_seal)
{
    struct tag_list list;
    const char *reason;
    unsigned instance;

    if (!tag_list_parse(field->value, &list, &reason)) {
        wrong(chain, 0, is_seal ? "a seal is no list of tags" : "a signature is no list of tags");
        return;
    }
    if (!read_position(tag_list_value(&list, BYTES("i")), &instance)) {
        wrong(chain, 0, is_seal ? "a seal has no instance" : "a signature has no instance");
        return;
    }
    struct arc_set *set = &chain->sets[instance - 1];

    if (!is_seal) {
        place(chain, instance, &set->message, field, "there are two signatures");
        return;
    }
    place(chain, instance, &set->seal, field, "there are two seals");
    if (set->seal == field)
        set->cv = read_cv(&list);
}

/* Every set is whole, and each seal says of the chain before it what a valid one says. */
static void judge(struct arc_chain *chain)
{
    for (unsigned i = chain->count; i > 0; i--) {
        const struct arc_set *set = &chain->sets[i - 1];
        enum arc_cv valid = i == 1 ? ARC_CV_NONE : ARC_CV_PASS;

        if (set->results == NULL)
            wrong(chain, i, "authentication results are missing");
        else if (set->message == NULL)
            wrong(chain, i, "the signature is missing");
        else if (set->seal == NULL)
            wrong(chain, i, "the seal is missing");
        else if (set->cv == ARC_CV_FAIL)
            wrong(chain, i, "the seal says that the chain had failed");
        else if (set->cv != valid)
            wrong(chain, i,
                  "the seal does not say cv=none of the first, or cv=pass of a later set");
    }
}

void arc_chain_read(const struct mail_header *header, struct arc_chain *out)
{
    *out = (struct arc_chain){0};
    check(header->in_body);
    for (size_t i = 0; i < header->count; i++) {
        const struct mail_field *field = &header->fields[i];
        bool is_seal = bytes_equal_nocase(field->name, BYTES("ARC-Seal"));
        bool is_message = bytes_equal_nocase(field->name, BYTES("ARC-Message-Signature"));
        bool is_results = bytes_equal_nocase(field->name, BYTES("ARC-Authentication-Results"));

        out->is_there = out->is_there || is_seal || is_message || is_results;
        if (is_results)
            add_results(out, field);
        else if (is_seal || is_message)
            add_signature(out, field, is_seal);
    }
    if (out->is_there && header->is_cut)
        wrong(out, 0, "the header is larger than is looked at");
    judge(out);
}

bool arc_chain_has_ended(const struct arc_chain *chain)
{
    return chain->count > 0 && chain->sets[chain->count - 1].cv == ARC_CV_FAIL;
}
