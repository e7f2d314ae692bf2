/* sieve.c - ringpost sieve: whether a script is one, and what it makes of a message. */
#include <stdio.h>
#include <string.h>

#include "inbound/sieve/vacation.h"
#include "inbound/sorting/account_script.h"
#include "relay/cli/read_file.h"
#include "relay/cli/script.h"

enum {
    SCRIPT_READ_MAX = 1 << 20, /* a longer one than may be is told so */
    MESSAGE_MAX = 256 << 20,
};

/* --- scripts ---------------------------------------------------------------------------------- */

static int tell_error(const struct cli *cli, const char *path, const struct sieve_error *error)
{
    if (cli->json)
        cli_print_json(json_pack("{s:o,s:b,s:i,s:o}", "file", json_text_of(path), "valid", 0,
                                 "line", (int)error->line, "error",
                                 json_text(bytes_of(error->what))));
    else if (error->line == 0)
        fprintf(stderr, "%s: %s\n", path, error->what);
    else
        fprintf(stderr, "%s:%u: %s\n", path, error->line, error->what);
    return EXIT_FAILED;
}

int cli_read_script(const struct cli *cli, const char *path, struct buf *text,
                    struct sieve_script **script_out)
{
    struct sieve_error error;

    buf_init(text, SCRIPT_READ_MAX);
    int code = cli_read_file(path, text);

    *script_out = NULL;
    if (code != EXIT_GOOD)
        return code;
    *script_out = sieve_parse(buf_bytes(text), &account_script_host, &error);
    return *script_out != NULL ? EXIT_GOOD : tell_error(cli, path, &error);
}

static int check_one(const struct cli *cli, const char *path)
{
    struct sieve_script *script;
    struct buf text;
    int code = cli_read_script(cli, path, &text, &script);

    if (code == EXIT_GOOD && cli->json)
        cli_print_json(json_pack("{s:o,s:b,s:n,s:n}", "file", json_text_of(path), "valid", 1,
                                 "line", "error"));
    else if (code == EXIT_GOOD)
        printf("%s: ok\n", path);
    sieve_free(&script);
    buf_free(&text);
    return code;
}

static int run_check(struct cli *cli)
{
    struct cli_walk walk = {.next = 2};
    int code = EXIT_GOOD, count = 0;

    while (cli_option(cli, &walk)) {
        if (walk.word == NULL)
            return cli_misuse(cli, "unknown option %s", walk.name);
        int one = check_one(cli, walk.word);

        code = code == EXIT_GOOD ? one : code;
        count++;
    }
    if (walk.is_bad)
        return EXIT_USAGE;
    return count > 0 ? code : cli_misuse(cli, "check needs a FILE, or - for stdin");
}

/* --- a message -------------------------------------------------------------------------------- */

struct test_words {
    const char *script, *message, *mail_from, *rcpt_to;
};

static int read_words(struct cli *cli, struct test_words *words)
{
    struct cli_walk walk = {.next = 2};

    while (cli_option(cli, &walk)) {
        if (cli_value(cli, &walk, "--mail-from", &words->mail_from) ||
            cli_value(cli, &walk, "--rcpt-to", &words->rcpt_to))
            continue;
        if (walk.word == NULL)
            return cli_misuse(cli, "unknown option %s", walk.name);
        if (words->script == NULL)
            words->script = walk.word;
        else if (words->message == NULL)
            words->message = walk.word;
        else
            return cli_misuse(cli, "one SCRIPT and one MESSAGE, but got %s as well", walk.word);
    }
    if (walk.is_bad)
        return EXIT_USAGE;
    if (words->message == NULL)
        return cli_misuse(cli, "test needs a SCRIPT and a MESSAGE");
    return EXIT_GOOD;
}

/* Without the brackets of a path. */
static struct bytes path_of(const char *text)
{
    struct bytes path = text == NULL ? BYTES_NONE : bytes_of(text);

    if (path.len >= 2 && path.ptr[0] == '<' && path.ptr[path.len - 1] == '>')
        path = bytes_slice(path, 1, path.len - 2);
    return path;
}

static const char *const kinds[] = {
    [SIEVE_FILE] = "file",
    [SIEVE_REDIRECT] = "redirect",
    [SIEVE_REJECT] = "reject",
    [SIEVE_VACATION] = "vacation",
};

static const char *target_key(enum sieve_action_kind kind)
{
    return kind == SIEVE_FILE ? "mailbox" : kind == SIEVE_REDIRECT ? "address" : "reason";
}

/* What is kept goes where it goes without a script, which is not known here. */
static struct bytes target_of(const struct sieve_action *action)
{
    if (action->kind == SIEVE_VACATION)
        return action->vacation->reason;
    return action->kind == SIEVE_FILE && action->text.len == 0 ? BYTES("INBOX") : action->text;
}

/* NULL: it would be. Of whom is answered lately nothing is known here. */
static const char *why_not_answered(const struct sieve_message *message,
                                    const struct sieve_action *action)
{
    const struct vacation_question question = {.message = message,
                                               .vacation = action->vacation,
                                               .account = message->to};

    return vacation_refusal(&question);
}

