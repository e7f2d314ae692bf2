/* cli.c - find the command, read the common options, complain usefully. */
#include "relay/cli/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "inbound/archives/archive_child.h"
#include "relay/cli/top.h"

static const struct cli_command *const commands[] = {
    &cli_serve,     &cli_check,  &cli_init,       &cli_reload,     &cli_status,  &cli_queue,
    &cli_events,    &cli_send,   &cli_sign,       &cli_spool,      &cli_trace,   &cli_verify,
    &cli_report,    &cli_tenant, &cli_credential, &cli_domain,     &cli_account, &cli_alias,
    &cli_directory, &cli_top,    &cli_webhook,    &cli_tls_policy, &cli_sieve,
};

/* Of the process, for complaints have no struct cli at hand everywhere. */
static bool json_wanted;

static void print_line(FILE *to, json_t *object)
{
    char *text = object == NULL ? NULL : json_dumps(object, JSON_COMPACT);

    fprintf(to, "%s\n", text == NULL ? "{\"error\":\"no memory for JSON\"}" : text);
    free(text);
    json_decref(object);
}

void cli_print_json(json_t *object)
{
    print_line(stdout, object);
}

/* Peers write some of these texts: what a terminal might obey is shown escaped. */
void cli_print_text(const char *text)
{
    bool is_plain = true;

    for (const char *c = text; *c != '\0'; c++)
        is_plain = is_plain && (uint8_t)*c >= ' ' && *c != 0x7f &&
                   !((uint8_t)c[0] == 0xc2 && (uint8_t)c[1] < 0xa0);
    if (is_plain) {
        fputs(text, stdout);
        return;
    }
    json_t *value = json_string(text);
    char *quoted = json_dumps(value, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);

    fputs(quoted == NULL ? "-" : quoted, stdout);
    free(quoted);
    json_decref(value);
}

static void complain(int code, const char *prefix, const char *text, const char *hint)
{
    if (json_wanted)
        print_line(stderr, json_pack("{s:o,s:i}", "error", json_text_of(text), "exit", code));
    else
        fprintf(stderr, "%s%s\n%s", prefix, text, hint);
}

void cli_complain(int code, const char *text)
{
    complain(code, "", text, "");
}

static char *format_text(const char *format, va_list args)
{
    char *text = NULL;
    int len = vasprintf(&text, format, args);

    check(len >= 0);
    return text;
}

int cli_fail(int code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    char *text = format_text(format, args);
    va_end(args);
    complain(code, "ringpost: ", text, "");
    free(text);
    return code;
}

int cli_misuse(const struct cli *cli, const char *format, ...)
{
    char prefix[64], hint[96];
    va_list args;

    va_start(args, format);
    char *text = format_text(format, args);
    va_end(args);
    snprintf(prefix, sizeof(prefix), "ringpost %s: ", cli->argv[0]);
    snprintf(hint, sizeof(hint), "(`ringpost %s --help` tells how it is used)\n", cli->argv[0]);
    complain(EXIT_USAGE, prefix, text, hint);
    free(text);
    return EXIT_USAGE;
}

static void print_error(void *context, const char *text)
{
    (void)context;
    cli_complain(EXIT_CONFIG, text);
}

struct config *cli_config(const struct cli *cli)
{
    return config_load(cli->config_path, print_error, NULL);
}

bool cli_state_dir(const struct cli *cli, char out[static CLI_PATH_MAX])
{
    return config_load_state_dir(cli->config_path, out, CLI_PATH_MAX, print_error, NULL);
}

/* --- options ---------------------------------------------------------------------------------- */

