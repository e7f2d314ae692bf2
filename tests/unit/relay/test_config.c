/* threads: one */
/* test_config.c - the configuration file: defaults, every kind of error with its line and key. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "relay/config.h"
#include "relay/listeners.h"
#include "support/unit.h"

static char errors[4096];
static char path[64];

static void note_error(void *context, const char *text)
{
    (void)context;
    snprintf(errors + strlen(errors), sizeof(errors) - strlen(errors), "%s\n", text);
}

static struct config *load(const char *yaml)
{
    snprintf(path, sizeof(path), "/tmp/ringpost-config-XXXXXX");
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, yaml, strlen(yaml)), (ssize_t)strlen(yaml));
    close(fd);
    errors[0] = '\0';
    struct config *config = config_load(path, note_error, NULL);
    unlink(path);
    return config;
}

#define SMALLEST \
    "hostname: mta1.example.net\n" \
    "state_dir: /tmp/x\n" \
    "listeners:\n" \
    "  - {address: \"127.0.0.1:2525\", service: submission, trust: [\"127.0.0.0/8\"]}\n"

TEST(config_smallest_file_has_every_default)
{
    struct config *config = load(SMALLEST);

    assert_string_equal(errors, "");
    assert_non_null(config);
    assert_string_equal(config->hostname, "mta1.example.net");
    assert_true(config->engines >= 1);
    assert_int_equal(config->listener_count, 1);
    assert_int_equal(config->listeners[0].trust_count, 1);
    assert_int_equal(config->submission.smtp.message_size_max, 25 << 20);
    assert_int_equal(config->delivery.retry_count, 1);
    assert_int_equal(config->delivery.retries[0].first_s, 300);
    assert_int_equal(config->delivery.source_count, 1);
    assert_string_equal(config->delivery.sources[0].ehlo, "mta1.example.net");
    assert_string_equal(config->spool.directory, "/tmp/x/spool");
    assert_int_equal(config->min_free_bytes, 256 << 20);
    assert_null(config->dns.servers);
    config_release(&config);
}

TEST(config_every_section_is_read)
{
    struct config *config = load(
        SMALLEST "engines: 3\n"
                 "limits: {message_size: 10MiB, recipients: 200, sessions: 300, memory: 1GiB}\n"
                 "dns: {servers: [\"127.0.0.1:5353\", \"::1\"], timeout: 500ms}\n"
                 "retry:\n"
                 "  destinations: [{match: \"*.Slow.example\", first: 1h}]\n"
                 "  first: 10s\n"
                 "  max: 2h\n"
                 "  jitter: 5%\n"
                 "routes:\n"
                 "  - {match: \"*.lab.example\", to: [\"10.0.0.9:2500\", \"relay.example.net\"]}\n"
                 "  - {match: \"b\xc3\xbc"
                 "cher.example\", to: [\"mx:other.example\"]}\n"
                 "sources: [{name: a, address: 192.0.2.1, ehlo: out1.example.net, weight: 3}]\n"
                 "delivery: {allow_private: [\"10.0.0.0/8\"], ipv6: false,\n"
                 "           sites: [{match: example.org, connections: 2, rate: 600/m},\n"
                 "                   {match: example.net, rate: none},\n"
                 "                   {provider: google, connections: 7}],\n"
                 "           providers: [{name: lab, mx: [\"*.MX.lab.example\"]},\n"
                 "                       {name: yahoo, mx: []}]}\n"
                 "metrics: {listen: \"127.0.0.1:9925\"}\n"
                 "log: {to: syslog, level: debug}\n");

    assert_string_equal(errors, "");
    assert_int_equal(config->engines, 3);
    assert_int_equal(config->submission.sessions.sessions_max, 100);
    assert_int_equal(config->submission.sessions.sessions_total_max, config->sessions_max);
    assert_int_equal(config->inbound.sessions.sessions_total_max, config->sessions_max);
    assert_int_equal(config->imap.sessions.sessions_total_max, config->sessions_max);
    assert_int_equal(config->pop3.sessions.sessions_total_max, config->sessions_max);
    assert_string_equal(config->dns.servers, "127.0.0.1:5353,[::1]:53");
    assert_int_equal(config->dns.timeout_ms, 500);
    assert_int_equal(config->delivery.retry_count, 2);
    assert_string_equal(config->delivery.retries[0].match, "*.slow.example");
    assert_int_equal(config->delivery.retries[0].first_s, 3600);
    assert_int_equal(config->delivery.retries[0].max_s, 7200);
    assert_int_equal(config->delivery.retries[1].first_s, 10);
    assert_int_equal(config->delivery.route_count, 2);
    assert_int_equal(config->delivery.routes[0].target_count, 2);
    assert_string_equal(config->delivery.routes[1].match, "xn--bcher-kva.example");
    assert_true(config->delivery.routes[1].use_mx);
    assert_string_equal(config->delivery.routes[1].targets[0], "other.example");
    assert_int_equal(config->delivery.sources[0].weight, 3);
    assert_int_equal(config->delivery.egress_rule_count, 4);
    assert_string_equal(config->delivery.egress_rules[2].provider, "google");
    assert_int_equal(config->delivery.egress_rules[2].connections, 7);
    /* Those of the file first, then those that ship, but for the one that the file has. */
    assert_int_equal(config->delivery.provider_count, 5);
    assert_string_equal(config->delivery.providers[0].mx[0], "*.mx.lab.example");
    assert_string_equal(config->delivery.providers[1].name, "yahoo");
    assert_int_equal(config->delivery.providers[1].mx_count, 0);
    assert_string_equal(config->delivery.providers[2].name, "microsoft");
    assert_int_equal(config->delivery.providers[2].mx_count, 2);
    assert_string_equal(config->delivery.providers[2].mx[0], "*.mail.protection.outlook.com");
    assert_string_equal(config->delivery.providers[4].name, "google");
    assert_true(config->delivery.egress_rules[0].messages_per_s == 10.0);
    assert_true(config->delivery.egress_rules[1].messages_per_s == 0.0);
    assert_false(config->delivery.mx.use_ipv6);
    assert_true(config->has_metrics);
    config_release(&config);
}

