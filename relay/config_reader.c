/* config_reader.c - tables of keys over libyaml's nodes. */
#include "relay/config_reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "relay/config_value.h"

static const char *const kind_expected[] = {
    [CONFIG_STRING] = "text",
    [CONFIG_BOOL] = "true or false",
    [CONFIG_COUNT] = "a whole number",
    [CONFIG_SIZE] = "a size with a unit, such as 25MiB",
    [CONFIG_SIZE_SMALL] = "a size with a unit, such as 64KiB",
    [CONFIG_SECONDS] = "a duration with a unit, such as 30s, 5m, 4h or 3d",
    [CONFIG_MILLISECONDS] = "a duration with a unit, such as 250ms or 2s",
    [CONFIG_PERCENT] = "a percentage, such as 20%",
    [CONFIG_NUMBER] = "a number",
    [CONFIG_RATE] = "a rate, such as 10/s or 600/m, or none",
    [CONFIG_SECTION] = "a mapping",
    [CONFIG_CUSTOM] = "a value",
};

void config_error(struct config_reader *reader, const yaml_node_t *node, const char *format, ...)
{
    char text[1024], what[640], line[24] = "";
    va_list args;

    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    if (node != NULL)
        snprintf(line, sizeof(line), ":%zu", node->start_mark.line + 1);
    snprintf(text, sizeof(text), "%s%s: %s%s%s", reader->path, line, reader->key_path,
             reader->key_path[0] == '\0' ? "" : ": ", what);
    reader->error_count++;
    reader->error(reader->context, text);
}

bool config_scalar(struct config_reader *reader, yaml_node_t *node, const char *expected,
                   struct bytes *text_out)
{
    if (node->type != YAML_SCALAR_NODE) {
        config_error(reader, node, "%s found; expected %s",
                     node->type == YAML_MAPPING_NODE ? "a mapping" : "a list", expected);
        return false;
    }
    *text_out = bytes_range(node->data.scalar.value, node->data.scalar.length);
    return true;
}

void *config_alloc(struct config_reader *reader, size_t size)
{
    void *memory = arena_alloc(reader->arena, size);

    if (memory == NULL && !reader->is_full) {
        reader->is_full = true;
        config_error(reader, NULL, "too much for one configuration; expected no more than %zu MiB",
                     reader->arena->used_max >> 20);
    }
    return memory;
}

const char *config_string(struct config_reader *reader, struct bytes text)
{
    char *copy = config_alloc(reader, text.len + 1);

    if (copy == NULL)
        return "";
    if (text.len > 0)
        memcpy(copy, text.ptr, text.len);
    return copy;
}

/* Text to a number in the key's unit; false when it is not of its kind. */
static bool scalar_number(enum config_kind kind, struct bytes text, uint64_t *value_out)
{
    int64_t ms;
    unsigned percent;

    switch (kind) {
    case CONFIG_COUNT:
        return bytes_to_u64(text, value_out);
    case CONFIG_SIZE:
    case CONFIG_SIZE_SMALL:
        return value_size(text, value_out);
    case CONFIG_SECONDS:
        if (!value_duration(text, &ms) || ms % 1000 != 0)
            return false;
        *value_out = (uint64_t)ms / 1000;
        return true;
    case CONFIG_MILLISECONDS:
        if (!value_duration(text, &ms))
            return false;
        *value_out = (uint64_t)ms;
        return true;
    case CONFIG_PERCENT:
        if (!value_percent(text, &percent))
            return false;
        *value_out = percent;
        return true;
    case CONFIG_STRING:
    case CONFIG_BOOL:
    case CONFIG_NUMBER:
    case CONFIG_RATE:
    case CONFIG_SECTION:
    case CONFIG_CUSTOM:
        break;
    }
    check(false); /* a kind that is no number */
    return false;
}

static void expected_error(struct config_reader *reader, yaml_node_t *node, struct bytes text,
                           const char *expected)
{
    config_error(reader, node, "\"%.*s\" found; expected %s", BYTES_ARG(bytes_slice(text, 0, 80)),
                 expected);
}

struct unit {
    uint64_t factor;
    const char *name;
};

