/* account_import.c - ringpost account import: mail that lies elsewhere comes into an account. */
#include "relay/cli/account_import.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "inbound/import/import_account.h"
#include "inbound/import/import_url.h"
#include "relay/cli/account_find.h"
#include "relay/cli/password.h"
#include "relay/state_dir.h"

enum {
    RENAMES_MAX = 64,
    TIMEOUT_S = 60,
    TIMEOUT_S_MAX = 3600,
    PORT_IMAP = 143,
    PORT_IMAPS = 993,
    TERMINAL_MS = 500,    /* between two looks of the progress line */
    LINES_MS = 10 * 1000, /* ... where it is no terminal */
};

struct words {
    const char *address, *source;
    const char *password_file, *ca_file, *timeout;
    bool is_dry, is_insecure, is_plaintext;
    unsigned timeout_s;
    size_t rename_count;
    struct import_rename renames[RENAMES_MAX];
};

struct import_run {
    const struct cli *cli;
    const struct words *words;
    struct import_account *account;
    struct import_url url;
    char source[4200];
    char directory[CLI_PATH_MAX];
    int64_t begin_ms, shown_ms;
    bool is_terminal, is_line_open;
};

static volatile sig_atomic_t is_interrupted;

static void on_signal(int number)
{
    (void)number;
    is_interrupted = 1;
}

/* --- arguments -------------------------------------------------------------------------------- */

static bool add_rename(const struct cli *cli, struct words *words, const char *text)
{
    const char *equals = strrchr(text, '=');

    if (equals == NULL || equals == text || words->rename_count == RENAMES_MAX) {
        cli_misuse(cli, "--folder %s: expected FROM=TO, at most %d of them; FROM= leaves one out",
                   text, RENAMES_MAX);
        return false;
    }
    words->renames[words->rename_count++] =
        (struct import_rename){bytes_range(text, (size_t)(equals - text)), bytes_of(equals + 1)};
    return true;
}

static int check_words(const struct cli *cli, struct words *words)
{
    char folder[1024];
    uint64_t timeout = TIMEOUT_S;

    if (words->address == NULL || words->source == NULL)
        return cli_misuse(cli, "import needs local@domain and SOURCE");
    for (size_t i = 0; i < words->rename_count; i++)
        if (words->renames[i].to.len > 0 && !import_folder_name(words->renames[i].to, folder))
            return cli_misuse(cli, "--folder: no folder can be called %.*s",
                              BYTES_ARG(words->renames[i].to));
    if (words->timeout != NULL && (!bytes_to_u64(bytes_of(words->timeout), &timeout) ||
                                   timeout == 0 || timeout > TIMEOUT_S_MAX))
        return cli_misuse(cli, "--timeout %s: expected seconds, 1 to %d", words->timeout,
                          TIMEOUT_S_MAX);
    words->timeout_s = (unsigned)timeout;
    return EXIT_GOOD;
}

static int read_words(struct cli *cli, struct words *words)
{
    struct cli_walk walk = {.next = 2};

    while (cli_option(cli, &walk)) {
        const char *rename = NULL;

        if (cli_flag(&walk, "--dry-run", &words->is_dry) ||
            cli_flag(&walk, "--insecure", &words->is_insecure) ||
            cli_flag(&walk, "--plaintext", &words->is_plaintext) ||
            cli_value(cli, &walk, "--password-file", &words->password_file) ||
            cli_value(cli, &walk, "--ca-file", &words->ca_file) ||
            cli_value(cli, &walk, "--timeout", &words->timeout))
            continue;
        if (cli_value(cli, &walk, "--folder", &rename)) {
            if (rename != NULL && !add_rename(cli, words, rename))
                return EXIT_USAGE;
            continue;
        }
        if (walk.word == NULL)
            return cli_misuse(cli, "unknown option %s", walk.name);
        if (words->address == NULL)
            words->address = walk.word;
        else if (words->source == NULL)
            words->source = walk.word;
        else
            return cli_misuse(cli, "one address and one SOURCE, but got %s as well", walk.word);
    }
    return walk.is_bad ? EXIT_USAGE : check_words(cli, words);
}

/* --- progress --------------------------------------------------------------------------------- */

static void close_line(struct import_run *run)
{
    if (run->is_line_open)
        fprintf(stderr, "\n");
    run->is_line_open = false;
}

