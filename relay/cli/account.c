/* account.c - ringpost account and ringpost alias: addresses that we receive for. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "directory/account_shows.h"
#include "directory/accounts.h"
#include "directory/directory_name.h"
#include "inbound/store/maildir.h"
#include "relay/cli/account_import.h"
#include "relay/cli/records.h"
#include "relay/cli/script.h"
#include "relay/config_value.h"
#include "relay/state_dir.h"

/* What add and set take. */
struct account_options {
    const char *address;
    bool has_quota, has_sent, has_shows;
    uint64_t quota;
    bool files_sent;
    unsigned shows;
    const char *sends_as; /* NULL: nothing is said of it */
};

static bool read_quota(struct cli *cli, const char *text, struct account_options *options)
{
    options->has_quota = text != NULL;
    if (text == NULL || strcmp(text, "none") == 0 ||
        (value_size(bytes_of(text), &options->quota) && options->quota > 0 &&
         options->quota <= INT64_MAX))
        return true;
    cli_misuse(cli, "--quota %s: expected a size such as 1GiB, or none", text);
    return false;
}

static bool read_sent(struct cli *cli, const char *text, struct account_options *options)
{
    options->has_sent = text != NULL;
    options->files_sent = text != NULL && strcmp(text, "yes") == 0;
    if (text == NULL || options->files_sent || strcmp(text, "no") == 0)
        return true;
    cli_misuse(cli, "--sent %s: expected yes or no", text);
    return false;
}

static bool read_shows(struct cli *cli, const char *text, struct account_options *options)
{
    options->has_shows = text != NULL;
    if (text == NULL || account_shows_parse(bytes_of(text), &options->shows))
        return true;
    cli_misuse(cli, "--shows %s: expected some of bounces,complaints,reports,queue, or none", text);
    return false;
}

/* An address, --quota, --sent, --shows and --sends-as. */
static bool take_options(struct cli *cli, struct account_options *options)
{
    struct cli_walk walk = {.next = 2};
    const char *quota = NULL, *sent = NULL, *shows = NULL;

    *options = (struct account_options){0};
    while (cli_option(cli, &walk)) {
        if (cli_value(cli, &walk, "--quota", &quota) || cli_value(cli, &walk, "--sent", &sent) ||
            cli_value(cli, &walk, "--shows", &shows) ||
            cli_value(cli, &walk, "--sends-as", &options->sends_as))
            continue;
        if (walk.word == NULL || options->address != NULL) {
            cli_misuse(cli, "%s does not take %s", cli->argv[1],
                       walk.word != NULL ? walk.word : walk.name);
            return false;
        }
        options->address = walk.word;
    }
    if (walk.is_bad)
        return false;
    if (options->address == NULL) {
        cli_misuse(cli, "%s needs an address, local@domain", cli->argv[1]);
        return false;
    }
    return read_quota(cli, quota, options) && read_sent(cli, sent, options) &&
           read_shows(cli, shows, options);
}

static int account_add_run(struct cli *cli)
{
    struct account_options options;
    struct records records;

    if (!take_options(cli, &options))
        return EXIT_USAGE;
    int code = records_open(cli, &records);
    if (code != EXIT_GOOD)
        return code;
    struct bytes address = bytes_of(options.address);
    enum store_result result = account_add(records.store, address, options.quota);

    if (result == STORE_OK && options.files_sent)
        result = account_set_sent(records.store, address, true);
    if (result == STORE_OK && options.shows != 0)
        result = account_set_shows(records.store, address, options.shows);
    if (result == STORE_OK && options.sends_as != NULL && strcmp(options.sends_as, "none") != 0)
        result = account_set_sends_as(records.store, address, bytes_of(options.sends_as));
    return records_close(cli, &records, result, "account %s added", options.address);
}

static bool went_well(enum store_result result)
{
    return result == STORE_OK || result == STORE_SAME;
}

/* One of both that changed is a change. */
static enum store_result both(enum store_result before, enum store_result result)
{
    return result == STORE_SAME ? before : result;
}

