/* domain.c - ringpost domain: what tenants send from and what we receive for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/cli/dns_look.h"
#include "relay/cli/domain_check.h"
#include "relay/cli/domain_show.h"
#include "relay/cli/records.h"

enum { HOSTS_MAX = 64 };

/* What every verb needs: the configuration says which host and addresses records name. */
struct domain_call {
    struct config *config;
    struct records records;
    char address_texts[HOSTS_MAX][ADDRESS_TEXT_MAX];
    struct bytes addresses[HOSTS_MAX];
    struct address clients[HOSTS_MAX]; /* what other servers see us come from */
    char reverse_texts[HOSTS_MAX][CLIENT_REVERSE_MAX];
    struct bytes reverse[HOSTS_MAX];
    struct domain_hosts hosts;
};

static void add_client(struct domain_call *call, const struct address *address)
{
    size_t n = call->hosts.reverse_count;

    if (n == HOSTS_MAX)
        return;
    call->clients[n] = *address;
    call->reverse[n] = client_address_reverse(domain_check_octets(address), call->reverse_texts[n]);
    call->hosts.reverse_count++;
}

static void add_address(struct domain_call *call, const struct address *address)
{
    size_t n = call->hosts.address_count;

    if (n == HOSTS_MAX)
        return;
    size_t len = address_format(address, call->address_texts[n]);
    call->addresses[n] = bytes_range(call->address_texts[n], len);
    call->hosts.address_count++;
    add_client(call, address);
}

static int open_call(const struct cli *cli, struct domain_call *call)
{
    *call = (struct domain_call){.config = cli_config(cli)};
    if (call->config == NULL)
        return EXIT_CONFIG;
    call->hosts.hostname = bytes_of(call->config->hostname);
    call->hosts.addresses = call->addresses;
    call->hosts.reverse = call->reverse;
    for (size_t i = 0; i < call->config->delivery.source_count; i++) {
        const struct source *source = &call->config->delivery.sources[i];

        if (source->has_address4)
            add_address(call, &source->address4);
        if (source->has_address6)
            add_address(call, &source->address6);
    }
    int code = records_open(cli, &call->records);
    if (code != EXIT_GOOD)
        config_release(&call->config);
    return code;
}

static int close_call(struct domain_call *call, enum store_result result)
{
    config_release(&call->config);
    return records_end(&call->records, result);
}

static enum domain_form form_of(const struct cli *cli, bool is_zone)
{
    return cli->json ? DOMAIN_JSON : is_zone ? DOMAIN_ZONE : DOMAIN_TABLE;
}

/* --- add, list, show, remove ------------------------------------------------------------------ */

struct showing {
    const struct domain_call *call;
    enum domain_form form;
};

static void show_one(void *context, const struct domain_row *domain)
{
    struct domain_record records[DOMAIN_RECORDS_MAX];
    const struct showing *showing = context;
    struct arena arena;

    arena_init(&arena, SIZE_MAX);
    size_t count = domain_records(domain, &showing->call->hosts, &arena, records);
    domain_show(showing->form, domain, count, records, NULL, NULL, NULL);
    arena_free(&arena);
}

struct wanted {
    const char *words[2];
    int count;
    bool is_active, is_hosted, allows_sub_domains, is_zone, stays_home;
};

static bool take_words(struct cli *cli, int count, struct wanted *out)
{
    bool is_add = strcmp(cli->argv[1], "add") == 0;
    bool is_verify = strcmp(cli->argv[1], "verify") == 0;
    struct cli_walk walk = {.next = 2};

    while (cli_option(cli, &walk)) {
        if (is_add && (cli_flag(&walk, "--active", &out->is_active) ||
                       cli_flag(&walk, "--hosted", &out->is_hosted) ||
                       cli_flag(&walk, "--sub-domains", &out->allows_sub_domains)))
            continue;
        if (is_verify ? cli_flag(&walk, "--no-connect", &out->stays_home)
                      : cli_flag(&walk, "--zone", &out->is_zone))
            continue;
        if (walk.word == NULL || out->count == count) {
            cli_misuse(cli, "%s does not take %s", cli->argv[1],
                       walk.word != NULL ? walk.word : walk.name);
            return false;
        }
        out->words[out->count++] = walk.word;
    }
    if (out->count == count)
        return true;
    cli_misuse(cli, "%s needs %s", cli->argv[1], count == 2 ? "TENANT and DOMAIN" : "DOMAIN");
    return false;
}

