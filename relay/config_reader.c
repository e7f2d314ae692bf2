/* config_reader.c - tables of keys over libyaml's nodes. */
#include "relay/config_reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "relay/config_scalar.h"
#include "relay/config_suggest.h"

void config_error(struct config_reader *reader, const yaml_node_t *node, const char *format, ...)
{
    char text[1024], what[640], line[24] = "";
    va_list args;

    if (reader->error_count > CONFIG_ERRORS_MAX)
        return;
    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    if (node != NULL)
        snprintf(line, sizeof(line), ":%zu", node->start_mark.line + 1);
    if (reader->error_count == CONFIG_ERRORS_MAX)
        snprintf(text, sizeof(text), "%s%s: more than %d errors; the rest was not read",
                 reader->path, line, CONFIG_ERRORS_MAX);
    else
        snprintf(text, sizeof(text), "%s%s: %s%s%s", reader->path, line, reader->key_path,
                 reader->key_path[0] == '\0' ? "" : ": ", what);
    reader->error_count++;
    reader->error(reader->context, text);
}

/* There is no use in going on. */
static bool is_over(const struct config_reader *reader)
{
    return reader->is_full || reader->error_count > CONFIG_ERRORS_MAX;
}

void *config_alloc(struct config_reader *reader, size_t size)
{
    void *memory = arena_alloc(reader->arena, size);

    if (memory == NULL && !reader->is_full) {
        config_error(reader, NULL, "too much for one configuration; expected no more than %zu MiB",
                     reader->arena->used_max >> 20);
        reader->is_full = true;
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

static struct bytes node_text(const yaml_node_t *node)
{
    return bytes_range(node->data.scalar.value, node->data.scalar.length);
}

static const char *node_said(const yaml_node_t *node)
{
    return node->type == YAML_MAPPING_NODE    ? "a mapping"
           : node->type == YAML_SEQUENCE_NODE ? "a list"
                                              : "a value";
}

/* --- the place of what is read, for messages -------------------------------------------------- */

static size_t path_enter_key(struct config_reader *reader, struct bytes name)
{
    size_t outer_len = strlen(reader->key_path);

    snprintf(reader->key_path + outer_len, sizeof(reader->key_path) - outer_len, "%s%.*s",
             outer_len == 0 ? "" : ".", BYTES_ARG(bytes_slice(name, 0, 64)));
    return outer_len;
}

static size_t path_enter_item(struct config_reader *reader, size_t number)
{
    size_t outer_len = strlen(reader->key_path);

    snprintf(reader->key_path + outer_len, sizeof(reader->key_path) - outer_len, "[%zu]", number);
    return outer_len;
}

static void path_leave(struct config_reader *reader, size_t outer_len)
{
    reader->key_path[outer_len] = '\0';
}

/* --- values ----------------------------------------------------------------------------------- */

void config_set_standards(struct config_reader *reader, const struct config_key *keys, void *object)
{
    for (const struct config_key *key = keys; key->kind != CONFIG_END; key++) {
        void *field = config_at(object, key->at);

        if (key->kind == CONFIG_SECTION || key->kind == CONFIG_PART) {
            config_set_standards(reader, key->keys, field);
        } else if (key->standard != NULL) {
            unsigned errors_before = reader->error_count;

            config_take_scalar(reader, key, NULL, bytes_of(key->standard), field);
            check(reader->error_count == errors_before); /* a row is wrong */
        }
    }
}

static void read_value(struct config_reader *reader, const struct config_key *key,
                       yaml_node_t *node, void *object);

static bool is_in_mapping(const struct config_reader *reader, const yaml_node_t *mapping,
                          const char *name)
{
    for (yaml_node_pair_t *pair = mapping->data.mapping.pairs.start;
         pair < mapping->data.mapping.pairs.top; pair++) {
        yaml_node_t *key = yaml_document_get_node(reader->document, pair->key);

        if (key->type == YAML_SCALAR_NODE && bytes_equal(node_text(key), bytes_of(name)))
            return true;
    }
    return false;
}

static void check_required(struct config_reader *reader, const yaml_node_t *mapping,
                           const struct config_key *keys)
{
    for (const struct config_key *key = keys; key->kind != CONFIG_END; key++)
        if (key->is_required && !is_in_mapping(reader, mapping, key->name))
            config_error(reader, mapping, "no %s; expected %s: %s", key->name, key->name,
                         key->example);
}

static void read_section(struct config_reader *reader, const struct config_key *key,
                         yaml_node_t *node, void *object)
{
    unsigned errors_before = reader->error_count;

    config_read_mapping(reader, node, key->keys, object);
    if (node->type == YAML_MAPPING_NODE)
        check_required(reader, node, key->keys);
    if (reader->error_count == errors_before && key->verify != NULL)
        key->verify(reader, node, object);
}

static void read_item(struct config_reader *reader, const struct config_key *key, yaml_node_t *node,
                      const void *base, void *element)
{
    const struct config_key *item = key->item;

    if (base != NULL)
        memcpy(element, base, item->at.size);
    else if (item->kind == CONFIG_SECTION)
        config_set_standards(reader, item->keys, element);
    read_value(reader, item, node, element);
}

/* Names that must be unique: at most key->max items, so that looking at all pairs takes no time. */
static void check_unique(struct config_reader *reader, const struct config_key *key,
                         const yaml_node_t *list, const char *items, size_t count)
{
    for (const struct config_key *part = key->item->keys;
         key->item->kind == CONFIG_SECTION && part->kind != CONFIG_END; part++) {
        for (size_t i = 0; part->is_unique && i < count; i++) {
            const char *const *name = config_const_at(items + i * key->item->at.size, part->at);

            check(part->kind == CONFIG_TEXT && key->max > 0);
            for (size_t k = 0; *name != NULL && k < i; k++) {
                const char *const *earlier =
                    config_const_at(items + k * key->item->at.size, part->at);

                if (*earlier != NULL && strcmp(*earlier, *name) == 0)
                    config_error(reader, config_item(reader, list, i),
                                 "the %s \"%s\" stands in %s[%zu] too; expected each once",
                                 part->name, *name, key->name, k);
            }
        }
    }
}

static bool list_has_a_good_length(struct config_reader *reader, const struct config_key *key,
                                   const yaml_node_t *node, size_t count)
{
    if (count == 0 && key->min > 0)
        config_error(reader, node, "an empty list; expected at least one");
    else if (key->max > 0 && count > key->max)
        config_error(reader, node, "%zu found; expected at most %llu", count,
                     (unsigned long long)key->max);
    else
        return true;
    return false;
}

static void read_list(struct config_reader *reader, const struct config_key *key, yaml_node_t *node,
                      void *object)
{
    const void *base = key->base_at.size == 0 ? NULL : config_at(object, key->base_at);
    size_t item_size = key->item->at.size;

    check(key->at.size == sizeof(void *) && key->count_at.size == sizeof(size_t) && item_size > 0);
    if (node->type != YAML_SEQUENCE_NODE) {
        config_error(reader, node, "%s found; expected a list", node_said(node));
        return;
    }
    size_t count = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
    if (!list_has_a_good_length(reader, key, node, count))
        return;
    char *items = config_alloc(reader, (count == 0 ? 1 : count) * item_size);
    if (items == NULL)
        return;
    for (size_t i = 0; i < count && !is_over(reader); i++) {
        size_t outer_len = path_enter_item(reader, i);

        read_item(reader, key,
                  yaml_document_get_node(reader->document, node->data.sequence.items.start[i]),
                  base, items + i * item_size);
        path_leave(reader, outer_len);
    }
    if (!is_over(reader))
        check_unique(reader, key, node, items, count);
    memcpy(config_at(object, key->at), &items, sizeof(items));
    memcpy(config_at(object, key->count_at), &count, sizeof(count));
}

static bool is_repeated(const struct config_reader *reader, const yaml_node_t *mapping,
                        const yaml_node_pair_t *pair, struct bytes name);

/* NULs end nothing: whoever gets the text as a string would see less than was checked. */
static bool is_string(struct bytes text)
{
    return text.len > 0 && bytes_find(text, '\0', 0) == text.len;
}

static void read_option(struct config_reader *reader, const struct config_key *key,
                        const yaml_node_t *mapping, yaml_node_pair_t *pair,
                        struct config_option *out)
{
    yaml_node_t *name = yaml_document_get_node(reader->document, pair->key);
    yaml_node_t *value = yaml_document_get_node(reader->document, pair->value);
    char why[CONFIG_OPTION_WHY_MAX] = "";

    if (name->type != YAML_SCALAR_NODE || !is_string(node_text(name))) {
        config_error(reader, name, "%s found; expected a name", node_said(name));
        return;
    }
    size_t outer_len = path_enter_key(reader, node_text(name));
    if (value->type != YAML_SCALAR_NODE || !is_string(node_text(value))) {
        config_error(reader, value, "%s found; expected a value", node_said(value));
    } else if (is_repeated(reader, mapping, pair, node_text(name))) {
        config_error(reader, name, "given twice");
    } else {
        *out = (struct config_option){config_string(reader, node_text(name)),
                                      config_string(reader, node_text(value))};
        if (!is_over(reader) && key->option_is_good != NULL && !key->option_is_good(out, why))
            config_error(reader, value, "%s", why);
    }
    path_leave(reader, outer_len);
}

static void read_options(struct config_reader *reader, const struct config_key *key,
                         yaml_node_t *node, void *object)
{
    struct config_option *options;
    size_t at = 0;

    check(key->at.size == sizeof(options) && key->count_at.size == sizeof(size_t));
    if (node->type != YAML_MAPPING_NODE) {
        config_error(reader, node, "%s found; expected a mapping of keys", node_said(node));
        return;
    }
    size_t count = (size_t)(node->data.mapping.pairs.top - node->data.mapping.pairs.start);
    if (count > key->max) {
        config_error(reader, node, "%zu found; expected at most %llu", count,
                     (unsigned long long)key->max);
        return;
    }
    options = config_alloc(reader, (count + 1) * sizeof(*options));
    if (options == NULL)
        return;
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top && !is_over(reader); pair++)
        read_option(reader, key, node, pair, &options[at++]);
    memcpy(config_at(object, key->at), &options, sizeof(options));
    memcpy(config_at(object, key->count_at), &count, sizeof(count));
}

static void read_value(struct config_reader *reader, const struct config_key *key,
                       yaml_node_t *node, void *object)
{
    const bool is_given = true;
    char expected[CONFIG_FACT_MAX];
    void *field = config_at(object, key->at);

    if (key->kind == CONFIG_SECTION) {
        read_section(reader, key, node, field);
    } else if (key->kind == CONFIG_LIST) {
        read_list(reader, key, node, object);
    } else if (key->kind == CONFIG_OPTIONS) {
        read_options(reader, key, node, object);
    } else if (node->type != YAML_SCALAR_NODE) {
        config_error(reader, node, "%s found; expected %s", node_said(node),
                     config_expected(key, expected));
    } else {
        config_take_scalar(reader, key, node, node_text(node), field);
        if (key->text_at.size != 0) {
            const char *text = config_string(reader, node_text(node));

            memcpy(config_at(object, key->text_at), &text, sizeof(text));
        }
    }
    if (key->given_at.size != 0)
        memcpy(config_at(object, key->given_at), &is_given, sizeof(is_given));
}

/* --- keys ------------------------------------------------------------------------------------- */

/* The row of a key, and the struct that its fields are of. NULL: there is none. */
static const struct config_key *find_key(const struct config_key *keys, struct bytes name,
                                         void *object, void **object_out)
{
    for (const struct config_key *key = keys; key->kind != CONFIG_END; key++) {
        const struct config_key *found = NULL;

        if (key->kind == CONFIG_PART)
            found = find_key(key->keys, name, config_at(object, key->at), object_out);
        if (found != NULL)
            return found;
        if (key->kind != CONFIG_PART && bytes_equal(name, bytes_of(key->name))) {
            *object_out = object;
            return key;
        }
    }
    return NULL;
}

static void unknown_key(struct config_reader *reader, const yaml_node_t *node, struct bytes name,
                        const struct config_key *keys)
{
    char names[400], meant[CONFIG_PATH_MAX];

    config_list_names(keys, names, sizeof(names));
    if (config_suggest(keys, reader->root, name, meant))
        config_error(reader, node, "unknown key; did you mean %s? expected one of %s", meant,
                     names);
    else
        config_error(reader, node, "unknown key; expected one of %s", names);
}

static bool is_repeated(const struct config_reader *reader, const yaml_node_t *mapping,
                        const yaml_node_pair_t *pair, struct bytes name)
{
    for (yaml_node_pair_t *earlier = mapping->data.mapping.pairs.start; earlier < pair; earlier++) {
        yaml_node_t *key = yaml_document_get_node(reader->document, earlier->key);

        if (key->type == YAML_SCALAR_NODE && bytes_equal(node_text(key), name))
            return true;
    }
    return false;
}

/* Lists whose items start as what stands beside them are read when that was read. */
enum pass { PASS_OTHERS, PASS_WITH_BASE };

static void read_pair(struct config_reader *reader, yaml_node_t *mapping, yaml_node_pair_t *pair,
                      const struct config_key *keys, void *object, enum pass pass)
{
    yaml_node_t *key_node = yaml_document_get_node(reader->document, pair->key);
    yaml_node_t *value_node = yaml_document_get_node(reader->document, pair->value);

    if (key_node->type != YAML_SCALAR_NODE) {
        if (pass == PASS_OTHERS)
            config_error(reader, key_node, "%s found; expected a key", node_said(key_node));
        return;
    }
    struct bytes name = node_text(key_node);
    void *owner = NULL;
    if (reader->only != NULL && !bytes_equal(name, bytes_of(reader->only)))
        return; /* the whole file is checked by whoever reads all of it */
    const struct config_key *key = find_key(keys, name, object, &owner);
    bool has_base = key != NULL && key->base_at.size != 0;
    if (has_base != (pass == PASS_WITH_BASE))
        return;
    size_t outer_len = path_enter_key(reader, name);
    if (key == NULL)
        unknown_key(reader, key_node, name, keys);
    else if (is_repeated(reader, mapping, pair, name))
        config_error(reader, key_node, "given twice");
    else
        read_value(reader, key, value_node, owner);
    path_leave(reader, outer_len);
}

void config_read_mapping(struct config_reader *reader, yaml_node_t *node,
                         const struct config_key *keys, void *object)
{
    if (node->type != YAML_MAPPING_NODE) {
        config_error(reader, node, "%s found; expected a mapping of keys", node_said(node));
        return;
    }
    for (enum pass pass = PASS_OTHERS; pass <= PASS_WITH_BASE; pass++)
        for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
             pair < node->data.mapping.pairs.top && !is_over(reader); pair++)
            read_pair(reader, node, pair, keys, object, pass);
}

/* --- for cross checks ------------------------------------------------------------------------- */

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

        if (name->type == YAML_SCALAR_NODE && bytes_equal(node_text(name), bytes_of(key)))
            return yaml_document_get_node(reader->document, pair->value);
    }
    return NULL;
}

size_t config_key_line(const struct config_reader *reader, const yaml_node_t *mapping,
                       const char *name)
{
    for (yaml_node_pair_t *pair = mapping->data.mapping.pairs.start;
         pair < mapping->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = yaml_document_get_node(reader->document, pair->key);
        struct bytes text = {key->data.scalar.value, key->data.scalar.length};

        if (key->type == YAML_SCALAR_NODE && bytes_equal(text, bytes_of(name)))
            return key->start_mark.line + 1;
    }
    return 0;
}
