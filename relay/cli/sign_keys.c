/* sign_keys.c - PEM files as keys. */
#include "relay/cli/sign_keys.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* At most `len_max` bytes; -errno, -EFBIG where there are more. */
static ssize_t read_all(int fd, uint8_t *to, size_t len_max)
{
    size_t len = 0;

    for (;;) {
        ssize_t got = read(fd, to + len, len_max - len);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            return (ssize_t)len;
        len += (size_t)got;
        if (len == len_max)
            return -EFBIG;
    }
}

static bool others_can_read(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 && (status.st_mode & (S_IRWXG | S_IRWXO)) != 0;
}

int sign_keys_add(struct sign_keys *keys, struct bytes domain, struct bytes selector,
                  const char *path)
{
    uint8_t pem[DKIM_PEM_MAX];
    const char *reason;
    struct dkim_key *key = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    check(keys->count < DKIM_IDENTITIES_MAX);
    if (fd < 0)
        return cli_fail(EXIT_FAILED, "%s: %s", path, strerror(errno));
    ssize_t len = read_all(fd, pem, sizeof(pem));
    if (len >= 0)
        key = dkim_key_read(bytes_range(pem, (size_t)len), &reason);
    else
        reason = strerror((int)-len);
    OPENSSL_cleanse(pem, sizeof(pem));
    if (key != NULL && others_can_read(fd))
        cli_fail(EXIT_GOOD, "%s: others than its owner may read this key; chmod 600 ends that",
                 path);
    close(fd);
    if (key == NULL)
        return cli_fail(EXIT_FAILED, "%s: %s", path, reason);
    keys->identities[keys->count++] =
        (struct dkim_identity){.domain = domain, .selector = selector, .key = key};
    return EXIT_GOOD;
}

void sign_keys_free(struct sign_keys *keys)
{
    while (keys->count > 0)
        dkim_key_free(&keys->identities[--keys->count].key);
}