static void print_progress(struct import_run *run, int64_t now_ms)
{
    struct import_counts counts = import_account_counts(run->account);
    double seconds = (double)MAX(now_ms - run->begin_ms, (int64_t)1) / 1000;
    uint64_t messages = counts.messages + counts.waiting;
    double mib = (double)(counts.bytes + counts.waiting_bytes) / 1048576;

    fprintf(stderr, "%s%llu messages, %.1f MiB, %.0f/s; %llu there before, %llu bad%s",
            run->is_terminal ? "\r" : "", (unsigned long long)messages, mib,
            (double)messages / seconds, (unsigned long long)counts.known,
            (unsigned long long)counts.bad, run->is_terminal ? "\033[K" : "\n");
    run->is_line_open = run->is_terminal;
    fflush(stderr);
}

static int went(void *context)
{
    struct import_run *run = context;
    int64_t now_ms = clock_monotonic_ms();

    if (!run->cli->json && now_ms - run->shown_ms >= (run->is_terminal ? TERMINAL_MS : LINES_MS)) {
        run->shown_ms = now_ms;
        print_progress(run, now_ms);
    }
    return is_interrupted;
}

/* Names and reasons are of others: what a terminal might obey is not shown as it is. */
static void told(void *context, const char *text)
{
    struct import_run *run = context;
    char plain[2048];
    size_t len = 0;

    if (run->cli->json) {
        cli_print_json(json_pack("{s:o}", "note", json_text_of(text)));
        return;
    }
    for (; text[len] != '\0' && len + 1 < sizeof(plain); len++)
        plain[len] = (uint8_t)text[len] < ' ' || text[len] == 0x7f ? '?' : text[len];
    plain[len] = '\0';
    close_line(run);
    fprintf(stderr, "ringpost: %s\n", plain);
}

/* --- the end ---------------------------------------------------------------------------------- */

static const char *end_of(int result, int error)
{
    if (error == -EDQUOT)
        return "quota";
    if (error == -ECANCELED)
        return "interrupted";
    if (error < 0)
        return "disk";
    return result == 0 ? "complete" : "source";
}

static void print_summary(const struct import_run *run, const char *end, const char *why)
{
    struct import_counts counts = import_account_counts(run->account);
    double seconds = (double)(clock_monotonic_ms() - run->begin_ms) / 1000;

    if (run->cli->json) {
        cli_print_json(
            json_pack("{s:s,s:s,s:b,s:s,s:o,s:I,s:I,s:I,s:I,s:I,s:I,s:f}", "account",
                      run->words->address, "source", run->source, "dry_run", run->words->is_dry,
                      "end", end, "reason", why[0] == '\0' ? json_null() : json_text_of(why),
                      "folders", (json_int_t)counts.folders, "messages",
                      (json_int_t)counts.messages, "bytes", (json_int_t)counts.bytes, "known",
                      (json_int_t)counts.known, "bad", (json_int_t)counts.bad, "keywords_left_out",
                      (json_int_t)counts.keywords, "seconds", seconds));
        return;
    }
    printf("%s: %llu messages%s, %.1f MiB, in %llu folders; %llu were there before, %llu bad\n",
           run->words->address, (unsigned long long)counts.messages,
           run->words->is_dry ? " to import" : " imported", (double)counts.bytes / 1048576,
           (unsigned long long)counts.folders, (unsigned long long)counts.known,
           (unsigned long long)counts.bad);
    if (counts.keywords > 0)
        printf("%llu keywords had no letter left, or are none, and were left out\n",
               (unsigned long long)counts.keywords);
}

static int finish(struct import_run *run, int result, const char *source_why)
{
    char why[IMPORT_WHY_MAX] = "";
    int error = import_account_finish(run->account, why);
    const char *end = end_of(result, error);
    struct import_counts counts = import_account_counts(run->account);

    close_line(run);
    if (error == 0 && result != 0)
        snprintf(why, sizeof(why), "%s", source_why);
    print_summary(run, end, why);
    if (strcmp(end, "complete") == 0 && counts.bad == 0)
        return EXIT_GOOD;
    if (strcmp(end, "complete") == 0)
        return cli_fail(EXIT_FAILED, "%llu could not be imported and stay where they are",
                        (unsigned long long)counts.bad);
    return cli_fail(strcmp(end, "disk") == 0 ? EXIT_OS : EXIT_FAILED,
                    "the import ended before its end: %s; run again, it goes on where it stopped",
                    why);
}

/* --- the run ---------------------------------------------------------------------------------- */