#define NAME_64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const struct {
    const char *yaml;
    const char *said; /* part of the complaint, after the file's name */
} bad[] = {
    {"hostname: [a]\n", ":1: hostname: a list found; expected text"},
    {SMALLEST "colour: red\n", ":5: colour: unknown key; expected one of hostname, state_dir"},
    {SMALLEST "limits: {message_size: 25}\n",
     ":5: limits.message_size: \"25\" found; expected a size with a unit, such as 25MiB"},
    {SMALLEST "limits: {message_size: 1KiB}\n",
     ":5: limits.message_size: \"1KiB\" is out of bounds; expected from 64KiB to 2GiB\n"},
    {SMALLEST "limits: {memory: 1MiB}\n", "is out of bounds; expected at least 64MiB\n"},
    {SMALLEST "limits: {line_length: 10B}\n", "is out of bounds; expected at least 1000B\n"},
    {SMALLEST "limits: {content_rate: 2MiB}\n", "is out of bounds; expected at most 1MiB\n"},
    {SMALLEST "limits: {content_rate: 500}\n", "\"500\" found; expected a size with a unit"},
    {SMALLEST "limits: {content_deadline: 0s}\n", "is out of bounds; expected at least 1s\n"},
    {SMALLEST "limits: {idle_commands: 0}\n", "is out of bounds; expected at least 1\n"},
    {SMALLEST "limits: {strict_syntax: 1}\n", "expected true or false\n"},
    {SMALLEST "limits: {recipients: 1}\n", "is out of bounds; expected from 100 to "},
    {SMALLEST "limits: {errors: 5000000000}\n", "expected from 1 to 4294967295\n"},
    {SMALLEST "delivery:\n  sites:\n    - {connections: 3}\n",
     ":7: delivery.sites[0]: match is missing; expected one of match and provider"},
    {SMALLEST "delivery:\n  sites:\n    - {match: a.example, provider: google}\n",
     ":7: delivery.sites[0]: match and provider are both given; expected one of match and "
     "provider"},
    {SMALLEST "delivery: {sites: [{provider: nobody}]}\n",
     ":5: delivery: sites[0].provider: \"nobody\" found; expected one that ships or stands in "
     "delivery.providers"},
    {SMALLEST "delivery:\n  providers:\n    - {name: all, mx: [\"*\"]}\n",
     ":7: delivery.providers[0]: mx: \"*\" found; expected hosts of provider all alone"},
    {SMALLEST "delivery: {providers: [{name: a}]}\n",
     ":5: delivery.providers[0]: no mx; expected mx: "},
    {SMALLEST "delivery: {providers: [{name: a b, mx: []}]}\n", ":5: delivery.providers[0].name:"},
    {SMALLEST "delivery: {sites: [{match: a.example, rate: never}]}\n",
     "\"never\" found; expected a rate, such as 10/s or 600/m, or none\n"},
    {SMALLEST "dns: {timeout: 10ms}\n", "is out of bounds; expected from 50ms to 60s\n"},
    {SMALLEST "stop_timeout: 2h\n", "is out of bounds; expected at most 1h\n"},
    {SMALLEST "limits:\n  recipients: many\n",
     ":6: limits.recipients: \"many\" found; expected a whole number"},
    {SMALLEST "limits: {recipients: 200, recipients: 300}\n", ":5: limits.recipients: given twice"},
    {SMALLEST "retry: {first: 5}\n", ":5: retry.first: \"5\" found; expected a duration"},
    {SMALLEST "retry: {first: 1h, max: 5m}\n", "max (300s) is shorter than first (3600s)"},
    {SMALLEST "retry: {factor: 0.5}\n",
     ":5: retry.factor: \"0.5\" is out of bounds; expected from 1 to 100\n"},
    {SMALLEST "retry: {jitter: 95%}\n",
     ":5: retry.jitter: \"95%\" is out of bounds; expected at most 90%\n"},
    {SMALLEST "routes: [{match: \"*.lab.example\"}]\n",
     ":5: routes[0]: no to; expected to: [\"10.0.0.9:2500\"]\n"},
    {SMALLEST "routes: [{match: \"a b\", to: [x]}]\n", ":5: routes[0].match: \"a b\" found"},
    {SMALLEST "routes: [{match: a.example, to: [\"x:99999\"]}]\n",
     ":5: routes[0].to[0]: \"x:99999\" found; expected a host"},
    {SMALLEST "dns: {servers: [resolver]}\n",
     ":5: dns.servers[0]: \"resolver\" found; expected a resolver's address"},
    {SMALLEST "delivery: {allow_private: [\"10.0.0.1/8\"]}\n",
     ":5: delivery.allow_private[0]: \"10.0.0.1/8\" found; expected a network"},
    {SMALLEST "delivery: {ipv4: false, ipv6: false}\n",
     ":5: delivery: ipv4 and ipv6 are both false"},
    {SMALLEST "log: {level: loud}\n", ":5: log.level: \"loud\" found"},
    {SMALLEST "engines: 1000\n", ":5: engines: \"1000\" found; expected auto or a number"},
    {SMALLEST "metrics: {listen: \"127.0.0.1\"}\n", ":5: metrics.listen: \"127.0.0.1\" found"},
    {"hostname: mta1.example.net\nlisteners: []\n", ":2: listeners: none; expected at least one"},
    {"hostname: mta1.example.net\n", ": listeners: none; expected at least one"},
    {"listeners: [{service: submission}]\n", ":1: listeners[0]: no address"},
    {"listeners: [{address: \"127.0.0.1:1\"}, {address: \"127.0.0.1:1\"}]\nhostname: a.example\n",
     ":1: listeners[1].address: 127.0.0.1:1 stands in listeners[0] too"},
    {"listeners: [{address: \"127.0.0.1:1\"}]\nhostname: under_score..x\n",
     ":2: hostname: \"under_score..x\" found; expected the full name"},
    {"hostname: a\n\tb: c\n", ":2: not YAML"},
    {"- a\n- b\n", ":1: a list found; expected a mapping of keys"},
    {SMALLEST "sources: []\n", ":5: sources: an empty list"},
    {SMALLEST "sources: [{address: \"192.0.2.1:25\"}]\n", "without a port"},
    {SMALLEST "---\nengines: 3\n", ":6: a second document begins; expected one"},
    {SMALLEST "--- word\n", ":5: a second document begins; expected one"},
    {SMALLEST "--- []\n", ":5: a second document begins; expected one"},
    {SMALLEST "--- {}\n", ":5: a second document begins; expected one"},
    {SMALLEST "listeners: []\n", ":5: listeners: given twice"},
    {SMALLEST "sources: [{name: a, ehlo: \"one.example\\r\\nNOOP\"}]\n", ":5: sources[0].ehlo: "},
    {SMALLEST "sources: [{name: a, ehlo: \"b\xc3\xbc.example\"}]\n", ":5: sources[0].ehlo: "},
    {SMALLEST "sources: [{name: a, ehlo: \"[192.0.2.300]\"}]\n", ":5: sources[0].ehlo: "},
    {SMALLEST "sources: [{name: \"a b\"}]\n",
     ":5: sources[0].name: \"a b\" found; expected a word"},
    {SMALLEST "sources: [{name: \"a\\0b\"}]\n", ":5: sources[0].name: "},
    {SMALLEST "sources: [{name: " NAME_64 "a}]\n", ":5: sources[0].name: "},
    {SMALLEST "sources:\n  - name: a\n  - name: b\n  - name: a\n",
     ":8: sources: the name \"a\" stands in sources[0] too"},
    {SMALLEST "sources: [{name: a, address: \"2001:db8::1\"}]\n",
     ":5: sources[0].address: \"2001:db8::1\" found; expected an IPv4 address"},
    {SMALLEST "sources: [{name: a, address6: 192.0.2.1}]\n",
     ":5: sources[0].address6: \"192.0.2.1\" found; expected an IPv6 address"},
};

