/* sign_keys.c - PEM files as keys. */
#include "relay/cli/sign_keys.h"

#include "signing/key_file.h"

int sign_keys_add(struct sign_keys *keys, struct bytes domain, struct bytes selector,
                  const char *path)
{
    struct dkim_key_file file;

    check(keys->count < DKIM_IDENTITIES_MAX);
    dkim_key_file_read(path, &file);
    if (file.key == NULL)
        return cli_fail(EXIT_FAILED, "%s: %s", path, file.why);
    if (file.is_open)
        cli_fail(EXIT_GOOD, "%s: others than its owner may read this key; chmod 600 ends that",
                 path);
    keys->identities[keys->count++] =
        (struct dkim_identity){.domain = domain, .selector = selector, .key = file.key};
    return EXIT_GOOD;
}

void sign_keys_free(struct sign_keys *keys)
{
    while (keys->count > 0)
        dkim_key_free(&keys->identities[--keys->count].key);
}