static int account_set_run(struct cli *cli)
{
    struct account_options options;
    struct records records;
    enum store_result result = STORE_SAME;

    if (!take_options(cli, &options))
        return EXIT_USAGE;
    if (!options.has_quota && !options.has_sent && !options.has_shows && options.sends_as == NULL)
        return cli_misuse(cli, "set needs --quota SIZE, --quota none, --sent yes|no, --shows WHAT "
                               "or --sends-as WHOM");
    int code = records_open(cli, &records);
    if (code != EXIT_GOOD)
        return code;
    struct bytes address = bytes_of(options.address);

    if (options.has_quota)
        result = account_set_quota(records.store, address, options.quota);
    if (options.has_sent && went_well(result))
        result = both(result, account_set_sent(records.store, address, options.files_sent));
    if (options.has_shows && went_well(result))
        result = both(result, account_set_shows(records.store, address, options.shows));
    if (options.sends_as != NULL && went_well(result))
        result =
            both(result, account_set_sends_as(records.store, address, bytes_of(options.sends_as)));
    return records_close(cli, &records, result, "account %s set", options.address);
}

/* What lies in the account's Maildir, counted now. An account that nothing was filed for yet has
 * none. -errno. */
static int count_mail(const char *state_dir, struct bytes address, struct maildir_usage *out)
{
    struct bytes domain = directory_address_domain(address);
    char path[CLI_PATH_MAX], name[MAIL_NAME_MAX + 1], of[MAIL_NAME_MAX + 1];
    struct maildir maildir;

    *out = (struct maildir_usage){0};
    if (!mail_name_encode(domain, of) ||
        !mail_name_encode(bytes_slice(address, 0, address.len - domain.len - 1), name) ||
        !state_dir_file(state_dir, "mail", path, sizeof(path)))
        return -ENAMETOOLONG;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    int error = maildir_look(fd, of, name, &maildir);

    close(fd);
    if (error < 0)
        return error == -ENOENT ? 0 : error;
    error = maildir_count(&maildir, out);
    maildir_close(&maildir);
    return error;
}

struct account_print {
    const struct cli *cli;
    const char *state_dir;
    bool counts_mail;
};

static void print_usage(const struct account_print *print, struct bytes address, json_t *object)
{
    struct maildir_usage usage;
    int error = count_mail(print->state_dir, address, &usage);

    if (error < 0)
        fprintf(stderr, "ringpost: the mail of %.*s cannot be counted: %s\n", BYTES_ARG(address),
                strerrordesc_np(-error));
    if (object == NULL && error == 0)
        printf("  mail: %.1f MiB in %llu messages\n", (double)usage.bytes / 1048576,
               (unsigned long long)usage.messages);
    if (object == NULL)
        return;
    json_object_set_new(object, "bytes",
                        error < 0 ? json_null() : json_integer((json_int_t)usage.bytes));
    json_object_set_new(object, "messages",
                        error < 0 ? json_null() : json_integer((json_int_t)usage.messages));
}

static json_t *shows_json(unsigned shows)
{
    json_t *list = json_array();

    for (unsigned bit = 1; bit <= SHOWS_ALL; bit <<= 1)
        if ((shows & bit) != 0)
            json_array_append_new(list, json_string(account_shows_name(bit)));
    return list;
}

/* "a,b" as an array. */
static json_t *list_json(struct bytes list)
{
    json_t *array = json_array();
    struct bytes part;

    while (bytes_take_until(&list, ',', &part))
        json_array_append_new(array, json_text(part));
    if (list.len > 0)
        json_array_append_new(array, json_text(list));
    return array;
}