TEST(config_takes_what_is_just_in_bounds)
{
    struct config *config = load("hostname: a.example\n"
                                 "listeners: [{address: \"127.0.0.1:25\"},\n"
                                 "            {address: \"127.0.0.2:25\"}]\n"
                                 "sources: [{name: " NAME_64 "}]\n"
                                 "engines: 64\n"
                                 "delivery: {sites: [{match: a.example, connections: 3}]}\n");

    assert_string_equal(errors, "");
    assert_int_equal(config->listener_count, 2);
    assert_int_equal(config->engines, 64);
    assert_int_equal(config->delivery.egress_rule_count, 2);
    const struct egress_rule *of_all = &config->delivery.egress_rules[1];
    assert_string_equal(of_all->match, "*");
    assert_int_equal(of_all->connections, EGRESS_CONNECTIONS_DEFAULT);
    assert_int_equal(of_all->messages_per_connection, EGRESS_MESSAGES_DEFAULT);
    assert_int_equal(of_all->idle_s, EGRESS_IDLE_S_DEFAULT);
    assert_int_equal(of_all->recipients, EGRESS_RECIPIENTS_DEFAULT);
    assert_true(of_all->messages_per_s == 0);
    config_release(&config);
}

/* What a library takes where its user has no configuration is what a configuration has. */
TEST(config_defaults_are_those_of_the_libraries)
{
    struct config *config = load(SMALLEST);

    assert_int_equal(config->submission.received_max, SUBMISSION_RECEIVED_DEFAULT);
    assert_int_equal(config->submission.smtp.errors_max, SMTP_SERVER_ERRORS_DEFAULT);
    assert_int_equal(config->submission.smtp.idle_commands_max, SMTP_SERVER_IDLE_DEFAULT);
    assert_int_equal(config->submission.smtp.content_deadline_s, SMTP_SERVER_CONTENT_S_DEFAULT);
    assert_int_equal(config->submission.smtp.content_rate_min, SMTP_SERVER_CONTENT_RATE_DEFAULT);
    assert_int_equal(config->delivery.connect_timeout_s, DELIVERY_CONNECT_S_DEFAULT);
    assert_int_equal(config->delivery.dsn_size_max, DELIVERY_DSN_SIZE_DEFAULT);
    assert_int_equal(config->delivery.notice_wait_s, DELIVERY_NOTICE_WAIT_S_DEFAULT);
    config_release(&config);
}

