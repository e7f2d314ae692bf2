/* config_inbound.c - what is received from the world, and what its checks weigh. */
#include "directory/directory_name.h"
#include "relay/config_wings.h"
#include "smtp/address.h"

static const char *const dmarc_names[] = {
    [DECISION_DMARC_ENFORCE] = "enforce", [DECISION_DMARC_MONITOR] = "monitor", NULL};

static const char *const action_names[] = {
    [DECISION_TAG] = "tag", [DECISION_DEFER] = "defer", [DECISION_REFUSE] = "refuse", NULL};

/* Refusing for good what failed for now would lose mail. */
static const char *const for_now_names[] = {
    [DECISION_TAG] = "tag", [DECISION_DEFER] = "defer", NULL};

static const char *const away_names[] = {[DECISION_AWAY_ACCEPT] = "accept",
                                         [DECISION_AWAY_TAG] = "tag",
                                         [DECISION_AWAY_DEFER] = "defer",
                                         NULL};

static const char *const author_names[] = {[DECISION_AUTHOR_ACCEPT] = "accept",
                                           [DECISION_AUTHOR_TAG] = "tag",
                                           [DECISION_AUTHOR_REFUSE] = "refuse",
                                           NULL};

static bool is_url(struct bytes text)
{
    struct address address;

    return rspamd_parse_url(text, &address);
}

static bool is_address(struct bytes text)
{
    struct arena arena;
    struct bytes address;

    arena_init(&arena, 4096);
    bool is_good = directory_address(&arena, text, false, &address);
    arena_free(&arena);
    return is_good;
}

/* "zen.example", or with what is done behind it. */
static bool split_list(struct bytes text, struct bytes *zone_out, int *action_out)
{
    bool is_utf8;

    *action_out = DECISION_REFUSE;
    if (bytes_take_until(&text, ' ', zone_out)) {
        int action = 0;

        while (action_names[action] != NULL &&
               !bytes_equal(bytes_trim(text), bytes_of(action_names[action])))
            action++;
        if (action_names[action] == NULL)
            return false;
        *action_out = action;
    } else {
        *zone_out = text;
    }
    return zone_out->len <= DOOR_ZONE_MAX && zone_out->ptr[0] != '[' &&
           smtp_domain_is_valid(*zone_out, &is_utf8) && !is_utf8;
}

static bool is_list(struct bytes text)
{
    struct bytes zone;
    int action;

    return split_list(text, &zone, &action);
}

/* "*.exe", or with what is done behind it. */
static bool split_attachment(struct bytes text, struct bytes *pattern_out, int *action_out)
{
    *action_out = DECISION_REFUSE;
    *pattern_out = text;
    if (bytes_ends_nocase(text, BYTES(" tag"))) {
        *action_out = DECISION_TAG;
        *pattern_out = bytes_trim(bytes_slice(text, 0, text.len - 4));
    } else if (bytes_ends_nocase(text, BYTES(" refuse"))) {
        *pattern_out = bytes_trim(bytes_slice(text, 0, text.len - 7));
    }
    for (size_t i = 0; i < pattern_out->len; i++)
        if (pattern_out->ptr[i] <= ' ' || pattern_out->ptr[i] > '~')
            return false;
    return pattern_out->len > 0 && pattern_out->len <= ATTACHMENT_PATTERN_MAX;
}

static bool is_attachment(struct bytes text)
{
    struct bytes name;
    int action;

    return split_attachment(text, &name, &action);
}

static const struct config_key attachment = {
    .kind = CONFIG_TEXT,
    .at = {0, sizeof(const char *)},
    .is_valid = is_attachment,
    .expected =
        "a pattern of names such as *.exe or of types such as application/x-ms*, with tag or "
        "refuse behind a space"};

static const struct config_key network = {.kind = CONFIG_NETWORK,
                                          .at = {0, sizeof(struct network)}};
