/* test_webhook_key.c - keys of webhooks, and what they sign. */
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/base64.h"
#include "support/unit.h"
#include "webhook/webhook_key.h"

static char state_dir[64];

static void make_state_dir(void)
{
    snprintf(state_dir, sizeof(state_dir), "/tmp/ringpost-webhook-key-XXXXXX");
    assert_non_null(mkdtemp(state_dir));
}

static void remove_state_dir(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf '%s'", state_dir);
    assert_int_equal(system(command), 0);
}

static bool verifies(struct bytes public, struct bytes signature, const char *signed_text)
{
    struct buf der, raw;

    buf_init(&der, 256);
    buf_init(&raw, 256);
    assert_true(base64_read(public, &der) && base64_read(signature, &raw));
    const uint8_t *at = buf_bytes(&der).ptr;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)buf_len(&der));
    assert_non_null(key);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key), 1);
    bool is_good = EVP_DigestVerify(context, buf_bytes(&raw).ptr, buf_len(&raw),
                                    (const uint8_t *)signed_text, strlen(signed_text)) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    buf_free(&der);
    buf_free(&raw);
    return is_good;
}

TEST(key_is_made_once_and_signs_timestamp_and_body)
{
    struct webhook_key *key = NULL, *again = NULL;
    struct buf public, same, signature;
    char path[128];
    struct stat status;

    make_state_dir();
    assert_int_equal(webhook_key_open(state_dir, "main", &key), 0);
    assert_int_equal(webhook_key_open(state_dir, "main", &again), 0);
    buf_init(&public, WEBHOOK_PUBLIC_MAX);
    buf_init(&same, WEBHOOK_PUBLIC_MAX);
    buf_init(&signature, WEBHOOK_SIGNATURE_MAX);
    assert_true(webhook_key_public(key, &public) && webhook_key_public(again, &same));
    assert_true(bytes_equal(buf_bytes(&public), buf_bytes(&same)));
    assert_true(webhook_key_sign(key, BYTES("1795489800"), BYTES("[{}]"), &signature));
    assert_true(verifies(buf_bytes(&public), buf_bytes(&signature), "1795489800[{}]"));
    assert_false(verifies(buf_bytes(&public), buf_bytes(&signature), "1795489801[{}]"));
    snprintf(path, sizeof(path), "%s/keys/webhooks/main.pem", state_dir);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    webhook_key_free(&key);
    webhook_key_free(&again);
    webhook_key_remove(state_dir, "main");
    assert_int_equal(stat(path, &status), -1);
    buf_free(&public);
    buf_free(&same);
    buf_free(&signature);
    remove_state_dir();
}

TEST(what_is_no_key_is_told_and_stays)
{
    struct webhook_key *key = NULL;
    char command[512];

    make_state_dir();
    snprintf(command, sizeof(command),
             "mkdir -p '%s/keys/webhooks' && echo none > '%s/keys/webhooks/a.pem' && "
             "openssl genpkey -algorithm ed25519 -out '%s/keys/webhooks/b.pem'",
             state_dir, state_dir, state_dir);
    assert_int_equal(system(command), 0);
    assert_int_equal(webhook_key_open(state_dir, "a", &key), -EBADMSG);
    assert_int_equal(webhook_key_open(state_dir, "b", &key), -EBADMSG);
    assert_null(key);
    remove_state_dir();
}
