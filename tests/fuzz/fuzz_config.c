/* modules: program */
/* runs: 4000 */
/*
 * fuzz_config.c - any bytes as ringpost.yaml: a config that keeps every promise of config.h, or
 * errors that say where. The first byte chooses whether the keys that must be there stand before.
 */
#include <math.h>

#include "base/buf.h"
#include "relay/config.h"
#include "support/fuzz_files.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

#define SMALLEST \
    "hostname: mta1.example.net\n" \
    "state_dir: /tmp/x\n" \
    "listeners:\n" \
    "  - {address: \"127.0.0.1:2525\", service: submission, trust: [\"127.0.0.0/8\"]}\n"

struct told {
    const char *path;
    unsigned count;
};

static void on_error(void *context, const char *text)
{
    struct told *told = context;

    told->count++;
    check(bytes_starts_nocase(bytes_of(text), bytes_of(told->path)));
    check(strlen(text) > strlen(told->path) + 2);
}

static void check_rules(const struct config *config)
{
    const struct delivery_settings *d = &config->delivery;

    check(d->retry_count >= 1);
    check(strcmp(d->retries[d->retry_count - 1].match, "*") == 0);
    for (size_t i = 0; i < d->retry_count; i++) {
        const struct retry_rule *rule = &d->retries[i];

        check(rule->match != NULL && rule->match[0] != '\0');
        check(rule->first_s >= 1 && rule->first_s <= rule->max_s);
        check(isfinite(rule->factor) && rule->factor >= 1 && rule->factor <= 100);
        check(rule->jitter_percent <= 100);
    }
    check(d->source_count >= 1);
    for (size_t i = 0; i < d->source_count; i++) {
        check(d->sources[i].name != NULL && d->sources[i].ehlo != NULL);
        check(d->sources[i].weight >= 1);
    }
    for (size_t i = 0; i < d->route_count; i++) {
        check(d->routes[i].match != NULL && d->routes[i].target_count >= 1);
        for (size_t k = 0; k < d->routes[i].target_count; k++)
            check(d->routes[i].targets[k] != NULL && d->routes[i].targets[k][0] != '\0');
    }
    check(d->egress_rule_count >= 1);
    check(strcmp(d->egress_rules[d->egress_rule_count - 1].match, "*") == 0);
    for (size_t i = 0; i < d->egress_rule_count; i++)
        check(isfinite(d->egress_rules[i].messages_per_s) &&
              d->egress_rules[i].messages_per_s >= 0);
}

static void check_config(const struct config *config)
{
    char key[CONFIG_PATH_MAX];
    bool is_utf8;

    check(smtp_domain_is_valid(bytes_of(config->hostname), &is_utf8));
    check(config->engines >= 1 && config->engines <= 256);
    check(config->listener_count >= 1);
    for (size_t i = 0; i < config->listener_count; i++) {
        check(address_len(&config->listeners[i].address) > 0);
        check(config->listeners[i].address_text != NULL);
    }
    check(config->submission.sessions.sessions_max >= 1);
    check(config->submission.smtp.message_size_max >= 1);
    check(config->delivery.mx.use_ipv4 || config->delivery.mx.use_ipv6);
    check(config->state_dir != NULL && config->spool.directory != NULL);
    check_rules(config);
    check(config_can_follow(config, config, key) && key[0] == '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct bytes rest = {input, len};
    struct buf text;
    char path[128];
    char state_dir[256];
    struct told told = {.path = path};
    char key[CONFIG_PATH_MAX];

    check(snprintf(path, sizeof(path), "%s/ringpost.yaml", fuzz_make_directory()) <
          (int)sizeof(path));
    buf_init(&text, len + sizeof(SMALLEST));
    if (fuzz_byte(&rest) % 2 == 1)
        check(buf_append(&text, BYTES(SMALLEST)));
    check(buf_append(&text, rest));
    fuzz_write(path, buf_bytes(&text));
    buf_free(&text);
    struct config *config = config_load(path, on_error, &told);
    check((config == NULL) == (told.count > 0));
    bool has_state_dir = config_load_state_dir(path, state_dir, sizeof(state_dir), on_error, &told);
    if (config != NULL) {
        struct config *again = config_load(path, on_error, &told);

        check_config(config);
        check(again != NULL && config_can_follow(config, again, key));
        check(!has_state_dir || strcmp(state_dir, config->state_dir) == 0);
        check(has_state_dir || strlen(config->state_dir) >= sizeof(state_dir));
        config_release(&again);
        config_release(&config);
    }
    return 0;
}