static void print_account(void *context, const struct account_row *row)
{
    const struct account_print *print = context;
    const struct cli *cli = print->cli;
    char day[16], shows[SHOWS_TEXT_MAX];

    if (cli->json) {
        json_t *object = json_object();

        json_object_set_new(object, "account", json_text(row->address));
        json_object_set_new(object, "tenant", json_text(row->tenant));
        json_object_set_new(object, "disabled", json_boolean(row->is_disabled));
        json_object_set_new(object, "quota",
                            row->quota == 0 ? json_null() : json_integer((json_int_t)row->quota));
        json_object_set_new(object, "sent", json_boolean(row->files_sent));
        json_object_set_new(object, "shows", shows_json(row->shows));
        json_object_set_new(object, "sends_as", list_json(row->sends_as));
        json_object_set_new(object, "credentials", json_integer(row->credentials));
        records_put_time(object, "created", row->created_s);
        if (print->counts_mail)
            print_usage(print, row->address, object);
        cli_print_json(object);
        return;
    }
    printf("%-40.*s %-24.*s %-8s", BYTES_ARG(row->address), BYTES_ARG(row->tenant),
           row->is_disabled ? "disabled" : "enabled");
    if (row->quota == 0)
        printf(" no quota");
    else
        printf(" %.1f MiB", (double)row->quota / 1048576);
    if (row->files_sent)
        printf(" sent");
    if (row->shows != 0)
        printf(" shows %.*s", BYTES_ARG(account_shows_format(row->shows, shows)));
    if (row->sends_as.len > 0)
        printf(" sends as %.*s", BYTES_ARG(row->sends_as));
    printf(" %lld credentials  since %s\n", (long long)row->credentials,
           records_day(row->created_s, "-", day));
    if (print->counts_mail)
        print_usage(print, row->address, NULL);
}

static int account_list_run(struct cli *cli)
{
    bool is_show = strcmp(cli->argv[1], "show") == 0;
    struct records records;
    const char *address = NULL;
    int count;

    if (!records_words(cli, &address, is_show, is_show, &count))
        return EXIT_USAGE;
    int code = records_open(cli, &records);
    if (code != EXIT_GOOD)
        return code;
    struct account_print print = {cli, records.state_dir, is_show};

    return records_end(&records,
                       account_list(records.store, address == NULL ? BYTES_NONE : bytes_of(address),
                                    print_account, &print));
}

static void drop_script(const char *state_dir, const char *address)
{
    struct arena arena;
    struct bytes name;

    arena_init(&arena, 4096);
    if (directory_address(&arena, bytes_of(address), false, &name))
        cli_drop_script(state_dir, name);
    arena_free(&arena);
}

/* `context` is the address of an account that went. */
static void warn_of_alias(void *context, const struct alias_row *row)
{
    const struct bytes *address = context;
    struct bytes targets = row->targets, target;
    bool leads_there = false, is_more;

    do {
        is_more = bytes_take_until(&targets, ',', &target);
        leads_there |= bytes_equal_nocase(is_more ? target : targets, *address);
    } while (is_more);
    if (leads_there)
        fprintf(stderr, "ringpost: alias %.*s still names %.*s\n", BYTES_ARG(row->address),
                BYTES_ARG(*address));
}

/* disable, enable, remove */
static int account_change(struct cli *cli)
{
    const char *verb = cli->argv[1];
    struct records records;
    const char *address;
    int count;

    if (!records_words(cli, &address, 1, 1, &count))
        return EXIT_USAGE;
    int code = records_open(cli, &records);
    if (code != EXIT_GOOD)
        return code;
    enum store_result result =
        strcmp(verb, "remove") == 0
            ? account_remove(records.store, bytes_of(address))
            : account_disable(records.store, bytes_of(address), strcmp(verb, "disable") == 0);
    if (result == STORE_OK && strcmp(verb, "remove") == 0) {
        struct bytes gone = bytes_of(address);

        drop_script(records.state_dir, address);
        result = alias_list(records.store, warn_of_alias, &gone);
    }
    return records_close(cli, &records, result, "account %s %sd", address, verb);
}

static int run_account(struct cli *cli)
{
    static const struct records_verb verbs[] = {
        {"add", account_add_run},       {"list", account_list_run},
        {"show", account_list_run},     {"set", account_set_run},
        {"disable", account_change},    {"enable", account_change},
        {"remove", account_change},     {"sieve", cli_account_sieve},
        {"import", cli_account_import}, {NULL, NULL},
    };

    return records_run(cli, &cli_account, verbs);
}

