/* modules: dkim */
/* signing.c - ringpost-bench-signing: what it costs to sign a message, in CPU time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/pem.h>

#include "auth/dkim/sign.h"

enum { PIECE = 4096, ROUNDS_BETWEEN_LOOKS = 16, EXIT_WRONG_USE = 64 };

static const char header_text[] =
    "Received: from app.example.org (app.example.org [192.0.2.1]) by mta1.example.net\r\n"
    "\twith ESMTP id 3-0a91; Sat, 28 Nov 2026 12:00:00 +0000\r\n"
    "Message-ID: <0123456789abcdef.3-0a91@mta1.example.net>\r\n"
    "Date: Sat, 28 Nov 2026 12:00:00 +0000\r\n"
    "From: The shop <shop@example.org>\r\n"
    "To: Somebody <somebody@example.com>\r\n"
    "Reply-To: <help@example.org>\r\n"
    "Subject: Your order of yesterday, and what becomes of it\r\n"
    "MIME-Version: 1.0\r\n"
    "Content-Type: text/plain; charset=utf-8\r\n"
    "Content-Transfer-Encoding: 8bit\r\n"
    "List-Unsubscribe: <https://example.org/u/0123456789abcdef>\r\n"
    "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    "X-Campaign: november\r\n"
    "\r\n";

static const char line_text[] =
    "Words of a line as people write them, seventy-odd columns and an end.\r\n";

struct bench {
    struct buf message;
    size_t count;
    struct dkim_identity identities[2];
};

static struct dkim_key *make_key(const char *type)
{
    EVP_PKEY *pkey = strcmp(type, "RSA") == 0 ? EVP_PKEY_Q_keygen(NULL, NULL, type, (size_t)2048)
                                              : EVP_PKEY_Q_keygen(NULL, NULL, type);
    BIO *bio = BIO_new(BIO_s_mem());
    const char *reason;
    char *pem;

    check(pkey != NULL && bio != NULL);
    check(PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL) == 1);
    long len = BIO_get_mem_data(bio, &pem);
    struct dkim_key *key = dkim_key_read(bytes_range(pem, (size_t)len), &reason);

    check(key != NULL);
    BIO_free(bio);
    EVP_PKEY_free(pkey);
    return key;
}

static double cpu_s(void)
{
    struct timespec now;

    check(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) == 0);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* All of it: the header's fields, the body in pieces as it would arrive, the fields made. */
static void sign_once(const struct bench *bench)
{
    struct bytes rest = buf_bytes(&bench->message);
    struct dkim_signer_options options = DKIM_SIGNER_DEFAULTS;
    struct mail_header header;
    struct body_hashes hashes;
    struct dkim_signer signer;
    const char *reason;
    struct buf out;

    buf_init(&out, 8192);
    mail_header_init(&header, MAIL_HEADER_SIZE_MAX, MAIL_HEADER_FIELDS_MAX);
    check(mail_header_feed(&header, &rest));
    body_hashes_init(&hashes);
    dkim_signer_init(&signer, &options, &hashes);
    while (rest.len > 0) {
        body_hashes_feed(&hashes, bytes_slice(rest, 0, PIECE));
        rest = bytes_slice(rest, PIECE, rest.len);
    }
    body_hashes_finish(&hashes);
    check(
        dkim_sign(&signer, &header, bench->identities, bench->count, 1795824000000, &out, &reason));
    body_hashes_free(&hashes);
    mail_header_free(&header);
    buf_free(&out);
}

static bool number(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    return bytes_to_u64(bytes_of(text), out) && *out >= min && *out <= max;
}

int main(int argc, char **argv)
{
    uint64_t size, milliseconds, count = 0;
    struct bench bench = {0};
    bool is_both = argc == 4 && strcmp(argv[1], "both") == 0;

    if (argc != 4 || !number(argv[2], 1, 1 << 26, &size) ||
        !number(argv[3], 1, 600000, &milliseconds) ||
        (!is_both && strcmp(argv[1], "rsa2048") != 0 && strcmp(argv[1], "ed25519") != 0)) {
        fprintf(stderr, "usage: ringpost-bench-signing rsa2048|ed25519|both SIZE MILLISECONDS\n"
                        "Signs messages of SIZE bytes; prints how many, and their CPU time.\n");
        return EXIT_WRONG_USE;
    }
    for (int i = is_both ? 0 : argv[1][0] == 'e'; i < (is_both || argv[1][0] == 'e' ? 2 : 1); i++)
        bench.identities[bench.count++] =
            (struct dkim_identity){BYTES("example.org"), BYTES("rp20261128"),
                                   make_key(i == 0 ? "RSA" : "ED25519")};
    buf_init(&bench.message, (size_t)size + sizeof(header_text) + sizeof(line_text));
    check(buf_append(&bench.message, bytes_of(header_text)));
    while (buf_len(&bench.message) < size)
        check(buf_append(&bench.message, bytes_of(line_text)));
    sign_once(&bench);

    double start = cpu_s(), end = start;
    while (end - start < (double)milliseconds / 1000) {
        for (unsigned i = 0; i < ROUNDS_BETWEEN_LOOKS; i++, count++)
            sign_once(&bench);
        end = cpu_s();
    }
    printf("{\"keys\":\"%s\",\"bytes\":%zu,\"messages\":%llu,\"us\":%.3f}\n", argv[1],
           buf_len(&bench.message), (unsigned long long)count, (end - start) * 1e6 / (double)count);
    for (size_t i = 0; i < bench.count; i++)
        dkim_key_free(&bench.identities[i].key);
    buf_free(&bench.message);
    return EXIT_SUCCESS;
}
