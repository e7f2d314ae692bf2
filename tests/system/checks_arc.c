/* checks_arc.c - a chain verified, and a set added. */
#include <stdio.h>
#include <stdlib.h>

#include "auth/arc/seal.h"
#include "auth/dkim/private_key.h"
#include "system/checks.h"

/* The header and the rest of a message. */
static struct bytes read_header(struct mail_header *header, struct bytes message)
{
    mail_header_init(header, MAIL_HEADER_SIZE_MAX, MAIL_HEADER_FIELDS_MAX);
    if (!mail_header_feed(header, &message))
        mail_header_finish(header);
    return message;
}

static void feed_body(struct body_hashes *hashes, const struct mail_header *header,
                      struct bytes rest)
{
    body_hashes_feed(hashes, header->body_start);
    body_hashes_feed(hashes, rest);
    body_hashes_finish(hashes);
}

static int64_t read_time(struct bytes word)
{
    uint64_t seconds;

    check(bytes_to_u64(word, &seconds));
    return (int64_t)seconds * 1000;
}

void checks_arc(struct bytes arguments)
{
    struct bytes message = checks_hex(checks_word(&arguments));
    struct mail_header header;
    struct body_hashes hashes;
    struct lookup lookup;
    struct bytes rest = read_header(&header, message);

    body_hashes_init(&hashes);
    struct arc_verifier *verifier = arc_verifier_new(&header, &hashes, read_time(arguments));

    while (arc_verifier_run(verifier, &lookup) == CHECK_ASKS)
        arc_verifier_answer(verifier, checks_ask(&lookup));
    feed_body(&hashes, &header, rest);
    const struct arc_verdict *verdict = arc_verifier_verdict(verifier);
    struct arc_link newest = {0};

    if (verdict->count > 0 && !arc_verifier_link(verifier, verdict->count, &newest))
        check(newest.domain.len == 0);
    printf("done %s", arc_status_name(verdict->status));
    checks_print(verdict->chain);
    checks_print(verdict->reason);
    checks_print(newest.results);
    printf(" %u %u %d", verdict->count, verdict->oldest_pass, verdict->is_temporary);
    arc_verifier_free(&verifier);
    body_hashes_free(&hashes);
    mail_header_free(&header);
    checks_free(&message);
}

/* seal MESSAGE DOMAIN SELECTOR KEY RESULTS STATUS NAMES FLAT TIME */
void checks_seal(struct bytes arguments)
{
    static const char *const names[] = {
        [ARC_SEALED] = "sealed", [ARC_ENDED] = "ended", [ARC_REFUSED] = "refused"};
    struct bytes words[7];
    struct mail_header header;
    struct body_hashes hashes;
    struct arc_sealer sealer;
    const char *reason = "";
    struct buf out;

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        words[i] = checks_hex(checks_word(&arguments));
    bool is_flat = bytes_equal(checks_word(&arguments), BYTES("flat"));
    struct dkim_key *key = dkim_key_read(words[3], &reason);
    struct bytes rest = read_header(&header, words[0]);

    check(key != NULL);
    body_hashes_init(&hashes);
    arc_sealer_init(&sealer, &hashes);
    feed_body(&hashes, &header, rest);
    struct arc_seal_request request = {
        .domain = words[1],
        .selector = words[2],
        .key = key,
        .results = words[4],
        .status = bytes_equal(words[5], BYTES("pass"))   ? ARC_PASS
                  : bytes_equal(words[5], BYTES("fail")) ? ARC_FAIL
                                                         : ARC_NONE,
        .names = words[6],
        .is_flat = is_flat,
        .wall_ms = read_time(arguments),
    };
    buf_init(&out, 256 * 1024);
    enum arc_sealing sealing = arc_seal(&sealer, &header, &request, &out, &reason);

    printf("done %s", names[sealing]);
    checks_print(buf_bytes(&out));
    checks_print(bytes_of(reason));
    buf_free(&out);
    dkim_key_free(&key);
    body_hashes_free(&hashes);
    mail_header_free(&header);
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        checks_free(&words[i]);
}
