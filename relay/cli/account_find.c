/* account_find.c - looks an account up in the directory. */
#include "relay/cli/account_find.h"

#include "directory/accounts.h"
#include "directory/directory_name.h"

static void keep(void *context, const struct account_row *row)
{
    struct account_found *found = context;
    struct bytes address;

    if (!arena_copy(&found->arena, row->address, &address))
        return;
    found->domain = directory_address_domain(address);
    found->local = bytes_slice(address, 0, address.len - found->domain.len - 1);
    found->quota = row->quota;
}

int cli_find_account(struct records *records, const char *address, struct account_found *found)
{
    *found = (struct account_found){.domain = BYTES_NONE};
    arena_init(&found->arena, 4096);
    enum store_result result = account_list(records->store, bytes_of(address), keep, found);

    if (result != STORE_OK)
        return records_end(records, result);
    if (found->domain.len > 0)
        return EXIT_GOOD;
    (void)records_end(records, STORE_OK);
    return cli_fail(EXIT_FAILED, "%s: the name is too long", address);
}
