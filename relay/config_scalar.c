/* config_scalar.c - the kinds of scalars: what each takes, and what is said where it does not. */
#include "relay/config_scalar.h"

#include <stdio.h>
#include <string.h>

#include "io/address.h"
#include "relay/config_value.h"
#include "smtp/address.h"

enum { SHOWN_MAX = 80 /* bytes of a wrong value in an error */ };

static const char *const kind_expected[] = {
    [CONFIG_END] = "nothing",
    [CONFIG_TEXT] = "text",
    [CONFIG_BOOL] = "true or false",
    [CONFIG_COUNT] = "a whole number",
    [CONFIG_SIZE] = "a size with a unit, such as 25MiB",
    [CONFIG_SECONDS] = "a duration with a unit, such as 30s, 5m, 4h or 3d",
    [CONFIG_MILLISECONDS] = "a duration with a unit, such as 250ms or 2s",
    [CONFIG_PERCENT] = "a percentage, such as 20%",
    [CONFIG_NUMBER] = "a number",
    [CONFIG_RATE] = "a rate, such as 10/s or 600/m",
    [CONFIG_NAME] = "a word",
    [CONFIG_PATTERN] = "a domain, \"*.suffix\" or \"*\"",
    [CONFIG_ADDRESS] = "an address with a port, such as 127.0.0.1:2525 or [::1]:2525",
    [CONFIG_IPV4] = "an IPv4 address of this machine, without a port",
    [CONFIG_IPV6] = "an IPv6 address of this machine, without a port",
    [CONFIG_NETWORK] = "a network, such as 192.0.2.0/24 or 2001:db8::/32",
    [CONFIG_SECTION] = "a mapping of keys",
    [CONFIG_PART] = "a mapping of keys",
    [CONFIG_LIST] = "a list",
    [CONFIG_OPTIONS] = "a mapping",
};

/* --- what is said of a key -------------------------------------------------------------------- */

struct unit {
    uint64_t factor;
    const char *name;
};

const char *config_format_number(enum config_kind kind, uint64_t value, char text[static 32])
{
    static const struct unit sizes[] = {
        {UINT64_C(1) << 40, "TiB"}, {1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}, {1, "B"}};
    static const struct unit seconds[] = {{86400, "d"}, {3600, "h"}, {60, "m"}, {1, "s"}};
    static const struct unit milliseconds[] = {{1000, "s"}, {1, "ms"}};
    static const struct unit percent[] = {{1, "%"}}, count[] = {{1, ""}};
    const struct unit *unit = kind == CONFIG_SIZE           ? sizes
                              : kind == CONFIG_SECONDS      ? seconds
                              : kind == CONFIG_MILLISECONDS ? milliseconds
                              : kind == CONFIG_PERCENT      ? percent
                                                            : count;

    while (unit->factor > 1 && (value == 0 || value % unit->factor != 0))
        unit++;
    snprintf(text, 32, "%llu%s", (unsigned long long)(value / unit->factor), unit->name);
    return text;
}

uint64_t config_number_max(const struct config_key *key)
{
    return key->max != 0 ? key->max : key->at.size == sizeof(uint64_t) ? INT64_MAX : UINT32_MAX;
}

const char *config_bounds(const struct config_key *key, char text[static CONFIG_FACT_MAX])
{
    char low[32], high[32];

    config_format_number(key->kind, key->min, low);
    config_format_number(key->kind, config_number_max(key), high);
    if (key->min > 0 && key->max > 0)
        snprintf(text, CONFIG_FACT_MAX, "from %s to %s", low, high);
    else if (key->max > 0)
        snprintf(text, CONFIG_FACT_MAX, "at most %s", high);
    else if (key->min > 0)
        snprintf(text, CONFIG_FACT_MAX, "at least %s", low);
    else
        text[0] = '\0';
    return text;
}

static const char *join_names(const char *const *names, char text[static CONFIG_FACT_MAX])
{
    size_t len = 0;

    text[0] = '\0';
    for (size_t i = 0; names[i] != NULL && len < CONFIG_FACT_MAX; i++)
        len += (size_t)snprintf(text + len, CONFIG_FACT_MAX - len, "%s%s",
                                i == 0                 ? ""
                                : names[i + 1] == NULL ? " or "
                                                       : ", ",
                                names[i]);
    return text;
}

