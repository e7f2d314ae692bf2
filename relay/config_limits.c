/* config_limits.c - what clients and the process as a whole may take. */
#include <sys/resource.h>

#include "relay/config_wings.h"

enum { SESSIONS_DEFAULT = 20000 }; /* the row's, where descriptors allow it */

static const struct config_key limit_keys[] = {
    {.name = "message_size",
     .kind = CONFIG_SIZE,
     .at = AT(submission.smtp.message_size_max),
     .standard = "25MiB",
     .min = 65536,
     .max = UINT64_C(1) << 31,
     .in_starter = true,
     .says = "Largest content; more is told 552."},
    {.name = "recipients",
     .kind = CONFIG_COUNT,
     .at = AT(submission.smtp.recipients_max),
     .standard = "1000",
     .min = 100,
     .max = MESSAGE_RECIPIENTS_MAX,
     .in_starter = true,
     .says = "Recipients of one transaction; more are told 452."},
    {.name = "account_messages_per_hour",
     .kind = CONFIG_COUNT,
     .at = AT(submission.account_rate.messages_max),
     .standard = "0",
     .max = 1000000,
     .says =
         "Messages that a user of an account may submit in an hour; more are told 451. 0: any."},
    {.name = "account_recipients_per_hour",
     .kind = CONFIG_COUNT,
     .at = AT(submission.account_rate.recipients_max),
     .standard = "0",
     .max = 100000000,
     .says = "Recipients of these; a message alone may have more. 0: any."},
    {.name = "sessions",
     .kind = CONFIG_COUNT,
     .at = AT(sessions_max),
     .standard = "20000",
     .min = 1,
     .max = 1000000,
     .in_starter = true,
     .says = "Sessions open at once; more are told 421."},
    {.name = "sessions_per_client",
     .kind = CONFIG_COUNT,
     .at = AT(submission.sessions.sessions_per_client_max),
     .standard = "1000",
     .min = 1,
     .says = "Sessions of one client address; more are told 421."},
    {.name = "memory",
     .kind = CONFIG_SIZE,
     .at = AT(memory_max),
     .standard = "2GiB",
     .min = 64 << 20,
     .needs_restart = true,
     .in_starter = true,
     .says = "What mail may take of memory: index, messages, buffers."},
    {.name = "idempotency_keys",
     .kind = CONFIG_COUNT,
     .at = AT(claims_max),
     .standard = "1000000",
     .min = 1000,
     .max = 100000000,
     .needs_restart = true,
     .says = "Idempotency keys remembered at a time; mail with another is told 452."},
    {.name = "line_length",
     .kind = CONFIG_SIZE,
     .at = AT(submission.smtp.line_length_max),
     .default_said = "any length",
     .min = 1000,
     .says = "Longest line of content with its CRLF; longer is refused with 554."},
    {.name = "errors",
     .kind = CONFIG_COUNT,
     .at = AT(submission.smtp.errors_max),
     .standard = "20",
     .min = 1,
     .says = "Refused commands a session may make before 421."},
    {.name = "idle_commands",
     .kind = CONFIG_COUNT,
     .at = AT(submission.smtp.idle_commands_max),
     .standard = "100",
     .min = 1,
     .says = "Commands that move nothing that a session may send between two messages before 421."},
    {.name = "received",
     .kind = CONFIG_COUNT,
     .at = AT(submission.received_max),
     .standard = "50",
     .min = 5,
     .says = "Received fields; a message with more is a loop and told 554."},
    {.name = "command_timeout",
     .kind = CONFIG_SECONDS,
     .at = AT(submission.smtp.command_timeout_s),
     .standard = "5m",
     .min = 1,
     .says = "Time for a command to come."},
    {.name = "content_timeout",
     .kind = CONFIG_SECONDS,
     .at = AT(submission.smtp.content_timeout_s),
     .standard = "3m",
     .min = 1,
     .says = "Time for each further block of content to come."},
    {.name = "content_deadline",
     .kind = CONFIG_SECONDS,
     .at = AT(submission.smtp.content_deadline_s),
     .standard = "1h",
     .min = 1,
     .says = "Time for all of a message's content."},
    {.name = "content_rate",
     .kind = CONFIG_SIZE,
     .at = AT(submission.smtp.content_rate_min),
     .standard = "500B",
     .max = 1 << 20,
     .says = "Bytes a second that content must keep up; 0B: any."},
    {.name = "strict_syntax",
     .kind = CONFIG_BOOL,
     .at = AT(submission.smtp.is_strict),
     .standard = "false",
     .says = "Refuse MAIL and RCPT with a space behind the colon."},
    {.kind = CONFIG_END},
};

static const struct config_key limits_keys[] = {
    {.name = "limits",
     .kind = CONFIG_SECTION,
     .keys = limit_keys,
     .says = "What clients may take."},
    {.kind = CONFIG_END},
};

/* Of so many open files, those that are not for sessions and connections. */
static uint64_t other_descriptors(uint64_t limit)
{
    return MIN(limit / 4, UINT64_C(1000));
}

bool config_descriptors_suffice(const struct config *config, uint64_t *limit_out,
                                uint64_t *wanted_out)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return true; /* not known */
    uint64_t wanted = (uint64_t)config->sessions_max + config->delivery.connections_max +
                      other_descriptors(limit.rlim_max);
    if (limit.rlim_max >= wanted)
        return true;
    *limit_out = limit.rlim_max;
    *wanted_out = wanted;
    return false;
}

/* A session and a connection have a descriptor each: where the hard limit gives few, the defaults
 * are fewer. */
static void prepare(struct config *config)
{
    struct rlimit limit;

    check(config->sessions_max == SESSIONS_DEFAULT);
    check(config->delivery.connections_max == DELIVERY_CONNECTIONS_DEFAULT);
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    uint64_t room = limit.rlim_max - other_descriptors(limit.rlim_max);

    if (room >= SESSIONS_DEFAULT + DELIVERY_CONNECTIONS_DEFAULT)
        return;
    config->delivery.connections_max = (unsigned)MAX(room / 5, UINT64_C(1));
    config->sessions_max = (unsigned)MAX(room - room / 5, UINT64_C(1));
    config->is_short_of_descriptors = true;
}

static void finish(struct config_reader *reader, struct config *config)
{
    (void)reader;
    config->submission.hostname = config->hostname;
    config->submission.sessions.sessions_max = MAX(1U, config->sessions_max / config->engines);
    config->submission.sessions.sessions_total_max = config->sessions_max;
    config->submission.sessions.memory_max = config->memory_max;
}

const struct config_key config_limits[] = {
    {.kind = CONFIG_PART, .keys = limits_keys, .prepare = prepare, .finish = finish},
    {.kind = CONFIG_END},
};
