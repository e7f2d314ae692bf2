/* modules: directory */
/*
 * fuzz_directory_text.c - what others wrote that the directory judges: secrets of logins, names and
 * addresses of commands, TXT records of DNS. A name that is taken is taken again as it stands.
 */
#include "directory/credential_secret.h"
#include "directory/directory_name.h"
#include "directory/domain_records.h"
#include "directory/tenants.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

static void try_secret(struct bytes text)
{
    struct bytes id;

    check(!secret_is_of(text, NULL));
    if (secret_id(text, &id))
        check(text.len == SECRET_LEN && id.len == CREDENTIAL_ID_LEN);
}

static void try_names(struct bytes text)
{
    struct arena arena;
    struct bytes name, again;

    arena_init(&arena, 65536);
    if (directory_domain_name(&arena, text, &name)) {
        check(name.len > 0 && name.len <= 253);
        check(bytes_find(name, '/', 0) == name.len); /* a folder is called after it */
        check(directory_domain_name(&arena, name, &again) && bytes_equal(name, again));
    }
    if (directory_address(&arena, text, true, &name)) {
        check(directory_address_domain(name).len < name.len);
        check(directory_address(&arena, name, true, &again) && bytes_equal(name, again));
    }
    if (tenant_name_is_valid(text))
        check(text.len <= TENANT_NAME_MAX && bytes_find(text, '"', 0) == text.len);
    arena_free(&arena);
}

/* The first line is ours, the others were found. */
static void try_records(struct bytes text)
{
    static const char *const purposes[] = {"dkim", "spf", "dmarc", "mx", "return-path"};
    static const enum domain_record_type types[] = {RECORD_TXT, RECORD_TXT, RECORD_TXT, RECORD_MX,
                                                    RECORD_CNAME};
    struct bytes found[8], value = text, shown;
    size_t count = 0;

    if (!bytes_take_until(&text, '\n', &value))
        return;
    while (count < ARRAY_LEN(found) && bytes_take_until(&text, '\n', &found[count]))
        count++;
    for (size_t i = 0; i < ARRAY_LEN(purposes); i++) {
        struct domain_record record = {.purpose = purposes[i],
                                       .type = types[i],
                                       .name = BYTES("a.example"),
                                       .value = value};

        if (domain_record_judge(&record, count, found, &shown) == RECORD_MISSING)
            check(shown.len == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct bytes text = {input, len};

    try_secret(text);
    try_names(text);
    try_records(text);
    return 0;
}
