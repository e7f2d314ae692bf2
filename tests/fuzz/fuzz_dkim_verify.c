/* modules: dkim */
/* runs: 5000 */
/* fuzz_dkim_verify.c - messages with signatures of any bytes, whose keys exist: a verdict for each
 * field, the same in any pieces. */
#include <stddef.h>
#include <stdint.h>

#include "support/dkim_driver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* RFC 8463 appendix A.2; the seed is its message. */
static const struct dkim_zone_row zone[] = {
    {"brisbane._domainkey.football.example.com",
     "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", 0},
    {"late._domainkey.football.example.com", NULL, LOOKUP_FAILED},
};

static void verify(struct bytes content, size_t piece_len, struct dkim_driver *driver)
{
    dkim_driver_init(driver, zone, ARRAY_LEN(zone), 1528637909000);
    for (size_t at = 0; at < content.len;) {
        struct bytes piece = bytes_slice(content, at, piece_len);

        dkim_driver_feed(driver, piece);
        at += piece.len;
    }
    dkim_driver_finish(driver);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes content = bytes_range(data, size);
    struct dkim_driver whole, cut;

    if (size == 0)
        return 0;
    content = bytes_slice(content, 1, content.len);
    verify(content, content.len, &whole);
    verify(content, 1u + data[0], &cut);
    size_t count = dkim_verifier_count(whole.verifier);

    check(count == dkim_verifier_count(cut.verifier));
    for (size_t i = 0; i < count; i++) {
        const struct dkim_verdict *one = dkim_verifier_verdict(whole.verifier, i);
        const struct dkim_verdict *other = dkim_verifier_verdict(cut.verifier, i);

        check(one->result != DKIM_NONE && one->result == other->result);
        check(one->reason.len > 0 && bytes_equal(one->reason, other->reason));
        check(bytes_equal(one->domain, other->domain));
        check(!bytes_has_8bit(one->domain) && !bytes_has_8bit(one->selector));
    }
    dkim_driver_free(&whole);
    dkim_driver_free(&cut);
    return 0;
}