static int add(struct cli *cli)
{
    struct wanted wanted = {0};
    struct domain_call call;

    if (!take_words(cli, 2, &wanted))
        return EXIT_USAGE;
    int code = open_call(cli, &call);
    if (code != EXIT_GOOD)
        return code;
    struct domain_wish wish = {
        .tenant = bytes_of(wanted.words[0]),
        .name = bytes_of(wanted.words[1]),
        .is_active = wanted.is_active,
        .is_hosted = wanted.is_hosted,
        .allows_sub_domains = wanted.allows_sub_domains,
    };
    struct showing showing = {&call, form_of(cli, wanted.is_zone)};
    enum store_result result = domain_add(call.records.store, call.records.state_dir, &wish);
    if (result == STORE_OK || result == STORE_SAME)
        result = domain_list(call.records.store, wish.name, show_one, &showing);
    return close_call(&call, result);
}

static int show(struct cli *cli)
{
    struct wanted wanted = {0};
    struct domain_call call;

    if (!take_words(cli, 1, &wanted))
        return EXIT_USAGE;
    int code = open_call(cli, &call);
    if (code != EXIT_GOOD)
        return code;
    struct showing showing = {&call, form_of(cli, wanted.is_zone)};
    return close_call(&call, domain_list(call.records.store, bytes_of(wanted.words[0]), show_one,
                                         &showing));
}

static void print_line(void *context, const struct domain_row *row)
{
    const struct cli *cli = context;
    char created[16], verified[16];

    if (cli->json) {
        json_t *object = json_object();

        json_object_set_new(object, "domain", json_text(row->name));
        json_object_set_new(object, "tenant", json_text(row->tenant));
        json_object_set_new(object, "state", json_text_of(row->is_active ? "active" : "pending"));
        json_object_set_new(object, "hosted", json_boolean(row->is_hosted));
        json_object_set_new(object, "sub_domains", json_boolean(row->allows_sub_domains));
        records_put_time(object, "created", row->created_s);
        records_put_time(object, "verified", row->verified_s);
        cli_print_json(object);
        return;
    }
    printf("%-40.*s %-24.*s %-8s%s%s  since %s, verified %s\n", BYTES_ARG(row->name),
           BYTES_ARG(row->tenant), row->is_active ? "active" : "pending",
           row->is_hosted ? " hosted" : "", row->allows_sub_domains ? " sub-domains" : "",
           records_day(row->created_s, "-", created),
           records_day(row->verified_s, "never", verified));
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
    return records_end(&records, domain_list(records.store, BYTES_NONE, print_line, cli));
}

static int remove_one(struct cli *cli)
{
    struct records records;
    const char *name;
    int count;

    if (!records_words(cli, &name, 1, 1, &count))
        return EXIT_USAGE;
    int code = records_open(cli, &records);
    if (code != EXIT_GOOD)
        return code;
    return records_close(cli, &records,
                         domain_remove(records.store, records.state_dir, bytes_of(name)),
                         "domain %s removed", name);
}

/* --- what DNS says ---------------------------------------------------------------------------- */

static const enum dns_type asked_types[] = {
    [RECORD_TXT] = DNS_TYPE_TXT,
    [RECORD_CNAME] = DNS_TYPE_A, /* whatever it says, it shows where the chain ends */
    [RECORD_MX] = DNS_TYPE_MX,
    [RECORD_PTR] = DNS_TYPE_PTR,
};

static void look_up(struct dns_look *look, const struct domain_record *record, struct arena *arena,
                    struct domain_found *out)
{
    struct bytes found[DNS_RECORDS_MAX];
    struct dns_look_answer answer;
    size_t count = 0;

    *out = (struct domain_found){.finding = RECORD_MISSING, .shown = BYTES("")};
    dns_look(look, record->name, asked_types[record->type], arena, &answer);
    if (answer.status == DNS_FAILED || answer.status == DNS_BAD_NAME) {
        out->failure = answer.status == DNS_FAILED ? answer.why : "no name to ask for";
        return;
    }
    if (record->type == RECORD_CNAME)
        found[count++] = answer.canonical;
    for (size_t i = 0; record->type != RECORD_CNAME && i < answer.count; i++)
        found[count++] =
            record->type == RECORD_MX ? answer.records[i].name : answer.records[i].text;
    out->finding = domain_record_judge(record, count, found, &out->shown);
}

