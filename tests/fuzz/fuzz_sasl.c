/* modules: sasl base */
/*
 * fuzz_sasl.c - logins by whatever messages a client sends. The first byte chooses the mechanism,
 * how the owner answers, and whether there is a channel to bind to; lines are the messages.
 */
#include "auth/sasl/prepare.h"
#include "auth/sasl/sasl.h"

#include <string.h>

#include "base/base64.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

enum { PLAIN_ANSWER = 4, HAS_CHANNEL = 8, HAS_KEYS = 16, PROMPTS = 32 };

static const uint8_t binding[32] = {7};

static struct sasl_keys keys_of_pencil(void)
{
    static struct sasl_keys keys;

    if (keys.iterations == 0)
        check(sasl_keys_derive(BYTES("pencil"), BYTES("salt of some bytes"), 1, &keys));
    return keys;
}

/* What is out is text that a client can read, and never longer than promised. */
static void check_challenge(struct bytes challenge)
{
    check(challenge.len <= SASL_CHALLENGE_MAX);
    for (size_t i = 0; i < challenge.len; i++)
        check(challenge.ptr[i] >= 32 && challenge.ptr[i] != 127);
}

static void check_prepared(struct bytes user)
{
    uint8_t again[4 * SASL_USER_MAX];
    size_t len;

    check(user.len > 0 && user.len <= SASL_USER_MAX);
    check(bytes_find(user, '\0', 0) == user.len);
    if (!bytes_has_8bit(user))
        check(sasl_prepare(user, again, sizeof(again), &len) && len == user.len);
}

static enum sasl_step answer(struct sasl *sasl, enum sasl_step step, uint8_t choice)
{
    struct sasl_keys keys = keys_of_pencil();

    check_prepared(sasl_user(sasl));
    if (step == SASL_ASKS_SECRET) {
        check(sasl_secret(sasl).len > 0 && sasl_secret(sasl).len <= SASL_SECRET_MAX);
        return sasl_answer_secret(sasl, (choice & PLAIN_ANSWER) != 0);
    }
    return sasl_answer_keys(sasl, (choice & HAS_KEYS) != 0 ? &keys : NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct sasl_settings settings = {
        .fake_key = BYTES("0123456789abcdef0123456789abcdef"),
        .fake_salt_len = 16,
        .fake_iterations = 4096,
        .nonce = BYTES("ours"),
    };
    struct sasl sasl;
    struct buf decoded;

    if (len == 0)
        return 0;
    uint8_t choice = input[0];
    struct bytes rest = bytes_range(input + 1, len - 1);
    if ((choice & HAS_CHANNEL) != 0)
        settings.channel.exporter = bytes_range(binding, sizeof(binding));
    buf_init(&decoded, len);
    if (base64_read(rest, &decoded)) { /* and there is one way to write it */
        struct buf again;

        buf_init(&again, 2 * len + 4);
        check(base64_write(buf_bytes(&decoded), &again));
        check(bytes_equal(buf_bytes(&again), rest));
        buf_free(&again);
    }
    buf_free(&decoded);
    sasl_start(&sasl, (enum sasl_mechanism)(choice & 3), &settings);
    enum sasl_step step = SASL_CHALLENGE;
    if ((choice & PROMPTS) != 0)
        step = sasl_prompt(&sasl);
    for (unsigned i = 0; i < 8 && step == SASL_CHALLENGE; i++) {
        struct bytes line;

        check_challenge(sasl_challenge(&sasl));
        if (!bytes_take_until(&rest, '\n', &line)) {
            line = rest;
            rest = BYTES_NONE;
        }
        step = sasl_respond(&sasl, line);
        if (step == SASL_ASKS_SECRET || step == SASL_ASKS_KEYS)
            step = answer(&sasl, step, choice);
        check(step != SASL_ASKS_SECRET && step != SASL_ASKS_KEYS);
    }
    check(step != SASL_CHALLENGE);
    if (step == SASL_DONE)
        check_prepared(sasl_user(&sasl));
    sasl_end(&sasl);
    return 0;
}
