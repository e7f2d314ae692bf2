/* domain_show.c - prints records in the forms that people paste from. */
#include "relay/cli/domain_show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "directory/dkim_key.h"

enum { STRING_MAX = 255 /* of one string of a TXT record: RFC 1035 section 3.3 */ };

static const char *result_of(const struct domain_found *found)
{
    return found->failure != NULL ? "unknown" : domain_record_finding_name(found->finding);
}

static json_t *record_json(const struct domain_record *record, const struct domain_found *found)
{
    json_t *object = json_object();
    char value[300];

    json_object_set_new(object, "purpose", json_text_of(record->purpose));
    json_object_set_new(object, "name", json_text(record->name));
    json_object_set_new(object, "type", json_text_of(domain_record_type_name(record->type)));
    if (record->type == RECORD_MX)
        snprintf(value, sizeof(value), "%d %.*s.", MX_PREFERENCE, BYTES_ARG(record->value));
    else
        snprintf(value, sizeof(value), "%.*s.", BYTES_ARG(record->value));
    json_object_set_new(object, "value",
                        record->type == RECORD_TXT ? json_text(record->value)
                                                   : json_text_of(value));
    json_object_set_new(object, "required", json_boolean(record->is_required));
    if (found == NULL)
        return object;
    json_object_set_new(object, "result", json_text_of(result_of(found)));
    json_object_set_new(object, "found",
                        found->shown.len == 0 ? json_null() : json_text(found->shown));
    if (found->failure != NULL)
        json_object_set_new(object, "why", json_text_of(found->failure));
    return object;
}

static json_t *keys_json(const struct domain_row *domain)
{
    json_t *keys = json_array();

    for (size_t i = 0; i < domain->key_count; i++) {
        const struct domain_key_row *key = &domain->keys[i];

        json_array_append_new(keys,
                              json_pack("{s:o,s:s,s:s,s:o}", "selector", json_text(key->selector),
                                        "algorithm", signature_algorithm_name(key->algorithm),
                                        "state", dkim_key_state_name(key->state), "file",
                                        json_text(key->file)));
    }
    return keys;
}

static json_t *text_or_null(const char *text)
{
    return text[0] == '\0' ? json_null() : json_text_of(text);
}

static void add_reach(json_t *object, const struct domain_reach *reach)
{
    json_t *hosts = json_array();

    for (size_t i = 0; i < reach->host_count; i++)
        json_array_append_new(hosts, json_pack("{s:o,s:o,s:s,s:o}", "host",
                                               json_text_of(reach->hosts[i].name), "address",
                                               text_or_null(reach->hosts[i].address), "result",
                                               reach->hosts[i].met.result, "why",
                                               json_text_of(reach->hosts[i].met.why)));
    json_object_set_new(object, "hosts", hosts);
    json_object_set_new(object, "policy",
                        json_pack("{s:s,s:o,s:o}", "result", reach->policy.result, "why",
                                  json_text_of(reach->policy.why), "value",
                                  text_or_null(reach->policy_text)));
}

static void show_json(const struct domain_row *domain, size_t count,
                      const struct domain_record *records, const struct domain_found *found,
                      const struct domain_tls *tls, const struct domain_reach *reach)
{
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, record_json(&records[i], found != NULL ? &found[i] : NULL));
    json_t *object =
        json_pack("{s:o,s:o,s:s,s:b,s:b,s:o,s:o}", "domain", json_text(domain->name), "tenant",
                  json_text(domain->tenant), "state", domain->is_active ? "active" : "pending",
                  "hosted", (int)domain->is_hosted, "sub_domains", (int)domain->allows_sub_domains,
                  "keys", keys_json(domain), "records", list);

    if (tls != NULL)
        json_object_set_new(object, "tls",
                            json_pack("{s:s,s:s}", "result",
                                      domain_record_finding_name(tls->finding), "why", tls->why));
    if (reach != NULL)
        add_reach(object, reach);
    cli_print_json(object);
}