/* Of all records: whether those that are needed are right. Of a rotation, the keys that wait. */
struct verifying {
    const struct domain_call *call;
    struct dns_look *look;
    enum domain_form form;
    bool is_rotation;
    bool stays_home; /* nobody is connected to */
    bool is_good;
    bool has_waiting; /* keys that are published and do not sign */
    bool has_signing; /* keys that do; without, those that wait are the domain's first */
};

static bool is_needed(const struct verifying *v, const struct domain_record *record)
{
    bool is_waiting = bytes_equal(bytes_of(record->purpose), BYTES("dkim")) &&
                      record->state == DKIM_KEY_PUBLISHED;

    return v->is_rotation ? is_waiting : record->is_required && (!is_waiting || !v->has_signing);
}

/* As it is once what was found has been acted upon. */
static void tell_one(const struct verifying *v, const struct domain_row *domain, size_t count,
                     const struct domain_record *records, const struct domain_found *found,
                     const struct domain_reach *reach)
{
    bool is_activated = !v->is_rotation && v->is_good;
    size_t keys_size = MAX(domain->key_count, (size_t)1) * sizeof(*domain->keys);
    struct domain_key_row *keys = malloc(keys_size);
    struct domain_row told = *domain;
    struct domain_tls tls;

    check(keys != NULL);
    if (domain->is_hosted)
        domain_check_tls(v->call->config, &tls);
    told.keys = keys;
    told.is_active |= is_activated;
    for (size_t i = 0; i < domain->key_count; i++) {
        keys[i] = domain->keys[i];
        if (is_activated && !v->has_signing && keys[i].state == DKIM_KEY_PUBLISHED)
            keys[i].state = DKIM_KEY_ACTIVE;
    }
    domain_show(v->form, &told, count, records, found, domain->is_hosted ? &tls : NULL, reach);
    free(keys);
}

static void verify_one(void *context, const struct domain_row *domain)
{
    struct domain_record records[DOMAIN_RECORDS_MAX];
    struct domain_found found[DOMAIN_RECORDS_MAX];
    struct verifying *v = context;
    struct arena arena;

    arena_init(&arena, SIZE_MAX);
    size_t count = domain_records(domain, &v->call->hosts, &arena, records);
    v->is_good = count > 0;
    for (size_t i = 0; i < domain->key_count; i++) {
        v->has_waiting |= domain->keys[i].state == DKIM_KEY_PUBLISHED;
        v->has_signing |= domain->keys[i].state == DKIM_KEY_ACTIVE;
    }
    for (size_t i = 0, client = 0; i < count; i++) {
        if (records[i].type == RECORD_PTR)
            domain_check_reverse(v->look, &v->call->clients[client++], &arena, &found[i]);
        else
            look_up(v->look, &records[i], &arena, &found[i]);
        if (is_needed(v, &records[i]) && found[i].finding != RECORD_RIGHT)
            v->is_good = false;
    }
    bool is_reached = domain->is_hosted && !v->is_rotation && !v->stays_home;
    struct domain_reach *reach = is_reached ? malloc(sizeof(*reach)) : NULL;

    check(!is_reached || reach != NULL);
    if (is_reached)
        domain_reach(v->call->config, v->look, domain->name, &arena, reach);
    tell_one(v, domain, count, records, found, reach);
    free(reach);
    arena_free(&arena);
}

/* The host's own addresses, where none is set to send from. */
static void add_seen(struct domain_call *call, struct dns_look *look)
{
    struct dns_look_answer answer;
    struct address address;
    struct arena arena;

    arena_init(&arena, SIZE_MAX);
    dns_look(look, call->hosts.hostname, DNS_TYPE_A, &arena, &answer);
    for (size_t i = 0; i < answer.count; i++) {
        address_from_v4(answer.records[i].a, 0, &address);
        add_client(call, &address);
    }
    dns_look(look, call->hosts.hostname, DNS_TYPE_AAAA, &arena, &answer);
    for (size_t i = 0; i < answer.count; i++) {
        address_from_v6(&answer.records[i].aaaa, 0, &address);
        add_client(call, &address);
    }
    arena_free(&arena);
}

static enum store_result look_at_all(struct cli *cli, struct domain_call *call, const char *name,
                                     struct verifying *v)
{
    const char *why;

