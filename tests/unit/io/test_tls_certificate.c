/* test_tls_certificate.c - certificates and keys as files have them, and what is wrong there. */
#include "io/tls_certificate.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/unit.h"

enum { PATH_SIZE = 128, DAY_MS = 24 * 3600 * 1000 };

static char directory[] = "/tmp/test_tls.XXXXXX";

struct paths {
    char certificate[PATH_SIZE], key[PATH_SIZE];
};

static void path_of(const char *name, char out[static PATH_SIZE])
{
    if (strcmp(directory + strlen(directory) - 6, "XXXXXX") == 0)
        assert_non_null(mkdtemp(directory));
    snprintf(out, PATH_SIZE, "%s/%s", directory, name);
}

static void put(const char *path, struct bytes text)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_int_equal(fwrite(text.ptr, 1, text.len, file), text.len);
    assert_int_equal(fclose(file), 0);
}

static struct paths make(const char *host)
{
    struct bytes certificate, key;
    struct paths paths;

    path_of("a.crt", paths.certificate);
    path_of("a.key", paths.key);
    assert_true(tls_self_signed(host, &certificate, &key));
    put(paths.certificate, certificate);
    put(paths.key, key);
    tls_pem_free(&certificate);
    tls_pem_free(&key);
    return paths;
}

static void drop(const struct paths *paths)
{
    unlink(paths->certificate);
    unlink(paths->key);
    rmdir(directory);
    memcpy(directory + strlen(directory) - 6, "XXXXXX", 6);
}

static void expect_refused(const struct paths *paths, enum tls_part part, const char *said)
{
    char why[TLS_WHY_MAX] = "";
    enum tls_part found;

    assert_null(tls_certificate_load(paths->certificate, paths->key, &found, why));
    assert_int_equal(found, part);
    if (strstr(why, said) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", why, said);
}

TEST(self_signed_one_is_for_its_host_and_ten_years)
{
    struct paths paths = make("mx.example.net");
    char why[TLS_WHY_MAX] = "", names[TLS_NAMES_MAX];
    int64_t now_ms = clock_wall_ms();
    enum tls_part part;
    struct tls_certificate *certificate =
        tls_certificate_load(paths.certificate, paths.key, &part, why);

    assert_non_null(certificate);
    assert_true(tls_certificate_is_for(certificate, BYTES("mx.example.net")));
    assert_true(tls_certificate_is_for(certificate, BYTES("MX.Example.NET")));
    assert_false(tls_certificate_is_for(certificate, BYTES("example.net")));
    assert_false(tls_certificate_is_for(certificate, BYTES_NONE));
    assert_true(tls_certificate_is_self_signed(certificate));
    assert_true(tls_certificate_is_in_order(certificate));
    tls_certificate_names(certificate, names);
    assert_string_equal(names, "mx.example.net");
    assert_true(tls_certificate_not_before_ms(certificate) < now_ms);
    assert_true(tls_certificate_not_after_ms(certificate) > now_ms + 3649 * (int64_t)DAY_MS);
    assert_true(tls_certificate_not_after_ms(certificate) < now_ms + 3651 * (int64_t)DAY_MS);
    tls_certificate_release(&certificate);
    assert_null(certificate);
    drop(&paths);
}

TEST(files_that_are_missing_or_none_are_named)
{
    struct paths paths = make("mx.example");
    struct paths wrong = paths;

    path_of("none", wrong.certificate);
    expect_refused(&wrong, TLS_PART_CERTIFICATE, "/none: No such file");
    wrong = paths;
    path_of("none", wrong.key);
    expect_refused(&wrong, TLS_PART_KEY, "/none: No such file");
    snprintf(wrong.key, sizeof(wrong.key), "%s", directory);
    expect_refused(&wrong, TLS_PART_KEY, "is no file of PEM text");
    snprintf(wrong.key, sizeof(wrong.key), "/dev/zero");
    expect_refused(&wrong, TLS_PART_KEY, "is no file of PEM text");
    drop(&paths);
}

TEST(text_that_is_neither_is_told)
{
    struct paths paths = make("mx.example");
    struct paths swapped = paths;

    memcpy(swapped.certificate, paths.key, PATH_SIZE);
    memcpy(swapped.key, paths.certificate, PATH_SIZE);
    expect_refused(&swapped, TLS_PART_CERTIFICATE, "holds no certificate");
    memcpy(swapped.certificate, paths.certificate, PATH_SIZE);
    expect_refused(&swapped, TLS_PART_KEY, "holds no private key");
    put(paths.certificate, BYTES(""));
    expect_refused(&paths, TLS_PART_CERTIFICATE, "holds no certificate");
    put(paths.certificate, BYTES("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"));
    expect_refused(&paths, TLS_PART_CERTIFICATE, "cannot be read");
    drop(&paths);
}

TEST(broken_certificate_behind_a_good_one_is_told)
{
    struct paths paths = make("mx.example");
    FILE *file = fopen(paths.certificate, "ae");

    fputs("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", file);
    fclose(file);
    expect_refused(&paths, TLS_PART_CERTIFICATE, "cannot be read");
    drop(&paths);
}

TEST(key_of_another_certificate_is_told)
{
    struct paths paths = make("mx.example");
    struct bytes certificate, key;

    assert_true(tls_self_signed("mx.example", &certificate, &key));
    put(paths.key, key);
    expect_refused(&paths, TLS_PART_KEY, "is not the key of the certificate in");
    tls_pem_free(&certificate);
    tls_pem_free(&key);
    drop(&paths);
}

static void write_key(const char *path, EVP_PKEY *key, const char *passphrase)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_int_equal(PEM_write_PKCS8PrivateKey(
                         file, key, passphrase != NULL ? EVP_aes_128_cbc() : NULL, passphrase,
                         passphrase != NULL ? (int)strlen(passphrase) : 0, NULL, NULL),
                     1);
    fclose(file);
}

