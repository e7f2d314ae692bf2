/* account_sends.c - addresses that an account was granted. */
#include "directory/account_sends.h"

#include "base/buf.h"
#include "directory/directory_name.h"

static bool take_item(struct bytes *list, struct bytes *item_out)
{
    if (list->len == 0)
        return false;
    *item_out = bytes_slice(*list, 0, bytes_find(*list, ',', 0));
    *list = bytes_slice(*list, MIN(item_out->len + 1, list->len), list->len);
    return true;
}

static bool has_item(struct bytes list, struct bytes wanted)
{
    struct bytes item;

    while (take_item(&list, &item))
        if (bytes_equal(item, wanted))
            return true;
    return false;
}

static bool add(struct arena *arena, struct bytes item, struct buf *out)
{
    struct bytes address = item;

    if (!bytes_equal(item, BYTES("*")) && !directory_address(arena, item, true, &address))
        return false;
    /* A quoted local part may hold what stands between items. */
    if (bytes_find(address, ',', 0) < address.len)
        return false;
    if (has_item(buf_bytes(out), address))
        return true;
    return (buf_len(out) == 0 || buf_append_byte(out, ',')) && buf_append(out, address);
}

bool account_sends_parse(struct arena *arena, struct bytes text, struct bytes *list_out)
{
    struct buf list;
    bool is_good = true;

    if (bytes_equal(text, BYTES("none"))) {
        *list_out = BYTES("");
        return true;
    }
    buf_init(&list, ACCOUNT_SENDS_MAX);
    for (bool is_last = false; is_good && !is_last;) {
        size_t comma = bytes_find(text, ',', 0);

        is_last = comma == text.len;
        is_good = add(arena, bytes_slice(text, 0, comma), &list);
        text = bytes_slice(text, MIN(comma + 1, text.len), text.len);
    }
    is_good = is_good && arena_copy(arena, buf_bytes(&list), list_out);
    buf_free(&list);
    return is_good;
}

/* "local+detail@domain" as what stands before the "+", and the rest from the "@" on. */
static bool is_with_detail(struct bytes item, struct bytes address)
{
    size_t plus = bytes_find(address, '+', 0);
    size_t domain_at = address.len - directory_address_domain(address).len - 1;

    if (plus == 0 || plus >= domain_at || address.ptr[0] == '"')
        return false;
    struct bytes domain = bytes_slice(address, domain_at, address.len);

    return bytes_equal(bytes_slice(item, 0, plus), bytes_slice(address, 0, plus)) &&
           bytes_equal(bytes_slice(item, plus, item.len), domain);
}

bool account_sends_has(struct bytes list, struct bytes address)
{
    struct bytes domain = directory_address_domain(address);
    struct bytes any = bytes_slice(address, address.len - domain.len - 1, address.len);
    struct bytes item;

    while (take_item(&list, &item))
        if (bytes_equal(item, BYTES("*")) || bytes_equal(item, address) || bytes_equal(item, any) ||
            is_with_detail(item, address))
            return true;
    return false;
}
