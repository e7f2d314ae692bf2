/* checks_dkim.c - the check of DKIM signatures, in pieces of a length, as checks.c has it. */
#include <stdio.h>

#include "auth/dkim/verify.h"
#include "system/checks.h"

/* The header first, then the questions of all checks, then the body, as in a transaction. */
static struct dkim_verifier *verify(struct mail_header *header, struct body_hashes *hashes,
                                    struct bytes message, size_t piece_len, int64_t wall_ms)
{
    struct dkim_verifier *verifier;
    struct lookup question;
    struct bytes piece = BYTES_NONE;

    while (message.len > 0 && !header->in_body) {
        piece = bytes_slice(message, 0, piece_len);
        message = bytes_slice(message, piece.len, message.len);
        mail_header_feed(header, &piece);
    }
    mail_header_finish(header);
    verifier = dkim_verifier_new(header, hashes, wall_ms);
    for (size_t i = 0; i < dkim_verifier_count(verifier); i++)
        while (dkim_verifier_run(verifier, i, &question) == CHECK_ASKS)
            dkim_verifier_answer(verifier, i, checks_ask(&question));
    body_hashes_feed(hashes, header->body_start);
    body_hashes_feed(hashes, piece);
    while (message.len > 0) {
        piece = bytes_slice(message, 0, piece_len);
        message = bytes_slice(message, piece.len, message.len);
        body_hashes_feed(hashes, piece);
    }
    body_hashes_finish(hashes);
    return verifier;
}

void checks_dkim(struct bytes arguments)
{
    struct bytes message = checks_hex(checks_word(&arguments));
    struct mail_header header;
    struct body_hashes hashes;
    uint64_t piece_len, time_s;

    check(bytes_to_u64(checks_word(&arguments), &piece_len) && piece_len > 0);
    check(bytes_to_u64(arguments, &time_s));
    mail_header_init(&header, MAIL_HEADER_SIZE_MAX, MAIL_HEADER_FIELDS_MAX);
    body_hashes_init(&hashes);
    struct dkim_verifier *verifier =
        verify(&header, &hashes, message, (size_t)piece_len, (int64_t)time_s * 1000);

    printf("done");
    for (size_t i = 0; i < dkim_verifier_count(verifier); i++) {
        const struct dkim_verdict *verdict = dkim_verifier_verdict(verifier, i);

        printf(" %s", dkim_result_name(verdict->result));
        checks_print(verdict->domain);
        checks_print(verdict->selector);
        checks_print(verdict->algorithm);
        checks_print(verdict->reason);
    }
    dkim_verifier_free(&verifier);
    body_hashes_free(&hashes);
    mail_header_free(&header);
    checks_free(&message);
}
