/*
 * cli.h - the command line: one table of commands, each in a file of its own.
 *
 * A command gets what stands behind its name and returns an exit code (program.h). Results go to
 * stdout, complaints to stderr. With `--json` both are JSON, an object a line: results as the
 * daemon tells them, complaints as {"error": "...", "exit": N}.
 */
#pragma once

#include <jansson.h>

#include "event/json_text.h"
#include "relay/program.h"

struct cli {
    const char *config_path; /* -c, else RINGPOST_CONFIG, else /etc/ringpost/ringpost.yaml */
    bool json;
    bool help;     /* --help behind the command */
    bool is_quiet; /* what the daemon refuses is not told, only returned */
    int argc;      /* of the command: argv[0] is its name */
    char **argv;
};

struct cli_command {
    const char *name;    /* "queue list" has its own table behind "queue" */
    const char *summary; /* one line, for `ringpost help` */
    const char *usage;   /* everything `ringpost NAME --help` prints */
    int (*run)(struct cli *cli);
};

extern const struct cli_command cli_serve, cli_check, cli_init, cli_reload, cli_status, cli_queue,
    cli_events, cli_report, cli_send, cli_sieve, cli_sign, cli_spool, cli_trace, cli_verify;
extern const struct cli_command cli_tenant, cli_credential, cli_domain, cli_account, cli_alias,
    cli_directory, cli_tls_policy, cli_webhook;

int cli_main(int argc, char **argv);
/* `ringpost events sinks ...` and `events replay ...`; *code_out is set where it was one. */
bool cli_sinks(struct cli *cli, int *code_out);

/* Complains on stderr as "ringpost: ...", or as JSON; returns `code`. */
int cli_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "ringpost NAME: ..." with a hint at --help; returns EXIT_USAGE. */
int cli_misuse(const struct cli *cli, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* One complaint of several, without a prefix. */
void cli_complain(int code, const char *text);
/* A result: one line of JSON on stdout. Takes `object` over. */
void cli_print_json(json_t *object);
/* UTF-8 as it is, or as a JSON string in ASCII where a terminal might obey something in it: peers
 * write some of these texts. */
void cli_print_text(const char *text);
/* The configuration, or NULL after every error was told on stderr. */
struct config *cli_config(const struct cli *cli);
/* Only its state_dir, also while the rest of the file is wrong; false after a complaint. */
enum { CLI_PATH_MAX = 4096 };
bool cli_state_dir(const struct cli *cli, char out[static CLI_PATH_MAX]);

/*
 * Options of a command: a walk over argv that takes "--name value", "--name=value" and "--flag".
 *
 *   while (cli_option(cli, &walk)) {
 *       if (cli_value(cli, &walk, "--domain", &domain)) continue;
 *       if (cli_flag(&walk, "--dry-run", &dry_run)) continue;
 *       return cli_misuse(cli, "unknown option %s", walk.name);
 *   }
 */
struct cli_walk {
    int next;                 /* index of what comes next */
    const char *name;         /* the current option, or NULL for a plain word */
    const char *word;         /* the current plain word */
    const char *inline_value; /* behind "=" */
    bool is_bad;              /* a value was missing; it was complained about */
    bool words_only;          /* "--" was seen */
    char name_buffer[64];
};
bool cli_option(struct cli *cli, struct cli_walk *walk);
bool cli_value(struct cli *cli, struct cli_walk *walk, const char *name, const char **value_out);
bool cli_flag(struct cli_walk *walk, const char *name, bool *flag_out);

/* "2h" ago, or an RFC 3339 time; false after a complaint. */
bool cli_since(const struct cli *cli, const char *text, int64_t *wall_ms_out);
/* Whether a daemon answers in this state_dir; asks nothing and complains of nothing. */
bool cli_is_served(const char *state_dir);
/*
 * Sends a request to the daemon that serves the configuration's state_dir and hands every line to
 * `line` (NULL: print as they are). The "done" line is kept in *done_out, if wanted. An exit code;
 * what went wrong was told. Takes `request` over.
 */
int cli_control(const struct cli *cli, json_t *request,
                void (*line)(void *context, const json_t *line), void *context, json_t **done_out);
/* The same where the answer has bytes between its lines (control.h): `raw` is handed them as they
 * come, at most CLI_RAW_MAX a call, and returns false, after a complaint, to end it. */
enum { CLI_RAW_MAX = 64 * 1024 };
int cli_control_raw(const struct cli *cli, json_t *request,
                    bool (*raw)(void *context, struct bytes bytes), void *context,
                    json_t **done_out);
