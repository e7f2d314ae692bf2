/* mime_param.c - tokens, quoted strings and comments of MIME's fields. */
#include "inbound/mime/mime_param.h"

#include <string.h>

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == 0;
}

static bool is_at(struct bytes rest, uint8_t c)
{
    return rest.len > 0 && rest.ptr[0] == c;
}

static void skip(struct bytes *rest, size_t len)
{
    *rest = bytes_slice(*rest, len, rest->len);
}

/* A comment with those in it; one that does not end goes to the end. */
static void skip_comment(struct bytes *rest)
{
    size_t depth = 0, i = 0;

    for (; i < rest->len; i++) {
        uint8_t c = rest->ptr[i];

        if (c == '\\')
            i++;
        else if (c == '(')
            depth++;
        else if (c == ')' && --depth == 0)
            break;
    }
    skip(rest, i + 1);
}

static void skip_blank(struct bytes *rest)
{
    while (rest->len > 0)
        if (is_blank(rest->ptr[0]))
            skip(rest, 1);
        else if (rest->ptr[0] == '(')
            skip_comment(rest);
        else
            break;
}

/* What is neither space nor one of `ends`. */
static struct bytes take_word(struct bytes *rest, const char *ends)
{
    size_t len = 0;

    while (len < rest->len && !is_blank(rest->ptr[len]) && strchr(ends, rest->ptr[len]) == NULL)
        len++;
    struct bytes word = bytes_slice(*rest, 0, len);

    skip(rest, len);
    return word;
}

/* A quoted string's text without its folds; one that does not end goes to the end. */
static bool take_quoted(struct bytes *rest, struct arena *arena, struct bytes *out)
{
    size_t end = 1, len = 0;

    while (end < rest->len && rest->ptr[end] != '"')
        end += rest->ptr[end] == '\\' ? 2 : 1;
    uint8_t *text = arena_alloc(arena, end);

    if (text == NULL)
        return false;
    for (size_t i = 1; i < MIN(end, rest->len); i++) {
        uint8_t c = rest->ptr[i];

        if (c == '\\' && i + 1 < rest->len)
            text[len++] = rest->ptr[++i];
        else if (c != '\r' && c != '\n' && c != '\\')
            text[len++] = c;
    }
    skip(rest, end + 1);
    *out = bytes_range(text, len);
    return true;
}

static bool take_value(struct bytes *rest, struct arena *arena, struct bytes *out)
{
    if (is_at(*rest, '"'))
        return take_quoted(rest, arena, out);
    return arena_copy(arena, take_word(rest, ";("), out);
}

/* ";name=value" so often as they come. What is none of it goes, up to the next semicolon. */
static bool read_params(struct bytes rest, struct arena *arena, struct mime_param **out)
{
    struct mime_param **last = out;

    *out = NULL;
    for (size_t count = 0; count < MIME_PARAMS_MAX;) {
        struct bytes name;

        skip_blank(&rest);
        while (rest.len > 0 && rest.ptr[0] != ';') {
            take_word(&rest, ";(");
            skip_blank(&rest);
        }
        if (rest.len == 0)
            break;
        skip(&rest, 1);
        skip_blank(&rest);
        name = take_word(&rest, ";=(");
        skip_blank(&rest);
        if (name.len == 0 || !is_at(rest, '='))
            continue;
        skip(&rest, 1);
        skip_blank(&rest);
        struct mime_param *param = arena_alloc(arena, sizeof(*param));

        if (param == NULL || !arena_copy(arena, name, &param->name) ||
            !take_value(&rest, arena, &param->value))
            return false;
        *last = param;
        last = &param->next;
        count++;
    }
    return true;
}

bool mime_type_read(struct bytes value, struct arena *arena, struct mime_type *out)
{
    struct mime_type type = {0};
    struct bytes name, subname;

    skip_blank(&value);
    name = take_word(&value, "/;(");
    skip_blank(&value);
    if (name.len == 0 || !is_at(value, '/'))
        return false;
    skip(&value, 1);
    skip_blank(&value);
    subname = take_word(&value, ";(");
    if (subname.len == 0 || !arena_copy(arena, name, &type.type) ||
        !arena_copy(arena, subname, &type.subtype) || !read_params(value, arena, &type.params))
        return false;
    *out = type;
    return true;
}

bool mime_disposition_read(struct bytes value, struct arena *arena, struct mime_disposition *out)
{
    struct mime_disposition disposition = {0};
    struct bytes name;

    skip_blank(&value);
    name = take_word(&value, ";(");
    if (name.len == 0 || !arena_copy(arena, name, &disposition.kind) ||
        !read_params(value, arena, &disposition.params))
        return false;
    *out = disposition;
    return true;
}

const struct mime_param *mime_param_find(const struct mime_param *params, struct bytes name)
{
    for (const struct mime_param *param = params; param != NULL; param = param->next)
        if (bytes_equal_nocase(param->name, name))
            return param;
    return NULL;
}
