/* certificates.c - reads the certificates that a configuration names and judges them. */
#include "relay/certificates.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/exposition.h"
#include "event/json_text.h"
#include "io/tls_certificate.h"
#include "io/tls_context.h"
#include "relay/delivery_tls.h"

enum {
    DAY_MS = 24 * 3600 * 1000,
    DAYS_SOON = 21, /* who renews does so a month before */
    SAYS_MAX = 5120,
};

typedef void say_fn(void *context, const char *text);

static size_t count_of(const struct config *config)
{
    return config->tls.first.certificate == NULL ? 0 : 1 + config->tls.more_count;
}

static struct config_certificate *at(struct config *config, size_t number)
{
    return number == 0 ? &config->tls.first : &config->tls.more[number - 1];
}

static const struct config_certificate *const_at(const struct config *config, size_t number)
{
    return number == 0 ? &config->tls.first : &config->tls.more[number - 1];
}

static void key_path(size_t number, const char *name, char out[static CONFIG_PATH_MAX])
{
    if (number == 0)
        snprintf(out, CONFIG_PATH_MAX, "tls.%s", name);
    else
        snprintf(out, CONFIG_PATH_MAX, "tls.more[%zu].%s", number - 1, name);
}

/* --- reading ---------------------------------------------------------------------------------- */

static bool load(struct config *config, size_t number, say_fn *error, void *context)
{
    struct config_certificate *from = at(config, number);
    char why[TLS_WHY_MAX] = "", key[CONFIG_PATH_MAX], text[SAYS_MAX];
    enum tls_part part;

    check(from->loaded == NULL);
    from->loaded = tls_certificate_load(from->certificate, from->key, &part, why);
    if (from->loaded != NULL)
        return true;
    bool is_key = part == TLS_PART_KEY;
    key_path(number, is_key ? "key" : "certificate", key);
    snprintf(text, sizeof(text), "%s:%zu: %s: %s", config->path,
             is_key ? from->key_line : from->certificate_line, key, why);
    error(context, text);
    return false;
}

bool certificates_load(struct config *config, say_fn *error, void *context)
{
    bool is_good = true;

    for (size_t i = 0; i < count_of(config); i++)
        is_good &= load(config, i, error, context);
    return delivery_tls_load(config, error, context) && is_good;
}

void certificates_make_contexts(struct config *config, struct tls_tickets *tickets)
{
    size_t count = count_of(config);

    delivery_tls_make_contexts(config);
    if (count == 0 || config->tls.contexts != NULL)
        return;
    struct tls_certificate **certificates = calloc(count, sizeof(certificates[0]));
    config->tls.contexts = calloc(config->engines, sizeof(config->tls.contexts[0]));
    check(certificates != NULL && config->tls.contexts != NULL);
    for (size_t i = 0; i < count; i++)
        certificates[i] = at(config, i)->loaded;
    for (unsigned i = 0; i < config->engines; i++) {
        config->tls.contexts[i] = tls_server_context(certificates, count, tickets);
        check(config->tls.contexts[i] != NULL); /* they were tried when they were loaded */
    }
    free(certificates);
}

void certificates_release(struct config *config)
{
    delivery_tls_release(config);
    for (unsigned i = 0; config->tls.contexts != NULL && i < config->engines; i++)
        tls_context_release(&config->tls.contexts[i]);
    free(config->tls.contexts);
    config->tls.contexts = NULL;
    for (size_t i = 0; i < count_of(config); i++)
        tls_certificate_release(&at(config, i)->loaded);
}

/* --- judging ---------------------------------------------------------------------------------- */

static long days_left(const struct tls_certificate *certificate)
{
    int64_t left_ms = tls_certificate_not_after_ms(certificate) - clock_wall_ms();

    return (long)(left_ms >= 0 ? left_ms / DAY_MS : (left_ms - DAY_MS + 1) / DAY_MS);
}

__attribute__((format(printf, 4, 5))) static void say(say_fn *to, void *context, const char *key,
                                                      const char *format, ...)
{
    char text[SAYS_MAX];
    size_t len = (size_t)snprintf(text, sizeof(text), "%s: ", key);
    va_list args;

    va_start(args, format);
    vsnprintf(text + len, sizeof(text) - len, format, args);
    va_end(args);
    to(context, text);
}

