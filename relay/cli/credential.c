/* credential.c - ringpost credential: revocable secrets of tenants. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "directory/credentials.h"
#include "queue/message.h"
#include "relay/cli/records.h"
#include "relay/config_value.h"

static const struct {
    const char *name;
    uint8_t scope;
} scopes[] = {{"submit", SCOPE_SUBMIT}, {"api", SCOPE_API}, {"mail", SCOPE_MAIL}};

struct wanted {
    const char *tenant, *scope, *account, *networks, *expires, *name, *class;
    struct bytes network_list[CREDENTIAL_NETWORKS_MAX + 1];
};

/* The part before the next comma; false: nothing is left. */
static bool take_part(struct bytes *list, struct bytes *part_out)
{
    if (list->ptr == NULL)
        return false;
    *part_out = bytes_slice(*list, 0, bytes_find(*list, ',', 0));
    *list =
        part_out->len == list->len ? BYTES_NONE : bytes_slice(*list, part_out->len + 1, list->len);
    return true;
}

static bool parse_scopes(struct cli *cli, const char *text, uint8_t *out)
{
    struct bytes list = bytes_of(text), part;

    while (take_part(&list, &part)) {
        uint8_t scope = 0;

        for (size_t i = 0; i < ARRAY_LEN(scopes); i++)
            scope |= bytes_equal(part, bytes_of(scopes[i].name)) ? scopes[i].scope : 0;
        if (scope == 0) {
            cli_misuse(cli, "--scope %s: expected some of submit,api,mail", text);
            return false;
        }
        *out |= scope;
    }
    return true;
}

static bool parse_class(struct cli *cli, const char *text, uint8_t *out)
{
    for (unsigned i = 0; i < MAIL_CLASSES; i++) {
        if (strcmp(text, mail_class_name((enum mail_class)i)) != 0)
            continue;
        *out = (uint8_t)i;
        return true;
    }
    cli_misuse(cli, "--class %s: expected high, normal or bulk", text);
    return false;
}

static bool parse_networks(struct cli *cli, struct wanted *wanted, struct credential_wish *wish)
{
    struct bytes list = bytes_of(wanted->networks), part;

    wish->networks = wanted->network_list;
    while (take_part(&list, &part)) {
        if (wish->network_count == CREDENTIAL_NETWORKS_MAX) {
            cli_misuse(cli, "--networks: more than %d", CREDENTIAL_NETWORKS_MAX);
            return false;
        }
        wanted->network_list[wish->network_count++] = part;
    }
    return true;
}

static bool parse_expires(struct cli *cli, const char *text, int64_t *out)
{
    int64_t ms;

    if (!value_duration(bytes_of(text), &ms) || ms < 1000) {
        cli_misuse(cli, "--expires %s: expected a time from now such as 90d or 12h", text);
        return false;
    }
    *out = (clock_wall_ms() + ms) / 1000;
    return true;
}

static bool make_wish(struct cli *cli, struct wanted *wanted, struct credential_wish *wish)
{
    *wish = (struct credential_wish){.tenant = bytes_of(wanted->tenant)};
    if (wanted->account != NULL)
        wish->account = bytes_of(wanted->account);
    if (wanted->name != NULL)
        wish->name = bytes_of(wanted->name);
    return (wanted->scope == NULL || parse_scopes(cli, wanted->scope, &wish->scopes)) &&
           (wanted->class == NULL || parse_class(cli, wanted->class, &wish->class)) &&
           (wanted->networks == NULL || parse_networks(cli, wanted, wish)) &&
           (wanted->expires == NULL || parse_expires(cli, wanted->expires, &wish->expires_s));
}

static bool take_wanted(struct cli *cli, struct wanted *wanted)
{
    struct cli_walk walk = {.next = 2};

    while (cli_option(cli, &walk)) {
        if (cli_value(cli, &walk, "--scope", &wanted->scope) ||
            cli_value(cli, &walk, "--account", &wanted->account) ||
            cli_value(cli, &walk, "--networks", &wanted->networks) ||
            cli_value(cli, &walk, "--expires", &wanted->expires) ||
            cli_value(cli, &walk, "--name", &wanted->name) ||
            cli_value(cli, &walk, "--class", &wanted->class))
            continue;
        if (walk.word == NULL || wanted->tenant != NULL) {
            cli_misuse(cli, "add does not take %s", walk.word != NULL ? walk.word : walk.name);
            return false;
        }
        wanted->tenant = walk.word;
    }
    if (walk.is_bad)
        return false;
    if (wanted->tenant == NULL)
        cli_misuse(cli, "add needs the name of a tenant");
    return wanted->tenant != NULL;
}

