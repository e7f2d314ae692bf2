/* modules: arc dkim auth base */
/* runs: 10000 */
/* fuzz_arc.c - any bytes as a message: its chain is judged, sealed by that, and judged again. */
#include <stdint.h>

#include "auth/arc/seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

#define RECORD "v=DKIM1; k=ed25519; p=nqtc8lYvDGz9E0OaNB5/crWQiUBFPEXm1MYHnwa4yI0="

static struct dkim_key *test_key(void)
{
    static struct dkim_key *key;
    const char *reason;

    if (key == NULL)
        key =
            dkim_key_read(BYTES("-----BEGIN PRIVATE KEY-----\n"
                                "MC4CAQAwBQYDK2VwBCIEIPGvWlZC5PP1+fJO+B6Qp2rvDvb7t4iilX2V3hSioC1b\n"
                                "-----END PRIVATE KEY-----\n"),
                          &reason);
    check(key != NULL);
    return key;
}

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

/* The selector says what DNS does. */
static void answer(struct arc_verifier *verifier, const struct lookup *lookup)
{
    struct lookup_record record = {BYTES(RECORD), 0};
    struct lookup_answer given = {LOOKUP_FOUND, 1, &record};

    if (lookup->name.ptr[0] == 'f')
        given = (struct lookup_answer){.result = LOOKUP_FAILED};
    else if (lookup->name.ptr[0] == 'n')
        given = (struct lookup_answer){.result = LOOKUP_NO_NAME};
    arc_verifier_answer(verifier, &given);
}

static enum arc_status judge(struct bytes message, unsigned *count_out)
{
    struct mail_header header;
    struct body_hashes hashes;
    struct lookup lookup;
    struct arc_link set;
    unsigned questions = 0;
    struct bytes rest = read_header(&header, message);

    body_hashes_init(&hashes);
    struct arc_verifier *verifier = arc_verifier_new(&header, &hashes, 1700000000000);

    while (arc_verifier_run(verifier, &lookup) == CHECK_ASKS) {
        check(++questions <= 2 * 50);
        answer(verifier, &lookup);
    }
    feed_body(&hashes, &header, rest);
    const struct arc_verdict *verdict = arc_verifier_verdict(verifier);
    enum arc_status status = verdict->status;

    check(verdict->reason.len > 0);
    check(status != ARC_NONE || verdict->count == 0);
    check(status != ARC_PASS || (verdict->count > 0 && verdict->chain.len > 0));
    check(verdict->oldest_pass <= verdict->count && verdict->oldest_pass != 1);
    check(!verdict->is_temporary || status == ARC_FAIL);
    for (unsigned i = 1; i <= verdict->count; i++)
        check(arc_verifier_link(verifier, i, &set) || status != ARC_PASS);
    *count_out = verdict->count;
    arc_verifier_free(&verifier);
    body_hashes_free(&hashes);
    mail_header_free(&header);
    return status;
}

static enum arc_sealing seal(struct bytes message, enum arc_status status, struct buf *out)
{
    struct mail_header header;
    struct body_hashes hashes;
    struct arc_sealer sealer;
    const char *reason = NULL;
    struct bytes rest = read_header(&header, message);

    body_hashes_init(&hashes);
    arc_sealer_init(&sealer, &hashes);
    feed_body(&hashes, &header, rest);
    struct arc_seal_request request = {
        .domain = BYTES("a.example"),
        .selector = BYTES("s"),
        .key = test_key(),
        .results = BYTES("mx.a.example;\r\n\tarc=none"),
        .status = status,
        .wall_ms = 1700000000000,
    };
    enum arc_sealing sealing = arc_seal(&sealer, &header, &request, out, &reason);

    check((sealing == ARC_SEALED) == (buf_len(out) > 0));
    check((sealing == ARC_REFUSED) == (reason != NULL));
    body_hashes_free(&hashes);
    mail_header_free(&header);
    return sealing;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct bytes message = bytes_range(input, len);
    unsigned count, count_sealed;
    struct buf out;

    enum arc_status status = judge(message, &count);

    /* What an mbox file puts first is passed over there, and behind other fields it is the body. */
    if (bytes_starts_nocase(message, BYTES("From ")) ||
        bytes_starts_nocase(message, BYTES(">From ")))
        return 0;
    buf_init(&out, len + 512 * 1024);
    if (seal(message, status, &out) == ARC_SEALED) {
        check(buf_append(&out, message));
        enum arc_status sealed = judge(buf_bytes(&out), &count_sealed);

        /* A header that was nearly too large is, with a set more. */
        check(sealed == (status == ARC_FAIL ? ARC_FAIL : ARC_PASS) || buf_len(&out) > 200 * 1024 ||
              count >= 1000);
        check(sealed != ARC_PASS || count_sealed == count + 1);
    }
    buf_free(&out);
    return 0;
}