static const struct config_key pattern = {.kind = CONFIG_PATTERN, .at = {0, sizeof(const char *)}};

static const struct config_key list = {.kind = CONFIG_TEXT,
                                       .at = {0, sizeof(const char *)},
                                       .is_valid = is_list,
                                       .expected = "a zone, such as zen.example, or a zone and "
                                                   "tag, defer or refuse behind a space"};

static const struct config_key inbound_keys[] = {
    {.name = "postmaster",
     .kind = CONFIG_TEXT,
     .at = AT(inbound.postmaster),
     .is_valid = is_address,
     .expected = "an address, such as postmaster@example.net",
     .example = "\"postmaster@example.net\"",
     .in_starter = true,
     .says = "Who gets mail for postmaster and abuse of hosted domains that name nobody for it."},
    {.name = "dmarc",
     .kind = CONFIG_NAME,
     .at = AT(inbound.rules.dmarc),
     .names = dmarc_names,
     .standard = "enforce",
     .in_starter = true,
     .says = "enforce: mail is refused or marked as its author's domain publishes; monitor: what "
             "would be done is only told."},
    {.name = "dmarc_exempt",
     .kind = CONFIG_LIST,
     .at = AT(inbound.rules.dmarc_exempt),
     .count_at = AT(inbound.rules.dmarc_exempt_count),
     .item = &pattern,
     .says = "Patterns of author domains whose DMARC policy is not followed."},
    {.name = "allow_overrides_dmarc",
     .kind = CONFIG_BOOL,
     .at = AT(inbound.rules.allow_overrides_dmarc),
     .standard = "false",
     .says = "Whether DMARC's policy is not followed for senders that the tenant allows "
             "(`ringpost tenant allow`)."},
    {.name = "arc_sealers",
     .kind = CONFIG_LIST,
     .at = AT(inbound.rules.arc_sealers),
     .count_at = AT(inbound.rules.arc_sealer_count),
     .item = &pattern,
     .says = "Domains whose ARC seal is believed where it says that DMARC passed before them."},
    {.name = "forwarders",
     .kind = CONFIG_LIST,
     .at = AT(inbound.rules.forwarders),
     .count_at = AT(inbound.rules.forwarder_count),
     .item = &network,
     .says = "Networks that forward mail to us: of theirs SPF and DMARC are told, not acted upon."},
    {.name = "spf_fail",
     .kind = CONFIG_NAME,
     .at = AT(inbound.rules.spf_fail),
     .names = action_names,
     .standard = "tag",
     .says =
         "What is done where SPF fails and DMARC does not pass: tag (told only), defer, refuse."},
    {.name = "no_author",
     .kind = CONFIG_NAME,
     .at = AT(inbound.rules.no_author),
     .names = author_names,
     .standard = "accept",
     .says = "What is done with mail without an author's address in From: accept (told only), tag "
             "(it is marked), refuse (550)."},
    {.name = "temperror",
     .kind = CONFIG_NAME,
     .at = AT(inbound.rules.temperror),
     .names = for_now_names,
     .standard = "tag",
     .says = "What is done where DNS had no answer for SPF or DMARC and nothing passed: tag (told "
             "only), or defer with 451."},
    {.name = "verify_timeout",
     .kind = CONFIG_MILLISECONDS,
     .at = AT(inbound.verify_timeout_ms),
     .standard = "20s",
     .min = 100,
     .max = 120000,
     .says = "All DNS of a message's checks; what is unanswered then is a temperror."},
    {.name = "dnsbl",
     .kind = CONFIG_LIST,
     .at = AT(dnsbl),
     .count_at = AT(dnsbl_count),
     .item = &list,
     .max = DOOR_LISTS_MAX,
     .says =
         "Zones of lists that are asked for a client's address, each with what is done behind a "
         "space: tag (its mail is marked), defer (421) or refuse (554), which is the default."},
    {.name = "iprev",
     .kind = CONFIG_NAME,
     .at = AT(inbound.door.iprev),
     .names = action_names,
     .standard = "tag",
     .says =
         "What is done with a client whose address has no name that leads back to it: tag (told "
         "only), defer (421) or refuse (554)."},
    {.name = "door_timeout",
     .kind = CONFIG_MILLISECONDS,
     .at = AT(inbound.door.timeout_ms),
     .standard = "5s",
     .min = 100,
     .max = 60000,
     .says = "For lists and names before the greeting; what is unanswered then is not held against "
             "the client."},
    {.name = "greet_delay",
     .kind = CONFIG_MILLISECONDS,
     .at = AT(inbound.door.greet_delay_ms),
     .standard = "0s",
     .max = 60000,
     .says = "Before the greeting; who talks meanwhile is refused."},
    {.name = "rspamd",
     .kind = CONFIG_TEXT,
     .at = AT(rspamd),
     .is_valid = is_url,
     .expected = "http:// and an address with its port, such as http://127.0.0.1:11333",
     .example = "\"http://127.0.0.1:11333\"",
     .in_starter = true,
     .says = "A worker of rspamd that is asked about each message of up to 512 KiB."},
    {.name = "rspamd_submissions",
     .kind = CONFIG_BOOL,
     .at = AT(scans_submissions),
     .standard = "true",
     .says = "Whether it is asked about what users of accounts submit as well: its reject is 550, "
             "its soft reject 451."},
    {.name = "rspamd_timeout",
     .kind = CONFIG_MILLISECONDS,
     .at = AT(inbound.rspamd.timeout_ms),
     .standard = "10s",
     .min = 100,
     .max = 120000,
     .says = "For its answer, with the time in line for a connection."},
    {.name = "rspamd_connections",
     .kind = CONFIG_COUNT,
     .at = AT(inbound.rspamd.connections_max),
     .standard = "10",
     .min = 1,
     .max = 1000,
     .says = "Connections to it from each engine: so many messages are scanned at once."},
    {.name = "rspamd_away",
     .kind = CONFIG_NAME,
     .at = AT(inbound.rules.rspamd_away),
     .names = away_names,
     .standard = "accept",
     .says = "What is done with mail that it has no answer for: accept (told only), tag (it is "
             "marked), defer (451)."},
    {.name = "attachments",
     .kind = CONFIG_LIST,
     .at = AT(attachments),
     .count_at = AT(attachment_count),
     .item = &attachment,
     .max = ATTACHMENT_RULES_MAX,
     .says =
         "Patterns of names and media types that messages may not carry, each with what is done "
         "behind a space: tag (they are marked) or refuse (550), which is the default."},
    {.name = "attachment_size",
     .kind = CONFIG_SIZE,
     .at = AT(inbound.attachments.size_max),
     .standard = "0B",
     .says = "Largest attachment with a name, decoded; more is told 552. 0B: any."},
    {.name = "archive_members",
     .kind = CONFIG_COUNT,
     .at = AT(inbound.attachments.members_max),
     .standard = "10000",
     .max = 1000000,
     .says = "Names of members of archives that are compared in a message; more is told 552. "
             "0: archives are not looked into."},
    {.name = "greylist",
     .kind = CONFIG_MILLISECONDS,
     .at = AT(inbound.greylist_ms),
     .standard = "0s",
     .max = 86400000,
     .says =
         "How long the first mail of a network from a sender to a recipient is put off with 451; "
         "0s: not."},
    {.name = "proxy",
     .kind = CONFIG_LIST,
     .at = AT(inbound.proxies),
     .count_at = AT(inbound.proxy_count),
     .item = &network,
     .says = "Networks of proxies, which must speak the PROXY protocol, version 1 or 2."},
    {.name = "sessions_per_network",
     .kind = CONFIG_COUNT,
     .at = AT(inbound.sessions_per_network_max),
     .standard = "200",
     .min = 1,
     .says = "Sessions of one network, a /24 of IPv4 or a /48 of IPv6; more are told 421."},
    {.name = "unknown_recipients",
     .kind = CONFIG_COUNT,
     .at = AT(inbound.unknown_max),
     .standard = "10",
     .min = 1,
     .says =
         "Recipients that nobody is which a session may name; one more is told 421. Each answer "
         "takes longer than the one before."},
    {.name = "sessions_per_client",
     .kind = CONFIG_COUNT,
     .at = AT(inbound.sessions.sessions_per_client_max),
     .standard = "50",
     .min = 1,
     .says = "Sessions of one client address; more are told 421."},
    {.kind = CONFIG_END},
};