const struct cli_command cli_account = {
    "account",
    "hosted users: add, list, show, set, sieve, import, disable, enable, remove",
    "usage: ringpost [-c FILE] account SUBCOMMAND [--json]\n\n"
    "  add     local@domain [--quota SIZE] [--sent yes] [--shows WHAT] [--sends-as WHOM]\n"
    "          the domain must be a hosted one\n"
    "  list\n"
    "  show    local@domain                   and what its mail takes\n"
    "  set     local@domain [--quota SIZE|none] [--sent yes|no] [--shows WHAT|none]\n"
    "          [--sends-as WHOM|none]\n"
    "  sieve   local@domain FILE|--show|--remove  its script, which sorts its mail\n"
    "  import  local@domain SOURCE [--dry-run] [--folder FROM=TO]...\n"
    "          mail that lies elsewhere: a Maildir, an mbox or a directory of them, or\n"
    "          imaps://user@host[:port]/ and imap:// [--password-file FILE] [--ca-file FILE]\n"
    "          [--insecure] [--plaintext] [--timeout SECONDS]; run again, it goes on\n"
    "  disable local@domain\n"
    "  enable  local@domain\n"
    "  remove  local@domain                   its credentials and script go; its mail stays, and\n"
    "          aliases that name it, of which it warns\n\n"
    "Local parts are compared without regard to case. SIZE: 500MiB, 1GiB.\n"
    "--sent yes: what the account submits is filed in its Sent too.\n"
    "--shows: folders of its tenant's, some of bounces,complaints,reports,queue.\n"
    "--sends-as: as whom it may send besides itself and its aliases: addresses, @domain for any\n"
    "of a domain, * for any of its tenant's; with commas between.\n",
    run_account,
};

/* --- aliases ---------------------------------------------------------------------------------- */

enum { TARGETS_MAX = 256 };

static int alias_add_run(struct cli *cli)
{
    struct bytes targets[TARGETS_MAX];
    const char *words[TARGETS_MAX + 1];
    struct records records;
    int count;

    if (!records_words(cli, words, 2, (int)ARRAY_LEN(words), &count))
        return EXIT_USAGE;
    for (int i = 1; i < count; i++)
        targets[i - 1] = bytes_of(words[i]);
    int code = records_open(cli, &records);
    if (code != EXIT_GOOD)
        return code;
    return records_close(cli, &records,
                         alias_add(records.store, bytes_of(words[0]), (size_t)count - 1, targets),
                         "alias %s added", words[0]);
}

static void print_alias(void *context, const struct alias_row *row)
{
    const struct cli *cli = context;

    if (!cli->json) {
        printf("%-40.*s %-24.*s %.*s\n", BYTES_ARG(row->address), BYTES_ARG(row->tenant),
               BYTES_ARG(row->targets));
        return;
    }
    cli_print_json(json_pack("{s:o,s:o,s:o}", "alias", json_text(row->address), "tenant",
                             json_text(row->tenant), "targets", list_json(row->targets)));
}

static int alias_list_run(struct cli *cli)
{
    struct records records;
    int count;

    if (!records_words(cli, NULL, 0, 0, &count))
        return EXIT_USAGE;
    int code = records_open(cli, &records);
    if (code != EXIT_GOOD)
        return code;
    return records_end(&records, alias_list(records.store, print_alias, cli));
}

static int alias_remove_run(struct cli *cli)
{
    struct records records;
    const char *address;
    int count;

    if (!records_words(cli, &address, 1, 1, &count))
        return EXIT_USAGE;
    int code = records_open(cli, &records);
    if (code != EXIT_GOOD)
        return code;
    return records_close(cli, &records, alias_remove(records.store, bytes_of(address)),
                         "alias %s removed", address);
}

static int run_alias(struct cli *cli)
{
    static const struct records_verb verbs[] = {{"add", alias_add_run},
                                                {"list", alias_list_run},
                                                {"remove", alias_remove_run},
                                                {NULL, NULL}};

    return records_run(cli, &cli_alias, verbs);
}

const struct cli_command cli_alias = {
    "alias",
    "addresses that lead to others: add, list, remove",
    "usage: ringpost [-c FILE] alias SUBCOMMAND [--json]\n\n"
    "  add    ADDRESS TARGET...    more targets of one that exists; @domain is a catch-all\n"
    "  list\n"
    "  remove ADDRESS\n\n"
    "The domain of ADDRESS must be a hosted one; targets may be anywhere.\n",
    run_alias,
};