static json_t *json_action(const struct sieve_message *message, const struct sieve_action *action)
{
    json_t *object = json_object();

    json_object_set_new(object, "action",
                        json_string(action->kind == SIEVE_FILE && action->text.len == 0
                                        ? "keep"
                                        : kinds[action->kind]));
    json_object_set_new(object, "line",
                        action->line == 0 ? json_null() : json_integer(action->line));
    json_object_set_new(object, target_key(action->kind), json_text(target_of(action)));
    if (action->kind == SIEVE_VACATION) {
        const char *why = why_not_answered(message, action);

        json_object_set_new(object, "days", json_integer((json_int_t)action->vacation->days));
        json_object_set_new(object, "answered", json_boolean(why == NULL));
        json_object_set_new(object, "why", why == NULL ? json_null() : json_string(why));
    }
    if (action->kind == SIEVE_FILE) {
        json_t *flags = json_array();

        for (size_t i = 0; i < action->flags.count; i++)
            json_array_append_new(flags, json_text(action->flags.of[i]));
        json_object_set_new(object, "flags", flags);
    }
    return object;
}

static void print_action(const struct sieve_message *message, const struct sieve_action *action)
{
    json_t *text = json_text(target_of(action));

    if (action->kind == SIEVE_FILE && action->text.len == 0)
        printf("keep");
    else
        printf("%s ", kinds[action->kind]);
    if (action->text.len > 0)
        cli_print_text(json_string_value(text));
    for (size_t i = 0; i < action->flags.count; i++)
        printf("%s%.*s", i == 0 ? "  flags " : " ", BYTES_ARG(action->flags.of[i]));
    if (action->kind == SIEVE_VACATION) {
        const char *why = why_not_answered(message, action);

        if (why == NULL)
            printf("  once in %u days", (unsigned)action->vacation->days);
        else
            printf("  not to this message: %s", why);
    }
    if (action->line == 0)
        printf("  (implied)\n");
    else
        printf("  (line %u)\n", action->line);
    json_decref(text);
}

static void print_result(const struct cli *cli, const struct test_words *words,
                         const struct sieve_message *message, const struct sieve_result *result)
{
    if (cli->json) {
        json_t *actions = json_array();

        for (size_t i = 0; i < result->count; i++)
            json_array_append_new(actions, json_action(message, &result->actions[i]));
        cli_print_json(json_pack("{s:o,s:o}", "actions", actions, "error",
                                 result->is_failed
                                     ? json_pack("{s:i,s:o}", "line", (int)result->error.line,
                                                 "what", json_text(bytes_of(result->error.what)))
                                     : json_null()));
        return;
    }
    if (result->is_failed)
        fprintf(stderr, "%s:%u: %s\n", words->script, result->error.line, result->error.what);
    for (size_t i = 0; i < result->count; i++)
        print_action(message, &result->actions[i]);
    if (result->count == 0)
        printf("discard\n");
}

static int test(struct cli *cli, const struct test_words *words, const struct sieve_script *script)
{
    struct sieve_message message = {.from = path_of(words->mail_from),
                                    .to = path_of(words->rcpt_to)};
    struct sieve_result result;
    struct mail_header header;
    struct buf content;

    buf_init(&content, MESSAGE_MAX);
    int code = cli_read_message(words->message, &content);

    if (code == EXIT_GOOD) {
        struct bytes rest = buf_bytes(&content);

        mail_header_init(&header, MAIL_HEADER_SIZE_MAX, MAIL_HEADER_FIELDS_MAX);
        if (!mail_header_feed(&header, &rest))
            mail_header_finish(&header);
        message.header = &header;
        message.size = buf_len(&content);
        sieve_run(script, &message, &result);
        print_result(cli, words, &message, &result);
        mail_header_free(&header);
        code = result.is_failed ? EXIT_FAILED : EXIT_GOOD;
    }
    buf_free(&content);
    return code;
}

static int run_test(struct cli *cli)
{
    struct test_words words = {0};
    struct sieve_script *script;
    struct buf text;
    int code = read_words(cli, &words);

    if (code != EXIT_GOOD)
        return code;
    code = cli_read_script(cli, words.script, &text, &script);
    if (code == EXIT_GOOD)
        code = test(cli, &words, script);
    sieve_free(&script);
    buf_free(&text);
    return code;
}

static int run_sieve(struct cli *cli)
{
    const char *verb = cli->argc > 1 ? cli->argv[1] : "";

    if (strcmp(verb, "check") == 0)
        return run_check(cli);
    if (strcmp(verb, "test") == 0)
        return run_test(cli);
    return cli_misuse(cli, "expected check or test");
}

const struct cli_command cli_sieve = {
    "sieve",
    "scripts of accounts: check one, test one with a message",
    "usage: ringpost sieve SUBCOMMAND [--json]\n\n"
    "  check FILE|-...         whether each is a script that we run; errors as FILE:LINE: WHAT\n"
    "  test  SCRIPT MESSAGE|-  what the script makes of the message; nothing is done with it\n"
    "        [--mail-from A]   its return path; without it the null path\n"
    "        [--rcpt-to A]     whom it is for\n\n"
    "Needs neither a daemon nor a configuration. Exit code 0 where all is well, 1 where a script\n"
    "is none or fails with the message, 64 for wrong arguments. `ringpost account sieve` installs\n"
    "one.\n",
    run_sieve,
};