TEST(config_state_dir_is_read_beside_what_is_wrong)
{
    char state_dir[32] = "";
    static const char yaml[] = "colour: red\nstate_dir: /tmp/x\nhostname: [a]\nlimits: 5\n";

    snprintf(path, sizeof(path), "/tmp/ringpost-config-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, yaml, strlen(yaml)), (ssize_t)strlen(yaml));
    close(fd);
    errors[0] = '\0';
    assert_true(config_load_state_dir(path, state_dir, sizeof(state_dir), note_error, NULL));
    assert_string_equal(errors, "");
    assert_string_equal(state_dir, "/tmp/x");
    assert_false(config_load_state_dir(path, state_dir, 6, note_error, NULL)); /* too long */
    unlink(path);
}

TEST(config_errors_name_line_key_and_expectation)
{
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct config *config = load(bad[i].yaml);

        if (config != NULL || strstr(errors, bad[i].said) == NULL)
            fail_msg("row %zu: wanted %s, got %s", i, bad[i].said, errors);
        assert_non_null(strstr(errors, path));
    }
}

TEST(config_nested_without_end_is_refused_at_once)
{
    static char yaml[200010] = "a: ";

    memset(yaml + 3, '[', 200000);
    assert_null(load(yaml));
    assert_non_null(strstr(errors, ":1: nested too deep"));
}

