/* config_describe.c - rows of keys as sentences and as a file. */
#include "relay/config_describe.h"

#include <stdio.h>
#include <string.h>

#include "relay/config_scalar.h"

enum { COMMENT_COLUMN = 44 /* of the starter file */ };

/* --- the walk --------------------------------------------------------------------------------- */

struct walk {
    void (*visit)(void *context, const struct config_key *key, const char *path);
    void *context;
    char path[CONFIG_PATH_MAX];
};

static void walk_keys(struct walk *walk, const struct config_key *keys, bool has_base)
{
    size_t outer_len = strlen(walk->path);

    for (const struct config_key *key = keys; key->kind != CONFIG_END; key++) {
        if (key->kind == CONFIG_PART) {
            if (!has_base)
                walk_keys(walk, key->keys, false);
            continue;
        }
        int len = snprintf(walk->path + outer_len, sizeof(walk->path) - outer_len, "%s%s",
                           outer_len == 0 ? "" : ".", key->name);
        check(len > 0 && (size_t)len < sizeof(walk->path) - outer_len - sizeof("[]"));
        if (key->kind == CONFIG_SECTION) {
            walk_keys(walk, key->keys, has_base);
        } else {
            walk->visit(walk->context, key, walk->path);
            if (key->kind == CONFIG_LIST && key->item->kind == CONFIG_SECTION) {
                memcpy(walk->path + outer_len + len, "[]", sizeof("[]"));
                walk_keys(walk, key->item->keys, key->base_at.size != 0);
            }
        }
        walk->path[outer_len] = '\0';
    }
}

void config_each_key(const struct config_key *keys,
                     void (*visit)(void *context, const struct config_key *key, const char *path),
                     void *context)
{
    struct walk walk = {.visit = visit, .context = context};

    walk_keys(&walk, keys, false);
}

/* --- facts ------------------------------------------------------------------------------------ */

const char *config_kind_name(const struct config_key *key)
{
    static const char *const names[] = {
        [CONFIG_END] = "none",
        [CONFIG_TEXT] = "text",
        [CONFIG_BOOL] = "boolean",
        [CONFIG_COUNT] = "number",
        [CONFIG_SIZE] = "size",
        [CONFIG_SECONDS] = "duration",
        [CONFIG_MILLISECONDS] = "duration",
        [CONFIG_PERCENT] = "percentage",
        [CONFIG_NUMBER] = "number",
        [CONFIG_RATE] = "rate",
        [CONFIG_NAME] = "word",
        [CONFIG_PATTERN] = "pattern",
        [CONFIG_ADDRESS] = "address",
        [CONFIG_IPV4] = "address",
        [CONFIG_IPV6] = "address",
        [CONFIG_NETWORK] = "network",
        [CONFIG_SECTION] = "section",
        [CONFIG_PART] = "section",
        [CONFIG_LIST] = "list",
        [CONFIG_OPTIONS] = "mapping",
    };

    return names[key->kind];
}

static const char *list_bounds(const struct config_key *key, char text[static CONFIG_FACT_MAX])
{
    struct config_key count = {.kind = CONFIG_COUNT, .min = key->min, .max = key->max};
    char bounds[CONFIG_FACT_MAX];

    text[0] = '\0';
    if (key->min > 0 || key->max > 0)
        snprintf(text, CONFIG_FACT_MAX, "%.120s in the list", config_bounds(&count, bounds));
    return text;
}

/* What may be written, beyond the kind: bounds, a word instead, one of a few words. */
static const char *said_bounds(const struct config_key *key, char text[static CONFIG_FACT_MAX])
{
    char bounds[CONFIG_FACT_MAX];

    if (key->kind == CONFIG_LIST)
        return list_bounds(key, text);
    if (key->kind == CONFIG_OPTIONS)
        return "";
    if (key->kind == CONFIG_NAME && key->names[1] == NULL)
        return "";
    if (key->kind == CONFIG_NAME)
        return config_expected(key, text);
    if (key->word == NULL)
        return config_bounds(key, text);
    snprintf(text, CONFIG_FACT_MAX, "%s or %.120s", key->word,
             key->kind == CONFIG_RATE ? "a rate" : config_bounds(key, bounds));
    return text;
}

const char *config_facts(const struct config_key *key, char out[static CONFIG_FACTS_MAX])
{
    char text[CONFIG_FACT_MAX];
    const char *bounds = said_bounds(key, text);
    const char *standard = key->default_said != NULL ? key->default_said
                           : key->standard != NULL   ? key->standard
                                                     : "none";

    snprintf(out, CONFIG_FACTS_MAX, "%s%s%s%s%s.",
             key->is_required ? "Required" : "Default: ", key->is_required ? "" : standard,
             bounds[0] == '\0' ? "" : "; ", bounds, key->needs_restart ? "; needs a restart" : "");
    return out;
}

/* --- the starter file ------------------------------------------------------------------------- */

