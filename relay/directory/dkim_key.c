/* dkim_key.c - keys by OpenSSL, as PKCS #8 in PEM. */
#include "directory/dkim_key.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base64.h"

enum { RSA_BITS = 2048, PATH_SIZE = 4096, ED25519_LEN = 32 };

const char *dkim_algorithm_name(enum dkim_algorithm algorithm)
{
    return algorithm == DKIM_RSA_SHA256 ? "rsa-sha256" : "ed25519-sha256";
}

const char *dkim_key_state_name(enum dkim_key_state state)
{
    static const char *const names[] = {"published", "active", "retired"};

    return names[state];
}

/* In the form of the record: the SubjectPublicKeyInfo of RSA (RFC 6376 section 3.6.1), the bare 32
 * bytes of Ed25519 (RFC 8463 section 4.2). */
static bool print_public(EVP_PKEY *key, enum dkim_algorithm algorithm, struct buf *out)
{
    uint8_t bare[ED25519_LEN];
    size_t len = sizeof(bare);

    if (algorithm == DKIM_ED25519_SHA256)
        return EVP_PKEY_get_raw_public_key(key, bare, &len) == 1 && len == sizeof(bare) &&
               base64_write(bytes_range(bare, len), out);
    uint8_t *der = NULL;
    int der_len = i2d_PUBKEY(key, &der);
    bool is_good = der_len > 0 && base64_write(bytes_range(der, (size_t)der_len), out);
    OPENSSL_free(der);
    return is_good;
}

static EVP_PKEY *make(enum dkim_algorithm algorithm)
{
    if (algorithm == DKIM_ED25519_SHA256)
        return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)RSA_BITS);
}

/* Of whoever owns the state directory, where we are root. */
static int give(int fd, const char *state_dir)
{
    struct stat status;

    if (geteuid() != 0 || stat(state_dir, &status) < 0)
        return 0;
    return fchown(fd, status.st_uid, status.st_gid) < 0 ? -errno : 0;
}

static int make_folder(const char *path, const char *state_dir)
{
    if (mkdir(path, 0700) < 0)
        return errno == EEXIST ? 0 : -errno;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    int error = give(fd, state_dir);
    close(fd);
    return error;
}

static int sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    int error = fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return error;
}

static int write_all(int fd, struct bytes text)
{
    while (text.len > 0) {
        ssize_t written = write(fd, text.ptr, text.len);

        if (written < 0 && errno != EINTR)
            return -errno;
        if (written > 0)
            text = bytes_slice(text, (size_t)written, text.len);
    }
    return fsync(fd) < 0 ? -errno : 0;
}

static int write_file(const char *path, const char *state_dir, struct bytes text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return -errno;
    int error = give(fd, state_dir);
    if (error == 0)
        error = write_all(fd, text);
    close(fd);
    if (error < 0)
        (void)unlink(path);
    return error;
}

static int save(EVP_PKEY *key, const char *path, const char *state_dir)
{
    BIO *memory = BIO_new(BIO_s_secmem());
    char *text;
    int error = -ENOMEM;

    if (memory != NULL && PEM_write_bio_PKCS8PrivateKey(memory, key, NULL, NULL, 0, NULL, NULL)) {
        long len = BIO_get_mem_data(memory, &text);

        error = write_file(path, state_dir, bytes_range(text, (size_t)len));
    }
    BIO_free(memory);
    return error;
}

/* state_dir/keys, state_dir/keys/DOMAIN, and the file in it. */
static int save_in_folders(EVP_PKEY *key, const char *state_dir, struct bytes domain,
                           const char *file)
{
    char keys[PATH_SIZE], folder[PATH_SIZE], path[PATH_SIZE];

    if (snprintf(path, sizeof(path), "%s/keys/%s", state_dir, file) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    snprintf(keys, sizeof(keys), "%s/keys", state_dir);
    snprintf(folder, sizeof(folder), "%s/keys/%.*s", state_dir, BYTES_ARG(domain));
    int error = make_folder(keys, state_dir);
    if (error == 0)
        error = make_folder(folder, state_dir);
    if (error == 0)
        error = save(key, path, state_dir);
    if (error == 0)
        error = sync_folder(folder);
    if (error == 0)
        error = sync_folder(keys);
    return error;
}

int dkim_key_make(const char *state_dir, struct bytes domain, struct bytes selector,
                  enum dkim_algorithm algorithm, char file_out[static DKIM_KEY_FILE_MAX],
                  struct buf *public_out)
{
    char file[DKIM_KEY_FILE_MAX];
    int len = snprintf(file, sizeof(file), "%.*s/%.*s.pem", BYTES_ARG(domain), BYTES_ARG(selector));

    if (len >= (int)sizeof(file))
        return -ENAMETOOLONG;
    EVP_PKEY *key = make(algorithm);
    if (key == NULL || !print_public(key, algorithm, public_out)) {
        EVP_PKEY_free(key);
        return -ENOMEM;
    }
    int error = save_in_folders(key, state_dir, domain, file);
    EVP_PKEY_free(key);
    if (error == 0)
        memcpy(file_out, file, (size_t)len + 1);
    return error;
}

void dkim_key_remove(const char *state_dir, struct bytes file)
{
    char path[PATH_SIZE];
    int len = snprintf(path, sizeof(path), "%s/keys/%.*s", state_dir, BYTES_ARG(file));

    if (len >= (int)sizeof(path))
        return;
    (void)unlink(path);
    *strrchr(path, '/') = '\0';
    (void)rmdir(path); /* not empty: others are in it */
}

bool dkim_key_record(enum dkim_algorithm algorithm, struct bytes public_key, struct buf *out)
{
    return buf_printf(out, "v=DKIM1; k=%s; p=%.*s",
                      algorithm == DKIM_RSA_SHA256 ? "rsa" : "ed25519", BYTES_ARG(public_key));
}
