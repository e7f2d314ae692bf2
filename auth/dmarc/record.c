/* record.c - the tags of a DMARC record. */
#include "auth/dmarc/record.h"

enum tag {
    TAG_P,
    TAG_SP,
    TAG_NP,
    TAG_ADKIM,
    TAG_ASPF,
    TAG_T,
    TAG_PSD,
    TAG_RUA,
    TAG_RUF,
    TAG_FO,
    TAG_COUNT,
};

static const char *const tag_names[TAG_COUNT] = {
    [TAG_P] = "p", [TAG_SP] = "sp",   [TAG_NP] = "np",   [TAG_ADKIM] = "adkim", [TAG_ASPF] = "aspf",
    [TAG_T] = "t", [TAG_PSD] = "psd", [TAG_RUA] = "rua", [TAG_RUF] = "ruf",     [TAG_FO] = "fo",
};

static const char *const policy_names[] = {
    [DMARC_POLICY_NONE] = "none",
    [DMARC_POLICY_QUARANTINE] = "quarantine",
    [DMARC_POLICY_REJECT] = "reject",
};

enum { TAGS_MAX = 64 }; /* of any name; more are no record anybody writes */

/* Of a record's text: its values by tag (ptr NULL: not there), and the names seen so far. */
struct tags {
    struct bytes values[TAG_COUNT];
    size_t count;
    struct bytes names[TAGS_MAX];
};

const char *dmarc_policy_name(enum dmarc_policy policy)
{
    return policy_names[policy];
}

static struct bytes take_part(struct bytes *rest)
{
    size_t end = bytes_find(*rest, ';', 0);
    struct bytes part = bytes_slice(*rest, 0, end);

    *rest = bytes_slice(*rest, end + 1, rest->len);
    return bytes_trim(part);
}

static bool split(struct bytes part, struct bytes *name_out, struct bytes *value_out)
{
    size_t equals = bytes_find(part, '=', 0);

    if (equals == part.len)
        return false;
    *name_out = bytes_trim(bytes_slice(part, 0, equals));
    *value_out = bytes_trim(bytes_slice(part, equals + 1, part.len));
    for (size_t i = 0; i < name_out->len; i++)
        if (!byte_is_alpha(name_out->ptr[i]))
            return false;
    return name_out->len > 0;
}

/* False: the name was there already, or there are too many. */
static bool add(struct tags *tags, struct bytes name, struct bytes value)
{
    if (tags->count == TAGS_MAX)
        return false;
    for (size_t i = 0; i < tags->count; i++)
        if (bytes_equal_nocase(tags->names[i], name))
            return false;
    tags->names[tags->count++] = name;
    for (size_t i = 0; i < TAG_COUNT; i++)
        if (bytes_equal_nocase(name, bytes_of(tag_names[i])))
            tags->values[i] = value;
    return true;
}

static bool read_tags(struct bytes text, struct tags *tags)
{
    struct bytes name, value;

    if (!bytes_starts_nocase(text, BYTES("v")) || !split(take_part(&text), &name, &value) ||
        !bytes_equal_nocase(name, BYTES("v")) || !bytes_equal(value, BYTES("DMARC1")) ||
        !add(tags, name, value))
        return false;
    while (text.len > 0)
        if (split(take_part(&text), &name, &value) && !add(tags, name, value))
            return false;
    return true;
}

static bool is_value(const struct tags *tags, enum tag tag, struct bytes wanted)
{
    return bytes_equal_nocase(tags->values[tag], wanted);
}

/* False if the tag is not there or its value is none; *policy_out is left alone then. */
static bool take_policy(const struct tags *tags, enum tag tag, enum dmarc_policy *policy_out)
{
    for (size_t i = 0; i < ARRAY_LEN(policy_names); i++) {
        if (!is_value(tags, tag, bytes_of(policy_names[i])))
            continue;
        *policy_out = (enum dmarc_policy)i;
        return true;
    }
    return false;
}

/* An absolute URI that a report could go to: a scheme and something behind it (RFC 3986
 * section 3), for mailto: an address. */
static bool is_uri(struct bytes uri)
{
    size_t colon = bytes_find(uri, ':', 0);

    if (colon == 0 || colon + 1 >= uri.len || !byte_is_alpha(uri.ptr[0]))
        return false;
    for (size_t i = 0; i < colon; i++)
        if (!byte_is_alnum(uri.ptr[i]) && bytes_find(BYTES("+-."), uri.ptr[i], 0) == 3)
            return false;
    for (size_t i = colon; i < uri.len; i++)
        if (uri.ptr[i] <= ' ' || uri.ptr[i] >= 127 ||
            bytes_find(BYTES("\"<>\\^`{|}"), uri.ptr[i], 0) < 9)
            return false;
    if (!bytes_starts_nocase(uri, BYTES("mailto:")))
        return true;
    size_t at = bytes_find(uri, '@', colon + 1);

    return at > colon + 1 && at + 1 < uri.len;
}

/* Whether a comma-separated list holds a URI; a size behind "!" is historic and counts not. */
static bool has_uri(struct bytes list)
{
    while (list.len > 0) {
        size_t end = bytes_find(list, ',', 0);
        struct bytes item = bytes_trim(bytes_slice(list, 0, end));

        if (is_uri(bytes_slice(item, 0, bytes_find(item, '!', 0))))
            return true;
        list = bytes_slice(list, end + 1, list.len);
    }
    return false;
}

static void fill_policies(const struct tags *tags, struct dmarc_record *out)
{
    bool is_valid = take_policy(tags, TAG_P, &out->p);

    out->sp = out->p;
    if (tags->values[TAG_SP].ptr != NULL)
        is_valid &= take_policy(tags, TAG_SP, &out->sp);
    out->np = out->sp;
    if (tags->values[TAG_NP].ptr != NULL)
        is_valid &= take_policy(tags, TAG_NP, &out->np);
    out->has_policy = is_valid || has_uri(out->rua);
    if (!is_valid)
        out->p = out->sp = out->np = DMARC_POLICY_NONE;
}

bool dmarc_record_parse(struct bytes text, struct dmarc_record *out)
{
    struct tags tags = {0};

    if (!read_tags(text, &tags))
        return false;
    *out = (struct dmarc_record){
        .is_strict_dkim = is_value(&tags, TAG_ADKIM, BYTES("s")),
        .is_strict_spf = is_value(&tags, TAG_ASPF, BYTES("s")),
        .is_testing = is_value(&tags, TAG_T, BYTES("y")),
        .psd = is_value(&tags, TAG_PSD, BYTES("y"))   ? DMARC_PSD_YES
               : is_value(&tags, TAG_PSD, BYTES("n")) ? DMARC_PSD_NO
                                                      : DMARC_PSD_UNKNOWN,
        .rua = tags.values[TAG_RUA],
        .ruf = tags.values[TAG_RUF],
        .fo = tags.values[TAG_FO],
    };
    fill_policies(&tags, out);
    return true;
}
