/* modules: auth */
/* fuzz_tag_list.c - tag lists of any bytes, and the readers of their values. */
#include <stddef.h>
#include <stdint.h>

#include "auth/tag_list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_value(struct bytes value)
{
    struct bytes rest = value, item;
    uint64_t number;
    struct buf out;
    size_t length = 0;

    buf_init(&out, value.len + 1);
    if (tag_base64(value, &out))
        check(buf_len(&out) <= value.len / 4 * 3);
    else
        check(buf_len(&out) == 0);
    buf_clear(&out);
    if (tag_quoted_printable(value, &out))
        check(buf_len(&out) <= value.len);
    else
        check(buf_len(&out) == 0);
    buf_free(&out);
    while (tag_item_take(&rest, ':', &item)) {
        check(item.len <= value.len);
        length += item.len + 1;
    }
    check(value.ptr == NULL || length <= value.len + 1);
    check(!tag_number(value, &number) || (value.len > 0 && value.len <= 76));
    (void)tag_is_word(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_range(data, size);
    const char *reason = NULL;
    struct tag_list list;

    read_value(text);
    if (!tag_list_parse(text, &list, &reason)) {
        check(reason != NULL);
        return 0;
    }
    check(list.count > 0 && list.count <= TAGS_MAX);
    for (size_t i = 0; i < list.count; i++) {
        const struct tag *tag = &list.tags[i];

        check(tag_list_find(&list, tag->name) == tag);
        check(bytes_equal(tag_trim(tag->span), tag->value));
        read_value(tag->value);
    }
    return 0;
}
