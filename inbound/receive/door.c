/* door.c - questions about a client, side by side; door.h says what answers mean. */
#include "inbound/receive/door.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/client_address.h"
#include "base/log.h"
#include "base/metric.h"

struct door_question {
    struct dns_query query;
    struct door *door;
    int action;
    char zone[DOOR_ZONE_MAX + 1];
};

struct door {
    struct door_setup setup;
    struct engine *engine;
    struct timeout deadline, delay;
    bool is_patient; /* the greet delay is over */
    bool is_late;
    unsigned waiting; /* questions */
    size_t question_count;
    struct door_question questions[DOOR_LISTS_MAX];
    int iprev_action;
    struct dns_query iprev_query;
    struct iprev_check iprev;
    enum lookup_type iprev_type; /* of its question */
    struct verdict verdict;
    char list[DOOR_ZONE_MAX + 1];
    char text[DOOR_TEXT_MAX];
};

static void look(struct door *door);

/* --- what is found ---------------------------------------------------------------------------- */

/* For good before for now, the first of equals. */
static void refuse(struct door *door, int action, const char *enhanced, const char *rule,
                   const char *text)
{
    bool is_for_good = action == DECISION_REFUSE;

    if (door->verdict.code == 554 || (door->verdict.code != 0 && !is_for_good))
        return;
    snprintf(door->text, sizeof(door->text), "%s", text);
    door->verdict = (struct verdict){is_for_good ? 554 : 421, enhanced, door->text, rule, true};
}

static void found_listed(struct door *door, const struct door_question *question)
{
    char text[DOOR_TEXT_MAX], peer[ADDRESS_TEXT_MAX];

    metric_inc(METRIC_INBOUND_LISTED);
    if (question->action == DECISION_TAG) {
        if (door->list[0] == '\0')
            memcpy(door->list, question->zone, sizeof(door->list));
        return;
    }
    address_format(&door->setup.client, peer);
    snprintf(text, sizeof(text), "Your address %s is listed by %s", peer, question->zone);
    refuse(door, question->action, question->action == DECISION_REFUSE ? "5.7.1" : "4.7.1",
           "inbound.dnsbl", text);
}

static bool says_listed(const struct door_question *question, const struct dns_answer *answer)
{
    for (size_t i = 0; answer->status == DNS_OK && i < answer->record_count; i++) {
        uint32_t a = ntohl(answer->records[i].a.s_addr);

        if (a >> 24 == 127 && a >> 8 != 0x7fffff)
            return true;
        log_limited(LOG_LEVEL_WARN,
                    "dnsbl=%s answer=%u.%u.%u.%u what=\"this is no word on an address: the list is "
                    "not to be asked from here, or not any more\"",
                    LOG_STRING(question->zone), a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255);
    }
    return false;
}

static void list_answered(struct dns_query *query, const struct dns_answer *answer)
{
    struct door_question *question = container_of(query, struct door_question, query);
    struct door *door = question->door;

    door->waiting--;
    if (says_listed(question, answer))
        found_listed(door, question);
    look(door);
}

/* --- its name --------------------------------------------------------------------------------- */

/* RFC 7372 section 3.3: 7.25. */
static void iprev_known(struct door *door)
{
    bool is_bad = door->iprev.verdict == IPREV_FAIL || door->iprev.verdict == IPREV_PERMERROR;

    if (is_bad && door->iprev_action != DECISION_TAG)
        refuse(door, door->iprev_action,
               door->iprev_action == DECISION_REFUSE ? "5.7.25" : "4.7.25", "inbound.iprev",
               "Your address has no name in DNS that leads back to it");
}

static void iprev_pump(struct door *door)
{
    static const enum dns_type types[] = {
        [LOOKUP_TXT] = DNS_TYPE_TXT, [LOOKUP_A] = DNS_TYPE_A,     [LOOKUP_AAAA] = DNS_TYPE_AAAA,
        [LOOKUP_MX] = DNS_TYPE_MX,   [LOOKUP_PTR] = DNS_TYPE_PTR,
    };
    struct lookup lookup;

    if (iprev_run(&door->iprev, &lookup) == CHECK_DONE) {
        door->waiting--;
        iprev_known(door);
        return;
    }
    door->iprev_type = lookup.type;
    resolver_ask_any(door->setup.names, &door->iprev_query, lookup.name, types[lookup.type]);
}

static struct bytes text_of(const struct dns_record *record, enum lookup_type type)
{
    if (type == LOOKUP_A)
        return bytes_range(&record->a, sizeof(record->a));
    if (type == LOOKUP_AAAA)
        return bytes_range(&record->aaaa, sizeof(record->aaaa));
    return record->name;
}

