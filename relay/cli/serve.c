/* serve.c - ringpost serve, check and reload. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "relay/certificates.h"
#include "relay/cli/cli.h"
#include "relay/config_describe.h"
#include "relay/preflight.h"

static void print_error(void *context, const char *text)
{
    (void)context;
    cli_complain(EXIT_CONFIG, text);
}

/* One that this machine can serve with; NULL after complaints. */
static struct config *usable_config(const struct cli *cli)
{
    struct config *config = cli_config(cli);

    if (config != NULL && (!preflight_sources(config, print_error, NULL) ||
                           !certificates_load(config, print_error, NULL)))
        config_release(&config);
    return config;
}

static void log_warning(void *context, const char *text)
{
    (void)context;
    log_warn("what=%s", LOG_STRING(text));
}

static int run_serve(struct cli *cli)
{
    if (cli->argc > 1)
        return cli_misuse(cli, "it takes no arguments, but got %s", cli->argv[1]);
    struct config *config = usable_config(cli);
    if (config == NULL)
        return EXIT_CONFIG;
    log_setup(config->log_target == CONFIG_LOG_SYSLOG ? LOG_TO_SYSLOG : LOG_TO_STDERR,
              (enum log_level)config->log_level);
    if (!log_start()) {
        cli_complain(EXIT_OS, "no thread for the log");
        config_release(&config);
        return EXIT_OS;
    }
    preflight_warn(config, log_warning, NULL);
    int code = program_run(config);
    log_stop();
    return code;
}

const struct cli_command cli_serve = {
    "serve",
    "take and deliver mail, in the foreground, until a signal",
    "usage: ringpost [-c FILE] serve\n\n"
    "Serves in the foreground. SIGTERM or SIGINT: the ports close, sessions get 421 at their next\n"
    "command, attempts in flight finish within stop_timeout; a second one breaks them off.\n"
    "SIGHUP reads the configuration again.\n"
    "Exit codes: 0 stopped, 71 a system call failed, 75 the state_dir is served already,\n"
    "78 the configuration or the kernel does not do.\n",
    run_serve,
};

static void print_warning(void *context, const char *text)
{
    (void)context;
    fprintf(stderr, "warning: %s\n", text);
}

static void print_line(void *context, const char *text)
{
    (void)context;
    puts(text);
}

static void add_warning(void *context, const char *text)
{
    json_array_append_new(context, json_text_of(text));
}

static void print_checked(const struct cli *cli, const struct config *config)
{
    if (!cli->json) {
        preflight_warn(config, print_warning, NULL);
        certificates_describe(config, print_line, NULL);
        printf("%s is good: hostname %s, %u engines, %zu listeners, %zu routes, state in %s\n",
               config->path, config->hostname, config->engines, config->listener_count,
               config->delivery.route_count, config->state_dir);
        return;
    }
    json_t *warnings = json_array();

    check(warnings != NULL);
    preflight_warn(config, add_warning, warnings);
    cli_print_json(json_pack("{s:o,s:o,s:i,s:I,s:I,s:o,s:o,s:o}", "config",
                             json_text_of(config->path), "hostname", json_text_of(config->hostname),
                             "engines", (int)config->engines, "listeners",
                             (json_int_t)config->listener_count, "routes",
                             (json_int_t)config->delivery.route_count, "state_dir",
                             json_text_of(config->state_dir), "certificates",
                             certificates_json(config), "warnings", warnings));
}

static json_t *text_or_null(const char *text)
{
    return text == NULL ? json_null() : json_text_of(text);
}

static void print_key(void *context, const struct config_key *key, const char *path)
{
    const struct cli *cli = context;
    char facts[CONFIG_FACTS_MAX];

    if (!cli->json) {
        printf("%s: %s %s\n", path, key->says, config_facts(key, facts));
        return;
    }
    cli_print_json(json_pack("{s:o,s:s,s:o,s:b,s:b,s:o,s:o}", "key", json_text_of(path), "kind",
                             config_kind_name(key), "default", text_or_null(key->standard),
                             "required", (int)key->is_required, "needs_restart",
                             (int)key->needs_restart, "says", json_text_of(key->says), "facts",
                             json_text_of(config_facts(key, facts))));
}

static int run_check(struct cli *cli)
{
    const char *why;
    int code = EXIT_GOOD;
    bool wants_keys = false;
    struct cli_walk walk = {0};

    while (cli_option(cli, &walk))
        if (!cli_flag(&walk, "--keys", &wants_keys))
            return cli_misuse(cli, "unknown argument %s",
                              walk.name != NULL ? walk.name : walk.word);
    if (wants_keys) {
        config_each_key(config_keys(), print_key, cli);
        return EXIT_GOOD;
    }
    struct config *config = usable_config(cli);
    if (config == NULL)
        return EXIT_CONFIG;
    if (engine_probe(&why) < 0) {
        cli_complain(EXIT_CONFIG, why);
        code = EXIT_CONFIG;
    }
    if (!preflight_try(config, print_error, NULL))
        code = EXIT_CONFIG;
    if (code == EXIT_GOOD)
        print_checked(cli, config);
    config_release(&config);
    return code;
}

const struct cli_command cli_check = {
    "check",
    "check the configuration, and what serve will meet on this machine",
    "usage: ringpost [-c FILE] check [--json]\n"
    "       ringpost check --keys [--json]\n\n"
    "Names every error as file:line: key: what is wrong; expected what. Then tries what serve\n"
    "will: the kernel, the user, state_dir's owner and mode, the control socket's path, the ports\n"
    "(bound for a moment, unless they were handed over or the daemon of this state_dir has them),\n"
    "certificates and their keys, and says how many days they have.\n"
    "Run it as who serves.\n"
    "Warns of what is legal and dangerous. Exit code 0, also with warnings, or 78.\n"
    "--keys looks at no file: a line for each key that there is, with its default and bounds.\n",
    run_check,
};

static int run_reload(struct cli *cli)
{
    json_t *done = NULL;

    if (cli->argc > 1)
        return cli_misuse(cli, "it takes no arguments, but got %s", cli->argv[1]);
    int code = cli_control(cli, json_pack("{s:s}", "command", "reload"), NULL, NULL, &done);
    if (code == EXIT_GOOD && cli->json)
        cli_print_json(json_pack("{s:b}", "reloaded", 1));
    else if (code == EXIT_GOOD)
        puts("reloaded");
    json_decref(done);
    return code;
}

const struct cli_command cli_reload = {
    "reload",
    "have the daemon read its configuration again",
    "usage: ringpost [-c FILE] reload [--json]\n\n"
    "Takes the file over whole or not at all; errors are named and the old one stays in force.\n"
    "ringpost.yaml(5) says which keys need a restart.\n",
    run_reload,
};
