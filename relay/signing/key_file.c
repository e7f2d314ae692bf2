/* key_file.c - reads a key, and wipes what it was read into. */
#include "signing/key_file.h"

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

void dkim_key_file_read(const char *path, struct dkim_key_file *out)
{
    uint8_t pem[DKIM_PEM_MAX];
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    *out = (struct dkim_key_file){0};
    if (fd < 0) {
        out->why = strerror(errno);
        return;
    }
    ssize_t len = read_all(fd, pem, sizeof(pem));
    if (len >= 0)
        out->key = dkim_key_read(bytes_range(pem, (size_t)len), &out->why);
    else
        out->why = strerror((int)-len);
    OPENSSL_cleanse(pem, sizeof(pem));
    out->is_open = fstat(fd, &status) == 0 && (status.st_mode & (S_IRWXG | S_IRWXO)) != 0;
    close(fd);
}