static int pull(struct import_run *run, const char *password, char why[static IMPORT_WHY_MAX])
{
    struct import_taker *taker = import_account_taker(run->account);
    const struct words *words = run->words;
    struct import_server imap = {
        .host = run->url.host,
        .user = run->url.user,
        .password = password,
        .port = run->url.port,
        .tls = run->url.is_implicit_tls ? IMPORT_TLS_IMPLICIT
               : words->is_plaintext    ? IMPORT_TLS_NONE
                                        : IMPORT_TLS_STARTTLS,
        .trusts_anyone = words->is_insecure,
        .ca_file = words->ca_file,
        .timeout_s = words->timeout_s,
    };

    switch (run->url.kind) {
    case IMPORT_MAILDIR:
        return import_maildir(run->url.path, taker, why);
    case IMPORT_MBOX:
        return import_mbox(run->url.path, taker, why);
    case IMPORT_IMAP:
        return import_imap(&imap, taker, why);
    }
    return IMPORT_FAILED;
}

static int run_import(struct import_run *run, const struct account_found *found,
                      const char *password)
{
    const struct words *words = run->words;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    char why[IMPORT_WHY_MAX] = "";
    struct import_settings settings = {
        .directory = run->directory,
        .domain = found->domain,
        .local = found->local,
        .quota = found->quota,
        .source = bytes_of(run->source),
        .is_dry = words->is_dry,
        .rename_count = words->rename_count,
        .renames = words->renames,
        .context = run,
        .told = told,
        .went = went,
    };
    int error = 0;

    run->account = import_account_open(&settings, &error, why);
    if (run->account == NULL)
        return cli_fail(error == -EBUSY ? EXIT_BUSY : EXIT_OS, "%s: %s", words->address, why);
    signal(SIGPIPE, SIG_IGN); /* a server that closes is told by the write */
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    run->begin_ms = run->shown_ms = clock_monotonic_ms();
    int result = pull(run, password, why);
    int code = finish(run, result, why);

    import_account_close(&run->account);
    return code;
}

/* What ids are made of: the same for the same place. */
static int name_source(struct import_run *run)
{
    const struct import_url *url = &run->url;
    char *real;

    if (url->kind == IMPORT_IMAP) {
        snprintf(run->source, sizeof(run->source), "imap:%s@%s", url->user, url->host);
        /* With TLS or by STARTTLS it is the same server; at another port, or behind a tunnel, it
         * may be another one. */
        if (url->port != PORT_IMAP && url->port != PORT_IMAPS)
            snprintf(run->source + strlen(run->source), 8, ":%u", url->port);
        return EXIT_GOOD;
    }
    real = realpath(url->path, NULL);
    if (real == NULL)
        return cli_fail(EXIT_FAILED, "%s: %s", url->path, strerrordesc_np(errno));
    snprintf(run->source, sizeof(run->source), "%s:%s",
             url->kind == IMPORT_MAILDIR ? "maildir" : "mbox", real);
    free(real);
    return EXIT_GOOD;
}

static int prepare(const struct cli *cli, struct import_run *run, struct account_found *found)
{
    struct records records;
    int code = records_open(cli, &records);

    if (code != EXIT_GOOD)
        return code;
    code = cli_find_account(&records, run->words->address, found);
    if (code != EXIT_GOOD)
        return code;
    bool fits = state_dir_file(records.state_dir, "mail", run->directory, sizeof(run->directory));

    code = records_end(&records, STORE_OK); /* it takes long: nobody waits for it */
    return fits ? code : cli_fail(EXIT_FAILED, "state_dir: the name is too long");
}

int cli_account_import(struct cli *cli)
{
    struct words words = {0};
    struct import_run run = {.cli = cli, .words = &words, .is_terminal = isatty(STDERR_FILENO)};
    struct account_found found = {.domain = BYTES_NONE};
    char password[CLI_PASSWORD_MAX] = "", why[IMPORT_WHY_MAX];
    int code = read_words(cli, &words);

    if (code != EXIT_GOOD)
        return code;
    if (!import_url_read(words.source, &run.url, why))
        return cli_misuse(cli, "%s: %s", words.source, why);
    code = name_source(&run);
    if (code == EXIT_GOOD)
        code = prepare(cli, &run, &found);
    if (code == EXIT_GOOD && run.url.kind == IMPORT_IMAP) {
        char prompt[IMPORT_URL_MAX + 320];

        snprintf(prompt, sizeof(prompt), "Password of %s at %s: ", run.url.user, run.url.host);
        code = cli_password(cli, words.password_file, prompt, password);
    }
    if (code == EXIT_GOOD)
        code = run_import(&run, &found, password);
    explicit_bzero(password, sizeof(password));
    arena_free(&found.arena);
    return code;
}
