/* policy.c - lines of "key: value". */
#include "auth/mta_sts/policy.h"

enum { AGE_DIGITS_MAX = 10 };

enum { HAS_VERSION = 1, HAS_MODE = 2, HAS_MAX_AGE = 4, HAS_ALL = 7 };

static const char *const mode_names[] = {
    [MTA_STS_NONE] = "none",
    [MTA_STS_TESTING] = "testing",
    [MTA_STS_ENFORCE] = "enforce",
};

const char *mta_sts_mode_name(enum mta_sts_mode mode)
{
    return mode_names[mode];
}

bool mta_sts_line_take(struct bytes *text, struct bytes *line_out)
{
    while (text->len > 0) {
        size_t end = bytes_find(*text, '\n', 0);
        struct bytes line = bytes_slice(*text, 0, end);

        *text = bytes_slice(*text, MIN(end + 1, text->len), text->len);
        if (line.len > 0 && line.ptr[line.len - 1] == '\r')
            line.len--;
        line = bytes_trim(line);
        if (line.len == 0) /* one behind the last is often seen, and does no harm */
            continue;
        *line_out = line;
        return true;
    }
    return false;
}

/* Without controls: who shows it to an operator need not look again. */
static bool is_printable(struct bytes line)
{
    for (size_t i = 0; i < line.len; i++)
        if ((line.ptr[i] < ' ' && line.ptr[i] != '\t') || line.ptr[i] == 0x7f)
            return false;
    return true;
}

static bool take_field(struct bytes line, struct bytes *key_out, struct bytes *value_out)
{
    *value_out = line;
    if (!is_printable(line) || !bytes_take_until(value_out, ':', key_out) || key_out->len == 0)
        return false;
    *value_out = bytes_trim(*value_out);
    return true;
}

static bool read_mode(struct bytes value, enum mta_sts_mode *mode_out)
{
    for (size_t i = 0; i < ARRAY_LEN(mode_names); i++) {
        if (!bytes_equal(value, bytes_of(mode_names[i])))
            continue;
        *mode_out = (enum mta_sts_mode)i;
        return true;
    }
    return false;
}

/* "*.a.example" or "a.example": labels of letters, digits, hyphens. */
static bool pattern_is_valid(struct bytes pattern)
{
    size_t label_len = 0;

    (void)bytes_take_nocase(&pattern, BYTES("*."));
    if (pattern.len == 0 || pattern.len > 253)
        return false;
    for (size_t i = 0; i < pattern.len; i++) {
        uint8_t c = pattern.ptr[i];

        if (c == '.' ? label_len == 0 : !byte_is_alnum(c) && c != '-' && c != '_')
            return false;
        label_len = c == '.' ? 0 : label_len + 1;
    }
    return label_len > 0;
}

/* NULL, or what is wrong. */
static const char *read_field(struct mta_sts_policy *policy, unsigned *seen, struct bytes key,
                              struct bytes value)
{
    uint64_t age_s;

    if (bytes_equal(key, BYTES("mx"))) {
        policy->mx_count++;
        return pattern_is_valid(value) ? NULL : "an mx of it is no host pattern";
    }
    if (bytes_equal(key, BYTES("version")) && (*seen & HAS_VERSION) == 0) {
        *seen |= HAS_VERSION;
        return bytes_equal(value, BYTES("STSv1")) ? NULL : "its version is not STSv1";
    }
    if (bytes_equal(key, BYTES("mode")) && (*seen & HAS_MODE) == 0) {
        *seen |= HAS_MODE;
        return read_mode(value, &policy->mode) ? NULL : "its mode is not known";
    }
    if (bytes_equal(key, BYTES("max_age")) && (*seen & HAS_MAX_AGE) == 0) {
        *seen |= HAS_MAX_AGE;
        if (value.len > AGE_DIGITS_MAX || !bytes_to_u64(value, &age_s))
            return "its max_age is no number of seconds";
        policy->max_age_s = (uint32_t)MIN(age_s, (uint64_t)MTA_STS_MAX_AGE_S_MAX);
    }
    return NULL;
}

bool mta_sts_policy_parse(struct bytes text, struct mta_sts_policy *out, const char **why_out)
{
    struct mta_sts_policy policy = {.text = text};
    struct bytes rest = text;
    struct bytes line, key, value;
    unsigned seen = 0;
    const char *why = text.len > MTA_STS_TEXT_MAX ? "it is larger than 64 KiB" : NULL;

    while (why == NULL && mta_sts_line_take(&rest, &line))
        why = take_field(line, &key, &value) ? read_field(&policy, &seen, key, value)
                                             : "a line of it is no field";
    if (why == NULL && seen != HAS_ALL)
        why = "it lacks version, mode or max_age";
    if (why == NULL && policy.mode != MTA_STS_NONE && policy.mx_count == 0)
        why = "it names no mx";
    if (why != NULL) {
        *why_out = why;
        return false;
    }
    *out = policy;
    return true;
}

static bool matches(struct bytes pattern, struct bytes host)
{
    if (bytes_take_nocase(&pattern, BYTES("*."))) {
        size_t dot = bytes_find(host, '.', 0);

        if (dot == 0 || dot == host.len)
            return false;
        host = bytes_slice(host, dot + 1, host.len);
    }
    return bytes_equal_nocase(pattern, host);
}

bool mta_sts_policy_allows(const struct mta_sts_policy *policy, struct bytes host)
{
    struct bytes rest = policy->text;
    struct bytes line, key, value;

    if (host.len > 0 && host.ptr[host.len - 1] == '.')
        host.len--;
    while (mta_sts_line_take(&rest, &line))
        if (take_field(line, &key, &value) && bytes_equal(key, BYTES("mx")) && matches(value, host))
            return true;
    return false;
}