/* In the largest unit that leaves no rest, as one would write it. */
static const char *format_value(enum config_kind kind, uint64_t value, char text[static 32])
{
    static const struct unit sizes[] = {{1 << 30, "GiB"},
                                        {1 << 20, "MiB"},
                                        {1 << 10, "KiB"},
                                        {1, "B"}};
    static const struct unit seconds[] = {{86400, "d"}, {3600, "h"}, {60, "m"}, {1, "s"}};
    static const struct unit milliseconds[] = {{1000, "s"}, {1, "ms"}};
    static const struct unit percent[] = {{1, "%"}}, count[] = {{1, ""}};
    const struct unit *unit = kind == CONFIG_SIZE || kind == CONFIG_SIZE_SMALL ? sizes
                              : kind == CONFIG_SECONDS                         ? seconds
                              : kind == CONFIG_MILLISECONDS                    ? milliseconds
                              : kind == CONFIG_PERCENT                         ? percent
                                                                               : count;

    while (unit->factor > 1 && (value == 0 || value % unit->factor != 0))
        unit++;
    snprintf(text, 32, "%llu%s", (unsigned long long)(value / unit->factor), unit->name);
    return text;
}

static void bounds_error(struct config_reader *reader, const struct config_key *key,
                         yaml_node_t *node, struct bytes text, uint64_t max, bool is_above)
{
    char low[32], high[32];

    format_value(key->kind, key->min, low);
    format_value(key->kind, max, high);
    if (key->max == 0 && key->min > 0 && !is_above)
        config_error(reader, node, "\"%.*s\" is out of bounds; expected at least %s",
                     BYTES_ARG(text), low);
    else if (key->min == 0)
        config_error(reader, node, "\"%.*s\" is out of bounds; expected at most %s",
                     BYTES_ARG(text), high);
    else
        config_error(reader, node, "\"%.*s\" is out of bounds; expected from %s to %s",
                     BYTES_ARG(text), low, high);
}

static void read_number(struct config_reader *reader, const struct config_key *key,
                        yaml_node_t *node, struct bytes text, void *field)
{
    uint64_t value;
    uint64_t max = key->max == 0 ? (key->kind == CONFIG_SIZE ? INT64_MAX : UINT32_MAX) : key->max;

    if (!scalar_number(key->kind, text, &value)) {
        expected_error(reader, node, text, kind_expected[key->kind]);
        return;
    }
    if (value < key->min || value > max) {
        bounds_error(reader, key, node, text, max, value > max);
        return;
    }
    if (key->kind == CONFIG_SIZE)
        *(uint64_t *)field = value;
    else
        *(unsigned *)field = (unsigned)value;
}

static void read_scalar(struct config_reader *reader, const struct config_key *key,
                        yaml_node_t *node, void *field)
{
    struct bytes text;

    if (!config_scalar(reader, node, kind_expected[key->kind], &text))
        return;
    switch (key->kind) {
    case CONFIG_STRING:
        if (text.len == 0)
            expected_error(reader, node, text, kind_expected[key->kind]);
        else
            *(const char **)field = config_string(reader, text);
        return;
    case CONFIG_BOOL:
        if (bytes_equal(text, BYTES("true")) || bytes_equal(text, BYTES("yes")))
            *(bool *)field = true;
        else if (bytes_equal(text, BYTES("false")) || bytes_equal(text, BYTES("no")))
            *(bool *)field = false;
        else
            expected_error(reader, node, text, kind_expected[key->kind]);
        return;
    case CONFIG_NUMBER:
        if (!value_number(text, field))
            expected_error(reader, node, text, kind_expected[key->kind]);
        return;
    case CONFIG_RATE:
        if (bytes_equal(text, BYTES("none")))
            *(double *)field = 0;
        else if (!value_rate(text, field))
            expected_error(reader, node, text, kind_expected[key->kind]);
        return;
    case CONFIG_COUNT:
    case CONFIG_SIZE:
    case CONFIG_SIZE_SMALL:
    case CONFIG_SECONDS:
    case CONFIG_MILLISECONDS:
    case CONFIG_PERCENT:
        read_number(reader, key, node, text, field);
        return;
    case CONFIG_SECTION:
    case CONFIG_CUSTOM:
        break;
    }
    check(false); /* a kind that is no scalar */
}

static void read_value(struct config_reader *reader, const struct config_key *key,
                       yaml_node_t *node, void *object)
{
    void *field = (char *)object + key->offset;

    if (key->kind == CONFIG_SECTION)
        config_read_mapping(reader, node, key->keys, object);
    else if (key->kind == CONFIG_CUSTOM)
        key->read(reader, node, field);
    else
        read_scalar(reader, key, node, field);
}