static void warn_of_time(const struct config_certificate *from, const char *key, say_fn *warning,
                         void *context)
{
    long days = days_left(from->loaded);

    if (days < 0)
        say(warning, context, key, "%s expired %ld days ago: clients that look refuse it",
            from->certificate, -days);
    else if (tls_certificate_not_before_ms(from->loaded) > clock_wall_ms())
        say(warning, context, key, "%s is not valid yet; is the clock of this machine right?",
            from->certificate);
    else if (days < DAYS_SOON)
        say(warning, context, key, "%s expires in %ld days", from->certificate, days);
}

/* The key belongs to whoever serves; a group that may read it was meant to. */
static void warn_of_mode(const struct config_certificate *from, size_t number, say_fn *warning,
                         void *context)
{
    char key[CONFIG_PATH_MAX];
    struct stat status;

    key_path(number, "key", key);
    if (stat(from->key, &status) == 0 && (status.st_mode & S_IROTH) != 0)
        say(warning, context, key, "everybody on this machine can read %s; chmod 600 it",
            from->key);
}

static bool any_is_for(const struct config *config, const char *host)
{
    for (size_t i = 0; i < count_of(config); i++)
        if (tls_certificate_is_for(const_at(config, i)->loaded, bytes_of(host)))
            return true;
    return false;
}

static bool uses_tls(const struct config *config)
{
    for (size_t i = 0; i < config->listener_count; i++)
        if (config->listeners[i].tls != SMTP_TLS_NONE)
            return true;
    return false;
}

void certificates_warn(const struct config *config, say_fn *warning, void *context)
{
    char names[TLS_NAMES_MAX], key[CONFIG_PATH_MAX];

    delivery_tls_warn(config, warning, context);
    if (count_of(config) == 0 || config->tls.first.loaded == NULL)
        return;
    for (size_t i = 0; i < count_of(config); i++) {
        const struct config_certificate *from = const_at(config, i);

        key_path(i, "certificate", key);
        warn_of_time(from, key, warning, context);
        if (!tls_certificate_is_in_order(from->loaded))
            say(warning, context, key,
                "in %s a certificate was not issued by the one behind it: clients may not find "
                "the way to their roots",
                from->certificate);
        warn_of_mode(from, i, warning, context);
    }
    tls_certificate_names(config->tls.first.loaded, names);
    if (!any_is_for(config, config->hostname))
        say(warning, context, "tls.certificate",
            "%s is for %s, not for hostname %s: clients that look for that refuse it",
            config->tls.first.certificate, names, config->hostname);
    if (!uses_tls(config))
        warning(context, "tls: no listener says tls: starttls or implicit, so no certificate is "
                         "shown");
}

/* --- telling ---------------------------------------------------------------------------------- */

void certificates_describe(const struct config *config, say_fn *to, void *context)
{
    char names[TLS_NAMES_MAX];

    for (size_t i = 0; i < count_of(config); i++) {
        const struct config_certificate *from = const_at(config, i);

        tls_certificate_names(from->loaded, names);
        say(to, context, from->certificate, "for %s, %ld days left%s", names,
            days_left(from->loaded),
            tls_certificate_is_self_signed(from->loaded) ? ", self-signed" : "");
    }
    delivery_tls_describe(config, to, context);
}

json_t *certificates_json(const struct config *config)
{
    json_t *list = json_array();
    char names[TLS_NAMES_MAX], expires[CLOCK_TEXT_MAX];

    check(list != NULL);
    for (size_t i = 0; i < count_of(config); i++) {
        const struct config_certificate *from = const_at(config, i);

        tls_certificate_names(from->loaded, names);
        clock_format_rfc3339(tls_certificate_not_after_ms(from->loaded), expires);
        json_array_append_new(list, json_pack("{s:o,s:s,s:s,s:I,s:b}", "certificate",
                                              json_text_of(from->certificate), "names", names,
                                              "expires", expires, "days_left",
                                              (json_int_t)days_left(from->loaded), "self_signed",
                                              (int)tls_certificate_is_self_signed(from->loaded)));
    }
    return list;
}

void certificates_tell(const struct config *config, struct exposition *exposition)
{
    static const char name[] = "ringpost_tls_certificate_expiry_timestamp_seconds";

    exposition_family(exposition, bytes_of(name), EXPOSITION_GAUGE,
                      "When a certificate of a listener expires, in seconds since 1970");
    for (size_t i = 0; i < count_of(config); i++) {
        const struct config_certificate *from = const_at(config, i);

        exposition_labelled(exposition, name, "certificate", bytes_of(from->certificate),
                            (double)tls_certificate_not_after_ms(from->loaded) / 1000);
    }
}