static const struct config_key section_keys[] = {
    {.name = "inbound",
     .kind = CONFIG_SECTION,
     .keys = inbound_keys,
     .says = "Mail from the world, on listeners of the service inbound."},
    {.kind = CONFIG_END},
};

static void take_lists(struct config *config)
{
    struct door_list *lists =
        arena_alloc(&config->arena, MAX(config->dnsbl_count, (size_t)1) * sizeof(*lists));

    check(lists != NULL);
    for (size_t i = 0; i < config->dnsbl_count; i++) {
        struct bytes zone, copy;
        bool is_good = split_list(bytes_of(config->dnsbl[i]), &zone, &lists[i].action) &&
                       arena_copy(&config->arena, zone, &copy);

        check(is_good);
        lists[i].zone = (const char *)copy.ptr;
    }
    config->inbound.door.lists = lists;
    config->inbound.door.list_count = config->dnsbl_count;
}

static void take_attachments(struct config *config)
{
    struct attachment_rule *rules =
        arena_alloc(&config->arena, MAX(config->attachment_count, (size_t)1) * sizeof(*rules));

    check(rules != NULL);
    for (size_t i = 0; i < config->attachment_count; i++) {
        struct bytes pattern_text, copy;
        bool is_good =
            split_attachment(bytes_of(config->attachments[i]), &pattern_text, &rules[i].action) &&
            arena_printf(&config->arena, &copy, "%.*s%c", BYTES_ARG(pattern_text), 0);

        check(is_good);
        rules[i].pattern = (const char *)copy.ptr;
    }
    config->inbound.attachments.rules = rules;
    config->inbound.attachments.count = config->attachment_count;
}

