/* webhook_token.c - a token for a while, by client credentials (RFC 6749 section 4.4). */
#include <jansson.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "webhook/webhook_private.h"

enum {
    TOKEN_MAX = 8192,
    TOKEN_LIFE_S = 300, /* where the answer does not say */
    TOKEN_LIFE_S_MAX = 86400,
    TOKEN_SPARE_S = 20, /* it must live as long as a request is on its way */
};

void webhook_drop_token(struct webhook *webhook)
{
    if (webhook->token != NULL)
        OPENSSL_cleanse(webhook->token, strlen(webhook->token));
    free(webhook->token);
    webhook->token = NULL;
}

bool webhook_needs_token(const struct webhook *webhook)
{
    return webhook->settings.oauth.token_url != NULL &&
           (webhook->token == NULL || clock_monotonic_ms() >= webhook->token_end_ms);
}

/* As forms are encoded (RFC 6749 appendix B). */
static bool put_encoded(struct buf *out, const char *text)
{
    bool fits = true;

    for (const char *c = text; fits && *c != '\0'; c++) {
        uint8_t byte = (uint8_t)*c;

        fits = byte_is_alnum(byte) || strchr("-._~", *c) != NULL ? buf_append_byte(out, byte)
                                                                 : buf_printf(out, "%%%02X", byte);
    }
    return fits;
}

static const char *encoded(const char *text, struct buf *out)
{
    buf_init(out, 3 * strlen(text) + 1);
    bool fits = put_encoded(out, text) && buf_append_byte(out, '\0');
    check(fits);
    return (const char *)buf_bytes(out).ptr;
}

static void free_secret(struct buf *buf)
{
    if (buf->ptr != NULL)
        OPENSSL_cleanse(buf->ptr, buf->capacity);
    buf_free(buf);
}

void webhook_ask_token(struct webhook *webhook)
{
    const struct webhook_settings *settings = &webhook->settings;
    struct buf user, password;

    webhook_drop_token(webhook);
    buf_clear(&webhook->form);
    bool fits =
        buf_append(&webhook->form, BYTES("grant_type=client_credentials")) &&
        (settings->oauth.scope == NULL || (buf_append(&webhook->form, BYTES("&scope=")) &&
                                           put_encoded(&webhook->form, settings->oauth.scope)));
    check(fits);
    const struct http_request request = {
        .url = settings->oauth.token_url,
        .content_type = "application/x-www-form-urlencoded",
        .body = buf_bytes(&webhook->form),
        .user = encoded(settings->oauth.client_id, &user),
        .password = encoded(settings->oauth.client_secret, &password),
    };
    http_client_post(webhook->client, &request);
    free_secret(&user);
    free_secret(&password);
    webhook->doing = WEBHOOK_ASKING;
    webhook->asked_ms = clock_monotonic_ms();
}

/* What may stand in a header (RFC 6750 section 2.1). */
static bool is_token(struct bytes text)
{
    bool is_good = text.len > 0 && text.len <= TOKEN_MAX;

    for (size_t i = 0; is_good && i < text.len; i++)
        is_good = text.ptr[i] > ' ' && text.ptr[i] < 0x7f;
    return is_good;
}

bool webhook_take_token(struct webhook *webhook, struct bytes answer,
                        char why[static HTTP_TEXT_MAX])
{
    json_t *object = json_loadb((const char *)answer.ptr, answer.len, 0, NULL);
    const char *token = json_string_value(json_object_get(object, "access_token"));
    const char *type = json_string_value(json_object_get(object, "token_type"));
    json_t *expires = json_object_get(object, "expires_in");
    bool is_good = token != NULL && is_token(bytes_of(token)) &&
                   (type == NULL || bytes_equal_nocase(bytes_of(type), BYTES("bearer")));
    int64_t life_s = json_is_integer(expires) ? json_integer_value(expires) : TOKEN_LIFE_S;

    if (is_good) {
        webhook->token = strdup(token);
        check(webhook->token != NULL);
        life_s = MAX(MIN(life_s, (int64_t)TOKEN_LIFE_S_MAX) - TOKEN_SPARE_S, (int64_t)1);
        webhook->token_end_ms = clock_monotonic_ms() + 1000 * life_s;
    } else {
        memcpy(why, "the answer has no bearer token", sizeof("the answer has no bearer token"));
    }
    json_decref(object);
    return is_good;
}
