/* test_body_hash.c - many wants, one walk: lengths at every place, at every cut. */
#include "auth/dkim/body_hash.h"

#include <string.h>

#include <openssl/sha.h>

#include "support/unit.h"

static void expect_digest(const uint8_t *digest, const char *canonical, size_t len)
{
    uint8_t wanted[DKIM_HASH_LEN];

    SHA256((const uint8_t *)canonical, len, wanted);
    assert_non_null(digest);
    assert_memory_equal(digest, wanted, DKIM_HASH_LEN);
}

TEST(digests_are_of_the_length_that_was_wanted)
{
    struct bytes body = BYTES("a  b \r\n\r\nc\r\n\r\n\r\n");
    const char *simple = "a  b \r\n\r\nc\r\n", *relaxed = "a b\r\n\r\nc\r\n";
    const char *texts[] = {simple, relaxed};

    for (size_t cut = 0; cut <= body.len; cut++) {
        struct body_hashes hashes;
        int wants[2][16], whole[2];

        body_hashes_init(&hashes);
        for (int form = 0; form < 2; form++) {
            /* Not in order, and the longest is beyond the body. */
            for (int i = 15; i >= 0; i--)
                wants[form][i] = body_hashes_want(&hashes, (enum canonical_form)form, (uint64_t)i);
            whole[form] = body_hashes_want(&hashes, (enum canonical_form)form, BODY_HASH_WHOLE);
        }
        body_hashes_feed(&hashes, bytes_slice(body, 0, cut));
        body_hashes_feed(&hashes, bytes_slice(body, cut, body.len));
        body_hashes_finish(&hashes);
        for (int form = 0; form < 2; form++) {
            size_t len = strlen(texts[form]);

            assert_int_equal(body_hashes_size(&hashes, (enum canonical_form)form), len);
            expect_digest(body_hashes_digest(&hashes, whole[form]), texts[form], len);
            for (size_t i = 0; i < 16; i++) {
                const uint8_t *digest = body_hashes_digest(&hashes, wants[form][i]);

                if (i <= len)
                    expect_digest(digest, texts[form], i);
                else
                    assert_null(digest);
            }
        }
        body_hashes_free(&hashes);
    }
}

TEST(wants_of_the_same_are_one_and_bounded)
{
    struct body_hashes hashes;

    body_hashes_init(&hashes);
    assert_int_equal(body_hashes_want(&hashes, CANONICAL_SIMPLE, 5), 0);
    assert_int_equal(body_hashes_want(&hashes, CANONICAL_RELAXED, 5), 1);
    assert_int_equal(body_hashes_want(&hashes, CANONICAL_SIMPLE, 5), 0);
    for (unsigned i = 2; i < BODY_HASH_WANTS_MAX; i++)
        assert_int_equal(body_hashes_want(&hashes, CANONICAL_SIMPLE, 100 + i), i);
    assert_int_equal(body_hashes_want(&hashes, CANONICAL_SIMPLE, 99), -1);
    assert_int_equal(body_hashes_want(&hashes, CANONICAL_SIMPLE, 102), 2);
    body_hashes_free(&hashes);
}

TEST(empty_bodies_have_the_hashes_of_rfc6376)
{
    struct body_hashes hashes;

    body_hashes_init(&hashes);
    int simple = body_hashes_want(&hashes, CANONICAL_SIMPLE, BODY_HASH_WHOLE);
    int relaxed = body_hashes_want(&hashes, CANONICAL_RELAXED, BODY_HASH_WHOLE);
    int none = body_hashes_want(&hashes, CANONICAL_RELAXED, 0);

    body_hashes_finish(&hashes);
    /* RFC 6376 section 3.4.3 and RFC 6376 section 3.4.4 */
    expect_digest(body_hashes_digest(&hashes, simple), "\r\n", 2);
    expect_digest(body_hashes_digest(&hashes, relaxed), "", 0);
    expect_digest(body_hashes_digest(&hashes, none), "", 0);
    body_hashes_free(&hashes);
}