    v->call = call;
    v->form = form_of(cli, false);
    v->look = dns_look_open(&call->config->dns, &why);
    if (v->look == NULL) {
        cli_fail(EXIT_OS, "no look-ups in DNS: %s", why);
        return STORE_OK;
    }
    if (call->hosts.address_count == 0)
        add_seen(call, v->look);
    enum store_result result = domain_list(call->records.store, bytes_of(name), verify_one, v);
    dns_look_close(&v->look);
    return result;
}

static int verify(struct cli *cli)
{
    struct wanted wanted = {0};
    struct domain_call call;

    if (!take_words(cli, 1, &wanted))
        return EXIT_USAGE;
    struct verifying verifying = {.stays_home = wanted.stays_home};
    const char *name = wanted.words[0];
    int code = open_call(cli, &call);
    if (code != EXIT_GOOD)
        return code;
    enum store_result result = look_at_all(cli, &call, name, &verifying);
    if (result == STORE_OK && verifying.is_good)
        result = domain_activate(call.records.store, bytes_of(name));
    code = close_call(&call, result);
    if (code == EXIT_GOOD && !verifying.is_good)
        return cli_fail(
            EXIT_FAILED,
            "%s: it needs records for dkim and spf, and for mx if it is hosted, and not "
            "all of them are right",
            name);
    return code;
}

/* Published by the first call, looked for and switched to by the next. */
static int rotate(struct cli *cli)
{
    struct verifying verifying = {.is_rotation = true};
    struct domain_call call;
    const char *name;
    int count;

    if (!records_words(cli, &name, 1, 1, &count))
        return EXIT_USAGE;
    int code = open_call(cli, &call);
    if (code != EXIT_GOOD)
        return code;
    struct records *records = &call.records;
    enum store_result result =
        domain_publish_keys(records->store, records->state_dir, bytes_of(name));
    bool is_new = result == STORE_OK;
    if (is_new || result == STORE_SAME)
        result = look_at_all(cli, &call, name, &verifying);
    bool is_seen = result == STORE_OK && verifying.is_good && verifying.has_waiting;
    if (is_seen)
        result = domain_switch_keys(records->store, records->state_dir, bytes_of(name));
    code = close_call(&call, result);
    if (code != EXIT_GOOD)
        return code;
    if (is_seen && !cli->json)
        printf("%s: the new keys sign from now on; leave the old records for a week\n", name);
    if (!is_seen && is_new && !cli->json)
        printf("%s: new keys were made; publish their records, then `ringpost domain rotate %s` "
               "again\n",
               name, name);
    if (!is_seen && !is_new)
        return cli_fail(EXIT_FAILED,
                        "%s: the records of the new keys are not seen in DNS yet; the "
                        "old ones go on signing",
                        name);
    return EXIT_GOOD;
}

static int run(struct cli *cli)
{
    static const struct records_verb verbs[] = {
        {"add", add},       {"list", list},         {"show", show}, {"verify", verify},
        {"rotate", rotate}, {"remove", remove_one}, {NULL, NULL},
    };

    return records_run(cli, &cli_domain, verbs);
}

const struct cli_command cli_domain = {
    "domain",
    "domains of tenants: add, list, show, verify, rotate, remove",
    "usage: ringpost [-c FILE] domain SUBCOMMAND [--json]\n\n"
    "  add    TENANT DOMAIN [--active] [--hosted] [--sub-domains] [--zone]\n"
    "                  makes its DKIM keys (RSA of 2048 bits, Ed25519) and prints the records\n"
    "                  that belong into DNS. --active: use it before they are seen; --hosted: we\n"
    "                  receive for it; --sub-domains: its tenant may send from names below it\n"
    "  list\n"
    "  show   DOMAIN [--zone]    its records; --zone: as lines of a zone file\n"
    "  verify DOMAIN [--no-connect]\n"
    "                  asks DNS for each: right, wrong (and what was found) or missing. Where\n"
    "                  dkim, spf and, of a hosted one, mx are right, it becomes active. Of a\n"
    "                  hosted one the names of our addresses and our certificates are told too,\n"
    "                  and what others meet at its mail hosts and its MTA-STS policy;\n"
    "                  --no-connect: nobody is connected to\n"
    "  rotate DOMAIN   first: new keys, whose records are to be published. Then, once they are\n"
    "                  seen: the new ones sign and the old ones are retired\n"
    "  remove DOMAIN   with its keys\n",
    run,
};