static void iprev_answered(struct dns_query *query, const struct dns_answer *answer)
{
    struct door *door = container_of(query, struct door, iprev_query);
    struct lookup_record records[DNS_RECORDS_MAX];
    struct lookup_answer taken = {.records = records};

    switch (answer->status) {
    case DNS_OK:
        taken.result = LOOKUP_FOUND;
        break;
    case DNS_NO_DATA:
        taken.result = LOOKUP_NO_DATA;
        break;
    case DNS_NXDOMAIN:
    case DNS_BAD_NAME:
        taken.result = LOOKUP_NO_NAME;
        break;
    case DNS_FAILED:
        taken.result = LOOKUP_FAILED;
        break;
    }
    for (size_t i = 0; i < answer->record_count; i++) {
        const struct dns_record *record = &answer->records[i];

        records[taken.count++].text = text_of(record, door->iprev_type);
    }
    iprev_answer(&door->iprev, &taken);
    iprev_pump(door);
    look(door);
}

/* --- time ------------------------------------------------------------------------------------- */

static void look(struct door *door)
{
    if (door->waiting == 0 && door->is_patient)
        door->setup.done(door->setup.context, door);
}

static void delay_passed(struct timeout *timeout)
{
    struct door *door = container_of(timeout, struct door, delay);

    door->is_patient = true;
    look(door);
}

static void cancel_all(struct door *door)
{
    for (size_t i = 0; i < door->question_count; i++)
        resolver_cancel(door->setup.lists, &door->questions[i].query);
    resolver_cancel(door->setup.names, &door->iprev_query);
    door->waiting = 0;
}

static void deadline_passed(struct timeout *timeout)
{
    struct door *door = container_of(timeout, struct door, deadline);

    cancel_all(door);
    look(door);
}

/* --- life ------------------------------------------------------------------------------------- */

static struct bytes octets_of(const struct address *client)
{
    if (client->any.sa_family == AF_INET)
        return bytes_range(&client->v4.sin_addr, sizeof(client->v4.sin_addr));
    if (client->any.sa_family == AF_INET6)
        return bytes_range(&client->v6.sin6_addr, sizeof(client->v6.sin6_addr));
    return BYTES_NONE;
}

/* "1.2.0.192.zen.example": RFC 5782 sections 2.1 and 2.4. */
static void ask_list(struct door *door, const struct door_list *list)
{
    struct door_question *question = &door->questions[door->question_count++];
    struct bytes address = client_address_plain(octets_of(&door->setup.client));
    char reverse[CLIENT_REVERSE_MAX], name[CLIENT_REVERSE_MAX + DOOR_ZONE_MAX + 2];
    struct bytes front = client_address_reverse(address, reverse);
    size_t suffix_len = address.len == 4 ? sizeof("in-addr.arpa") - 1 : sizeof("ip6.arpa") - 1;

    check(front.len > suffix_len);
    *question = (struct door_question){.query = {.done = list_answered},
                                       .door = door,
                                       .action = list->action};
    snprintf(question->zone, sizeof(question->zone), "%s", list->zone);
    int len =
        snprintf(name, sizeof(name), "%.*s%s", (int)(front.len - suffix_len), reverse, list->zone);
    door->waiting++;
    resolver_ask(door->setup.lists, &question->query, bytes_range(name, (size_t)len), DNS_TYPE_A);
}

struct door *door_start(const struct door_setup *setup)
{
    const struct door_rules *rules = setup->rules;
    struct bytes address = octets_of(&setup->client);
    bool asks_name = rules->iprev != DECISION_TAG;

    if (rules->greet_delay_ms == 0 && rules->list_count == 0 && !asks_name)
        return NULL;
    struct door *door = calloc(1, sizeof(*door));
    check(door != NULL);
    door->setup = *setup;
    door->setup.rules = NULL; /* they are the caller's */
    door->engine = resolver_engine(setup->names);
    door->iprev_action = rules->iprev;
    door->iprev_query.done = iprev_answered;
    timeout_init(&door->deadline, deadline_passed);
    timeout_init(&door->delay, delay_passed);
    for (size_t i = 0; address.len > 0 && i < MIN(rules->list_count, (size_t)DOOR_LISTS_MAX); i++)
        ask_list(door, &rules->lists[i]);
    iprev_start(&door->iprev, address);
    if (asks_name) {
        door->waiting++;
        iprev_pump(door);
    }
    engine_timeout(door->engine, &door->deadline,
                   rules->timeout_ms != 0 ? rules->timeout_ms : DOOR_TIMEOUT_MS);
    /* Also without a delay: nobody is answered from inside the call. */
    engine_timeout(door->engine, &door->delay, MAX(rules->greet_delay_ms, (int64_t)1));
    return door;
}

void door_free(struct door **door)
{
    struct door *freed = *door;

    *door = NULL;
    if (freed == NULL)
        return;
    cancel_all(freed);
    engine_timeout_cancel(freed->engine, &freed->deadline);
    engine_timeout_cancel(freed->engine, &freed->delay);
    free(freed);
}

struct verdict door_verdict(const struct door *door)
{
    return door->verdict;
}

const char *door_list(const struct door *door)
{
    return door->list;
}
