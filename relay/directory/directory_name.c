/* directory_name.c - names in the one form that is compared. */
#include "directory/directory_name.h"

#include "smtp/address.h"

bool directory_domain_name(struct arena *arena, struct bytes text, struct bytes *name_out)
{
    bool is_utf8;
    struct bytes name;

    if (text.len == 0 || text.ptr[0] == '[' || !smtp_domain_is_valid(text, &is_utf8) ||
        !smtp_domain_normalise(arena, text, &name) || name.len > 253)
        return false;
    *name_out = name;
    return true;
}

bool directory_address(struct arena *arena, struct bytes text, bool takes_all,
                       struct bytes *address_out)
{
    struct smtp_address address = {0};
    struct bytes domain, joined;

    if (takes_all && text.len > 1 && text.ptr[0] == '@')
        address.domain = bytes_slice(text, 1, text.len);
    else if (!smtp_parse_address(text, &address))
        return false;
    if (!directory_domain_name(arena, address.domain, &domain))
        return false;
    if (!arena_printf(arena, &joined, "%.*s@%.*s", BYTES_ARG(address.local), BYTES_ARG(domain)))
        return false;
    uint8_t *at = (uint8_t *)(uintptr_t)joined.ptr;
    for (size_t i = 0; i < address.local.len; i++)
        at[i] = byte_lower(at[i]);
    *address_out = joined;
    return true;
}

struct bytes directory_address_domain(struct bytes address)
{
    size_t at = address.len;

    while (at > 0 && address.ptr[at - 1] != '@')
        at--;
    return bytes_slice(address, at, address.len);
}