TEST(config_directory_is_called_one)
{
    errors[0] = '\0';
    assert_null(config_load("/", note_error, NULL));
    assert_string_equal(errors, "/: Is a directory; expected a file\n");
}

TEST(config_one_document_with_its_marks_is_good)
{
    struct config *config = load("---\n" SMALLEST "...\n---\n");

    assert_string_equal(errors, "");
    config_release(&config);
}

TEST(config_missing_file_says_what_to_do)
{
    errors[0] = '\0';
    assert_null(config_load("/nonexistent/ringpost.yaml", note_error, NULL));
    assert_non_null(strstr(errors, "No such file"));
    assert_non_null(strstr(errors, "ringpost init"));
}

/* A change that only a restart can make must not be taken for made. */
TEST(config_bounds_the_number_of_listeners)
{
    for (unsigned count = LISTENERS_MAX; count <= LISTENERS_MAX + 1; count++) {
        char yaml[8192];
        size_t len = (size_t)snprintf(yaml, sizeof(yaml), "hostname: a.example\nlisteners:\n");

        for (unsigned i = 0; i < count; i++)
            len += (size_t)snprintf(yaml + len, sizeof(yaml) - len,
                                    "  - {address: \"127.0.0.1:%u\"}\n", 1000 + i);
        struct config *config = load(yaml);

        assert_true((config != NULL) == (count == LISTENERS_MAX));
        if (config != NULL)
            config_release(&config);
        else
            assert_non_null(strstr(errors, ": 65 found; expected at most 64"));
    }
}

TEST(config_reload_refuses_what_needs_a_restart)
{
    static const struct {
        const char *more;
        const char *key; /* NULL: a reload does it */
    } rows[] = {
        {"limits: {recipients: 500}\n", NULL},
        {"metrics: {listen: \"127.0.0.1:9\"}\n", "metrics.listen"},
        {"delivery: {connect_timeout: 7s}\n", NULL},
        {"engines: 7\n", "engines"},
        {"delivery: {connections: 77}\n", "delivery.connections"},
        {"limits: {memory: 77MiB}\n", "limits.memory"},
        {"spool: {min_free: 3GiB}\n", NULL},
        {"spool: {segment_size: 8MiB}\n", "spool.segment_size"},
        {"spool: {spare_segments: 7}\n", "spool.spare_segments"},
        {"spool: {resident: 77MiB}\n", "spool.resident"},
        {"spool: {compact_live: 33%}\n", "spool.compact_live"},
        {"dns: {servers: [\"127.0.0.1\"]}\n", "dns.servers"},
    };
    struct config *old = load(SMALLEST);

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[1024];
        char key[CONFIG_PATH_MAX];

        snprintf(text, sizeof(text), "%s%s", SMALLEST, rows[i].more);
        struct config *next = load(text);

        expect_row(i, next != NULL);
        expect_row(i, config_can_follow(old, next, key) == (rows[i].key == NULL));
        assert_string_equal(key, rows[i].key == NULL ? "" : rows[i].key);
        config_release(&next);
    }
    config_release(&old);
}

TEST(config_larger_than_its_memory_is_an_error)
{
    enum { ARENA_MAX = 64 << 20 };
    size_t count = ARENA_MAX / sizeof(struct route) + 1;
    size_t len = 0;
    char *yaml = malloc(32 + 2 * count);

    assert_non_null(yaml);
    len = (size_t)snprintf(yaml, 32, "routes: [");
    for (size_t i = 0; i < count; i++) {
        yaml[len++] = '1';
        yaml[len++] = ',';
    }
    memcpy(yaml + len, "]\n", 3);
    assert_null(load(yaml));
    assert_non_null(strstr(errors, "routes: too much for one configuration; expected no more "
                                   "than 64 MiB\n"));
    free(yaml);
}
