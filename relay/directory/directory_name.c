/* directory_name.c - names in the one form that is compared. */
#include "directory/directory_name.h"

#include <string.h>

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

/* What a quoted string says: quotes are how it is written, and no part of a name (RFC 5321 section
 * 4.1.2). Into `plain`, which has room for all of it; its length. */
static size_t unquote(struct bytes quoted, uint8_t *plain)
{
    size_t len = 0;

    for (size_t i = 1; i + 1 < quoted.len; i++) {
        if (quoted.ptr[i] == '\\')
            i++;
        plain[len++] = quoted.ptr[i];
    }
    return len;
}

/* In the shortest form that says the same: without quotes where it needs none. */
static struct bytes shortest_local(struct bytes local, uint8_t room[static 2 * SMTP_LOCAL_ROOM])
{
    uint8_t plain[SMTP_LOCAL_ROOM];
    uint8_t *at = room;

    if (local.len == 0 || local.ptr[0] != '"')
        return local;
    size_t len = unquote(local, plain);
    struct smtp_address parsed;

    memcpy(room, plain, len);
    memcpy(room + len, "@a", 2);
    if (len > 0 && plain[0] != '"' && smtp_parse_address(bytes_range(room, len + 2), &parsed) &&
        parsed.local.len == len)
        return bytes_range(room, len);
    *at++ = '"';
    for (size_t i = 0; i < len; i++) {
        if (plain[i] == '"' || plain[i] == '\\')
            *at++ = '\\';
        *at++ = plain[i];
    }
    *at++ = '"';
    return bytes_range(room, (size_t)(at - room));
}

bool directory_address(struct arena *arena, struct bytes text, bool takes_all,
                       struct bytes *address_out)
{
    uint8_t room[2 * SMTP_LOCAL_ROOM];
    struct smtp_address address = {0};
    struct bytes domain, joined;

    if (takes_all && text.len > 1 && text.ptr[0] == '@')
        address.domain = bytes_slice(text, 1, text.len);
    else if (!smtp_parse_address(text, &address))
        return false;
    if (!directory_domain_name(arena, address.domain, &domain))
        return false;
    address.local = shortest_local(address.local, room);
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
