/* tenant_rules.c - ringpost tenant allow, block, unlist, rules: what a tenant says of senders. */
#include "directory/sender_rules.h"

#include <stdio.h>

#include "relay/cli/records.h"
#include "relay/cli/tenant_rules.h"

enum { VALUES_MAX = 1000 /* of a command */ };

static int change(struct cli *cli, const char *done,
                  enum store_result (*apply)(struct store *store, struct bytes tenant, size_t count,
                                             const char *const *values))
{
    static const char *words[VALUES_MAX + 1];
    struct records records;
    int count;

    if (!records_words(cli, words, 2, (int)ARRAY_LEN(words), &count))
        return EXIT_USAGE;
    int code = records_open(cli, &records);
    if (code != EXIT_GOOD)
        return code;
    return records_close(cli, &records,
                         apply(records.store, bytes_of(words[0]), (size_t)count - 1, words + 1),
                         done, words[0]);
}

static enum store_result allow(struct store *store, struct bytes tenant, size_t count,
                               const char *const *values)
{
    return sender_rules_set(store, tenant, true, count, values);
}

static enum store_result block(struct store *store, struct bytes tenant, size_t count,
                               const char *const *values)
{
    return sender_rules_set(store, tenant, false, count, values);
}

int tenant_allow(struct cli *cli)
{
    return change(cli, "tenant %s allows them", allow);
}

int tenant_block(struct cli *cli)
{
    return change(cli, "tenant %s blocks them", block);
}

int tenant_unlist(struct cli *cli)
{
    return change(cli, "tenant %s has no rule about them", sender_rules_remove);
}

static void print_rule(void *context, const struct sender_rule_row *row)
{
    const struct cli *cli = context;
    char day[16];

    if (cli->json) {
        json_t *object = json_pack("{s:s,s:o}", "rule", row->is_allowed ? "allow" : "block",
                                   "value", json_text(row->value));

        records_put_time(object, "created", row->created_s);
        cli_print_json(object);
        return;
    }
    printf("%s %.*s  since %s\n", row->is_allowed ? "allow" : "block", BYTES_ARG(row->value),
           records_day(row->created_s, "ever", day));
}

int tenant_rules(struct cli *cli)
{
    struct records records;
    const char *name;
    int count;

    if (!records_words(cli, &name, 1, 1, &count))
        return EXIT_USAGE;
    int code = records_open(cli, &records);
    if (code != EXIT_GOOD)
        return code;
    return records_end(&records, sender_rules_list(records.store, bytes_of(name), print_rule, cli));
}
