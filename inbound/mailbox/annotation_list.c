/* annotation_list.c - names and values, in the order of names. */
#include "inbound/mailbox/annotation_list.h"

#include <errno.h>
#include <string.h>

bool annotation_name_is_valid(struct bytes name)
{
    static const char *const scopes[] = {"/private", "/shared"};
    uint8_t before = 0;

    if (name.len > ANNOTATION_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];

        if (c < 0x20 || c >= 0x7f || c == '*' || c == '%' || (c >= 'A' && c <= 'Z') ||
            (c == '/' && before == '/'))
            return false;
        before = c;
    }
    if (before == '/')
        return false;
    for (size_t i = 0; i < ARRAY_LEN(scopes); i++) {
        struct bytes rest = name;

        if (bytes_take_nocase(&rest, bytes_of(scopes[i])) && (rest.len == 0 || rest.ptr[0] == '/'))
            return true;
    }
    return false;
}

void annotation_list_free(struct annotation_list *list)
{
    buf_free(&list->text);
    list->count = 0;
}

static bool take(struct bytes *text, struct annotation *annotation)
{
    uint64_t len;

    if (!bytes_take_u64(text, &len) || !bytes_take_nocase(text, BYTES(" ")) ||
        !bytes_take_until(text, '\n', &annotation->name) || len >= text->len ||
        text->ptr[len] != '\n')
        return false;
    annotation->value = bytes_slice(*text, 0, (size_t)len);
    *text = bytes_slice(*text, (size_t)len + 1, text->len);
    return len <= ANNOTATION_VALUE_MAX && annotation_name_is_valid(annotation->name);
}

bool annotation_list_parse(struct annotation_list *list)
{
    struct bytes text = buf_bytes(&list->text);

    list->count = 0;
    while (text.len > 0) {
        struct annotation *next = &list->of[list->count];

        if (list->count == ANNOTATIONS_MAX || !take(&text, next) ||
            (list->count > 0 && bytes_compare(next[-1].name, next->name) >= 0))
            return false;
        list->count++;
    }
    return true;
}

int annotation_list_change(struct annotation_list *list, const struct annotation *change)
{
    struct annotation *of = list->of;
    size_t at = 0;

    check(annotation_name_is_valid(change->name));
    if (change->value.ptr != NULL && change->value.len > ANNOTATION_VALUE_MAX)
        return -EFBIG;
    while (at < list->count && bytes_compare(of[at].name, change->name) < 0)
        at++;
    bool is_there = at < list->count && bytes_equal(of[at].name, change->name);

    if (change->value.ptr == NULL) {
        if (is_there)
            memmove(&of[at], &of[at + 1], (--list->count - at) * sizeof(*of));
        return 0;
    }
    if (!is_there && list->count == ANNOTATIONS_MAX)
        return -EMFILE;
    if (!is_there)
        memmove(&of[at + 1], &of[at], (list->count++ - at) * sizeof(*of));
    of[at] = *change;
    return 0;
}

int annotation_list_format(const struct annotation_list *list, struct buf *out)
{
    size_t size = 0;

    for (size_t i = 0; i < list->count; i++) {
        const struct annotation *a = &list->of[i];

        size += a->name.len + a->value.len;
        if (size > ANNOTATIONS_SIZE_MAX)
            return -EMFILE;
        check(buf_printf(out, "%zu %.*s\n", a->value.len, BYTES_ARG(a->name)) &&
              buf_append(out, a->value) && buf_append_byte(out, '\n'));
    }
    return 0;
}