static int add(struct cli *cli)
{
    char id[CREDENTIAL_ID_LEN], secret[SECRET_LEN];
    struct wanted wanted = {0};
    struct credential_wish wish;
    struct records records;

    if (!take_wanted(cli, &wanted) || !make_wish(cli, &wanted, &wish))
        return EXIT_USAGE;
    int code = records_open(cli, &records);
    if (code != EXIT_GOOD)
        return code;
    enum store_result result = credential_add(records.store, &wish, id, secret);
    if (result == STORE_OK) {
        const char *user = wanted.account != NULL ? wanted.account : "apikey";

        if (cli->json)
            cli_print_json(json_pack("{s:o,s:o,s:o}", "id", json_text(bytes_range(id, sizeof(id))),
                                     "user", json_text_of(user), "secret",
                                     json_text(bytes_range(secret, sizeof(secret)))));
        else
            printf("id      %.*s\nuser    %s   (with SCRAM: %.*s)\nsecret  %.*s\n"
                   "The secret is not shown again.\n",
                   (int)sizeof(id), id, user, (int)sizeof(id), id, (int)sizeof(secret), secret);
    }
    return records_end(&records, result);
}

static json_t *scopes_json(uint8_t bits)
{
    json_t *array = json_array();

    for (size_t i = 0; i < ARRAY_LEN(scopes); i++)
        if ((bits & scopes[i].scope) != 0)
            json_array_append_new(array, json_text_of(scopes[i].name));
    return array;
}

static json_t *text_or_null(struct bytes text)
{
    return text.len == 0 ? json_null() : json_text(text);
}

static void print_json(const struct credential_row *row)
{
    json_t *object = json_object(), *networks = json_array();
    struct bytes list = row->networks.len == 0 ? BYTES_NONE : row->networks, part;

    while (take_part(&list, &part))
        json_array_append_new(networks, json_text(part));
    json_object_set_new(object, "id", json_text(row->id));
    json_object_set_new(object, "tenant", json_text(row->tenant));
    json_object_set_new(object, "account", text_or_null(row->account));
    json_object_set_new(object, "name", text_or_null(row->name));
    json_object_set_new(object, "scopes", scopes_json(row->scopes));
    json_object_set_new(object, "class",
                        json_text_of(mail_class_name((enum mail_class)row->class)));
    json_object_set_new(object, "networks", networks);
    records_put_time(object, "expires", row->expires_s);
    records_put_time(object, "created", row->created_s);
    records_put_time(object, "used", row->used_s);
    cli_print_json(object);
}

static void print_row(void *context, const struct credential_row *row)
{
    const struct cli *cli = context;
    char expires[16], used[16], name[CREDENTIAL_NAME_MAX + 1];

    if (cli->json) {
        print_json(row);
        return;
    }
    printf("%.*s %-24.*s", BYTES_ARG(row->id), BYTES_ARG(row->tenant));
    for (size_t i = 0; i < ARRAY_LEN(scopes); i++)
        if ((row->scopes & scopes[i].scope) != 0)
            printf(" %s", scopes[i].name);
    printf("  %s  expires %s  used %s", mail_class_name((enum mail_class)row->class),
           records_day(row->expires_s, "never", expires), records_day(row->used_s, "never", used));
    if (row->networks.len > 0)
        printf("  from %.*s", BYTES_ARG(row->networks));
    if (row->account.len > 0)
        printf("  of %.*s", BYTES_ARG(row->account));
    snprintf(name, sizeof(name), "%.*s", BYTES_ARG(row->name));
    if (name[0] != '\0')
        fputs("  ", stdout);
    cli_print_text(name);
    putchar('\n');
}

static int list(struct cli *cli)
{
    struct records records;
    const char *tenant = NULL;
    int count;

    if (!records_words(cli, &tenant, 0, 1, &count))
        return EXIT_USAGE;
    int code = records_open(cli, &records);
    if (code != EXIT_GOOD)
        return code;
    struct bytes name = tenant == NULL ? BYTES_NONE : bytes_of(tenant);
    return records_end(&records, credential_list(records.store, name, print_row, cli));
}

static int revoke(struct cli *cli)
{
    struct records records;
    const char *id;
    int count;

    if (!records_words(cli, &id, 1, 1, &count))
        return EXIT_USAGE;
    int code = records_open(cli, &records);
    if (code != EXIT_GOOD)
        return code;
    struct bytes inside = bytes_of(id);
    (void)!secret_id(inside, &inside); /* whoever pasted the secret does not see it again */
    return records_close(cli, &records, credential_revoke(records.store, inside),
                         "credential %.*s revoked", BYTES_ARG(inside));
}

static int run(struct cli *cli)
{
    static const struct records_verb verbs[] = {{"add", add},
                                                {"list", list},
                                                {"revoke", revoke},
                                                {NULL, NULL}};

    return records_run(cli, &cli_credential, verbs);
}

const struct cli_command cli_credential = {
    "credential",
    "secrets of tenants: add, list, revoke",
    "usage: ringpost [-c FILE] credential SUBCOMMAND [--json]\n\n"
    "  add    TENANT [--scope submit,api,mail] [--account local@domain] [--networks CIDR,...]\n"
    "                [--expires AGE] [--class high|normal|bulk] [--name TEXT]\n"
    "         prints id, user and secret, and the secret never again; --json: {\"id\", \"user\",\n"
    "         \"secret\"}. Without --scope: submit, or mail and submit of an account.\n"
    "  list   [TENANT]\n"
    "  revoke ID          logins with it fail within a second; the whole secret is taken too\n\n"
    "PLAIN, LOGIN, HTTP: the user \"apikey\" or the id; SCRAM: the id. AGE: 12h, 90d.\n",
    run,
};
