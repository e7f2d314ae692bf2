/* tenant.c - ringpost tenant: who sends. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "directory/tenant_limit.h"
#include "directory/tenant_privacy.h"
#include "directory/tenants.h"
#include "event/event_privacy.h"
#include "queue/allowance.h"
#include "relay/cli/records.h"
#include "relay/cli/tenant_rules.h"
#include "relay/config_value.h"
#include "relay/tenant_book.h"

enum { SETTINGS_MAX = 32 };

static int add(struct cli *cli)
{
    struct records records;
    const char *name;
    int count;

    if (!records_words(cli, &name, 1, 1, &count))
        return EXIT_USAGE;
    int code = records_open(cli, &records);
    if (code != EXIT_GOOD)
        return code;
    return records_close(cli, &records, tenant_add(records.store, bytes_of(name)),
                         "tenant %s added", name);
}

static json_t *tenant_json(const struct tenant_row *row)
{
    json_t *object = json_object(), *limits = json_object();

    for (unsigned i = 0; i < LIMIT_COUNT; i++)
        if (row->tenant.limits[i] != 0)
            json_object_set_new(limits, tenant_limit_row((enum tenant_limit)i)->name,
                                json_integer((json_int_t)row->tenant.limits[i]));
    json_object_set_new(object, "tenant", json_text(row->tenant.name));
    json_object_set_new(object, "disabled", json_boolean(row->tenant.is_disabled));
    json_object_set_new(object, "null_sender", json_boolean(row->tenant.allows_null_sender));
    json_object_set_new(object, "limits", limits);
    json_object_set_new(object, "credentials", json_integer(row->credentials));
    json_object_set_new(object, "domains", json_integer(row->domains));
    json_object_set_new(object, "accounts", json_integer(row->accounts));
    records_put_time(object, "created", row->created_s);
    return object;
}

/* What the daemon has written down of this hour, day and month, which is a second old at most. Only
 * tenants with rates or quotas are counted. */
static const struct {
    const char *name;
    enum allowance_count count;
} uses[] = {
    {"sent_this_hour", ALLOWANCE_SENT_HOUR},           {"sent_today", ALLOWANCE_SENT_DAY},
    {"sent_this_month", ALLOWANCE_SENT_MONTH},         {"accepted_today", ALLOWANCE_ACCEPTED_DAY},
    {"accepted_this_month", ALLOWANCE_ACCEPTED_MONTH},
};

static uint32_t used_now(const uint64_t counts[static ALLOWANCE_COUNTS], enum allowance_count count)
{
    struct allowance_moment moment = allowance_moment_of_wall(clock_wall_ms());

    return counts[count] >> 32 == moment.number[count] ? (uint32_t)counts[count] : 0;
}

static bool read_used(const struct cli *cli, const struct tenant_row *row,
                      uint64_t counts[static ALLOWANCE_COUNTS])
{
    char state_dir[CLI_PATH_MAX];

    return cli_state_dir(cli, state_dir) && tenant_book_read(state_dir, row->tenant.name, counts);
}

static void print_line(void *context, const struct tenant_row *row)
{
    const struct cli *cli = context;
    char day[16];

    if (cli->json) {
        cli_print_json(tenant_json(row));
        return;
    }
    printf("%-32.*s %-8s %6lld credentials %6lld domains %6lld accounts  since %s\n",
           BYTES_ARG(row->tenant.name), row->tenant.is_disabled ? "disabled" : "enabled",
           (long long)row->credentials, (long long)row->domains, (long long)row->accounts,
           records_day(row->created_s, "-", day));
}

static void print_whole_json(const struct cli *cli, const struct tenant_row *row)
{
    json_t *object = tenant_json(row), *used = json_object();
    uint64_t counts[ALLOWANCE_COUNTS];

    if (read_used(cli, row, counts))
        for (size_t i = 0; i < ARRAY_LEN(uses); i++)
            json_object_set_new(used, uses[i].name, json_integer(used_now(counts, uses[i].count)));
    json_object_set_new(object, "used", used);
    cli_print_json(object);
}