bool config_quote(struct buf *out, const char *text)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-";

    if (text[0] != '\0' && strchr(".-", text[0]) == NULL && strspn(text, plain) == strlen(text))
        return buf_append(out, bytes_of(text));
    if (!buf_append_byte(out, '"'))
        return false;
    for (const char *c = text; *c != '\0'; c++) {
        bool is_written = (uint8_t)*c < ' '         ? buf_printf(out, "\\x%02x", (uint8_t)*c)
                          : *c == '"' || *c == '\\' ? buf_printf(out, "\\%c", *c)
                                                    : buf_append_byte(out, (uint8_t)*c);

        if (!is_written)
            return false;
    }
    return buf_append_byte(out, '"');
}

struct starter {
    struct buf *out;
    const struct config_starter_value *values;
    size_t value_count;
    size_t used; /* how many of them stand in the file */
    bool is_full;
};

__attribute__((format(printf, 2, 3))) static void put(struct starter *starter, const char *format,
                                                      ...)
{
    va_list args;

    va_start(args, format);
    if (!buf_vprintf(starter->out, format, args))
        starter->is_full = true;
    va_end(args);
}

static const char *set_value(struct starter *starter, const char *section, const char *name)
{
    char path[CONFIG_PATH_MAX];

    snprintf(path, sizeof(path), "%s%s%s", section, section[0] == '\0' ? "" : ".", name);
    for (size_t i = 0; i < starter->value_count; i++) {
        if (strcmp(starter->values[i].path, path) == 0) {
            starter->used++;
            return starter->values[i].yaml;
        }
    }
    return NULL;
}

static void put_comment(struct starter *starter, size_t line_from, const char *says)
{
    size_t len = buf_len(starter->out) - line_from;

    put(starter, "%*s# %s\n", (int)(len < COMMENT_COLUMN - 2 ? COMMENT_COLUMN - len : 2), "", says);
}

static const char *shown_value(const struct config_key *key)
{
    return key->example != NULL ? key->example : key->standard;
}

static void put_key(struct starter *starter, const struct config_key *key)
{
    const char *value = set_value(starter, "", key->name);
    const char *comment = value == NULL ? "# " : "";
    size_t line_from = buf_len(starter->out);

    if (value == NULL)
        value = key->in_starter ? shown_value(key) : NULL;
    if (value == NULL)
        return;
    if (key->kind != CONFIG_LIST) {
        put(starter, "%s%s: %s", comment, key->name, value);
        put_comment(starter, line_from, key->says);
        return;
    }
    put(starter, "%s%s:", comment, key->name);
    put_comment(starter, line_from, key->says);
    put(starter, "%s  - %s\n", comment, value);
}

struct section {
    const char *name;
    bool is_set;  /* a value of it is: it is no comment, and only those stand there */
    size_t count; /* that stand there */
};

static void look_for_set(struct starter *starter, struct section *section,
                         const struct config_key *keys)
{
    for (const struct config_key *key = keys; key->kind != CONFIG_END; key++) {
        if (key->kind == CONFIG_PART)
            look_for_set(starter, section, key->keys);
        else if (set_value(starter, section->name, key->name) != NULL)
            section->is_set = true;
    }
}

static void put_section_keys(struct starter *starter, struct section *section,
                             const struct config_key *keys)
{
    for (const struct config_key *key = keys; key->kind != CONFIG_END; key++) {
        const char *value = NULL;

        if (key->kind == CONFIG_PART)
            put_section_keys(starter, section, key->keys);
        else if (section->is_set)
            value = set_value(starter, section->name, key->name);
        else if (key->in_starter)
            value = shown_value(key);
        if (value == NULL)
            continue;
        if (section->count++ == 0)
            put(starter, "%s%s: {", section->is_set ? "" : "# ", section->name);
        else
            put(starter, ", ");
        put(starter, key->kind == CONFIG_LIST ? "%s: [%s]" : "%s: %s", key->name, value);
    }
}

/* "# name: {one: 1, two: 2}" */
static void put_section(struct starter *starter, const struct config_key *key)
{
    struct section section = {.name = key->name};
    size_t line_from = buf_len(starter->out), used_before = starter->used;

    look_for_set(starter, &section, key->keys);
    starter->used = used_before; /* they are used when they are put */
    put_section_keys(starter, &section, key->keys);
    if (section.count == 0)
        return;
    put(starter, "}");
    put_comment(starter, line_from, key->says);
}

static void put_keys(struct starter *starter, const struct config_key *keys)
{
    for (const struct config_key *key = keys; key->kind != CONFIG_END; key++) {
        if (key->kind == CONFIG_PART)
            put_keys(starter, key->keys);
        else if (key->kind == CONFIG_SECTION)
            put_section(starter, key);
        else
            put_key(starter, key);
    }
}

bool config_write_starter(struct buf *out, const struct config_key *keys,
                          const struct config_starter_value *values, size_t value_count)
{
    struct starter starter = {.out = out, .values = values, .value_count = value_count};

    put(&starter, "# ringpost's configuration; `ringpost check` checks it. ringpost.yaml(5) and\n"
                  "# `ringpost check --keys` tell of every key.\n");
    put_keys(&starter, keys);
    check(starter.is_full || starter.used == value_count); /* else a path is no key's */
    return !starter.is_full;
}
