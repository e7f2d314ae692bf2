/* sasl.c - which mechanism is where; PLAIN and LOGIN whole, SCRAM's messages are scram.c's. */
#include "auth/sasl/sasl.h"

#include <string.h>

#include <openssl/crypto.h>

#include "auth/sasl/prepare.h"
#include "auth/sasl/scram.h"

enum state {
    WANTS_START, /* a prompt, or: */
    WANTS_FIRST, /* the client's first message */
    WANTS_PASSWORD,
    WANTS_ANSWER, /* the owner's, about the secret or the keys */
    WANTS_FINAL,
    WANTS_NOTHING, /* an empty response to the last challenge */
    OVER,
};

static const char *const names[] = {
    [SASL_SCRAM_SHA_256_PLUS] = "SCRAM-SHA-256-PLUS",
    [SASL_SCRAM_SHA_256] = "SCRAM-SHA-256",
    [SASL_PLAIN] = "PLAIN",
    [SASL_LOGIN] = "LOGIN",
};

const char *sasl_mechanism_name(enum sasl_mechanism mechanism)
{
    check(mechanism < ARRAY_LEN(names));
    return names[mechanism];
}

bool sasl_mechanism_find(struct bytes name, enum sasl_mechanism *mechanism_out)
{
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (bytes_equal_nocase(name, bytes_of(names[i]))) {
            *mechanism_out = (enum sasl_mechanism)i;
            return true;
        }
    }
    return false;
}

static struct bytes keep(struct bytes b, uint8_t *room, size_t size)
{
    check(b.len <= size);
    if (b.len > 0)
        memcpy(room, b.ptr, b.len);
    return bytes_range(room, b.len);
}

void sasl_start(struct sasl *sasl, enum sasl_mechanism mechanism,
                const struct sasl_settings *settings)
{
    struct sasl_channel channel = settings->channel;

    *sasl = (struct sasl){.mechanism = mechanism, .settings = *settings};
    sasl->settings.channel.exporter =
        keep(channel.exporter, sasl->exporter, sizeof(sasl->exporter));
    sasl->settings.channel.end_point =
        keep(channel.end_point, sasl->end_point, sizeof(sasl->end_point));
    sasl->settings.fake_key = keep(settings->fake_key, sasl->fake_key, sizeof(sasl->fake_key));
    sasl->settings.nonce = keep(settings->nonce, sasl->nonce, sizeof(sasl->nonce));
    buf_init(&sasl->challenge, SASL_CHALLENGE_MAX);
    buf_init(&sasl->binding, SCRAM_TEXT_MAX);
    buf_init(&sasl->transcript, SCRAM_TEXT_MAX);
}

void sasl_end(struct sasl *sasl)
{
    buf_free(&sasl->challenge);
    buf_free(&sasl->binding);
    buf_free(&sasl->transcript);
    OPENSSL_cleanse(sasl, sizeof(*sasl));
    sasl->state = OVER;
}

struct bytes sasl_challenge(const struct sasl *sasl)
{
    return buf_bytes(&sasl->challenge);
}

struct bytes sasl_secret(const struct sasl *sasl)
{
    return sasl->secret_len > 0 ? bytes_range(sasl->secret, sasl->secret_len) : BYTES_NONE;
}

/* The one door behind every step. */
static enum sasl_step go_on(struct sasl *sasl, enum sasl_step step, enum state next)
{
    switch (step) {
    case SASL_CHALLENGE:
        sasl->state = (uint8_t)next;
        break;
    case SASL_ASKS_SECRET:
    case SASL_ASKS_KEYS:
        sasl->state = WANTS_ANSWER;
        break;
    case SASL_DONE:
    case SASL_REFUSED:
    case SASL_MALFORMED:
        sasl->state = OVER;
        break;
    }
    return step;
}

static enum sasl_step challenge(struct sasl *sasl, struct bytes text)
{
    buf_clear(&sasl->challenge);
    bool fits = buf_append(&sasl->challenge, text);

    check(fits);
    return SASL_CHALLENGE;
}

/* [authzid] NUL authcid NUL passwd */
static enum sasl_step take_plain(struct sasl *sasl, struct bytes message)
{
    struct bytes acts_as;
    struct bytes user;
    uint8_t prepared[SASL_USER_MAX + 1];
    size_t len;