static void print_used(const struct cli *cli, const struct tenant_row *row)
{
    uint64_t counts[ALLOWANCE_COUNTS];

    if (!read_used(cli, row, counts))
        return;
    for (size_t i = 0; i < ARRAY_LEN(uses); i++)
        printf("  %-20s %u\n", uses[i].name, used_now(counts, uses[i].count));
}

static void print_whole(void *context, const struct tenant_row *row)
{
    const struct cli *cli = context;

    if (cli->json) {
        print_whole_json(cli, row);
        return;
    }
    print_line(context, row);
    printf("  %-20s %s\n", "null_sender", row->tenant.allows_null_sender ? "yes" : "no");
    for (unsigned i = 0; i < LIMIT_COUNT; i++) {
        const struct tenant_limit_row *limit = tenant_limit_row((enum tenant_limit)i);
        unsigned long long value = row->tenant.limits[i];

        if (value != 0)
            printf("  %-20s %llu%s  (%s)\n", limit->name, value, limit->is_size ? " bytes" : "",
                   limit->says);
    }
    print_used(cli, row);
}

static int list(struct cli *cli)
{
    struct records records;
    int count;

    if (!records_words(cli, NULL, 0, 0, &count))
        return EXIT_USAGE;
    int code = records_open(cli, &records);
    if (code != EXIT_GOOD)
        return code;
    return records_end(&records, tenant_list(records.store, BYTES_NONE, print_line, cli));
}

static int show(struct cli *cli)
{
    struct records records;
    const char *name;
    int count;

    if (!records_words(cli, &name, 1, 1, &count))
        return EXIT_USAGE;
    int code = records_open(cli, &records);
    if (code != EXIT_GOOD)
        return code;
    return records_end(&records, tenant_list(records.store, bytes_of(name), print_whole, cli));
}

static bool bad_setting(struct cli *cli, const char *word)
{
    char names[512];
    size_t len = 0;

    for (unsigned i = 0; i < LIMIT_COUNT; i++)
        len += (size_t)snprintf(names + len, sizeof(names) - len, "%s, ",
                                tenant_limit_row((enum tenant_limit)i)->name);
    cli_misuse(cli, "%s: expected KEY=VALUE with one of %snull_sender", word, names);
    return false;
}

/* "none" takes a limit away. */
static bool parse_limit(struct cli *cli, const char *word, struct bytes value,
                        struct tenant_setting *out)
{
    const struct tenant_limit_row *limit = tenant_limit_row(out->limit);
    bool is_none = bytes_equal(value, BYTES("none"));
    bool is_good = is_none || (limit->is_size ? value_size(value, &out->value)
                                              : bytes_to_u64(value, &out->value));

    if (is_none)
        out->value = 0;
    if (is_good && (is_none || (out->value >= 1 && out->value <= limit->max)))
        return true;
    cli_misuse(cli, "%s: expected %s up to %llu, or none", word,
               limit->is_size ? "a size such as 25MiB," : "a whole number",
               (unsigned long long)limit->max);
    return false;
}

static bool parse_setting(struct cli *cli, const char *word, struct tenant_setting *out)
{
    struct bytes value = bytes_of(word), key;

    *out = (struct tenant_setting){0};
    if (!bytes_take_until(&value, '=', &key))
        return bad_setting(cli, word);
    if (bytes_equal(key, BYTES("null_sender"))) {
        out->is_null_sender = true;
        out->value = bytes_equal(value, BYTES("yes"));
        if (out->value != 0 || bytes_equal(value, BYTES("no")))
            return true;
        cli_misuse(cli, "%s: expected yes or no", word);
        return false;
    }
    if (!tenant_limit_find(key, &out->limit))
        return bad_setting(cli, word);
    return parse_limit(cli, word, value, out);
}

static int set_privacy(struct cli *cli, const char *tenant, const char *value)
{
    struct records records;
    enum privacy_mode mode;

    if (!privacy_mode_parse(bytes_of(value), &mode))
        return cli_misuse(cli, "privacy=%s: expected none, hash or cut", value);
    int code = records_open(cli, &records);
    if (code != EXIT_GOOD)
        return code;
    return records_close(cli, &records, tenant_privacy_set(records.store, bytes_of(tenant), mode),
                         "tenant %s set", tenant);
}