const char *config_expected(const struct config_key *key, char text[static CONFIG_FACT_MAX])
{
    char bounds[CONFIG_FACT_MAX];

    if (key->expected != NULL)
        return key->expected;
    if (key->kind == CONFIG_NAME)
        return join_names(key->names, text);
    if (key->word == NULL)
        return kind_expected[key->kind];
    if (key->kind == CONFIG_COUNT)
        snprintf(text, CONFIG_FACT_MAX, "%s or a number %.100s", key->word,
                 config_bounds(key, bounds));
    else
        snprintf(text, CONFIG_FACT_MAX, "%s, or %s", kind_expected[key->kind], key->word);
    return text;
}

static void not_of_kind(struct config_reader *reader, const struct config_key *key,
                        const yaml_node_t *node, struct bytes text)
{
    char expected[CONFIG_FACT_MAX];

    config_error(reader, node, "\"%.*s\" found; expected %s",
                 BYTES_ARG(bytes_slice(text, 0, SHOWN_MAX)), config_expected(key, expected));
}

static void out_of_bounds(struct config_reader *reader, const struct config_key *key,
                          const yaml_node_t *node, struct bytes text, bool is_above)
{
    struct config_key told = *key;
    char bounds[CONFIG_FACT_MAX];

    if (key->word != NULL) {
        not_of_kind(reader, key, node, text);
        return;
    }
    if (is_above)
        told.max = config_number_max(key); /* also where it is only what the field holds */
    config_error(reader, node, "\"%.*s\" is out of bounds; expected %s",
                 BYTES_ARG(bytes_slice(text, 0, SHOWN_MAX)), config_bounds(&told, bounds));
}

/* --- numbers ---------------------------------------------------------------------------------- */

/* Text to a number in the key's unit; false when it is not of its kind. */
static bool parse_whole(enum config_kind kind, struct bytes text, uint64_t *value_out)
{
    int64_t ms;
    unsigned percent;

    if (kind == CONFIG_COUNT)
        return bytes_to_u64(text, value_out);
    if (kind == CONFIG_SIZE)
        return value_size(text, value_out);
    if (kind == CONFIG_PERCENT) {
        if (!value_percent(text, &percent))
            return false;
        *value_out = percent;
        return true;
    }
    check(kind == CONFIG_SECONDS || kind == CONFIG_MILLISECONDS);
    if (!value_duration(text, &ms) || (kind == CONFIG_SECONDS && ms % 1000 != 0))
        return false;
    *value_out = (uint64_t)ms / (kind == CONFIG_SECONDS ? 1000 : 1);
    return true;
}

static void take_whole(struct config_reader *reader, const struct config_key *key,
                       const yaml_node_t *node, struct bytes text, void *field)
{
    uint64_t value = 0;
    bool is_word = key->word != NULL && bytes_equal(text, bytes_of(key->word));

    check(key->at.size == sizeof(uint64_t) || key->at.size == sizeof(uint32_t));
    if (!is_word && !parse_whole(key->kind, text, &value)) {
        not_of_kind(reader, key, node, text);
        return;
    }
    if (!is_word && (value < key->min || value > config_number_max(key))) {
        out_of_bounds(reader, key, node, text, value >= key->min);
        return;
    }
    const uint32_t small = (uint32_t)value;
    if (key->at.size == sizeof(small))
        memcpy(field, &small, sizeof(small));
    else
        memcpy(field, &value, sizeof(value));
}

static void take_fraction(struct config_reader *reader, const struct config_key *key,
                          const yaml_node_t *node, struct bytes text, double *field)
{
    bool is_word = key->word != NULL && bytes_equal(text, bytes_of(key->word));
    double value = 0;

    check(key->at.size == sizeof(double));
    if (!is_word &&
        !(key->kind == CONFIG_RATE ? value_rate(text, &value) : value_number(text, &value)))
        not_of_kind(reader, key, node, text);
    else if (!is_word && (value < (double)key->min || (key->max > 0 && value > (double)key->max)))
        out_of_bounds(reader, key, node, text, value >= (double)key->min);
    else
        *field = value;
}

/* --- text ------------------------------------------------------------------------------------- */

static void take_text(struct config_reader *reader, const struct config_key *key,
                      const yaml_node_t *node, struct bytes text, const char **field)
{
    bool is_good = text.len > 0 && bytes_find(text, '\0', 0) == text.len;

    check(key->at.size == sizeof(*field));
    if (is_good && (key->is_valid == NULL || key->is_valid(text)))
        *field = config_string(reader, text);
    else
        not_of_kind(reader, key, node, text);
}