/* The limits of clients are those of all services. */
static void finish(struct config_reader *reader, struct config *config)
{
    const struct submission_settings *limits = &config->submission;
    struct receive_settings *inbound = &config->inbound;
    const yaml_node_t *node = config_node(reader, "listeners");

    take_lists(config);
    take_attachments(config);
    if (config->rspamd != NULL) {
        bool is_good = rspamd_parse_url(bytes_of(config->rspamd), &inbound->rspamd.address);
        check(is_good);
    }
    if (config->scans_submissions)
        config->submission.rspamd = inbound->rspamd;
    config->submission.scan_defers = inbound->rules.rspamd_away == DECISION_AWAY_DEFER;
    inbound->hostname = config->hostname;
    inbound->smtp = limits->smtp;
    inbound->received_max = limits->received_max;
    inbound->sessions.sessions_max = limits->sessions.sessions_max;
    inbound->sessions.sessions_total_max = limits->sessions.sessions_total_max;
    inbound->sessions.memory_max = limits->sessions.memory_max;
    for (size_t i = 0; i < config->listener_count; i++)
        if (config->listeners[i].service == SERVICE_INBOUND && config->listeners[i].trust_count > 0)
            config_error(reader, config_item(reader, node, i),
                         "listeners[%zu].trust: nobody is trusted on a port for the world; "
                         "expected a listener of the service submission for clients of ours",
                         i);
}

const struct config_key config_inbound[] = {
    {.kind = CONFIG_PART, .keys = section_keys, .finish = finish},
    {.kind = CONFIG_END},
};