static void unknown_key(struct config_reader *reader, yaml_node_t *node,
                        const struct config_key *keys)
{
    char names[400] = "";
    size_t len = 0;

    for (const struct config_key *key = keys; key->name != NULL && len < sizeof(names); key++)
        len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s", len == 0 ? "" : ", ",
                                key->name);
    config_error(reader, node, "unknown key; expected one of %s", names);
}

static bool is_repeated(struct config_reader *reader, yaml_node_t *mapping, yaml_node_pair_t *pair,
                        struct bytes name)
{
    for (yaml_node_pair_t *earlier = mapping->data.mapping.pairs.start; earlier < pair; earlier++) {
        yaml_node_t *key = yaml_document_get_node(reader->document, earlier->key);

        if (key->type == YAML_SCALAR_NODE &&
            bytes_equal(bytes_range(key->data.scalar.value, key->data.scalar.length), name))
            return true;
    }
    return false;
}

static void read_pair(struct config_reader *reader, yaml_node_t *mapping, yaml_node_pair_t *pair,
                      const struct config_key *keys, void *object)
{
    yaml_node_t *key_node = yaml_document_get_node(reader->document, pair->key);
    yaml_node_t *value_node = yaml_document_get_node(reader->document, pair->value);
    size_t outer_len = strlen(reader->key_path);
    struct bytes name;

    if (!config_scalar(reader, key_node, "a key", &name))
        return;
    snprintf(reader->key_path + outer_len, sizeof(reader->key_path) - outer_len, "%s%.*s",
             outer_len == 0 ? "" : ".", BYTES_ARG(bytes_slice(name, 0, 64)));
    const struct config_key *key = keys;
    while (key->name != NULL && !bytes_equal(name, bytes_of(key->name)))
        key++;
    if (key->name == NULL && reader->ignores_others)
        ; /* the whole file is checked by whoever reads all of it */
    else if (key->name == NULL)
        unknown_key(reader, key_node, keys);
    else if (is_repeated(reader, mapping, pair, name))
        config_error(reader, key_node, "given twice");
    else
        read_value(reader, key, value_node, object);
    reader->key_path[outer_len] = '\0';
}

const yaml_node_t *config_item(const struct config_reader *reader, const yaml_node_t *list,
                               size_t number)
{
    return yaml_document_get_node(reader->document, list->data.sequence.items.start[number]);
}

const yaml_node_t *config_node(const struct config_reader *reader, const char *key)
{
    const yaml_node_t *root = yaml_document_get_root_node(reader->document);

    if (root == NULL || root->type != YAML_MAPPING_NODE)
        return NULL;
    for (yaml_node_pair_t *pair = root->data.mapping.pairs.start;
         pair < root->data.mapping.pairs.top; pair++) {
        const yaml_node_t *name = yaml_document_get_node(reader->document, pair->key);

        if (name->type == YAML_SCALAR_NODE &&
            bytes_equal(bytes_range(name->data.scalar.value, name->data.scalar.length),
                        bytes_of(key)))
            return yaml_document_get_node(reader->document, pair->value);
    }
    return NULL;
}

void config_read_mapping(struct config_reader *reader, yaml_node_t *node,
                         const struct config_key *keys, void *object)
{
    if (node->type != YAML_MAPPING_NODE) {
        config_error(reader, node, "%s found; expected a mapping of keys",
                     node->type == YAML_SEQUENCE_NODE ? "a list" : "a value");
        return;
    }
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++)
        read_pair(reader, node, pair, keys, object);
}

void *config_read_list(struct config_reader *reader, yaml_node_t *node, size_t size,
                       const void *defaults,
                       void (*element)(struct config_reader *reader, yaml_node_t *item,
                                       void *element),
                       size_t *count_out)
{
    size_t outer_len = strlen(reader->key_path);

    if (node->type != YAML_SEQUENCE_NODE) {
        config_error(reader, node, "%s found; expected a list",
                     node->type == YAML_MAPPING_NODE ? "a mapping" : "a value");
        return NULL;
    }
    size_t count = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
    char *array = config_alloc(reader, (count == 0 ? 1 : count) * size);
    if (array == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        yaml_node_t *item =
            yaml_document_get_node(reader->document, node->data.sequence.items.start[i]);

        if (defaults != NULL)
            memcpy(array + i * size, defaults, size);
        snprintf(reader->key_path + outer_len, sizeof(reader->key_path) - outer_len, "[%zu]", i);
        element(reader, item, array + i * size);
        reader->key_path[outer_len] = '\0';
    }
    *count_out = count;
    return array;
}
