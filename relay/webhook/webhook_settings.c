/* webhook_settings.c - settings kept, compared, checked. */
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

#include "event/event.h"
#include "webhook/webhook_private.h"

/* The texts of the settings, one by one. */
#define TEXTS(X) \
    X(name) \
    X(state_dir) \
    X(url) \
    X(tenant) \
    X(ca_file) \
    X(user) \
    X(password) \
    X(oauth.token_url) \
    X(oauth.client_id) \
    X(oauth.client_secret) \
    X(oauth.scope)

/* --- copies ----------------------------------------------------------------------------------- */

static const char *copy(struct arena *memory, const char *text)
{
    struct bytes made = BYTES_NONE;

    if (text == NULL)
        return NULL;
    bool fits = arena_copy(memory, bytes_of(text), &made);
    check(fits);
    return (const char *)made.ptr;
}

static const char *const *copy_list(struct arena *memory, const char *const *texts, size_t count)
{
    const char **list = arena_alloc(memory, (count + 1) * sizeof(*list));

    check(list != NULL);
    for (size_t i = 0; i < count; i++)
        list[i] = copy(memory, texts[i]);
    return list;
}

struct webhook_settings webhook_settings_copy(const struct webhook_settings *settings,
                                              struct arena *memory)
{
    struct webhook_settings made = *settings;
    struct network *allow =
        arena_alloc(memory, (settings->allow_count + 1) * sizeof(*settings->allow));

    check(allow != NULL);
    for (size_t i = 0; i < settings->allow_count; i++)
        allow[i] = settings->allow[i];
    made.allow = allow;
#define COPY(field) made.field = copy(memory, settings->field);
    TEXTS(COPY)
#undef COPY
    made.kinds = copy_list(memory, settings->kinds, settings->kind_count);
    made.tags = copy_list(memory, settings->tags, settings->tag_count);
    return made;
}

/* --- equality --------------------------------------------------------------------------------- */

static bool is_same(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool are_same(const char *const *a, const char *const *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(a[i], b[i]) != 0)
            return false;
    return true;
}

static bool networks_are_same(const struct network *a, const struct network *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (a[i].prefix_len != b[i].prefix_len ||
            memcmp(a[i].bytes, b[i].bytes, sizeof(a[i].bytes)) != 0)
            return false;
    return true;
}

bool webhook_settings_are_same(const struct webhook_settings *a, const struct webhook_settings *b)
{
    bool same = a->format == b->format && a->kind_count == b->kind_count &&
                a->tag_count == b->tag_count && a->allow_count == b->allow_count &&
                a->batch_events == b->batch_events && a->batch_bytes == b->batch_bytes &&
                a->batch_ms == b->batch_ms && a->timeout_s == b->timeout_s &&
                a->retry_for_s == b->retry_for_s;

#define COMPARE(field) same = same && is_same(a->field, b->field);
    TEXTS(COMPARE)
#undef COMPARE
    return same && are_same(a->kinds, b->kinds, a->kind_count) &&
           are_same(a->tags, b->tags, a->tag_count) &&
           networks_are_same(a->allow, b->allow, a->allow_count);
}

/* --- are they good? --------------------------------------------------------------------------- */

static bool kinds_are_good(const struct webhook_settings *settings, char *why)
{
    for (size_t i = 0; i < settings->kind_count; i++) {
        struct bytes kind = bytes_of(settings->kinds[i]);
        enum event_kind known;

        if (!event_kind_parse(kind, &known)) {
            snprintf(why, WEBHOOK_WHY_MAX, "kinds: there is no kind \"%.40s\" of event",
                     settings->kinds[i]);
            return false;
        }
        if (!webhook_format_tells((enum webhook_format)settings->format, kind)) {
            snprintf(why, WEBHOOK_WHY_MAX, "kinds: format %s has no \"%s\"",
                     webhook_format_name((enum webhook_format)settings->format),
                     settings->kinds[i]);
            return false;
        }
    }
    return true;
}

static bool url_is_good(const char *key, const char *url, const struct webhook_settings *settings,
                        char *why)
{
    char text[HTTP_TEXT_MAX];

    if (!http_url_is_good(url, text)) {
        snprintf(why, WEBHOOK_WHY_MAX, "%s: %s", key, text);
        return false;
    }
    if (http_url_is_encrypted(url) || settings->allow_count > 0)
        return true;
    snprintf(why, WEBHOOK_WHY_MAX,
             "%s: plain http is for hosts in the networks of allow, and it is empty; expected "
             "https",
             key);
    return false;
}

static bool text_is_good(const char *key, const char *text, char *why)
{
    for (const char *c = text; c != NULL && *c != '\0'; c++) {
        if ((unsigned char)*c >= ' ' && *c != 0x7f)
            continue;
        snprintf(why, WEBHOOK_WHY_MAX, "%s: it has a control character", key);
        return false;
    }
    return true;
}

static bool authentication_is_good(const struct webhook_settings *settings, char *why)
{
    const bool has_oauth = settings->oauth.token_url != NULL;

    if ((settings->user == NULL) != (settings->password == NULL))
        snprintf(why, WEBHOOK_WHY_MAX, "user and password: one of them is missing");
    else if (settings->user != NULL && has_oauth)
        snprintf(why, WEBHOOK_WHY_MAX, "user stands beside oauth; expected one of them");
    else if (settings->user != NULL && strchr(settings->user, ':') != NULL)
        snprintf(why, WEBHOOK_WHY_MAX, "user: it may have no colon (RFC 7617)");
    else
        return text_is_good("user", settings->user, why) &&
               text_is_good("password", settings->password, why) &&
               text_is_good("oauth.client_id", settings->oauth.client_id, why) &&
               text_is_good("oauth.client_secret", settings->oauth.client_secret, why) &&
               text_is_good("oauth.scope", settings->oauth.scope, why) &&
               (!has_oauth ||
                url_is_good("oauth.token_url", settings->oauth.token_url, settings, why));
    return false;
}

static bool ca_file_is_good(const struct webhook_settings *settings, char *why)
{
    if (settings->ca_file == NULL)
        return true;
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    bool is_good = context != NULL && SSL_CTX_load_verify_file(context, settings->ca_file) == 1;
    SSL_CTX_free(context);
    if (!is_good)
        snprintf(why, WEBHOOK_WHY_MAX, "ca: %.200s has no certificates that can be read",
                 settings->ca_file);
    return is_good;
}

bool webhook_settings_are_good(const struct webhook_settings *settings,
                               char why[static WEBHOOK_WHY_MAX])
{
    return url_is_good("url", settings->url, settings, why) && kinds_are_good(settings, why) &&
           authentication_is_good(settings, why) && ca_file_is_good(settings, why);
}
