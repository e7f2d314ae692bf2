/* account_sieve.c - ringpost account sieve: an account's script is installed, shown, removed. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "directory/accounts.h"
#include "directory/directory_name.h"
#include "inbound/sorting/account_script.h"
#include "inbound/sorting/vacation_memory.h"
#include "relay/cli/account_find.h"
#include "relay/cli/script.h"
#include "relay/state_dir.h"

struct sieve_words {
    const char *address, *file;
    bool removes, shows;
};

static int read_words(struct cli *cli, struct sieve_words *words)
{
    struct cli_walk walk = {.next = 2};

    while (cli_option(cli, &walk)) {
        if (cli_flag(&walk, "--remove", &words->removes) ||
            cli_flag(&walk, "--show", &words->shows))
            continue;
        if (walk.word == NULL)
            return cli_misuse(cli, "unknown option %s", walk.name);
        if (words->address == NULL)
            words->address = walk.word;
        else if (words->file == NULL)
            words->file = walk.word;
        else
            return cli_misuse(cli, "one address and one FILE, but got %s as well", walk.word);
    }
    if (walk.is_bad)
        return EXIT_USAGE;
    if (words->address == NULL ||
        words->removes + words->shows + (words->file != NULL ? 1 : 0) != 1)
        return cli_misuse(cli, "sieve needs local@domain, and one of FILE, --show and --remove");
    return EXIT_GOOD;
}

/* An account that is there, and where scripts lie. */
struct owner {
    struct account_found account;
    char directory[CLI_PATH_MAX];
};

static int find_owner(struct records *records, const char *address, struct owner *owner)
{
    int code = cli_find_account(records, address, &owner->account);

    if (code != EXIT_GOOD ||
        state_dir_file(records->state_dir, "sieve", owner->directory, sizeof(owner->directory)))
        return code;
    (void)records_end(records, STORE_OK);
    return cli_fail(EXIT_FAILED, "%s: the name is too long", address);
}

static int fail_file(struct records *records, const char *what, int error)
{
    (void)records_end(records, STORE_OK);
    return cli_fail(EXIT_FAILED, "%s: %s", what, strerrordesc_np(-error));
}

static int show(struct cli *cli, struct records *records, const struct owner *owner)
{
    struct buf text;

    buf_init(&text, SIEVE_SIZE_MAX + 4096);
    int error =
        account_script_read(owner->directory, owner->account.domain, owner->account.local, &text);

    if (error < 0 && error != -ENOENT) {
        buf_free(&text);
        return fail_file(records, "the script cannot be read", error);
    }
    if (cli->json)
        cli_print_json(
            json_pack("{s:o}", "script", error < 0 ? json_null() : json_text(buf_bytes(&text))));
    else if (error < 0)
        fprintf(stderr, "ringpost: the account has no script\n");
    else
        (void)!fwrite(buf_bytes(&text).ptr, 1, buf_len(&text), stdout);
    buf_free(&text);
    return records_end(records, STORE_OK);
}

static int change(struct cli *cli, struct records *records, const struct owner *owner,
                  const struct sieve_words *words, struct bytes text)
{
    int error = words->removes ? account_script_remove(owner->directory, owner->account.domain,
                                                       owner->account.local)
                               : account_script_write(owner->directory, owner->account.domain,
                                                      owner->account.local, text);

    if (error == -ENOENT && words->removes)
        return fail_file(records, "the account has no script", error);
    if (error < 0)
        return fail_file(records, "the script cannot be written", error);
    return records_close(cli, records,
                         account_note_script(records->store, bytes_of(words->address),
                                             words->removes, text.len),
                         "script of %s %s", words->address,
                         words->removes ? "removed" : "installed");
}

static int run(struct cli *cli, const struct sieve_words *words, struct bytes text)
{
    struct records records;
    struct owner owner;
    int code = records_open(cli, &records);

    if (code != EXIT_GOOD)
        return code;
    code = find_owner(&records, words->address, &owner);
    if (code == EXIT_GOOD)
        code =
            words->shows ? show(cli, &records, &owner) : change(cli, &records, &owner, words, text);
    arena_free(&owner.account.arena);
    return code;
}

int cli_account_sieve(struct cli *cli)
{
    struct sieve_words words = {0};
    struct sieve_script *script = NULL;
    struct buf text;
    int code = read_words(cli, &words);

    if (code != EXIT_GOOD)
        return code;
    if (words.file == NULL)
        return run(cli, &words, BYTES_NONE);
    code = cli_read_script(cli, words.file, &text, &script);
    if (code == EXIT_GOOD)
        code = run(cli, &words, buf_bytes(&text));
    sieve_free(&script);
    buf_free(&text);
    return code;
}

void cli_drop_script(const char *state_dir, struct bytes address)
{
    struct bytes domain = directory_address_domain(address);
    char directory[CLI_PATH_MAX];

    if (!state_dir_file(state_dir, "sieve", directory, sizeof(directory)))
        return;
    struct bytes local = bytes_slice(address, 0, address.len - domain.len - 1);
    int error = account_script_remove(directory, domain, local);

    (void)!vacation_memory_remove(directory, domain, local); /* nothing depends on it any more */
    if (error < 0 && error != -ENOENT && error != -ENAMETOOLONG)
        fprintf(stderr, "ringpost: the script of %.*s cannot be removed: %s\n", BYTES_ARG(address),
                strerrordesc_np(-error));
}
