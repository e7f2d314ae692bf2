/* records.c - opens the directory and says how it went. */
#include "relay/cli/records.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "relay/privilege.h"

int records_run(struct cli *cli, const struct cli_command *command,
                const struct records_verb *verbs)
{
    if (cli->argc < 2 || cli->help) {
        fprintf(cli->help ? stdout : stderr, "%s", command->usage);
        return cli->help ? EXIT_GOOD : EXIT_USAGE;
    }
    for (; verbs->name != NULL; verbs++)
        if (strcmp(cli->argv[1], verbs->name) == 0)
            return verbs->run(cli);
    return cli_misuse(cli, "unknown subcommand %s", cli->argv[1]);
}

bool records_words(struct cli *cli, const char **words, int count_min, int count_max,
                   int *count_out)
{
    struct cli_walk walk = {.next = 2};
    int count = 0;

    while (cli_option(cli, &walk)) {
        if (walk.word == NULL || count == count_max) {
            cli_misuse(cli, "%s does not take %s", cli->argv[1],
                       walk.word != NULL ? walk.word : walk.name);
            return false;
        }
        words[count++] = walk.word;
    }
    if (count < count_min) {
        cli_misuse(cli, "%s needs more words than %d", cli->argv[1], count);
        return false;
    }
    *count_out = count;
    return true;
}

/* A first command may come before the first start. */
static bool make_state_dir(const struct cli *cli, const char *state_dir)
{
    char why[PRIVILEGE_WHY_MAX];
    struct privilege privilege;
    struct stat status;

    if (stat(state_dir, &status) == 0)
        return true;
    struct config *config = cli_config(cli);
    if (config == NULL)
        return false;
    bool is_planned = privilege_plan(config->user, &privilege, why) == 0;
    int error = is_planned ? privilege_make_directory(&privilege, state_dir) : 0;
    /* That is for root only. */
    if (is_planned && error == 0 && mkdir(state_dir, 0700) < 0 && errno != EEXIST)
        error = -errno;
    if (!is_planned)
        cli_fail(EXIT_CONFIG, "%s", why);
    else if (error < 0)
        cli_fail(EXIT_FAILED, "%s: %s", state_dir, strerror(-error));
    config_release(&config);
    return is_planned && error == 0;
}

int records_open(const struct cli *cli, struct records *out)
{
    char why[STORE_WHY_MAX];
    enum store_result result;

    if (!cli_state_dir(cli, out->state_dir))
        return EXIT_CONFIG;
    if (!make_state_dir(cli, out->state_dir))
        return EXIT_FAILED;
    out->store = store_open(out->state_dir, STORE_MAKE, STORE_PATIENCE_MS, &result, why);
    return out->store == NULL ? records_fail(result, why) : EXIT_GOOD;
}

int records_fail(enum store_result result, const char *why)
{
    static const int codes[] = {
        [STORE_OK] = EXIT_GOOD,      [STORE_SAME] = EXIT_GOOD,     [STORE_NONE] = EXIT_FAILED,
        [STORE_CLASH] = EXIT_FAILED, [STORE_INVALID] = EXIT_USAGE, [STORE_BUSY] = EXIT_BUSY,
        [STORE_NEWER] = EXIT_CONFIG, [STORE_BROKEN] = EXIT_FAILED,
    };

    return cli_fail(codes[result], "%s", why);
}

int records_end(struct records *records, enum store_result result)
{
    int code = EXIT_GOOD;

    if (result != STORE_OK)
        code = records_fail(result, store_why(records->store));
    store_close(&records->store);
    return code;
}

int records_close(const struct cli *cli, struct records *records, enum store_result result,
                  const char *done_format, ...)
{
    bool is_same = result == STORE_SAME;
    char *text = NULL;
    va_list args;

    if (result != STORE_OK && !is_same)
        return records_end(records, result);
    va_start(args, done_format);
    int len = vasprintf(&text, done_format, args);
    va_end(args);
    check(len >= 0);
    if (cli->json)
        cli_print_json(json_pack("{s:b,s:o}", "changed", (int)!is_same, "says",
                                 json_text_of(is_same ? store_why(records->store) : text)));
    else
        puts(is_same ? store_why(records->store) : text);
    free(text);
    store_close(&records->store);
    return EXIT_GOOD;
}

void records_put_time(json_t *object, const char *key, int64_t wall_s)
{
    char text[CLOCK_TEXT_MAX];

    clock_format_rfc3339(wall_s * 1000, text);
    json_object_set_new(object, key, wall_s == 0 ? json_null() : json_text_of(text));
}

const char *records_day(int64_t wall_s, const char *never, char out[static 16])
{
    char text[CLOCK_TEXT_MAX];

    if (wall_s == 0)
        return never;
    clock_format_rfc3339(wall_s * 1000, text);
    snprintf(out, 16, "%.10s", text);
    return out;
}
