/* webhook_options.c - words of a command line become settings. */
#include "relay/cli/webhook_options.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#include "relay/config_value.h"

enum { SECRET_FILE_MAX = 1024 };

struct typed {
    const char *url, *format, *kinds, *tags, *allow, *ca, *user, *password_file;
    const char *batch_events, *batch_size, *batch_wait, *timeout, *retry_for;
    const char *token_url, *client_id, *client_secret_file, *scope;
};

static bool take_words(struct cli *cli, struct typed *typed, struct webhook_options *out)
{
    struct cli_walk walk = {.next = 2};
    const struct {
        const char *name;
        const char **value;
    } options[] = {
        {"--name", &out->name},
        {"--format", &typed->format},
        {"--kinds", &typed->kinds},
        {"--tags", &typed->tags},
        {"--allow", &typed->allow},
        {"--ca", &typed->ca},
        {"--user", &typed->user},
        {"--password-file", &typed->password_file},
        {"--batch-events", &typed->batch_events},
        {"--batch-size", &typed->batch_size},
        {"--batch-wait", &typed->batch_wait},
        {"--timeout", &typed->timeout},
        {"--retry-for", &typed->retry_for},
        {"--token-url", &typed->token_url},
        {"--client-id", &typed->client_id},
        {"--client-secret-file", &typed->client_secret_file},
        {"--scope", &typed->scope},
    };

    while (cli_option(cli, &walk)) {
        size_t i = 0;

        while (i < ARRAY_LEN(options) && !cli_value(cli, &walk, options[i].name, options[i].value))
            i++;
        if (i < ARRAY_LEN(options))
            continue;
        if (walk.word == NULL || typed->url != NULL) {
            cli_misuse(cli, "add does not take %s", walk.word != NULL ? walk.word : walk.name);
            return false;
        }
        if (out->tenant == NULL)
            out->tenant = walk.word;
        else
            typed->url = walk.word;
    }
    if (walk.is_bad)
        return false;
    if (typed->url == NULL)
        cli_misuse(cli, "add needs a tenant and a URL");
    return typed->url != NULL;
}

/* --- values ----------------------------------------------------------------------------------- */

static void put(json_t *object, const char *key, const char *text)
{
    if (text != NULL)
        json_object_set_new(object, key, json_text_of(text));
}

static void put_list(json_t *object, const char *key, const char *text)
{
    struct bytes rest = bytes_of(text == NULL ? "" : text), part;
    json_t *list = json_array();

    if (text == NULL) {
        json_decref(list);
        return;
    }
    while (bytes_take_until(&rest, ',', &part))
        json_array_append_new(list, json_text(part));
    if (rest.len > 0)
        json_array_append_new(list, json_text(rest));
    json_object_set_new(object, key, list);
}

/* `scale`: of milliseconds to the unit that is kept. */
static bool put_duration(const struct cli *cli, json_t *object, const char *key, const char *option,
                         const char *text, int64_t scale)
{
    int64_t ms = 0;

    if (text == NULL)
        return true;
    if (!value_duration(bytes_of(text), &ms)) {
        cli_misuse(cli, "%s %s: expected a time such as 30s", option, text);
        return false;
    }
    json_object_set_new(object, key, json_integer(ms / scale));
    return true;
}

static bool put_numbers(const struct cli *cli, json_t *object, const struct typed *typed)
{
    uint64_t value = 0;

    if (typed->batch_events != NULL && !bytes_to_u64(bytes_of(typed->batch_events), &value)) {
        cli_misuse(cli, "--batch-events %s: expected a whole number", typed->batch_events);
        return false;
    }
    if (typed->batch_events != NULL)
        json_object_set_new(object, "batch_events", json_integer((json_int_t)value));
    if (typed->batch_size != NULL && !value_size(bytes_of(typed->batch_size), &value)) {
        cli_misuse(cli, "--batch-size %s: expected a size such as 512KiB", typed->batch_size);
        return false;
    }
    if (typed->batch_size != NULL)
        json_object_set_new(object, "batch_size", json_integer((json_int_t)value));
    return put_duration(cli, object, "batch_wait", "--batch-wait", typed->batch_wait, 1) &&
           put_duration(cli, object, "timeout", "--timeout", typed->timeout, 1000) &&
           put_duration(cli, object, "retry_for", "--retry-for", typed->retry_for, 1000);
}

/* Secrets come in files: what is typed can be seen by who lists processes. */
static bool put_secret(const struct cli *cli, json_t *object, const char *key, const char *file)
{
    char text[SECRET_FILE_MAX + 1];

    if (file == NULL)
        return true;
    bool is_stdin = strcmp(file, "-") == 0;
    FILE *stream = is_stdin ? stdin : fopen(file, "re");
    if (stream == NULL) {
        cli_misuse(cli, "%s: %s", file, strerror(errno));
        return false;
    }
    size_t len = fread(text, 1, sizeof(text), stream);
    bool is_good = ferror(stream) == 0 && len < sizeof(text);
    if (!is_stdin)
        fclose(stream);
    while (is_good && len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
        len--;
    if (is_good && len > 0)
        json_object_set_new(object, key, json_text(bytes_range(text, len)));
    else
        cli_misuse(cli, "%s: expected a secret of up to %d bytes in one line", file,
                   SECRET_FILE_MAX);
    OPENSSL_cleanse(text, sizeof(text));
    return is_good && len > 0;
}

static bool put_oauth(const struct cli *cli, json_t *object, const struct typed *typed)
{
    json_t *oauth = json_object();

    if (typed->token_url == NULL && typed->client_id == NULL && typed->client_secret_file == NULL &&
        typed->scope == NULL) {
        json_decref(oauth);
        return true;
    }
    json_object_set_new(object, "oauth", oauth);
    if (typed->token_url == NULL || typed->client_id == NULL || typed->client_secret_file == NULL) {
        cli_misuse(cli, "--token-url, --client-id and --client-secret-file belong together");
        return false;
    }
    put(oauth, "token_url", typed->token_url);
    put(oauth, "client_id", typed->client_id);
    put(oauth, "scope", typed->scope);
    return put_secret(cli, oauth, "client_secret", typed->client_secret_file);
}

bool webhook_options_take(struct cli *cli, struct webhook_options *out)
{
    struct typed typed = {0};

    if (!take_words(cli, &typed, out))
        return false;
    json_t *object = json_object();
    put(object, "url", typed.url);
    put(object, "format", typed.format);
    put(object, "ca", typed.ca);
    put(object, "user", typed.user);
    put_list(object, "kinds", typed.kinds);
    put_list(object, "tags", typed.tags);
    put_list(object, "allow", typed.allow);
    if (put_numbers(cli, object, &typed) &&
        put_secret(cli, object, "password", typed.password_file) &&
        put_oauth(cli, object, &typed)) {
        out->settings = object;
        return true;
    }
    json_decref(object);
    return false;
}