bool cli_option(struct cli *cli, struct cli_walk *walk)
{
    if (walk->next == 0)
        walk->next = 1;
    if (walk->is_bad || walk->next >= cli->argc)
        return false;
    const char *text = cli->argv[walk->next++];
    walk->name = NULL;
    walk->word = text;
    walk->inline_value = NULL;
    if (walk->words_only || text[0] != '-' || text[1] == '\0')
        return true;
    if (strcmp(text, "--") == 0) {
        walk->words_only = true;
        return cli_option(cli, walk);
    }
    const char *equals = strchr(text, '=');
    walk->word = NULL;
    walk->name = text;
    if (equals != NULL && (size_t)(equals - text) < sizeof(walk->name_buffer)) {
        memcpy(walk->name_buffer, text, (size_t)(equals - text));
        walk->name_buffer[equals - text] = '\0';
        walk->name = walk->name_buffer;
        walk->inline_value = equals + 1;
    }
    return true;
}

bool cli_value(struct cli *cli, struct cli_walk *walk, const char *name, const char **value_out)
{
    if (walk->name == NULL || strcmp(walk->name, name) != 0)
        return false;
    if (walk->inline_value != NULL) {
        *value_out = walk->inline_value;
    } else if (walk->next < cli->argc) {
        *value_out = cli->argv[walk->next++];
    } else {
        cli_misuse(cli, "%s needs a value", name);
        walk->is_bad = true;
    }
    return true;
}

bool cli_flag(struct cli_walk *walk, const char *name, bool *flag_out)
{
    if (walk->name == NULL || strcmp(walk->name, name) != 0 || walk->inline_value != NULL)
        return false;
    *flag_out = true;
    return true;
}

/* --- the command ------------------------------------------------------------------------------ */

static void print_help(FILE *to)
{
    fprintf(to, "ringpost " RINGPOST_VERSION " - takes bulk mail, keeps it safe, delivers it\n\n"
                "usage: ringpost [-c FILE] COMMAND [OPTIONS]\n\n");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        fprintf(to, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(to, "\n  -c FILE  the configuration; else $RINGPOST_CONFIG, else\n"
                "           /etc/ringpost/ringpost.yaml\n"
                "  --json   print JSON lines, complaints too\n"
                "  --version\n\n"
                "`ringpost help COMMAND` tells more; ringpost(8) and ringpost.yaml(5) tell all.\n");
}

static const struct cli_command *find_command(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

/* Takes --json and --help out of a command's arguments, wherever they stand before "--". */
static void take_common(struct cli *cli)
{
    int kept = 0;
    bool words_only = false;

    for (int i = 0; i < cli->argc; i++) {
        char *argument = cli->argv[i];

        words_only = words_only || strcmp(argument, "--") == 0;
        if (!words_only && strcmp(argument, "--json") == 0)
            cli->json = json_wanted = true;
        else if (!words_only && (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0))
            cli->help = true;
        else
            cli->argv[kept++] = argument;
    }
    cli->argc = kept;
    cli->argv[kept] = NULL;
}

/* The options before the command; the index of the command, or -1 with an exit code where it ends
 * here. */
static int take_front(struct cli *cli, int argc, char **argv, int *code_out)
{
    int i = 1;

    *code_out = EXIT_GOOD;
    for (; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "-c") == 0) {
            if (++i == argc) {
                *code_out = cli_fail(EXIT_USAGE, "-c needs a value, the configuration file");
                return -1;
            }
            cli->config_path = argv[i];
        } else if (strcmp(argv[i], "--json") == 0) {
            cli->json = json_wanted = true;
        } else if (strcmp(argv[i], "--version") == 0) {
            puts("ringpost " RINGPOST_VERSION);
            return -1;
        } else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_help(stdout);
            return -1;
        } else {
            *code_out =
                cli_fail(EXIT_USAGE, "unknown option %s; `ringpost help` lists them", argv[i]);
            return -1;
        }
    }
    if (i < argc)
        return i;
    print_help(stderr);
    *code_out = EXIT_USAGE;
    return -1;
}