static void take_bool(struct config_reader *reader, const struct config_key *key,
                      const yaml_node_t *node, struct bytes text, bool *field)
{
    check(key->at.size == sizeof(*field));
    if (bytes_equal(text, BYTES("true")) || bytes_equal(text, BYTES("yes")))
        *field = true;
    else if (bytes_equal(text, BYTES("false")) || bytes_equal(text, BYTES("no")))
        *field = false;
    else
        not_of_kind(reader, key, node, text);
}

static void take_name(struct config_reader *reader, const struct config_key *key,
                      const yaml_node_t *node, struct bytes text, void *field)
{
    check(key->at.size == sizeof(int));
    for (int i = 0; key->names[i] != NULL; i++) {
        if (bytes_equal(text, bytes_of(key->names[i]))) {
            memcpy(field, &i, sizeof(i));
            return;
        }
    }
    not_of_kind(reader, key, node, text);
}

static void take_pattern(struct config_reader *reader, const struct config_key *key,
                         const yaml_node_t *node, struct bytes text, const char **field)
{
    struct bytes normal, name = text;
    bool is_utf8;

    check(key->at.size == sizeof(*field));
    if (bytes_equal(text, BYTES("*"))) {
        *field = "*";
        return;
    }
    bool is_suffix = bytes_take_nocase(&name, BYTES("*."));
    if (!smtp_domain_is_valid(name, &is_utf8) ||
        !smtp_domain_normalise(reader->arena, name, &normal)) {
        not_of_kind(reader, key, node, text);
        return;
    }
    size_t prefix = is_suffix ? 2 : 0;
    char *pattern = config_alloc(reader, prefix + normal.len + 1);

    if (pattern == NULL)
        return;
    memcpy(pattern, "*.", prefix);
    memcpy(pattern + prefix, normal.ptr, normal.len);
    *field = pattern;
}

/* --- addresses -------------------------------------------------------------------------------- */

static void take_address(struct config_reader *reader, const struct config_key *key,
                         const yaml_node_t *node, struct bytes text, struct address *field)
{
    struct address address;

    check(key->at.size == sizeof(*field) && key->port <= UINT16_MAX);
    bool is_good = address_parse(text, (uint16_t)key->port, &address);
    if (is_good && key->kind == CONFIG_ADDRESS)
        is_good = address_port(&address) != 0;
    else if (is_good)
        is_good = address_port(&address) == 0 &&
                  address.any.sa_family == (key->kind == CONFIG_IPV4 ? AF_INET : AF_INET6);
    if (is_good)
        *field = address;
    else
        not_of_kind(reader, key, node, text);
}

static void take_network(struct config_reader *reader, const struct config_key *key,
                         const yaml_node_t *node, struct bytes text, struct network *field)
{
    check(key->at.size == sizeof(*field));
    if (!network_parse(text, field))
        not_of_kind(reader, key, node, text);
}

void config_take_scalar(struct config_reader *reader, const struct config_key *key,
                        const yaml_node_t *node, struct bytes text, void *field)
{
    switch (key->kind) {
    case CONFIG_TEXT:
        take_text(reader, key, node, text, field);
        return;
    case CONFIG_BOOL:
        take_bool(reader, key, node, text, field);
        return;
    case CONFIG_COUNT:
    case CONFIG_SIZE:
    case CONFIG_SECONDS:
    case CONFIG_MILLISECONDS:
    case CONFIG_PERCENT:
        take_whole(reader, key, node, text, field);
        return;
    case CONFIG_NUMBER:
    case CONFIG_RATE:
        take_fraction(reader, key, node, text, field);
        return;
    case CONFIG_NAME:
        take_name(reader, key, node, text, field);
        return;
    case CONFIG_PATTERN:
        take_pattern(reader, key, node, text, field);
        return;
    case CONFIG_ADDRESS:
    case CONFIG_IPV4:
    case CONFIG_IPV6:
        take_address(reader, key, node, text, field);
        return;
    case CONFIG_NETWORK:
        take_network(reader, key, node, text, field);
        return;
    case CONFIG_END:
    case CONFIG_SECTION:
    case CONFIG_PART:
    case CONFIG_LIST:
    case CONFIG_OPTIONS:
        break;
    }
    check(false); /* no scalar */
}