static int set(struct cli *cli)
{
    struct tenant_setting settings[SETTINGS_MAX];
    const char *words[SETTINGS_MAX + 1];
    struct records records;
    int count;

    if (!records_words(cli, words, 2, (int)ARRAY_LEN(words), &count))
        return EXIT_USAGE;
    if (count == 2 && strncmp(words[1], "privacy=", 8) == 0)
        return set_privacy(cli, words[0], words[1] + 8);
    for (int i = 1; i < count; i++)
        if (!parse_setting(cli, words[i], &settings[i - 1]))
            return EXIT_USAGE;
    int code = records_open(cli, &records);
    if (code != EXIT_GOOD)
        return code;
    return records_close(cli, &records,
                         tenant_set(records.store, bytes_of(words[0]), (size_t)count - 1, settings),
                         "tenant %s set", words[0]);
}

static int turn(struct cli *cli, bool is_disabled)
{
    struct records records;
    const char *name;
    int count;

    if (!records_words(cli, &name, 1, 1, &count))
        return EXIT_USAGE;
    int code = records_open(cli, &records);
    if (code != EXIT_GOOD)
        return code;
    return records_close(cli, &records, tenant_disable(records.store, bytes_of(name), is_disabled),
                         "tenant %s %s", name, is_disabled ? "disabled" : "enabled");
}

static int disable(struct cli *cli)
{
    return turn(cli, true);
}

static int enable(struct cli *cli)
{
    return turn(cli, false);
}

static int remove_one(struct cli *cli)
{
    struct cli_walk walk = {.next = 2};
    struct records records;
    const char *name = NULL;
    bool with_all = false;

    while (cli_option(cli, &walk)) {
        if (cli_flag(&walk, "--with-all", &with_all))
            continue;
        if (walk.word == NULL || name != NULL)
            return cli_misuse(cli, "remove does not take %s",
                              walk.word != NULL ? walk.word : walk.name);
        name = walk.word;
    }
    if (name == NULL)
        return cli_misuse(cli, "remove needs the name of a tenant");
    int code = records_open(cli, &records);
    if (code != EXIT_GOOD)
        return code;
    return records_close(cli, &records, tenant_remove(records.store, bytes_of(name), with_all),
                         "tenant %s removed", name);
}

static int run(struct cli *cli)
{
    static const struct records_verb verbs[] = {
        {"add", add},
        {"list", list},
        {"show", show},
        {"set", set},
        {"disable", disable},
        {"enable", enable},
        {"remove", remove_one},
        {"allow", tenant_allow},
        {"block", tenant_block},
        {"unlist", tenant_unlist},
        {"rules", tenant_rules},
        {NULL, NULL},
    };

    return records_run(cli, &cli_tenant, verbs);
}

const struct cli_command cli_tenant = {
    "tenant",
    "who sends: add, list, show, set, disable, enable, remove, allow, block, unlist, rules",
    "usage: ringpost [-c FILE] tenant SUBCOMMAND [--json]\n\n"
    "  add     NAME                 lower-case letters, digits, \"-\", \"_\" and \".\"\n"
    "  list\n"
    "  show    NAME                 with its limits\n"
    "  set     NAME KEY=VALUE...    ringpost(8) lists the keys; \"none\" takes a limit away\n"
    "  disable NAME                 its mail is refused with 550 from now on; what was accepted\n"
    "                               is delivered\n"
    "  enable  NAME\n"
    "  remove  NAME [--with-all]    with its credentials, domains, accounts and aliases\n"
    "  allow   NAME SENDER...       their mail is never spam: local@domain, a domain, *.domain,\n"
    "                               or a network of clients such as 192.0.2.0/24\n"
    "  block   NAME SENDER...       their mail is refused with 550\n"
    "  unlist  NAME SENDER...       neither any more\n"
    "  rules   NAME                 what it allows and blocks\n\n"
    "A daemon need not run; one that does takes changes over within a second. What is so already\n"
    "is no failure.\n",
    run,
};