/* Takes a word with what follows it up to the next one. */
static bool take_word(struct bytes *line, struct bytes *word_out)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz-";
    size_t len = 0;

    while (line->len > 0 && strchr(" []()", line->ptr[0]) != NULL)
        *line = bytes_slice(*line, 1, line->len);
    while (len < line->len && line->ptr[len] != '\0' && strchr(letters, line->ptr[len]) != NULL)
        len++;
    bool is_any = line->len > 0;
    *word_out = bytes_slice(*line, 0, len);
    while (len < line->len && strchr(" |", line->ptr[len]) == NULL) /* FILE|-, [--json] */
        len++;
    *line = bytes_slice(*line, len, line->len);
    return is_any;
}

/* Whether a line of the usage begins with these words, in this order; `sinks pause` does, where it
 * is "sinks [pause NAME | resume NAME]". */
static bool line_tells(struct bytes line, char *const *words, int count)
{
    struct bytes word;
    int found = 0;

    while (found < count && take_word(&line, &word)) {
        bool is_choice = line.len > 0 && line.ptr[0] == '|';

        if (is_choice)
            line = bytes_slice(line, 1, line.len);
        if (word.len > 0 && bytes_equal(word, bytes_of(words[found])))
            found++;
        else if (found == 0 && !is_choice)
            return false;
    }
    return found == count;
}

/* What a command can be told to do stands in its usage: in the lines up to the first empty one,
 * behind its name, or at the beginning of a line that is indented by two. */
static bool usage_has(const struct cli_command *command, char *const *words, int count)
{
    struct bytes rest = bytes_of(command->usage), name = bytes_of(command->name), line;
    bool is_first = true;

    while (bytes_take_until(&rest, '\n', &line)) {
        size_t at = bytes_find_bytes(line, name, 0);
        bool is_row =
            line.len > 2 && bytes_equal(bytes_slice(line, 0, 2), BYTES("  ")) && line.ptr[2] != ' ';

        is_first = is_first && line.len > 0;
        if (is_first && at < line.len &&
            line_tells(bytes_slice(line, at + name.len, line.len), words, count))
            return true;
        if (!is_first && is_row && count == 1 && line_tells(line, words, count))
            return true;
    }
    return false;
}

/* Not in the table, which it reads. */
static int run_help(const struct cli *cli)
{
    if (cli->argc == 1) {
        print_help(stdout);
        return EXIT_GOOD;
    }
    const struct cli_command *command = find_command(cli->argv[1]);
    if (command == NULL)
        return cli_fail(EXIT_USAGE, "unknown command %s; `ringpost help` lists the commands",
                        cli->argv[1]);
    for (int i = 2; i < cli->argc; i++)
        if (!usage_has(command, cli->argv + 2, i - 1))
            return cli_fail(EXIT_USAGE, "%s has no %s; `ringpost help %s` tells what it has",
                            cli->argv[i - 1], cli->argv[i], command->name);
    printf("%s", command->usage);
    return EXIT_GOOD;
}

int cli_main(int argc, char **argv)
{
    struct cli cli = {.config_path = getenv("RINGPOST_CONFIG")};
    int code;
    int first = take_front(&cli, argc, argv, &code);

    if (first < 0)
        return code;
    if (cli.config_path == NULL)
        cli.config_path = "/etc/ringpost/ringpost.yaml";
    /* What the daemon starts, and nobody else: it is told of nowhere. */
    if (strcmp(argv[first], ARCHIVE_READER_COMMAND) == 0)
        return archive_child_run(STDIN_FILENO);
    cli.argc = argc - first;
    cli.argv = argv + first;
    take_common(&cli);
    if (strcmp(argv[first], "help") == 0)
        return run_help(&cli);
    const struct cli_command *command = find_command(argv[first]);
    if (command == NULL)
        return cli_fail(EXIT_USAGE, "unknown command %s; `ringpost help` lists them", argv[first]);
    if (cli.help && cli.argc == 1) {
        printf("%s", command->usage);
        return EXIT_GOOD;
    }
    return command->run(&cli);
}