/* Strings of a master file (RFC 1035 section 5.1): a long text is cut into several. */
static void print_strings(struct bytes text)
{
    for (size_t at = 0; at < text.len; at += STRING_MAX)
        printf("%s\"%.*s\"", at == 0 ? "" : " ", BYTES_ARG(bytes_slice(text, at, STRING_MAX)));
}

static void print_value(const struct domain_record *record)
{
    if (record->type == RECORD_TXT)
        print_strings(record->value);
    else if (record->type == RECORD_MX)
        printf("%d %.*s.", MX_PREFERENCE, BYTES_ARG(record->value));
    else
        printf("%.*s.", BYTES_ARG(record->value));
}

/* Peers' texts: what a terminal might obey is shown escaped. */
static void print_foreign(struct bytes text)
{
    char *copy = strndup((const char *)text.ptr, text.len);

    check(copy != NULL);
    cli_print_text(copy);
    free(copy);
}

static void show_zone(size_t count, const struct domain_record *records)
{
    for (size_t i = 0; i < count; i++) {
        printf("%.*s. 3600 IN %s ", BYTES_ARG(records[i].name),
               domain_record_type_name(records[i].type));
        print_value(&records[i]);
        printf(" ; %s\n", records[i].purpose);
    }
}

static void show_reach(const struct domain_row *domain, const struct domain_reach *reach)
{
    struct bytes text = bytes_of(reach->policy_text), line;

    for (size_t i = 0; i < reach->host_count; i++) {
        printf("  %-11s %-7s %s%s%s: ", "host", reach->hosts[i].met.result, reach->hosts[i].name,
               reach->hosts[i].address[0] != '\0' ? " " : "", reach->hosts[i].address);
        print_foreign(bytes_of(reach->hosts[i].met.why));
        putchar('\n');
    }
    printf("  %-11s %-7s ", "policy", reach->policy.result);
    print_foreign(bytes_of(reach->policy.why));
    putchar('\n');
    if (text.len > 0)
        printf("    https://mta-sts.%.*s/.well-known/mta-sts.txt could say:\n",
               BYTES_ARG(domain->name));
    while (bytes_take_until(&text, '\n', &line))
        printf("      %.*s\n", BYTES_ARG(line));
}

static void show_table(const struct domain_row *domain, size_t count,
                       const struct domain_record *records, const struct domain_found *found,
                       const struct domain_tls *tls, const struct domain_reach *reach)
{
    printf("%.*s of %.*s: %s%s%s\n", BYTES_ARG(domain->name), BYTES_ARG(domain->tenant),
           domain->is_active ? "active" : "pending", domain->is_hosted ? ", hosted" : "",
           domain->allows_sub_domains ? ", with sub-domains" : "");
    for (size_t i = 0; i < count; i++) {
        printf("  %-11s ", records[i].purpose);
        if (found != NULL)
            printf("%-7s ", result_of(&found[i]));
        printf("%.*s %s ", BYTES_ARG(records[i].name), domain_record_type_name(records[i].type));
        print_value(&records[i]);
        putchar('\n');
        if (found == NULL || found[i].finding == RECORD_RIGHT)
            continue;
        if (found[i].failure != NULL) {
            printf("    DNS does not answer: %s\n", found[i].failure);
        } else if (found[i].shown.len > 0) {
            printf("    found: ");
            print_foreign(found[i].shown);
            putchar('\n');
        }
    }
    if (tls != NULL)
        printf("  %-11s %-7s %s\n", "tls", domain_record_finding_name(tls->finding), tls->why);
    if (reach != NULL)
        show_reach(domain, reach);
}

void domain_show(enum domain_form form, const struct domain_row *domain, size_t count,
                 const struct domain_record *records, const struct domain_found *found,
                 const struct domain_tls *tls, const struct domain_reach *reach)
{
    switch (form) {
    case DOMAIN_TABLE:
        show_table(domain, count, records, found, tls, reach);
        return;
    case DOMAIN_ZONE:
        show_zone(count, records);
        return;
    case DOMAIN_JSON:
        show_json(domain, count, records, found, tls, reach);
        return;
    }
}