    if (!bytes_take_until(&message, '\0', &acts_as) || !bytes_take_until(&message, '\0', &user) ||
        bytes_find(message, '\0', 0) != message.len)
        return SASL_MALFORMED;
    if (!sasl_prepare(user, sasl->user, sizeof(sasl->user), &sasl->user_len) ||
        !sasl_prepare(message, sasl->secret, sizeof(sasl->secret), &sasl->secret_len))
        return SASL_REFUSED; /* RFC 4616 section 2: a preparation that fails is a wrong password */
    if (acts_as.len > 0 && (!sasl_prepare(acts_as, prepared, sizeof(prepared), &len) ||
                            !bytes_equal(bytes_range(prepared, len), sasl_user(sasl))))
        sasl->is_refused = true;
    return SASL_ASKS_SECRET;
}

static enum sasl_step take_name(struct sasl *sasl, struct bytes message)
{
    if (!sasl_prepare(message, sasl->user, sizeof(sasl->user), &sasl->user_len))
        sasl->is_refused = true; /* told when the password is here too */
    return challenge(sasl, BYTES("Password:"));
}

static enum sasl_step take_password(struct sasl *sasl, struct bytes message)
{
    if (!sasl_prepare(message, sasl->secret, sizeof(sasl->secret), &sasl->secret_len) ||
        sasl->is_refused)
        return SASL_REFUSED;
    return SASL_ASKS_SECRET;
}

static enum sasl_step take_first(struct sasl *sasl, struct bytes message)
{
    switch (sasl->mechanism) {
    case SASL_PLAIN:
        return go_on(sasl, take_plain(sasl, message), OVER);
    case SASL_LOGIN:
        return go_on(sasl, take_name(sasl, message), WANTS_PASSWORD);
    case SASL_SCRAM_SHA_256:
    case SASL_SCRAM_SHA_256_PLUS:
        break;
    }
    return go_on(sasl, scram_first(sasl, message), OVER);
}

enum sasl_step sasl_prompt(struct sasl *sasl)
{
    check(sasl->state == WANTS_START);
    return go_on(sasl,
                 challenge(sasl, sasl->mechanism == SASL_LOGIN ? BYTES("Username:") : BYTES_NONE),
                 WANTS_FIRST);
}

enum sasl_step sasl_respond(struct sasl *sasl, struct bytes response)
{
    check(sasl->state != OVER && sasl->state != WANTS_ANSWER);
    if (response.len > SASL_RESPONSE_MAX)
        return go_on(sasl, SASL_MALFORMED, OVER);
    switch ((enum state)sasl->state) {
    case WANTS_START:
    case WANTS_FIRST:
        return take_first(sasl, response);
    case WANTS_PASSWORD:
        return go_on(sasl, take_password(sasl, response), OVER);
    case WANTS_FINAL:
        return go_on(sasl, scram_final(sasl, response), WANTS_NOTHING);
    case WANTS_NOTHING:
    case WANTS_ANSWER:
    case OVER:
        break;
    }
    return go_on(sasl, response.len == 0 ? SASL_DONE : SASL_MALFORMED, OVER);
}

enum sasl_step sasl_answer_secret(struct sasl *sasl, bool is_right)
{
    check(sasl->state == WANTS_ANSWER);
    OPENSSL_cleanse(sasl->secret, sizeof(sasl->secret));
    sasl->secret_len = 0;
    return go_on(sasl, is_right && !sasl->is_refused ? SASL_DONE : SASL_REFUSED, OVER);
}

enum sasl_step sasl_answer_keys(struct sasl *sasl, const struct sasl_keys *keys)
{
    const struct sasl_settings *settings = &sasl->settings;
    struct sasl_keys fake;

    check(sasl->state == WANTS_ANSWER);
    /* Made for those that are known too: it is to take the same time. */
    sasl_keys_fake(settings->fake_key, sasl_user(sasl), settings->fake_salt_len,
                   settings->fake_iterations, &fake);
    sasl->is_known = keys != NULL;
    sasl->keys = keys != NULL ? *keys : fake;
    return go_on(sasl, scram_challenge(sasl), WANTS_FINAL);
}