TEST(encrypted_key_is_told)
{
    struct paths paths = make("mx.example");
    EVP_PKEY *key = EVP_EC_gen("P-256");

    write_key(paths.key, key, "secret");
    expect_refused(&paths, TLS_PART_KEY, "is encrypted");
    EVP_PKEY_free(key);
    drop(&paths);
}

TEST(key_that_is_too_small_is_told)
{
    struct paths paths = make("mx.example");
    EVP_PKEY *key = EVP_RSA_gen(1024);
    X509 *certificate = X509_new();
    FILE *file = fopen(paths.certificate, "we");

    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    PEM_write_X509(file, certificate);
    fclose(file);
    write_key(paths.key, key, NULL);
    expect_refused(&paths, TLS_PART_CERTIFICATE, "cannot be used: ee key too small");
    X509_free(certificate);
    EVP_PKEY_free(key);
    drop(&paths);
}

/* A leaf with a chain that does not belong to it: clients that do not have the issuer refuse it. */
TEST(chain_of_somebody_else_is_out_of_order)
{
    struct paths paths = make("mx.example");
    char why[TLS_WHY_MAX] = "";
    struct bytes other, key;
    enum tls_part part;
    FILE *file = fopen(paths.certificate, "ae");

    assert_true(tls_self_signed("other.example", &other, &key));
    /* Two of our own making have one name, so the key tells them apart. */
    fwrite(other.ptr, 1, other.len, file);
    fclose(file);
    struct tls_certificate *certificate =
        tls_certificate_load(paths.certificate, paths.key, &part, why);
    assert_non_null(certificate);
    assert_false(tls_certificate_is_in_order(certificate));
    tls_certificate_release(&certificate);
    tls_pem_free(&other);
    tls_pem_free(&key);
    drop(&paths);
}

TEST(host_that_is_no_name_is_not_signed_for)
{
    struct bytes certificate, key;
    char host[600];

    memset(host, 'a', sizeof(host) - 1);
    host[sizeof(host) - 1] = '\0';
    assert_false(tls_self_signed(host, &certificate, &key));
}
